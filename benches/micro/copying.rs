//! The near cache: a hit, a fill from the token to the entry, an invalidation.
//!
//! The floor is a locked map from keys to values, without owners, leases, weights and eviction.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use parking_lot::Mutex;
use vedetta::clock;
use vedetta::model::Address;
use vedetta::near::{Near, Want};

use crate::copies::{self, addresses, read_back, value};
use crate::{SIZES, turns};

/// Entries that are made ready at a time for what takes them away; fewer than there are, so that none is taken twice.
const READY: BatchSize = BatchSize::NumIterations(1_000);

type Floor = Mutex<HashMap<Bytes, Bytes>>;

fn filled(addresses: &[Address], value: &Bytes) -> (Near<()>, Floor) {
    let near = copies::near(addresses, &read_back(value, clock::now()));
    let floor = addresses.iter().map(|at| (own(at), value.clone()));
    (near, Mutex::new(floor.collect()))
}

fn own(address: &Address) -> Bytes {
    Bytes::copy_from_slice(address.key.as_bytes())
}

pub(crate) fn hit(criterion: &mut Criterion) {
    let addresses = addresses();
    let want = Want {
        bound: Duration::MAX,
        token: None,
    };
    let mut group = criterion.benchmark_group("near_hit");
    group.throughput(Throughput::Elements(1));
    for size in SIZES {
        let (near, floor) = filled(&addresses, &value(size));
        let mut turn = turns();
        group.bench_function(BenchmarkId::new("floor", size), |bencher| {
            bencher.iter(|| black_box(floor.lock().get(addresses[turn()].key.as_bytes()).cloned()));
        });
        group.bench_function(BenchmarkId::new("near", size), |bencher| {
            bencher.iter(|| {
                let address = &addresses[turn()];
                let key = address.key.as_bytes();
                black_box(near.fresh(key, &address.cache, want, clock::now()))
            });
        });
    }
    group.finish();
}

pub(crate) fn fill(criterion: &mut Criterion) {
    let addresses = addresses();
    let mut group = criterion.benchmark_group("near_fill");
    group.throughput(Throughput::Elements(1));
    for size in SIZES {
        let value = value(size);
        let (near, floor) = filled(&addresses, &value);
        let read = read_back(&value, clock::now());
        let mut turn = turns();
        group.bench_function(BenchmarkId::new("floor", size), |bencher| {
            let absent = || {
                let address = &addresses[turn()];
                floor.lock().remove(address.key.as_bytes());
                address
            };
            let insert = |address: &Address| {
                let key = address.key.as_bytes().clone();
                black_box(floor.lock().insert(key, value.clone()))
            };
            bencher.iter_batched(absent, insert, READY);
        });
        group.bench_function(BenchmarkId::new("near", size), |bencher| {
            let absent = || {
                let address = &addresses[turn()];
                near.invalidate(address.key.as_bytes());
                address
            };
            let fill = |address: &Address| black_box(copies::fill(&near, address, &read));
            bencher.iter_batched(absent, fill, READY);
        });
    }
    group.finish();
}

pub(crate) fn invalidate(criterion: &mut Criterion) {
    let (addresses, value) = (addresses(), value(SIZES[1]));
    let (near, floor) = filled(&addresses, &value);
    let read = read_back(&value, clock::now());
    let mut turn = turns();
    let mut group = criterion.benchmark_group("near_invalidate");
    group.throughput(Throughput::Elements(1));
    group.bench_function("floor", |bencher| {
        let held = || {
            let address = &addresses[turn()];
            floor.lock().insert(own(address), value.clone());
            address
        };
        let remove = |address: &Address| black_box(floor.lock().remove(address.key.as_bytes()));
        bencher.iter_batched(held, remove, READY);
    });
    group.bench_function("near", |bencher| {
        let held = || {
            let address = &addresses[turn()];
            copies::fill(&near, address, &read);
            address
        };
        let invalidate = |address: &Address| black_box(near.invalidate(address.key.as_bytes()));
        bencher.iter_batched(held, invalidate, READY);
    });
    group.finish();
}
