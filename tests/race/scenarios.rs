//! The races that one Redis is enough for: without faults, and with each of the faults that a server or an operator
//! brings about without a change of master.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::foreign::Foreign;
use crate::mix::{Loss, Plan, pairs};
use crate::program::Program;
use crate::sidecar::{Sidecar, Upstream};
use crate::support::{Redis, RedisOptions};
use crate::trouble::{crowd, every_100_ms};

/// Short, so that heartbeats are frequent and a round settles soon.
const BOUND: Duration = Duration::from_millis(300);

fn server(lines: &[&str]) -> (Redis, Foreign) {
    let redis = Redis::start(&RedisOptions {
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
        ..RedisOptions::default()
    });
    let foreign = Foreign::new(Upstream::Redis(redis.address()));
    (redis, foreign)
}

async fn sidecars(redis: &Redis) -> [Arc<Sidecar>; 2] {
    let upstream = Upstream::Redis(redis.address());
    [
        Sidecar::start(&upstream, BOUND).await,
        Sidecar::start(&upstream, BOUND).await,
    ]
}

/// Races on that server, under trouble that goes on until a round is over.
async fn race<T: Future<Output = ()>>(
    plan: Plan,
    redis: &Redis,
    foreign: &Foreign,
    trouble: impl Fn(CancellationToken) -> T,
) -> [Arc<Sidecar>; 2] {
    let sidecars = sidecars(redis).await;
    let program = Program::new(plan, sidecars.clone(), foreign.clone());
    while program.wants_more() {
        let enough = CancellationToken::new();
        program.round(enough.clone(), trouble(enough)).await;
    }
    program.finish();
    for sidecar in &sidecars {
        sidecar.check_tasks();
    }
    sidecars
}

/// A figure of INFO.
fn info(redis: &Redis, section: &str, name: &str) -> u64 {
    let info = redis.cli(&["INFO", section]);
    let line = info.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.strip_prefix(':'));
    value
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or(0)
}

/// What the server does to keys is no reason to leave it.
fn one_session_each(sidecars: &[Arc<Sidecar>]) {
    for sidecar in sidecars {
        assert_eq!(
            sidecar.generation(),
            1,
            "a session ended though the link is well"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_faults_nothing_is_stuck() {
    let (redis, foreign) = server(&[]);
    let plan = Plan::new("no faults", pairs(30_000, 1_000_000));
    let sidecars = race(plan, &redis, &foreign, |_| std::future::ready(())).await;
    one_session_each(&sidecars);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flushall_every_100_ms() {
    let (redis, foreign) = server(&[]);
    let plan = Plan {
        loss: Loss::Entries,
        ..Plan::new("FLUSHALL every 100 ms", pairs(6_000, 300_000))
    };
    let striker = foreign.clone();
    let sidecars = race(plan, &redis, &foreign, |enough| {
        every_100_ms(&striker, &[b"FLUSHALL"], enough)
    })
    .await;
    one_session_each(&sidecars);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_kill_every_100_ms() {
    let (redis, foreign) = server(&[]);
    let plan = Plan::new("CLIENT KILL every 100 ms", pairs(1_200, 20_000));
    let plan = Plan {
        per_round: plan.per_round / 3,
        ..plan
    };
    let striker = foreign.clone();
    let command: [&[u8]; 6] = [b"CLIENT", b"KILL", b"TYPE", b"normal", b"SKIPME", b"yes"];
    let sidecars = race(plan, &redis, &foreign, |enough| {
        every_100_ms(&striker, &command, enough)
    })
    .await;
    for sidecar in sidecars {
        let generation = sidecar.generation();
        println!("CLIENT KILL every 100 ms: {generation} sessions");
        assert!(generation > 3, "only {generation} sessions");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eviction_by_maxmemory() {
    let lines = ["maxmemory 4mb", "maxmemory-policy allkeys-random"];
    let (redis, foreign) = server(&lines);
    let plan = Plan {
        loss: Loss::Entries,
        kept: 0.3,
        ..Plan::new("maxmemory eviction", pairs(6_000, 300_000))
    };
    let neighbour = foreign.clone();
    let sidecars = race(plan, &redis, &foreign, |enough| crowd(&neighbour, enough)).await;
    one_session_each(&sidecars);
    let evicted = info(&redis, "stats", "evicted_keys");
    println!("maxmemory eviction: {evicted} evicted");
    assert!(evicted > 200, "only {evicted} evicted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expiry_by_px() {
    let (redis, foreign) = server(&["hz 100"]);
    let plan = Plan {
        expiring: 80,
        ..Plan::new("PX expiry", pairs(6_000, 300_000))
    };
    let sidecars = race(plan, &redis, &foreign, |_| std::future::ready(())).await;
    one_session_each(&sidecars);
    let expired = info(&redis, "stats", "expired_keys");
    println!("PX expiry: {expired} expired");
    assert!(expired > 500, "only {expired} expired");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tiny_tracking_table() {
    let (redis, foreign) = server(&["tracking-table-max-keys 24"]);
    // The server forgets most keys, and says so: few copies live long.
    let plan = Plan {
        kept: 0.02,
        ..Plan::new("tracking-table-max-keys 24", pairs(6_000, 300_000))
    };
    let sidecars = race(plan, &redis, &foreign, |_| std::future::ready(())).await;
    one_session_each(&sidecars);
}
