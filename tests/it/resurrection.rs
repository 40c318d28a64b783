//! A failover loses the last writes of a master: the values before them, and what a clear had cleared or a flush of a
//! group flushed, must not come back.
//!
//! The master is cut off from its replicas and from the Sentinels, goes on acknowledging what vedetta writes for as long
//! as the fence is open, and dies. The replica that is promoted has the values of before. The same is done with a
//! vedetta that dies together with the master, for the figure without a journal.
//!
//! Not here: how long it takes, and other kinds of failover (`switchover`).

use std::net::SocketAddr;
use std::time::Duration;

use vedetta::proto::v1::get_status_response::failover::Kind;

use crate::client::Client;
use crate::quotas::ALL;
use crate::quotas::audit::audit;
use crate::support::{Redis, RedisOptions, SentinelOptions, SentinelSet, Vedetta, wait};

const KEYS: usize = 300;

/// Framed, framed and cleared, framed with all entries in a group that is flushed, raw, raw and cleared.
const CACHES: [&str; 5] = [
    "framed",
    "framed_cleared",
    "framed_flushed",
    "raw",
    "raw_cleared",
];

const GROUP: &str = "group";

const WITHIN: Duration = Duration::from_secs(30);

fn start() -> SentinelSet {
    SentinelSet::start_with(&SentinelOptions {
        proxied: true,
        // Longer than it takes to overwrite everything in a debug build; the fence is one second shorter.
        sentinel_lines: vec!["sentinel down-after-milliseconds mymaster 8000".to_owned()],
        ..SentinelOptions::default()
    })
}

fn follow(set: &SentinelSet) -> Vedetta {
    let list = set.sentinel_list();
    let environment = [
        ("REDIS_ADDRESSES", list.as_str()),
        ("VEDETTA_CACHES", "raw*:raw"),
        ("VEDETTA_FENCE_PERIOD", "7s"),
        ALL,
    ];
    Vedetta::start(&[], &environment)
}

fn key(number: usize) -> String {
    format!("k{number}")
}

fn wait_for_replicas(set: &SentinelSet, master: SocketAddr) {
    wait::until("the replicas have everything", WITHIN, || {
        let had = set.redis_cli(master, &["WAIT", "2", "1000"]);
        (had == "2").then_some(()).ok_or(had)
    });
}

/// Writes, cuts the master off, and overwrites, evicts and clears; the master is dead afterwards.
fn lose(set: &mut SentinelSet, client: &Client) -> SocketAddr {
    set.wait_until_known();
    let master = set.master_endpoint();
    for cache in CACHES {
        for number in 0..KEYS {
            let groups: &[&str] = match cache {
                "framed_flushed" => &[GROUP],
                _ => &[],
            };
            assert_eq!(client.put_in(cache, &key(number), "old", groups), Ok(()));
        }
    }
    // On a connection of its own, so WAIT needs a write there.
    set.redis_cli(master, &["SET", "marker", "x"]);
    wait_for_replicas(set, master);
    set.proxy(master).mute_others("vedetta");
    for number in 0..KEYS {
        for cache in ["framed", "raw"] {
            let written = match number % 10 {
                0 => client.evict(cache, &key(number)).map(|_| ()),
                _ => client.put(cache, &key(number), "new"),
            };
            assert_eq!(
                written,
                Ok(()),
                "the fence has shut too early for this machine"
            );
        }
    }
    for cache in ["framed_cleared", "raw_cleared"] {
        client.clear(cache).expect("the fence is open");
    }
    client
        .flush_groups("framed_flushed", &[GROUP])
        .expect("the fence is open");
    // A write that the fence holds goes to the next master, and is not lost.
    let written_to = client.status().master.map(|master| master.address);
    assert_eq!(
        written_to,
        Some(master.to_string()),
        "the fence has shut too early for this machine"
    );
    set.redis(master).kill9();
    master
}

/// How many old values are back, by cache.
fn old(client: &Client) -> Vec<usize> {
    let is_old = |cache: &str, number| client.text(cache, &key(number)).as_deref() == Some("old");
    CACHES
        .iter()
        .map(|cache| (0..KEYS).filter(|number| is_old(cache, *number)).count())
        .collect()
}

#[test]
fn what_was_overwritten_evicted_cleared_or_flushed_does_not_come_back() {
    let mut set = start();
    let vedetta = follow(&set);
    let client = Client::connect(vedetta.api());
    let before = lose(&mut set, &client);
    let master = set.wait_for_master_other_than(before);
    wait::until("it serves from the next master", WITHIN, || {
        let found = client.status().master.map(|master| master.address);
        (found == Some(master.to_string()))
            .then_some(())
            .ok_or_else(|| format!("{found:?}"))
    });
    // The clear of a raw cache is done again in small steps, after that.
    wait::until("the raw cache is clear again", WITHIN, || {
        let left = set.redis_cli(master, &["EXISTS", "raw_cleared::k1"]);
        (left == "0").then_some(()).ok_or(left)
    });
    let found = old(&client);
    println!("old values that are back, of {KEYS} in each of {CACHES:?}: {found:?}");
    assert_eq!(found, [0; 5]);
    // What was removed there is not counted any more, and what a clear made dead neither.
    let mut connection = set.redis(master).connect().expect("a connection");
    let (entries, _) = wait::until("what is counted is there", WITHIN, || {
        audit(
            &mut connection,
            "",
            &["framed", "framed_cleared", "framed_flushed"],
        )
    });
    println!("{entries} entries are counted on the next master");
    for number in 0..KEYS {
        let value = set.redis_cli(master, &["GET", &format!("raw::{}", key(number))]);
        assert_eq!(value, "", "raw::{}", key(number));
    }
    let report = wait::until("the report is complete", WITHIN, || {
        let reports = client.status().failovers;
        let report = reports.into_iter().find(|report| report.over.is_some());
        report.ok_or_else(|| "there is none".to_owned())
    });
    assert_eq!(report.kind(), Kind::Failover);
    let mut caches = report.lost_caches.clone();
    caches.sort();
    assert_eq!(caches, CACHES, "{report:?}");
    assert!(report.lost_writes >= KEYS as u64, "{report:?}");
    assert!(report.removed_values >= KEYS as u64, "{report:?}");
}

/// What the journal is worth: nobody remembers what a vedetta wrote that died with the master.
#[test]
fn without_the_journal_they_are_back() {
    let mut set = start();
    let mut issuer = follow(&set);
    let witness = follow(&set);
    let before = lose(&mut set, &Client::connect(issuer.api()));
    issuer.process().kill9();
    set.wait_for_master_other_than(before);
    let client = Client::connect(witness.api());
    let found = old(&client);
    println!(
        "old values that are back without the journal, of {KEYS} in each of {CACHES:?}: {found:?}"
    );
    assert!(found.iter().all(|count| *count > KEYS / 2), "{found:?}");
}

/// As many caches as tenants and names make, cleared in one half minute, do not keep a new master from being used: they
/// are compared in steps and not one by one.
#[test]
fn many_clears_are_compared_in_few_steps() {
    const CACHES: u64 = 600;
    let redis = Redis::start(&RedisOptions::default());
    let address = redis.address().to_string();
    let vedetta = Vedetta::start(&[], &[("REDIS_ADDRESS", &address)]);
    let client = Client::connect(vedetta.api());
    for number in 0..CACHES {
        assert_eq!(client.clear(&format!("c{number}")), Ok(None));
    }
    let sessions = vedetta.count("vedetta_redis_sessions_total");
    // The first replica of a master begins another history.
    let _replica = Redis::start(&RedisOptions {
        replica_of: Some(redis.address()),
        ..RedisOptions::default()
    });
    wait::until("a session of the other history", WITHIN, || {
        match vedetta.count("vedetta_redis_sessions_total") {
            count if count > sessions => Ok(()),
            count => Err(format!("{count} sessions")),
        }
    });
    let series = "vedetta_redis_command_duration_seconds_count{command=\"reconcile\"}";
    let steps = vedetta.count(series);
    assert!((1..20).contains(&steps), "{steps} steps");
}
