//! One step of the topology: a Sentinel has answered, and who is master is decided again.
//!
//! The floor compares the answers as text, without ids, epochs, doubts and time.

use std::hint::black_box;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput};
use vedetta::config::SentinelPolicy;
use vedetta::model::{Endpoint, Master, Moment};
use vedetta::sentinel::{Answer, Aside, Flags, Topology};

const SENTINELS: [usize; 2] = [3, 5];

fn endpoint(host: &str, port: u16) -> Endpoint {
    Endpoint {
        host: host.to_owned(),
        port,
    }
}

fn answer(seat: usize, sentinels: usize) -> Answer {
    Answer {
        id: format!("{seat:040}").into(),
        master: Master {
            endpoint: endpoint("10.0.0.1", 6379),
            epoch: 1,
        },
        flags: Flags::default(),
        described: true,
        sentinels,
        replicas: 2,
        rules: None,
        run_id: None,
        aside: Aside::default(),
        asked: Moment::START,
    }
}

pub(crate) fn step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("topology_step");
    group.throughput(Throughput::Elements(1));
    for sentinels in SENTINELS {
        let mut turn = (0..sentinels).cycle();
        let mut next = move || turn.next().unwrap_or_default();
        group.bench_function(BenchmarkId::new("floor", sentinels), |bencher| {
            let mut named = vec![String::new(); sentinels];
            bencher.iter(|| {
                named[next()] = "10.0.0.1:6379".to_owned();
                let voices = |one: &&String| named.iter().filter(|other| other == one).count();
                black_box(
                    named
                        .iter()
                        .find(|one| voices(one) > sentinels / 2)
                        .cloned(),
                )
            });
        });
        group.bench_function(BenchmarkId::new("topology", sentinels), |bencher| {
            let listed: Vec<_> = (0..sentinels)
                .map(|seat| endpoint(&format!("sentinel-{seat}"), 26379))
                .collect();
            let mut topology = Topology::new(&listed, SentinelPolicy::Majority);
            let now = Instant::now();
            let answers: Vec<_> = (0..sentinels).map(|seat| answer(seat, sentinels)).collect();
            for (seat, answer) in answers.iter().enumerate() {
                topology.report(seat, Ok(answer.clone()), now);
            }
            assert!(topology.elect(now).is_ok(), "all agree");
            bencher.iter(|| {
                let seat = next();
                topology.report(seat, Ok(answers[seat].clone()), now);
                black_box(topology.elect(now))
            });
        });
    }
    group.finish();
}
