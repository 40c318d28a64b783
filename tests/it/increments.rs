//! Counters through failovers: with operation ids every increment that was answered counts once, whatever happened in
//! between; without them nothing counts twice, and what nobody knows is said to be unknown.
//!
//! `VEDETTA_LONG` makes it a million increments and twenty failovers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tonic::Code;
use tonic::transport::Channel;
use vedetta::proto::v1;
use vedetta::proto::v1::cache_client::CacheClient;
use vedetta::proto::v1::durability::{All, Level};

use crate::client::{Client, callers};
use crate::support::{Redis, RedisOptions, SentinelSet, Vedetta, wait};
use crate::switchover::{Kind, heal, strike};

const CALLERS: usize = 8;
const DEADLINE: Duration = Duration::from_secs(15);
const SWITCHED_WITHIN: Duration = Duration::from_secs(60);
const CACHE: &str = "raw";

/// How a counter is incremented.
#[derive(Debug, Clone, Copy)]
struct How {
    key: &'static str,
    operation_ids: bool,
    to_all: bool,
}

#[derive(Debug, Default)]
struct Tally {
    applied: AtomicI64,
    unknown: AtomicI64,
    unreplicated: AtomicI64,
    refused: AtomicI64,
}

/// Failovers and increments.
fn amount() -> (usize, i64) {
    if std::env::var_os("VEDETTA_LONG").is_some() {
        (20, 1_000_000)
    } else {
        (2, 3_000)
    }
}

async fn call(
    mut client: CacheClient<Channel>,
    how: How,
    caller: usize,
    stop: Arc<AtomicBool>,
    tally: Arc<Tally>,
) {
    let mut number = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let id = match how.operation_ids {
            true => Bytes::from(format!("{caller}-{number}")),
            false => Bytes::new(),
        };
        let within = Duration::from_secs(5).try_into().expect("a duration");
        let durability = how.to_all.then_some(v1::Durability {
            level: Some(Level::All(All {
                timeout: Some(within),
            })),
        });
        let mut request = tonic::Request::new(v1::IncrementRequest {
            cache: CACHE.to_owned(),
            key: Bytes::from_static(how.key.as_bytes()),
            delta: 1,
            operation_id: id,
            durability,
            ..v1::IncrementRequest::default()
        });
        request.set_timeout(DEADLINE);
        let counter = match client.increment(request).await {
            Ok(_) => &tally.applied,
            Err(status) if status.code() == Code::Aborted => &tally.unreplicated,
            Err(status) if matches!(status.code(), Code::Unknown | Code::DeadlineExceeded) => {
                &tally.unknown
            }
            Err(status) => {
                eprintln!("{how:?}: {status:?}");
                &tally.refused
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Callers of each way, until the value is dropped into `finish`.
struct Callers {
    stop: Arc<AtomicBool>,
    tallies: Vec<(How, Arc<Tally>)>,
    thread: std::thread::JoinHandle<()>,
}

impl Callers {
    fn start(api: SocketAddr, ways: &[How]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let tallies: Vec<(How, Arc<Tally>)> =
            ways.iter().map(|how| (*how, Arc::default())).collect();
        let (stopped, counted) = (stop.clone(), tallies.clone());
        let thread = callers::call(api, move |channel, callers| {
            for (how, tally) in counted {
                for caller in 0..CALLERS {
                    let client = CacheClient::new(channel.clone());
                    callers.spawn(call(client, how, caller, stopped.clone(), tally.clone()));
                }
            }
        });
        Self {
            stop,
            tallies,
            thread,
        }
    }

    fn applied(&self) -> i64 {
        let applied = |(_, tally): &(How, Arc<Tally>)| tally.applied.load(Ordering::Relaxed);
        self.tallies.iter().map(applied).min().unwrap_or_default()
    }

    fn finish(self) -> Vec<(How, Arc<Tally>)> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the callers");
        self.tallies
    }
}

#[test]
fn what_was_answered_counts_once_through_failovers() {
    let mut set = SentinelSet::start();
    let list = set.sentinel_list();
    let environment = [
        ("REDIS_ADDRESSES", list.as_str()),
        ("VEDETTA_CACHES", "raw:raw"),
    ];
    let vedetta = Vedetta::start(&[], &environment);
    let way = |key, operation_ids, to_all| How {
        key,
        operation_ids,
        to_all,
    };
    let ways = [
        way("once", true, false),
        way("once-all", true, true),
        way("plain", false, false),
    ];
    let (failovers, increments) = amount();
    let callers = Callers::start(vedetta.api(), &ways);
    let share = |done: usize| increments * done as i64 / failovers as i64;
    let kinds = [Kind::Kill9, Kind::Manual, Kind::Stop];
    for (round, kind) in (0..failovers).zip(kinds.into_iter().cycle()) {
        set.wait_until_known();
        let old = set.master_endpoint();
        strike(&mut set, kind);
        set.wait_for_master_other_than(old);
        heal(&mut set, kind, old);
        wait::until("its share of increments", SWITCHED_WITHIN * 20, || {
            let done = callers.applied();
            let enough = done >= share(round + 1).min(share(round) + 50_000);
            enough.then_some(()).ok_or_else(|| format!("{done}"))
        });
    }
    wait::until("all increments", SWITCHED_WITHIN * 20, || {
        let done = callers.applied();
        (done >= increments || increments > 100_000)
            .then_some(())
            .ok_or_else(|| format!("{done}"))
    });
    let client = Client::connect(vedetta.api());
    judge(&client, failovers, callers.finish());
}

fn judge(client: &Client, failovers: usize, tallies: Vec<(How, Arc<Tally>)>) {
    println!(
        "{failovers} failovers; the counter is what was applied, less what Redis lost, plus what of the unknown was"
    );
    for (how, tally) in tallies {
        let counter: i64 = client
            .text(CACHE, how.key)
            .and_then(|text| text.parse().ok())
            .expect("a counter");
        let of = |count: &AtomicI64| count.load(Ordering::Relaxed);
        let (applied, unknown) = (of(&tally.applied), of(&tally.unknown));
        let (unreplicated, refused) = (of(&tally.unreplicated), of(&tally.refused));
        let lost = (applied - counter).max(0);
        println!(
            "{how:?}: counter {counter}, applied {applied}, unknown {unknown}, too few copies {unreplicated}, \
             refused {refused}, lost at least {lost}"
        );
        assert!(
            counter <= applied + unknown + unreplicated,
            "something counted twice"
        );
        assert_eq!(refused, 0, "calls failed");
        if how.operation_ids {
            assert_eq!(unknown, 0, "an operation id makes it known");
        }
        if how.to_all {
            assert!(counter >= applied, "ALL was acknowledged and lost");
        }
    }
}

/// A master begins another history when its first replica attaches, and has lost nothing then. What this vedetta has
/// put is compared with what is there; what it has counted since is not the rest of something that was lost.
#[test]
fn a_counter_that_began_with_a_put_outlives_its_history() {
    let redis = Redis::start(&RedisOptions::default());
    let address = redis.address().to_string();
    let environment = [
        ("REDIS_ADDRESS", address.as_str()),
        ("VEDETTA_CACHES", "raw:raw"),
    ];
    let vedetta = Vedetta::start(&[], &environment);
    let client = Client::connect(vedetta.api());
    for cache in ["framed", "raw"] {
        assert_eq!(client.put(cache, "n", "100"), Ok(()));
        assert_eq!(client.increment(cache, "n", None), Ok(101));
    }
    let sessions = vedetta.count("vedetta_redis_sessions_total");
    let _replica = Redis::start(&RedisOptions {
        replica_of: Some(redis.address()),
        ..RedisOptions::default()
    });
    wait::until("a session of the other history", DEADLINE, || match vedetta
        .count("vedetta_redis_sessions_total")
    {
        count if count > sessions => Ok(()),
        count => Err(format!("{count} sessions")),
    });
    for cache in ["framed", "raw"] {
        assert_eq!(client.text(cache, "n").as_deref(), Some("101"), "{cache}");
    }
}
