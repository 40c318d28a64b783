//! Get and Put, from the call to the answer, over the embedded store, and a hit of the near cache: what the product
//! costs without a network.
//!
//! The floor is measured in the same run: a locked map that does nothing but get and insert. Read the ratio, not the
//! nanoseconds.
//!
//! Not here: gRPC and Redis, which come with the issue on the hot path.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};
use vedetta::cache::{Cache, CacheBounds, Call, Embedded, Put};
use vedetta::clock;
use vedetta::config::CacheRules;
use vedetta::invalidation::{Hub, HubLimits, Metrics};
use vedetta::model::{
    Address, CacheId, CacheName, Condition, Consistency, Expiry, Groups, Key, Lineage, Moment,
    Tenant, Value, Version,
};
use vedetta::near::{Begin, Capacity, Found, Majority, Near, ReadBack, Want};

const ENTRIES: usize = 10_000;
const CAPACITY: u64 = 1 << 30;
const BOUNDS: CacheBounds = CacheBounds {
    budget: CAPACITY,
    waiting: 1,
};
const SIZES: [usize; 3] = [100, 1024, 16 * 1024];

fn addresses() -> Vec<Address> {
    (0..ENTRIES)
        .map(|number| Address {
            cache: CacheId {
                tenant: Tenant::primary(),
                name: CacheName::new("bench").expect("a legal name"),
            },
            key: Key::new(Bytes::from(format!("key-{number:028}"))).expect("a key"),
        })
        .collect()
}

fn put(key: &Key, value: &Bytes) -> Put {
    Put {
        key: key.clone(),
        value: Value::Data(value.clone()),
        expiry: Expiry::Never,
        condition: Condition::None,
        groups: Groups::default(),
        lease: None,
    }
}

fn hub() -> Arc<Hub> {
    let limits = HubLimits {
        subscribers: 1,
        records: 1024,
        bound: Duration::from_secs(1),
    };
    Arc::new(Hub::new(limits, SystemTime::now(), Metrics::register()))
}

/// A near cache that holds every entry, under a lease.
fn near(addresses: &[Address], value: &Bytes) -> Near<()> {
    let near = Near::new(Capacity(CAPACITY));
    near.publish(1, Lineage::new(1, "bench"), Majority::Alone, Moment::START);
    for address in addresses {
        let now = clock::now();
        let key = address.key.as_bytes();
        let Begin::Lead(fill) = near.begin((key, &address.cache, None), None, now, ()) else {
            continue;
        };
        let read = ReadBack {
            found: Found::Present(Value::Data(value.clone()), Version::unique(1, 1, 1)),
            mark: None,
            members: Some(Vec::new()),
            ttl: None,
            sent: now,
            received: now,
            generation: 1,
        };
        assert!(near.complete(fill, &read), "nothing overtakes it");
    }
    near
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
}

fn get_and_put(criterion: &mut Criterion) {
    let runtime = runtime();
    let addresses = addresses();
    for size in SIZES {
        let value = Bytes::from(vec![0x5A; size]);
        let rules = CacheRules::default();
        let store = Embedded::new(CAPACITY, rules.clone(), (hub(), Arc::default()));
        let cache = Cache::new(store, rules, BOUNDS, Arc::default());
        let floor = Mutex::new(HashMap::new());
        for address in &addresses {
            let stored = cache.put(Call::until(None), &address.cache, put(&address.key, &value));
            runtime.block_on(stored).expect("fits");
            floor.lock().insert(address.clone(), value.clone());
        }
        let mut turn = (0..ENTRIES).cycle();

        let mut group = criterion.benchmark_group("get");
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("floor", size), |bencher| {
            bencher.iter(|| black_box(floor.lock().get(&addresses[next(&mut turn)]).cloned()));
        });
        group.bench_function(BenchmarkId::new("embedded", size), |bencher| {
            bencher.iter(|| {
                let address = &addresses[next(&mut turn)];
                let found = cache.get(Call::until(None), address, Consistency::Fresh(None));
                black_box(runtime.block_on(found))
            });
        });
        let near = near(&addresses, &value);
        let want = Want {
            bound: Duration::MAX,
            token: None,
        };
        group.bench_function(BenchmarkId::new("near", size), |bencher| {
            bencher.iter(|| {
                let address = &addresses[next(&mut turn)];
                let key = address.key.as_bytes();
                black_box(near.fresh(key, &address.cache, want, clock::now()))
            });
        });
        group.finish();

        let mut group = criterion.benchmark_group("put");
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("floor", size), |bencher| {
            bencher.iter(|| {
                let address = addresses[next(&mut turn)].clone();
                black_box(floor.lock().insert(address, value.clone()))
            });
        });
        group.bench_function(BenchmarkId::new("embedded", size), |bencher| {
            bencher.iter(|| {
                let address = &addresses[next(&mut turn)];
                let stored =
                    cache.put(Call::until(None), &address.cache, put(&address.key, &value));
                black_box(runtime.block_on(stored))
            });
        });
        group.finish();
    }
}

fn next(turn: &mut impl Iterator<Item = usize>) -> usize {
    turn.next().unwrap_or_default()
}

criterion_group!(benches, get_and_put);
criterion_main!(benches);
