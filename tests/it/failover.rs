//! The master dies, or is moved: the same process reads and writes on the next one, without a restart.
//!
//! Times are printed, not asserted. What is asserted is that it happens, and on the right node.
//!
//! Not here: held writes, lost writes and the other faults of the menu, which have an issue of their own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tonic::Code;
use vedetta::proto::v1::Freshness;
use vedetta::proto::v1::get_status_response::Phase;

use crate::client::Client;
use crate::support::{SentinelSet, Vedetta, wait};

/// A crash takes `down-after` (1.5 s), an election, and up to two seconds until the last Sentinel says it.
const SWITCHED_WITHIN: Duration = Duration::from_secs(20);

/// A bound on being alive, not on being fast: that is printed.
const RESUMED_WITHIN: Duration = Duration::from_secs(5);

/// A raw cache, so that what vedetta writes can be looked for with any client.
const CACHE: &str = "Entando_ConfigManager";

fn follow(set: &SentinelSet) -> Vedetta {
    let list = set.sentinel_list();
    let environment = [
        ("REDIS_ADDRESSES", list.as_str()),
        ("VEDETTA_PROFILE", "entando"),
    ];
    Vedetta::start(&[], &environment)
}

/// One write: its number, when it was answered, and whether it was acknowledged.
struct Write {
    number: usize,
    answered: Instant,
    acknowledged: bool,
}

/// Writes as fast as it is answered, until it is told to stop.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Write>>,
}

impl Writer {
    fn start(api: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let client = Client::connect(api);
            let mut writes = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let number = writes.len();
                let acknowledged = client.put(CACHE, &format!("w{number}"), "x").is_ok();
                writes.push(Write {
                    number,
                    answered: Instant::now(),
                    acknowledged,
                });
            }
            writes
        });
        Self { stop, thread }
    }

    fn stop(self) -> Vec<Write> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("writer")
    }
}

/// Prints how the writes went. At least one must have arrived at the new master, and not long after the switch.
fn report(name: &str, writes: &[Write], set: &SentinelSet, new: SocketAddr, switch: Instant) {
    let arrived = |write: &Write| {
        let key = format!("{CACHE}::w{}", write.number);
        set.redis_cli(new, &["EXISTS", &key]) == "1"
    };
    let failed = writes.iter().filter(|write| !write.acknowledged).count();
    let acknowledged: Vec<&Write> = writes.iter().filter(|write| write.acknowledged).collect();
    let lost: Vec<&&Write> = acknowledged
        .iter()
        .filter(|write| !arrived(write))
        .collect();
    // What came before the last write that failed or was lost may have reached the new master as a replica.
    let last_trouble = writes
        .iter()
        .filter(|write| !write.acknowledged)
        .chain(lost.iter().map(|write| **write))
        .map(|write| write.number)
        .max();
    let first_good = acknowledged
        .iter()
        .find(|write| last_trouble.is_none_or(|number| write.number > number))
        .expect("a write that arrived after the failover");
    let (sign, distance) = if first_good.answered >= switch {
        ("after", first_good.answered - switch)
    } else {
        ("before", switch - first_good.answered)
    };
    assert!(
        first_good.answered < switch + RESUMED_WITHIN,
        "{distance:?} {sign} the switch"
    );
    println!(
        "{name}: first good write {:.1} ms {sign} the first +switch-master; {} writes, {failed} failed, \
         {} acknowledged ones lost by Redis",
        distance.as_secs_f64() * 1e3,
        writes.len(),
        lost.len(),
    );
}

fn check_following(set: &SentinelSet, vedetta: &mut Vedetta, pid: u32, changes: u64) {
    let client = Client::connect(vedetta.api());
    let new = set.master_endpoint();
    // In a manual failover the old master takes writes until vedetta leaves it: look where it is first.
    wait::until("vedetta follows", SWITCHED_WITHIN, || {
        let master = client.status().master.expect("a master");
        if master.address == new.to_string() && master.phase() == Phase::Serving {
            Ok(())
        } else {
            Err(format!("{master:?}"))
        }
    });
    assert_eq!(client.put(CACHE, "after", "the failover"), Ok(()));
    assert_eq!(
        set.redis_cli(new, &["GET", &format!("{CACHE}::after")]),
        "the failover"
    );
    assert_eq!(client.text(CACHE, "after").as_deref(), Some("the failover"));
    set.redis_cli(new, &["SET", &format!("{CACHE}::foreign"), "seen"]);
    assert_eq!(client.text(CACHE, "foreign").as_deref(), Some("seen"));
    let master = client.status().master.expect("a master");
    assert_eq!(master.address, new.to_string());
    assert_eq!(master.changes, changes);
    assert_eq!(vedetta.process().id(), pid);
    assert_eq!(vedetta.process().exited(), None);
}

#[test]
fn kill_9_of_the_master_and_then_a_manual_failover() {
    let mut set = SentinelSet::start();
    let mut vedetta = follow(&set);
    let pid = vedetta.process().id();
    assert_eq!(
        Client::connect(vedetta.api()).put(CACHE, "before", "x"),
        Ok(())
    );

    let switches = set.watch_switches();
    let writer = Writer::start(vedetta.api());
    let (old, _) = set.kill9_master();
    let switch = switches.next(SWITCHED_WITHIN);
    check_following(&set, &mut vedetta, pid, 1);
    report("kill -9", &writer.stop(), &set, switch.new, switch.at);
    assert_ne!(switch.new, old);

    // The dead node comes back as a replica, as a pod would.
    set.redis(old).start_again();
    set.wait_until_known();
    drop(switches);

    let switches = set.watch_switches();
    let writer = Writer::start(vedetta.api());
    set.sentinel_failover();
    let switch = switches.next(SWITCHED_WITHIN);
    set.wait_for_master_other_than(switch.old);
    check_following(&set, &mut vedetta, pid, 2);
    report(
        "SENTINEL FAILOVER",
        &writer.stop(),
        &set,
        switch.new,
        switch.at,
    );

    let (_, metrics) = vedetta.admin_get("/metrics").expect("metrics");
    assert!(metrics.contains("\nvedetta_master_known 1\n"), "{metrics}");
    assert!(
        metrics.contains("\nvedetta_master_changes_total 2\n"),
        "{metrics}"
    );
    assert!(
        !metrics.contains("\nvedetta_sentinel_events_total 0\n"),
        "no event was heard"
    );
}

/// A Sentinel that slept through a failover changes nothing when it wakes up. (That two of them do not lower the epoch
/// either is shown by value, in `sentinel::topology`.)
#[test]
fn a_sentinel_that_slept_through_the_failover_changes_nothing() {
    let mut set = SentinelSet::start();
    let mut vedetta = follow(&set);
    let pid = vedetta.process().id();
    set.sentinels()[2].pause();
    let (old, _) = set.kill9_master();
    let new = set.wait_for_master_other_than(old);
    check_following(&set, &mut vedetta, pid, 1);
    set.sentinels()[2].resume();
    let client = Client::connect(vedetta.api());
    wait::until("the sleeper answers again", SWITCHED_WITHIN, || {
        let sentinels = client.status().sentinels;
        if sentinels.iter().all(|view| view.up) {
            Ok(())
        } else {
            Err(format!("{sentinels:?}"))
        }
    });
    let master = client.status().master.expect("a master");
    assert_eq!((master.address, master.changes), (new.to_string(), 1));
}

fn sentinels_up(client: &Client, expected: usize) {
    wait::until("the Sentinels are seen", SWITCHED_WITHIN, || {
        let sentinels = client.status().sentinels;
        let up = sentinels.iter().filter(|view| view.up).count();
        if up == expected {
            Ok(())
        } else {
            Err(format!("{up} are up"))
        }
    });
}

/// Without a majority nobody is elected: a link that works is kept, its answers are no longer called fresh, and one
/// that is lost is not made again until there is a majority.
#[test]
fn without_a_majority_a_working_link_is_kept_and_a_lost_one_is_not_made_again() {
    let mut set = SentinelSet::start();
    let vedetta = follow(&set);
    let client = Client::connect(vedetta.api());
    let mut impatient = Client::connect(vedetta.api());
    impatient.timeout = Duration::from_millis(300);
    assert_eq!(client.put(CACHE, "k", "1"), Ok(()));
    assert_eq!(client.freshness(CACHE, "k"), Freshness::Fresh);
    let master = set.master_endpoint();
    set.sentinels()[0].kill9();
    set.sentinels()[1].kill9();
    sentinels_up(&client, 1);
    // A master that nobody confirms may have a successor: what it would acknowledge could be lost.
    wait::until("writes are fenced", SWITCHED_WITHIN, || {
        match impatient.put(CACHE, "k", "2") {
            Err(failure) if failure.reason == "FENCED" && failure.applied == "NO" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    // What the majority last said stays good for as long as the staleness bound.
    wait::until("answers are unverified", SWITCHED_WITHIN, || {
        match client.freshness(CACHE, "k") {
            Freshness::Unverified => Ok(()),
            other => Err(format!("it is {other:?}")),
        }
    });
    assert_eq!(client.text(CACHE, "k").as_deref(), Some("1"));

    set.redis_cli(
        master,
        &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"],
    );
    wait::until("calls are refused", SWITCHED_WITHIN, || {
        match impatient.put(CACHE, "k", "3") {
            Err(failure) if failure.code == Code::Unavailable => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let generation = client.status().master.expect("a master").generation;
    assert_eq!(generation, 1, "a session without an election");
    set.sentinels()[0].start_again();
    wait::until("a majority is back", SWITCHED_WITHIN, || {
        client
            .put(CACHE, "k", "4")
            .map_err(|failure| format!("{failure:?}"))
    });
    assert_eq!(client.freshness(CACHE, "k"), Freshness::Fresh);
}

/// A Sentinel that stalls is left, and its connection with it: nothing of an old one survives.
#[test]
fn a_sentinel_that_stalls_does_not_collect_connections() {
    let mut set = SentinelSet::start();
    let vedetta = follow(&set);
    let client = Client::connect(vedetta.api());
    let address = set.sentinel_addresses()[0];
    // RESP3 is what only vedetta speaks here.
    let ours = |set: &SentinelSet| {
        let clients = set.redis_cli(address, &["CLIENT", "LIST"]);
        clients
            .lines()
            .filter(|line| line.contains("resp=3"))
            .count()
    };
    wait::until("one connection", SWITCHED_WITHIN, || {
        let count = ours(&set);
        if count == 1 {
            Ok(())
        } else {
            Err(format!("{count} connections"))
        }
    });
    for _ in 0..3 {
        set.sentinels()[0].pause();
        sentinels_up(&client, 2);
        set.sentinels()[0].resume();
        sentinels_up(&client, 3);
    }
    wait::until("one connection again", SWITCHED_WITHIN, || {
        let count = ours(&set);
        if count == 1 {
            Ok(())
        } else {
            Err(format!("{count} connections"))
        }
    });
}
