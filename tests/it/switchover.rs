//! One failover after the other under load, as a table: how long writes stood still, what failed, what was lost; and
//! what a plain client of redis-rs and one of fred would have had of the same failovers.
//!
//! Three kinds, in turn, on one Sentinel set: kill -9 of the master, SIGSTOP of it (it comes back as a stale master), and
//! SENTINEL FAILOVER. Times are printed; asserted is that no call of vedetta failed, that a manual failover lost nothing
//! that vedetta had acknowledged, and that nothing was ever lost that was acknowledged with durability ALL.
//!
//! `VEDETTA_LONG` makes it twenty rounds of each kind.

mod load;
mod observer;
mod others;
mod table;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{SentinelSet, Vedetta, wait};

use load::CACHE;
pub(crate) use load::{Load, Write};
use observer::Observer;
use others::Other;
use table::{Round, Table};

/// Until a write has been acknowledged by the new master. A bound on being alive, not on being fast.
const RESUMED_WITHIN: Duration = Duration::from_secs(10);

/// Until the node that was master is a replica that is in step.
const HEALED_WITHIN: Duration = Duration::from_secs(60);

/// The ways in which a master goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Kill9,
    Stop,
    Manual,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Kill9 => "kill -9",
            Self::Stop => "SIGSTOP",
            Self::Manual => "SENTINEL FAILOVER",
        }
    }
}

fn rounds() -> usize {
    if std::env::var_os("VEDETTA_LONG").is_some() {
        20
    } else {
        1
    }
}

fn follow(set: &SentinelSet, fence: &str) -> Vedetta {
    let list = set.sentinel_list();
    let environment = [
        ("REDIS_ADDRESSES", list.as_str()),
        ("VEDETTA_CACHES", "raw:raw"),
        ("VEDETTA_FENCE_MODE", fence),
    ];
    Vedetta::start(&[], &environment)
}

/// Has the master go, sees writes resume, and brings everything back; what was written meanwhile is left to the caller.
fn go(set: &mut SentinelSet, kind: Kind, load: &Load) -> Round {
    set.wait_until_known();
    let switches = set.watch_switches();
    let observer = Observer::start(&set.sentinel_addresses());
    let old = set.master_endpoint();
    let fault = strike(set, kind);
    let majority = observer.majority_other_than(old);
    let first = wait::until("writes resume", RESUMED_WITHIN, || {
        load.first_after(majority)
    });
    let switched = switches.next(RESUMED_WITHIN).at;
    heal(set, kind, old);
    Round {
        kind,
        fault,
        majority,
        switched,
        first,
    }
}

/// Has the master go; when that was done.
pub(crate) fn strike(set: &mut SentinelSet, kind: Kind) -> Instant {
    match kind {
        Kind::Kill9 => set.kill9_master().1,
        Kind::Stop => {
            let old = set.master_endpoint();
            set.redis(old).pause();
            Instant::now()
        }
        Kind::Manual => set.sentinel_failover().1,
    }
}

/// Brings the node back that was master, and waits until it is a replica in step.
pub(crate) fn heal(set: &mut SentinelSet, kind: Kind, old: SocketAddr) {
    match kind {
        Kind::Kill9 => set.redis(old).start_again(),
        Kind::Stop => set.redis(old).resume(),
        Kind::Manual => {}
    }
    wait::until("the old master is a replica", HEALED_WITHIN, || {
        // Whoever asks while it is demoted is disconnected.
        let role = set.redis(old).ask(&["ROLE"])?.to_string();
        let in_step = role.starts_with("slave") && role.contains("connected");
        in_step.then_some(()).ok_or(role)
    });
}

/// Which of these keys the master does not have.
fn missing(set: &SentinelSet, master: SocketAddr, keys: &[String]) -> Vec<usize> {
    let mut missing = Vec::new();
    for (chunk, part) in keys.chunks(200).enumerate() {
        let mut question = vec!["MGET"];
        question.extend(part.iter().map(String::as_str));
        let answer = set.redis_cli(master, &question);
        let values: Vec<&str> = answer.split('\n').collect();
        assert_eq!(values.len(), part.len(), "MGET answers each key");
        let absent = values
            .iter()
            .enumerate()
            .filter(|(_, value)| **value != "x");
        missing.extend(absent.map(|(at, _)| chunk * 200 + at));
    }
    missing
}

/// Which acknowledged writes the master does not have.
pub(crate) fn lost<'a>(set: &SentinelSet, writes: &'a [Write]) -> Vec<&'a Write> {
    let acknowledged: Vec<&Write> = writes.iter().filter(|write| write.acknowledged()).collect();
    let keys: Vec<String> = acknowledged
        .iter()
        .map(|write| format!("{CACHE}::{}", write.key))
        .collect();
    let master = set.master_endpoint();
    let missing = missing(set, master, &keys);
    missing.into_iter().map(|at| acknowledged[at]).collect()
}

#[test]
fn no_call_fails_and_a_manual_failover_loses_nothing() {
    let mut set = SentinelSet::start();
    let vedetta = follow(&set, "hold");
    let redis = Other::redis(&set);
    let fred = Other::fred(&set);
    let mut table = Table::default();
    for _ in 0..rounds() {
        for kind in [Kind::Kill9, Kind::Stop, Kind::Manual] {
            let load = Arc::new(Load::start(vedetta.api()));
            let (others, begun) = ([&redis, &fred], Instant::now());
            let round = go(&mut set, kind, &load);
            let writes = load.stop();
            let found = lost(&set, &writes);
            table.vedetta(&round, &writes, &found);
            for other in others {
                let writes = other.since(begun);
                table.other(other.name, &round, &writes, &lost(&set, &writes));
            }
            for write in &found {
                assert!(!write.to_all, "ALL was acknowledged and lost: {write:?}");
                assert_ne!(kind, Kind::Manual, "acknowledged and lost: {write:?}");
            }
            let failed: Vec<&Write> = writes.iter().filter(|write| write.failed()).collect();
            assert!(failed.is_empty(), "{kind:?}: {failed:?}");
        }
    }
    table.print(rounds());
    println!("{}", crate::cli::report(&vedetta));
}

/// What the fence is worth: the same without it.
#[test]
fn without_the_fence_a_manual_failover_loses_writes() {
    let mut set = SentinelSet::start();
    let vedetta = follow(&set, "off");
    let mut table = Table::default();
    for _ in 0..rounds() {
        let load = Load::start(vedetta.api());
        let round = go(&mut set, Kind::Manual, &load);
        let writes = load.stop();
        table.vedetta(&round, &writes, &lost(&set, &writes));
    }
    println!("fence.mode = off:");
    table.print(rounds());
    println!("{}", crate::cli::report(&vedetta));
}
