//! One record of the hub, from whoever records it to every subscriber that takes it.
//!
//! The floor hands the same record to as many bounded queues, one send and one receive each.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput};
use tokio::sync::mpsc;
use vedetta::invalidation::{Delivery, Event, Scope, Subscription};
use vedetta::model::{Address, Tenant};

use crate::copies::addresses;
use crate::stand::{at_once, hub};
use crate::turns;

const SUBSCRIBERS: [usize; 3] = [1, 16, 256];

/// Everything of the primary tenant.
fn everything() -> Scope {
    Scope {
        tenant: Tenant::primary(),
        caches: Vec::new(),
        keys: Vec::new(),
        groups: Vec::new(),
    }
}

fn next(subscription: &mut Subscription) -> Delivery {
    at_once(subscription.next()).expect("it is in time")
}

fn event(address: &Address) -> Event {
    Event::Invalidated {
        cache: address.cache.clone(),
        keys: vec![address.key.clone()],
    }
}

pub(crate) fn record(criterion: &mut Criterion) {
    let addresses = addresses();
    let mut group = criterion.benchmark_group("hub_record");
    for subscribers in SUBSCRIBERS {
        group.throughput(Throughput::Elements(subscribers as u64));
        let mut turn = turns();
        group.bench_function(BenchmarkId::new("floor", subscribers), |bencher| {
            let mut queues: Vec<_> = (0..subscribers)
                .map(|_| mpsc::channel::<Arc<Event>>(1))
                .collect();
            bencher.iter(|| {
                let event = Arc::new(event(&addresses[turn()]));
                for (sender, receiver) in &mut queues {
                    sender.try_send(event.clone()).expect("it is empty");
                    black_box(receiver.try_recv().expect("it was sent"));
                }
            });
        });
        group.bench_function(BenchmarkId::new("hub", subscribers), |bencher| {
            let hub = hub(subscribers);
            let mut watching: Vec<_> = (0..subscribers)
                .map(|_| hub.subscribe(everything(), None).expect("a seat"))
                .collect();
            // Each is told first that it begins.
            watching.iter_mut().map(next).for_each(drop);
            bencher.iter(|| {
                let address = &addresses[turn()];
                hub.invalidated(address.cache.clone(), vec![address.key.clone()]);
                for subscription in &mut watching {
                    black_box(next(subscription));
                }
            });
        });
    }
    group.finish();
}
