//! What an App Engine was seen to suffer from its old plugin, done again with pods: each is a vedetta and a small
//! application, which knows the gRPC API and nothing else; all of them follow one Sentinel set, in the `entando` profile.
//!
//! Each story counts what went wrong, which must be nothing, and prints it. With the old plugin it was: reads that did not
//! see the pod's own write, 7 to 16 %; members that a group lost, 32 to 52 %; numbers given out twice, 33 to 70 %; entries
//! that stay old, 0.1 to 0.3 %. Where it can be done through the same API, the story also does it as the old plugin did,
//! and must see it go wrong: so it is known to be able to fail.
//!
//! Invariants: how much is done is bounded by a number and by a time, and nothing is concluded from the time. With
//! `VEDETTA_LONG` the number alone counts.
//!
//! Not here: the same under failovers that lose writes (`floors`, `resurrection`), lists (`lists`), and races without gRPC
//! (`tests/race`).

mod application;
mod groups;
mod numbers;
mod old_entries;
mod own_writes;
mod replicas;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use application::App;
use tokio::runtime::Handle;

use crate::support::{SentinelSet, Vedetta, wait};

/// The general cache: framed, so that it has groups.
const ENTRIES: &str = "Entando_Cache";
/// One of those that are a copy of the database: raw.
const PAGES: &str = "Entando_PageManager";
/// As many pods as a story is told with: the first ones of the most.
const PODS: [usize; 2] = [2, MOST_PODS];
const MOST_PODS: usize = 3;
/// Longer than anything that is waited for takes.
const WITHIN: Duration = Duration::from_secs(30);
/// Longer than any push is on its way, and than any copy is answered that cannot be proven: what is old then, stays old.
const PUSHED_WITHIN: Duration = Duration::from_secs(5);

fn pod(set: &SentinelSet) -> Vedetta {
    let list = set.sentinel_list();
    let environment = [
        ("REDIS_ADDRESSES", list.as_str()),
        ("VEDETTA_PROFILE", "entando"),
        // What is old must not be found by chance while somebody looks for it.
        ("VEDETTA_NEAR_AUDIT_EVERY", "0"),
    ];
    Vedetta::start(&[], &environment)
}

/// So many pods, and their applications.
fn pods(set: &SentinelSet, count: usize) -> (Vec<Vedetta>, Vec<App>) {
    let pods: Vec<Vedetta> = (0..count).map(|_| pod(set)).collect();
    let apps = pods.iter().map(App::of).collect();
    (pods, apps)
}

/// How much is still to be done.
struct Budget {
    left: AtomicU64,
    ends: Option<Instant>,
}

impl Budget {
    fn new(amount: u64, within: Duration) -> Self {
        let long = std::env::var_os("VEDETTA_LONG").is_some();
        Self {
            left: AtomicU64::new(amount),
            ends: (!long).then(|| Instant::now() + within),
        }
    }

    /// The number of the next thing to do, counted downwards.
    fn take(&self) -> Option<u64> {
        if self.ends.is_some_and(|ends| Instant::now() >= ends) {
            return None;
        }
        let (order, less) = (Ordering::Relaxed, |left: u64| left.checked_sub(1));
        self.left.fetch_update(order, order, less).ok()
    }
}

/// Asks until nothing is left that looks wrong; what still does when every push has arrived.
fn left_over<T, F: Future<Output = Vec<T>>>(mut wrong: impl FnMut() -> F) -> Vec<T> {
    let mut left = Vec::new();
    let settled = wait::try_until(PUSHED_WITHIN, || {
        left = now(wrong());
        left.is_empty().then_some(()).ok_or_else(String::new)
    });
    settled.map_or(left, |()| Vec::new())
}

/// In a test with a runtime, whose other tasks go on meanwhile.
fn now<T>(work: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| Handle::current().block_on(work))
}

/// What there are so many of, as a share.
fn percent(part: usize, all: usize) -> f64 {
    100.0 * part as f64 / all.max(1) as f64
}
