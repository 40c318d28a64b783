//! What each step of the product costs by itself, without a network: `cargo bench --bench micro`, about a minute and a
//! half; a word behind `--` picks the groups that it is part of.
//!
//! Invariants: each group has a floor, which does the least that the step could cost and is measured in the same run.
//! Read the ratio, not the nanoseconds.
//!
//! Not here: a network and other servers (`benches/versus`), memory (`benches/memory`), counts of instructions
//! (`benches/guard`).

mod conversion;
#[path = "../guard/copies.rs"]
mod copies;
mod copying;
mod fanout;
mod stand;
mod store;
mod topology;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
// For `copies`.
use vedetta::{model, near};

/// For each figure; there are some sixty.
const WARM: Duration = Duration::from_millis(200);
const MEASURED: Duration = Duration::from_millis(800);
const SAMPLES: usize = 50;

/// The sizes of values, in bytes.
const SIZES: [usize; 3] = [100, 1024, 16 * 1024];

/// That of vedetta.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Places in turn, for ever.
fn turns() -> impl FnMut() -> usize {
    let mut turn = (0..copies::ENTRIES).cycle();
    move || turn.next().unwrap_or_default()
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(WARM)
        .measurement_time(MEASURED)
        .sample_size(SAMPLES);
    targets = store::get_and_put, copying::hit, copying::fill, copying::invalidate, conversion::get, conversion::put,
        fanout::record, topology::step
}
criterion_main!(benches);
