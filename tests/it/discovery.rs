//! Which Sentinels are asked, and whose word counts: those that are not listed, that moved, that fell silent, that missed
//! a failover, that watch other masters too.
//!
//! Not here: how fast a failover is followed (`failover`); what follows from answers, which is shown by value in
//! `sentinel::topology`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use vedetta::proto::v1::get_status_response::{Phase, SentinelView};

use crate::client::Client;
use crate::support::{Proxy, Redis, RedisOptions, SentinelOptions, SentinelSet, Vedetta, wait};

const SEEN_WITHIN: Duration = Duration::from_secs(30);

/// A link that is open and silent is reported by then.
const SILENCE_SEEN_WITHIN: Duration = Duration::from_secs(2);

const CACHE: &str = "Entando_ConfigManager";

fn follow(listed: &[SocketAddr], policy: &str) -> (Vedetta, Client) {
    let list: Vec<String> = listed.iter().map(ToString::to_string).collect();
    let list = list.join(",");
    let environment = [
        ("REDIS_ADDRESSES", list.as_str()),
        ("VEDETTA_SENTINEL_POLICY", policy),
        ("VEDETTA_PROFILE", "entando"),
    ];
    let vedetta = Vedetta::start(&[], &environment);
    let client = Client::connect(vedetta.api());
    (vedetta, client)
}

/// Waits until the views are such, and returns them.
fn views(client: &Client, what: &str, such: impl Fn(&[SentinelView]) -> bool) -> Vec<SentinelView> {
    wait::until(what, SEEN_WITHIN, || {
        let views = client.status().sentinels;
        if such(&views) {
            Ok(views)
        } else {
            Err(format!("{views:#?}"))
        }
    })
}

fn all_agree(views: &[SentinelView], count: usize) -> bool {
    views.len() == count && views.iter().all(|view| view.up && view.agrees)
}

fn serves_from(client: &Client, master: SocketAddr) {
    wait::until("it serves from the master", SEEN_WITHIN, || {
        let status = client.status();
        let shown = status.master.expect("a master");
        if shown.address == master.to_string() && shown.phase() == Phase::Serving {
            Ok(())
        } else {
            Err(format!("{shown:?}, {:#?}", status.sentinels))
        }
    });
    wait::until("a write", SEEN_WITHIN, || {
        let put = client.put(CACHE, "k", "v");
        put.map_err(|failure| format!("{failure:?}"))
    });
}

#[test]
fn one_listed_sentinel_of_three_is_enough_although_it_dies() {
    let mut set = SentinelSet::start();
    let listed = set.sentinel_addresses()[0];
    let (vedetta, client) = follow(&[listed], "majority");
    let found = views(&client, "all three are asked", |v| all_agree(v, 3));
    let discovered = found.iter().filter(|view| view.discovered).count();
    assert_eq!(discovered, 2);
    let master = set.master_endpoint();
    let info = set.redis_cli(master, &["INFO", "server"]);
    for view in &found {
        assert!(info.contains(&format!("run_id:{}", view.master_run_id)));
    }
    serves_from(&client, master);

    set.sentinels()[0].kill9();
    let (old, _) = set.kill9_master();
    let new = set.wait_for_master_other_than(old);
    serves_from(&client, new);
    let by = |detector: &str| {
        vedetta.count(&format!(
            "vedetta_master_changes_detected_total{{by=\"{detector}\"}}"
        ))
    };
    let (event, poll) = (by("event"), by("poll"));
    println!("detected by event {event}, by poll {poll}");
    let changes = client.status().master.expect("a master").changes;
    assert_eq!(event + poll, changes);
    let up = client.status().sentinels.iter().filter(|v| v.up).count();
    assert_eq!(up, 2);
}

/// The proxies stand for names: they are what is listed, and lead somewhere else later.
#[test]
fn sentinels_that_move_behind_their_names_are_found_again() {
    let mut set = SentinelSet::start();
    let names: Vec<Proxy> = set
        .sentinel_addresses()
        .into_iter()
        .map(Proxy::to)
        .collect();
    let listed: Vec<SocketAddr> = names.iter().map(Proxy::address).collect();
    let (_vedetta, client) = follow(&listed, "majority");
    let before = views(&client, "all are asked", |v| all_agree(v, 3));

    // Each name leads to another Sentinel of the same set.
    let addresses = set.sentinel_addresses();
    for (number, name) in names.iter().enumerate() {
        name.lead_to(addresses[(number + 1) % 3]);
        name.cut();
    }
    views(&client, "the names have changed owners", |v| {
        let owner = |number: usize| v[number].id == before[(number + 1) % 3].id;
        all_agree(v, 3) && (0..3).all(owner)
    });

    for sentinel in set.sentinels() {
        sentinel.kill9();
    }
    views(&client, "none answers", |v| v.iter().all(|view| !view.up));
    for sentinel in set.sentinels() {
        sentinel.start_elsewhere();
    }
    for (name, address) in names.iter().zip(set.sentinel_addresses()) {
        name.lead_to(address);
    }
    views(&client, "all are back", |v| all_agree(v, 3));
    set.wait_until_known();
    let (old, _) = set.sentinel_failover();
    let new = set.wait_for_master_other_than(old);
    serves_from(&client, new);
}

#[test]
fn a_sentinel_link_that_falls_silent_is_seen_and_gone_around() {
    let set = SentinelSet::start();
    let addresses = set.sentinel_addresses();
    let name = Proxy::to(addresses[0]);
    let (_vedetta, client) = follow(&[name.address(), addresses[1], addresses[2]], "majority");
    views(&client, "all are asked", |v| all_agree(v, 3));

    name.mute();
    let muted = Instant::now();
    views(&client, "the silence is seen", |v| !v[0].up);
    let seen = muted.elapsed();
    println!("silence seen after {seen:?}");
    assert!(seen < SILENCE_SEEN_WITHIN, "{seen:?}");
    // The others know another way to it.
    let real = addresses[0].to_string();
    views(&client, "it is asked directly", |v| {
        let direct = |view: &SentinelView| view.discovered && view.address == real && view.agrees;
        v.len() == 4 && v.iter().any(direct)
    });
    name.unmute();
    views(&client, "once is enough", |v| all_agree(v, 3));
}

/// It is killed before the failover and comes back when nobody can tell it what happened; the old master comes back as a
/// master. Whoever believes one Sentinel reads and writes there now.
#[test]
fn a_sentinel_that_missed_the_failover_is_not_believed() {
    let mut set = SentinelSet::start();
    let sleeper = set.sentinel_addresses()[2];
    let (_vedetta, client) = follow(&[sleeper], "majority");
    views(&client, "all three are asked", |v| all_agree(v, 3));
    set.sentinels()[2].kill9();
    let (old, _) = set.kill9_master();
    let new = set.wait_for_master_other_than(old);
    serves_from(&client, new);

    set.sentinels()[0].pause();
    set.sentinels()[1].pause();
    let before = client.status().master.expect("a master");
    assert_ne!(before.address, old.to_string());
    set.redis(old).start_again();
    set.sentinels()[2].start_again();
    let alone = |views: &[SentinelView]| {
        let names_old = |view: &SentinelView| {
            view.address == sleeper.to_string() && view.up && view.master == old.to_string()
        };
        views.iter().any(names_old) && views.iter().filter(|view| view.up).count() == 1
    };
    views(&client, "only the sleeper answers", alone);
    // One that knows nothing else and lists nobody else does not believe it either.
    let (late_vedetta, late) = follow(&[sleeper], "majority");
    views(&late, "only the sleeper answers", alone);
    // Calls wait for a master until their own deadline.
    let mut impatient = Client::connect(late_vedetta.api());
    impatient.timeout = Duration::from_millis(500);
    assert_eq!(
        impatient
            .put(CACHE, "k", "lost")
            .expect_err("no majority")
            .reason,
        "NO_MAJORITY"
    );
    let master = client.status().master.expect("a master");
    let (address, changes) = (before.address, before.changes);
    assert_eq!((master.address, master.changes), (address, changes));

    set.sentinels()[0].resume();
    set.sentinels()[1].resume();
    for client in [&client, &late] {
        views(client, "all agree again", |v| all_agree(v, 3));
    }
    let now = set.master_endpoint();
    serves_from(&client, now);
    serves_from(&late, now);
    for client in [&client, &late] {
        let master = client.status().master.expect("a master");
        assert_ne!(master.address, old.to_string());
    }
}

#[test]
fn the_word_of_one_is_enough_where_the_policy_says_so() {
    let mut set = SentinelSet::start_with(&SentinelOptions {
        alone: true,
        ..SentinelOptions::default()
    });
    let (_vedetta, client) = follow(&set.sentinel_addresses(), "first+role");
    serves_from(&client, set.master_endpoint());
    let (old, _) = set.kill9_master();
    let new = set.wait_for_master_other_than(old);
    serves_from(&client, new);
}

#[test]
fn two_dead_of_three_stop_a_majority_and_not_the_first() {
    let mut set = SentinelSet::start();
    let master = set.master_endpoint();
    set.sentinels()[0].kill9();
    set.sentinels()[1].kill9();
    let (_first, first) = follow(&set.sentinel_addresses(), "first+role");
    serves_from(&first, master);
    let (_majority, majority) = follow(&set.sentinel_addresses(), "majority");
    let failure = majority.put(CACHE, "k", "v").expect_err("no majority");
    assert_eq!(failure.reason, "NO_MAJORITY");
}

const OTHER: &str = "other";

fn all_know_the_other_master(set: &SentinelSet, sentinels: &[SocketAddr]) {
    wait::until("all know the other master", SEEN_WITHIN, || {
        for sentinel in sentinels {
            let told = set.redis_cli(*sentinel, &["SENTINEL", "MASTER", OTHER]);
            let told: Vec<&str> = told.lines().collect();
            let has = |name: &str, value: &str| told.windows(2).any(|pair| pair == [name, value]);
            if !has("num-slaves", "1") || !has("num-other-sentinels", "2") {
                return Err(format!("{told:?}"));
            }
        }
        Ok(())
    });
}

fn the_other_master_is_at(set: &SentinelSet, sentinels: &[SocketAddr], port: u16) {
    let moved = port.to_string();
    wait::until("the other master has moved", SEEN_WITHIN, || {
        for sentinel in sentinels {
            let ask = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", OTHER];
            let told = set.redis_cli(*sentinel, &ask);
            if told.lines().last() != Some(&moved) {
                return Err(told);
            }
        }
        Ok(())
    });
}

#[test]
fn another_master_of_the_same_sentinels_is_none_of_our_business() {
    let strange = Redis::start(&RedisOptions::default());
    let follower = Redis::start(&RedisOptions {
        replica_of: Some(strange.address()),
        ..RedisOptions::default()
    });
    let at = strange.address();
    let set = SentinelSet::start_with(&SentinelOptions {
        sentinel_lines: vec![
            format!("sentinel monitor {OTHER} {} {} 2", at.ip(), at.port()),
            format!("sentinel down-after-milliseconds {OTHER} 5000"),
            // So that nothing happens to ours by itself.
            "sentinel down-after-milliseconds mymaster 5000".to_owned(),
        ],
        ..SentinelOptions::default()
    });
    let sentinels = set.sentinel_addresses();
    all_know_the_other_master(&set, &sentinels);
    let (vedetta, client) = follow(&sentinels, "majority");
    views(&client, "all are asked", |v| all_agree(v, 3));
    let master = set.master_endpoint();
    serves_from(&client, master);
    let events = vedetta.count("vedetta_sentinel_events_total");

    set.redis_cli(sentinels[0], &["SENTINEL", "FAILOVER", OTHER]);
    the_other_master_is_at(&set, &sentinels, follower.address().port());
    // Events and answers share a connection: what was published before a poll has arrived before its answer.
    let over = Instant::now();
    views(&client, "all were asked since", |v| {
        let since = over.elapsed();
        let asked = |view: &SentinelView| {
            let ago = view.answered_ago.expect("an answer");
            // Longer than an answer takes, so that it was asked after the switch too.
            Duration::try_from(ago).expect("a time") + Duration::from_secs(1) < since
        };
        v.iter().all(asked)
    });
    assert_eq!(vedetta.count("vedetta_sentinel_events_total"), events);
    let shown = client.status().master.expect("a master");
    assert_eq!((shown.address, shown.changes), (master.to_string(), 0));
    // It is not deaf: an event of ours is heard.
    set.sentinel_failover();
    wait::until("an event of ours", SEEN_WITHIN, || {
        let heard = vedetta.count("vedetta_sentinel_events_total");
        if heard > events {
            Ok(())
        } else {
            Err(format!("{heard}"))
        }
    });
}
