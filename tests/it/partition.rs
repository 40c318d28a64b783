//! A link falls silent, or leads to a master that is none any more: how long an old value is called fresh (G1).
//!
//! The same fault hits three vedettas with different bounds at once, so their figures, which are printed, compare.
//! What is asserted is the bound, and that it was put to the test: the key was served from L1 before, and reads went
//! on after the bound had passed.
//!
//! Not here: many keys and many faults (`history`); what the answers say during a failover (`failover`).

mod hot_key;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use vedetta::proto::v1::get_status_response::Phase;

use crate::client::Client;
use crate::near;
use crate::support::{Proxy, Redis, RedisOptions, SentinelOptions, SentinelSet, Vedetta, wait};
use hot_key::{CACHE, Change, KEY, Readers, judge};

const BOUNDS: [Duration; 3] = [
    Duration::from_millis(300),
    Duration::from_millis(500),
    Duration::from_secs(1),
];

/// So many answers in a row, so that it is a state and no coincidence.
const IN_A_ROW: usize = 50;
/// How long after the bound the readers go on.
const BEYOND: Duration = Duration::from_millis(500);
const SOON: Duration = Duration::from_secs(15);
/// An old master that comes back is made a replica after ten seconds.
const HEALED_WITHIN: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_millis(500);
const PACE: Duration = Duration::from_millis(5);

/// What the Sentinels do while the readers do not hear them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// They move the master although it is well, and everybody hears of it.
    Failover,
    /// The same, and the readers do not hear the Sentinels any more.
    FailoverUnheard,
    /// They lose the master and elect another one; the readers are on its side of the cut.
    Isolation,
}

/// A vedetta and its readers.
struct Pod {
    bound: Duration,
    vedetta: Vedetta,
    readers: Readers,
}

fn start_pods(environment: &[(&str, &str)]) -> Vec<Pod> {
    let pod = |bound| {
        let vedetta = near::start(bound, environment);
        let readers = Readers::start(vedetta.api());
        Pod {
            bound,
            vedetta,
            readers,
        }
    };
    BOUNDS.map(pod).into()
}

fn wait_fresh(pods: &[Pod], value: u64, within: Duration) {
    for pod in pods {
        pod.readers
            .wait_fresh(value, near::LANDED, IN_A_ROW, within);
    }
}

fn wait_past_the_bounds(pods: &[Pod], change: Change) {
    for pod in pods {
        let moment = change.acknowledged + pod.bound + BEYOND;
        pod.readers.wait_past(moment, SOON);
    }
}

/// Stops the readers, prints what they saw and fails if one of them saw too much. Returns the longest time for which
/// one of them took the old value for fresh.
fn report(name: &str, pods: Vec<Pod>, change: Change) -> Option<Duration> {
    let (mut broken, mut longest) = (Vec::new(), None);
    for pod in pods {
        match judge(&pod.readers.stop(), change, pod.bound) {
            Ok(measured) => {
                println!("{name}: L = {:?}: {measured:?}", pod.bound);
                longest = longest.max(measured.staleness);
            }
            Err(problem) => broken.push(format!("{name}: L = {:?}: {problem}", pod.bound)),
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    longest
}

#[test]
fn a_link_that_falls_silent_does_not_keep_old_values_fresh() {
    let redis = Redis::start(&RedisOptions::default());
    let proxy = Proxy::to(redis.address());
    let address = proxy.address().to_string();
    let pods = start_pods(&[
        ("REDIS_ADDRESS", &address),
        // So that a read through the silent link comes back and another one can be sent.
        ("VEDETTA_REDIS_COMMAND_TIMEOUT", "200ms"),
    ]);
    let entry = format!("{CACHE}::{KEY}");
    let write = |value: u64| {
        assert_eq!(redis.cli(&["SET", &entry, &value.to_string()]), "OK");
        let acknowledged = Instant::now();
        Change {
            value,
            acknowledged,
        }
    };
    write(1);
    wait_fresh(&pods, 1, SOON);
    proxy.mute();
    let change = write(2);
    wait_past_the_bounds(&pods, change);
    proxy.unmute();
    wait_fresh(&pods, 2, SOON);
    let longest = report("silent link", pods, change);
    // The old value was there to be served, and ceased to be fresh.
    assert!(longest.is_some() || !near::LANDED, "L1 had no old value");
}

/// The master that a vedetta serves from, if it is the same before and after `call`.
fn served_from<T>(client: &Client, call: impl FnOnce() -> T) -> (T, Option<SocketAddr>) {
    let serving = || {
        let master = client.status_within(PATIENCE)?.master?;
        (master.phase() == Phase::Serving).then_some((master.generation, master.address))
    };
    let before = serving();
    let result = call();
    let address = before.filter(|before| serving().as_ref() == Some(before));
    (
        result,
        address.and_then(|(_, address)| address.parse().ok()),
    )
}

/// Writes until a write is acknowledged by another master than `old`.
fn write_elsewhere(client: &Client, old: SocketAddr) -> Change {
    let mut value = 1;
    wait::until("a write on another master", SOON, || {
        value += 1;
        let put = || client.attempt(CACHE, KEY, Some(&value.to_string()), 2 * PATIENCE);
        let (attempt, master) = served_from(client, put);
        wait::pace(PACE);
        match (&attempt.result, master) {
            (Ok(()), Some(master)) if master != old => Ok(Change {
                value,
                acknowledged: attempt.returned,
            }),
            (result, master) => Err(format!("{result:?} from {master:?}")),
        }
    })
}

/// One vedetta writes and follows the master; three others read while the fault lasts.
fn old_master_lives_on(fault: Fault) {
    let mut set = SentinelSet::start_with(&SentinelOptions {
        proxied: true,
        ..SentinelOptions::default()
    });
    let ears: Vec<Proxy> = set
        .sentinel_addresses()
        .into_iter()
        .map(Proxy::to)
        .collect();
    let heard: Vec<String> = ears.iter().map(|ear| ear.address().to_string()).collect();
    // They must not hear the Sentinels past these ears.
    let pods = start_pods(&[
        ("REDIS_ADDRESSES", &heard.join(",")),
        ("VEDETTA_SENTINEL_DISCOVERY", "false"),
    ]);
    let writer = near::start(BOUNDS[2], &[("REDIS_ADDRESSES", &set.sentinel_list())]);
    let mut client = Client::connect(writer.api());
    client.timeout = PATIENCE;
    assert_eq!(client.put(CACHE, KEY, "1"), Ok(()));
    wait_fresh(&pods, 1, SOON);

    let old = set.master_endpoint();
    if fault != Fault::Failover {
        ears.iter().for_each(Proxy::mute);
    }
    match fault {
        Fault::Isolation => set.proxy(old).mute_others("vedetta"),
        Fault::Failover | Fault::FailoverUnheard => assert_eq!(set.sentinel_failover().0, old),
    }
    let change = write_elsewhere(&client, old);
    wait_past_the_bounds(&pods, change);
    // Otherwise nothing but its end would have kept the readers from old values.
    assert_eq!(set.redis(old).cli(&["PING"]), "PONG");
    if fault == Fault::Isolation {
        assert!(set.redis(old).cli(&["ROLE"]).starts_with("master"));
    }
    if fault != Fault::Failover {
        for pod in &pods {
            let status = Client::connect(pod.vedetta.api()).status();
            let address = status.master.map(|master| master.address);
            assert_ne!(address, Some(set.master_endpoint().to_string()), "deaf");
        }
    }
    ears.iter().for_each(Proxy::unmute);
    set.proxy(old).unmute();
    wait_fresh(&pods, change.value, HEALED_WITHIN);
    report(&format!("{fault:?}"), pods, change);
}

#[test]
fn a_sentinel_failover_does_not_keep_old_values_fresh() {
    old_master_lives_on(Fault::Failover);
}

#[test]
fn nor_does_one_that_a_vedetta_does_not_hear_of() {
    old_master_lives_on(Fault::FailoverUnheard);
}

#[test]
fn nor_does_an_isolated_master_on_our_side_of_the_cut() {
    old_master_lives_on(Fault::Isolation);
}
