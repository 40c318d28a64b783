//! Get and Put, from the call to the answer, over the embedded store.
//!
//! The floor is a locked map that does nothing but get and insert.

use std::collections::HashMap;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use parking_lot::Mutex;
use vedetta::cache::Call;
use vedetta::model::Consistency;

use crate::copies::{addresses, value};
use crate::stand::{Service, at_once, put};
use crate::{SIZES, turns};

pub(crate) fn get_and_put(criterion: &mut Criterion) {
    let addresses = addresses();
    for size in SIZES {
        let value = value(size);
        let Service { cache, .. } = Service::filled(&addresses, &value);
        let floor = addresses.iter().map(|at| (at.clone(), value.clone()));
        let floor: Mutex<HashMap<_, _>> = Mutex::new(floor.collect());
        let mut turn = turns();

        let mut group = criterion.benchmark_group("store_get");
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("floor", size), |bencher| {
            bencher.iter(|| black_box(floor.lock().get(&addresses[turn()]).cloned()));
        });
        group.bench_function(BenchmarkId::new("embedded", size), |bencher| {
            bencher.iter(|| {
                let fresh = Consistency::Fresh(None);
                black_box(at_once(cache.get(
                    Call::until(None),
                    &addresses[turn()],
                    fresh,
                )))
            });
        });
        group.finish();

        let mut group = criterion.benchmark_group("store_put");
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("floor", size), |bencher| {
            bencher.iter(|| {
                let address = addresses[turn()].clone();
                black_box(floor.lock().insert(address, value.clone()))
            });
        });
        group.bench_function(BenchmarkId::new("embedded", size), |bencher| {
            bencher.iter(|| {
                let address = &addresses[turn()];
                let put = put(&address.key, &value);
                black_box(at_once(cache.put(Call::until(None), &address.cache, put)))
            });
        });
        group.finish();
    }
}
