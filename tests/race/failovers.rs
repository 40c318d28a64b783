//! The races in which the master changes: by each kind of failover that Sentinels perform, and past them.
//!
//! In every kind the race goes on while it happens; afterwards the copies are compared with the new master.
//!
//! Not here: how long it takes (`tests/it`).

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::block_in_place;
use tokio_util::sync::CancellationToken;

use crate::foreign::Foreign;
use crate::mix::{Loss, Plan, long, pairs};
use crate::program::Program;
use crate::sidecar::{Sidecar, Upstream};
use crate::support::{MASTER, Redis, RedisOptions, SentinelSet, wait};

const BOUND: Duration = Duration::from_millis(300);
const WITHIN: Duration = Duration::from_secs(30);

/// Longer than the Sentinels need for the slowest kind.
const REPLACED_WITHIN: Duration = Duration::from_secs(90);

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Kill9,
    Stop,
    Manual,
    /// The Sentinels do not expect it, and elect one of the replicas half a minute later.
    Command,
}

async fn pair_of_sidecars(upstream: &Upstream) -> [Arc<Sidecar>; 2] {
    [
        Sidecar::start(upstream, BOUND).await,
        Sidecar::start(upstream, BOUND).await,
    ]
}

/// Has the master fail in that way, and waits for another one.
pub(crate) fn fail_over(set: &mut SentinelSet, kind: Kind) {
    let began = Instant::now();
    let old = set.master_endpoint();
    match kind {
        Kind::Kill9 => set.redis(old).kill9(),
        Kind::Stop => set.redis(old).pause(),
        Kind::Manual => {
            set.sentinel_failover();
        }
        Kind::Command => {
            set.redis_cli(old, &["FAILOVER"]);
        }
    }
    let new: SocketAddr = wait::until("another master", REPLACED_WITHIN, || {
        let named = set.sentinel_addresses().into_iter().map(|sentinel| {
            let question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER];
            set.redis_cli(sentinel, &question).replace('\n', ":")
        });
        let named: BTreeSet<String> = named.collect();
        match named.first().and_then(|name| name.parse().ok()) {
            Some(new) if named.len() == 1 && new != old => Ok(new),
            _ => Err(format!("the Sentinels name {named:?}")),
        }
    });
    println!(
        "{kind:?}: {old} to {new} in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    if let Kind::Stop = kind {
        // It wakes up as a master, under the race.
        set.redis(old).resume();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_change_the_master() {
    let mut set = block_in_place(SentinelSet::start);
    let upstream = Upstream::Sentinels(set.sentinel_addresses());
    let foreign = Foreign::new(upstream.clone());
    let sidecars = pair_of_sidecars(&upstream).await;
    let plan = Plan {
        loss: Loss::Writes,
        kept: 0.3,
        ..Plan::new("failovers by Sentinels", pairs(1000, 50_000))
    };
    let program = Program::new(plan, sidecars.clone(), foreign);
    let mut kinds = vec![Kind::Kill9, Kind::Stop, Kind::Manual];
    if long() {
        kinds.push(Kind::Command);
    }
    for kind in kinds {
        let old = set.master_endpoint();
        let trouble = async { block_in_place(|| fail_over(&mut set, kind)) };
        program.round(CancellationToken::new(), trouble).await;
        let recovery = async {
            block_in_place(|| {
                if let Kind::Kill9 = kind {
                    set.redis(old).start_again();
                }
                set.wait_until_known();
            });
        };
        program.round(CancellationToken::new(), recovery).await;
    }
    while program.wants_more() {
        program
            .round(CancellationToken::new(), std::future::ready(()))
            .await;
    }
    program.finish();
    for sidecar in sidecars {
        let generation = sidecar.generation();
        assert!(generation >= 4, "only {generation} sessions");
        sidecar.check_tasks();
    }
}

/// A master and its replica, without Sentinels: a sidecar that is told one address waits until it is a master again.
struct Couple {
    master: Redis,
    replica: Redis,
}

impl Couple {
    fn start() -> Self {
        let master = Redis::start(&RedisOptions::default());
        let replica = Redis::start(&RedisOptions {
            replica_of: Some(master.address()),
            ..RedisOptions::default()
        });
        wait::until("a replica", WITHIN, || replica.replica_in_step());
        Self { master, replica }
    }

    /// Both roles change with FAILOVER, which loses nothing, and change back.
    fn fail_over_and_back(&self) {
        for (from, to) in [(&self.master, &self.replica), (&self.replica, &self.master)] {
            wait::until("FAILOVER", WITHIN, || from.ask(&["FAILOVER"]));
            wait::until("the roles change", WITHIN, || {
                is(to, "master")?;
                from.replica_in_step()
            });
        }
    }

    /// The replica becomes a master of its own history, the master its replica; then back.
    fn move_by_hand_and_back(&self) {
        for (from, to) in [(&self.master, &self.replica), (&self.replica, &self.master)] {
            to.cli(&["REPLICAOF", "NO", "ONE"]);
            replica_of(from, to.address());
            wait::until("the roles change", WITHIN, || {
                is(to, "master")?;
                from.replica_in_step()
            });
        }
    }
}

fn replica_of(node: &Redis, master: SocketAddr) {
    let (ip, port) = (master.ip().to_string(), master.port().to_string());
    node.cli(&["REPLICAOF", &ip, &port]);
}

fn is(node: &Redis, role: &str) -> Result<(), String> {
    let info = node.ask(&["INFO", "replication"])?.to_string();
    if info.contains(&format!("role:{role}\r")) {
        Ok(())
    } else {
        Err(format!("{} is no {role}", node.address()))
    }
}

async fn race_of(plan: Plan, change: impl Fn(&Couple)) {
    const CHANGES: usize = 3;
    let couple = block_in_place(Couple::start);
    let upstream = Upstream::Redis(couple.master.address());
    let foreign = Foreign::new(upstream.clone());
    let sidecars = pair_of_sidecars(&upstream).await;
    let program = Program::new(plan, sidecars.clone(), foreign);
    for _ in 0..CHANGES {
        let trouble = async { block_in_place(|| change(&couple)) };
        program.round(CancellationToken::new(), trouble).await;
    }
    while program.wants_more() {
        program
            .round(CancellationToken::new(), std::future::ready(()))
            .await;
    }
    program.finish();
    for sidecar in sidecars {
        let generation = sidecar.generation();
        println!("{}: {generation} sessions", plan.name);
        // One that did not see the change, because it was over before the next heartbeat, may go on.
        assert!(generation > 1, "nobody saw a change");
        sidecar.check_tasks();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_failover_command_moves_the_role_there_and_back() {
    let plan = Plan {
        kept: 0.3,
        ..Plan::new("FAILOVER there and back", pairs(4000, 50_000))
    };
    race_of(plan, Couple::fail_over_and_back).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicaof_by_hand_moves_the_role_there_and_back() {
    let plan = Plan {
        loss: Loss::Writes,
        kept: 0.3,
        ..Plan::new("REPLICAOF there and back", pairs(4000, 50_000))
    };
    race_of(plan, Couple::move_by_hand_and_back).await;
}
