//! The stage and what breaks on it: a Sentinel set behind proxies, three vedettas each with ways of its own to the
//! Sentinels, and a menu of faults.
//!
//! Invariants: one fault at a time, each ended before the next begins; a Sentinel is never stopped, so a majority can
//! always be found; which faults come, and how long they last, follows from the seed alone.
//!
//! Not here: what the faults do to the answers (`check`).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::census::Asked;
use super::record::{Moment, Span};
use crate::near;
use crate::support::{Proxy, SentinelOptions, SentinelSet, Vedetta, wait};

/// L of each pod.
pub(crate) const BOUNDS: [Duration; 3] = [
    Duration::from_millis(300),
    Duration::from_millis(500),
    Duration::from_secs(1),
];

/// As whom each pod speaks to Redis, so that a proxy can tell them apart.
const NAMES: [&str; 3] = ["pod-0", "pod-1", "pod-2"];
/// After a failover an old master that is alive is made a replica within ten seconds.
const SETTLED_WITHIN: Duration = Duration::from_secs(14);
/// A failover that goes well ends within two seconds; a Sentinel refuses another one meanwhile.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The master is killed and started again before or after it was missed: empty, or with the old data that it
    /// received when it last became a replica.
    KillMaster,
    /// The master stands still, and may be missed.
    PauseMaster,
    /// A pod stands still.
    PausePod,
    /// A pod stands still while the master is moved.
    SleepThroughFailover,
    /// A pod does not hear the Sentinels.
    Deaf,
    /// A pod does not hear the Sentinels while the master is moved.
    DeafInFailover,
    /// A pod does not reach the master.
    Cut,
    /// A pod and the master do not reach anybody else.
    Isolate,
    /// The links of the master are closed.
    Hangup,
    /// The master closes the connections of its clients.
    KillClients,
    Flush,
    Failover,
}

const MENU: [Fault; 12] = [
    Fault::KillMaster,
    Fault::PauseMaster,
    Fault::PausePod,
    Fault::SleepThroughFailover,
    Fault::Deaf,
    Fault::DeafInFailover,
    Fault::Cut,
    Fault::Isolate,
    Fault::Hangup,
    Fault::KillClients,
    Fault::Flush,
    Fault::Failover,
];

/// A vedetta and its ways to the Sentinels.
struct Pod {
    vedetta: Vedetta,
    ears: Vec<Proxy>,
}

/// Everything that can break.
pub(crate) struct Stage {
    set: SentinelSet,
    pods: Vec<Pod>,
    rng: StdRng,
    start: Instant,
    pub(crate) flushes: Vec<Span>,
    /// What was done, for the report.
    pub(crate) log: Vec<(Moment, String)>,
}

impl Stage {
    pub(crate) fn start(rng: StdRng) -> Self {
        let user = |name| format!("user {name} on nopass ~* &* +@all");
        let set = SentinelSet::start_with(&SentinelOptions {
            proxied: true,
            redis_lines: NAMES.map(user).into(),
            ..SentinelOptions::default()
        });
        let pod = |(name, bound): (&str, Duration)| {
            let ears: Vec<Proxy> = set
                .sentinel_addresses()
                .into_iter()
                .map(Proxy::to)
                .collect();
            let heard: Vec<String> = ears.iter().map(|ear| ear.address().to_string()).collect();
            let environment = [
                ("REDIS_ADDRESSES", heard.join(",")),
                ("VEDETTA_REDIS_USERNAME", name.to_owned()),
                ("REDIS_PASSWORD", "any".to_owned()),
                // Past its ears it must not hear them.
                ("VEDETTA_SENTINEL_DISCOVERY", "false".to_owned()),
            ];
            let environment: Vec<(&str, &str)> = environment
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            Pod {
                vedetta: near::start(bound, &environment),
                ears,
            }
        };
        Self {
            pods: NAMES.into_iter().zip(BOUNDS).map(pod).collect(),
            set,
            rng,
            start: Instant::now(),
            flushes: Vec::new(),
            log: Vec::new(),
        }
    }

    /// The beginning of the run.
    pub(crate) fn beginning(&self) -> Instant {
        self.start
    }

    /// Where the pods serve.
    pub(crate) fn apis(&self) -> Vec<SocketAddr> {
        self.pods.iter().map(|pod| pod.vedetta.api()).collect()
    }

    /// Whom to ask what really happens.
    pub(crate) fn asked(&self) -> Asked {
        Asked {
            nodes: self.set.redis_addresses(),
            sentinels: self.set.sentinel_addresses(),
        }
    }

    /// Breaks one thing after the other until the time is over, and waits until all is well.
    pub(crate) fn break_things(&mut self, duration: Duration) {
        let mut menu = Vec::new();
        while self.start.elapsed() < duration {
            // Each once, in another order every time, so that a short run meets many kinds.
            let Some(fault) = menu.pop() else {
                menu = MENU.into();
                menu.shuffle(&mut self.rng);
                continue;
            };
            self.run(fault);
            self.settle();
            let calm = self.between(200, 1500);
            wait::pace(calm);
        }
        self.settle();
        self.wait_for_sentinels();
    }

    /// A time of so many milliseconds.
    fn between(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.rng.random_range(least..most))
    }

    fn note(&mut self, text: String) {
        self.log.push((self.start.elapsed(), text));
    }

    fn run(&mut self, fault: Fault) {
        let master = self.set.master_endpoint();
        let pod = self.rng.random_range(0..self.pods.len());
        let time = self.between(300, 5000);
        self.note(format!("{fault:?} of {master} or pod {pod}, {time:?}"));
        match fault {
            Fault::KillMaster => {
                let time = self.between(100, 4000);
                self.set.redis(master).kill9();
                wait::pace(time);
                self.set.redis(master).start_again();
            }
            Fault::PauseMaster => {
                self.set.redis(master).pause();
                wait::pace(time);
                self.set.redis(master).resume();
            }
            Fault::PausePod | Fault::SleepThroughFailover => {
                self.pods[pod].vedetta.process().signal("STOP");
                if fault == Fault::SleepThroughFailover {
                    self.fail_over();
                }
                wait::pace(time);
                self.pods[pod].vedetta.process().signal("CONT");
            }
            Fault::Deaf | Fault::DeafInFailover => {
                self.pods[pod].ears.iter().for_each(Proxy::mute);
                if fault == Fault::DeafInFailover {
                    self.fail_over();
                }
                wait::pace(time);
                self.pods[pod].ears.iter().for_each(Proxy::unmute);
            }
            Fault::Cut => {
                self.set.proxy(master).mute_those(NAMES[pod]);
                wait::pace(time);
                self.set.proxy(master).unmute();
            }
            Fault::Isolate => {
                self.set.proxy(master).mute_others(NAMES[pod]);
                self.pods[pod].ears.iter().for_each(Proxy::mute);
                wait::pace(time);
                self.set.proxy(master).unmute();
                self.pods[pod].ears.iter().for_each(Proxy::unmute);
            }
            Fault::Hangup => self.set.proxy(master).cut(),
            Fault::KillClients => {
                let kill = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"];
                self.set.redis_cli(master, &kill);
            }
            Fault::Flush => self.flush(master),
            Fault::Failover => self.fail_over(),
        }
    }

    fn flush(&mut self, master: SocketAddr) {
        let from = self.start.elapsed();
        self.set.redis_cli(master, &["FLUSHALL"]);
        let until = self.start.elapsed();
        self.flushes.push(Span { from, until });
    }

    /// Asks for it; a Sentinel that knows no good replica refuses, and then it is no fault.
    fn fail_over(&mut self) {
        let asked = wait::try_until(ACCEPTED_WITHIN, || {
            self.set.sentinels()[0].ask(&["SENTINEL", "FAILOVER", "mymaster"])
        });
        if let Err(refusal) = asked {
            self.note(refusal);
        }
    }

    /// Waits until no Sentinel moves the master any more.
    fn wait_for_sentinels(&mut self) {
        for sentinel in self.set.sentinels() {
            let what = "a Sentinel finds the master well";
            wait::until(what, SETTLED_WITHIN, || {
                let master = sentinel.ask(&["SENTINEL", "MASTER", "mymaster"])?;
                let flags = master.field("flags").unwrap_or_default();
                (flags == "master").then_some(()).ok_or(flags)
            });
        }
    }

    /// Waits until the next fault finds a master and a replica; in vain is no failure, only less of a fault.
    fn settle(&mut self) {
        let began = Instant::now();
        let settled = wait::try_until(SETTLED_WITHIN, || {
            let master = self.set.master_endpoint();
            let role = self.set.redis(master).ask(&["ROLE"])?.to_string();
            let info = self.set.redis(master).ask(&["INFO", "replication"])?;
            let replicated = info.to_string().contains("state=online");
            if role.starts_with("master") && replicated {
                Ok(())
            } else {
                Err(format!("{master} is a {role}"))
            }
        });
        let took = began.elapsed();
        match settled {
            Ok(()) => self.note(format!("settled after {took:?}")),
            Err(reason) => self.note(format!("not settled after {took:?}: {reason}")),
        }
    }
}
