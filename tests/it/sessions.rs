//! HTTP sessions through several vedettas on one Redis: nothing saved is lost, nothing ended comes back, and the index
//! of a principal tells the truth, also after a failover.
//!
//! Not here: what each call answers, which is data (`tests/behaviour/sessions.json`).

mod random;

use std::collections::BTreeSet;
use std::time::Duration;

use tonic::Code;

use crate::client::Client;
use crate::support::{Redis, RedisOptions, SentinelSet, Vedetta, wait};

/// Saves of each of two writers.
const SAVES: usize = 200;
const HOUR: prost_types::Duration = prost_types::Duration {
    seconds: 3600,
    nanos: 0,
};
/// Two callers find each other's attributes; a busy machine may take its time.
const ENDED_WITHIN: Duration = Duration::from_secs(10);

fn on(redis: &Redis) -> (Vedetta, Client) {
    let address = redis.address().to_string();
    let vedetta = Vedetta::start(&[], &[("REDIS_ADDRESS", &address)]);
    let client = Client::connect(vedetta.api());
    (vedetta, client)
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// The old plugin read the whole session, changed it and wrote it back: of two requests at once one was lost.
#[test]
fn concurrent_saves_through_two_pods_lose_nothing_and_are_read_by_the_other_at_once() {
    let redis = Redis::start(&RedisOptions::default());
    let ((one, client), (two, _)) = (on(&redis), on(&redis));
    let id = client.create("ada", HOUR, "").expect("a session");
    let write = |own: &Vedetta, other: &Vedetta, name: &str| {
        let (own, other) = (Client::connect(own.api()), Client::connect(other.api()));
        for number in 0..SAVES {
            let (attribute, value) = (format!("{name}{}", number % 100), number.to_string());
            let saved = own.save(&id, &[pair(&attribute, &value)], &[], None);
            assert_eq!(saved, Ok(true));
            let seen = other.load(&id).expect("load").expect("a session");
            assert_eq!(
                seen.attributes.get(&attribute).map(|seen| &seen[..]),
                Some(value.as_bytes())
            );
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| write(&one, &two, "a"));
        scope.spawn(|| write(&two, &one, "b"));
    });
    let session = client.load(&id).expect("load").expect("a session");
    assert_eq!(session.attributes.len(), 200);
    for (name, value) in session.attributes {
        let number: usize = name[1..].parse().expect("a number");
        assert_eq!(value, (number + SAVES - 100).to_string(), "{name}");
    }
}

#[test]
fn a_session_and_its_index_are_where_the_operator_is_told_and_end_by_themselves() {
    let redis = Redis::start(&RedisOptions::default());
    let (_vedetta, client) = on(&redis);
    let short = prost_types::Duration {
        seconds: 0,
        nanos: 200_000_000,
    };
    let id = client.create("a:b", short, "").expect("a session");
    let (key, index) = (
        format!("vedetta:session:::{id}"),
        "vedetta:principal:::a%3Ab",
    );
    assert_eq!(redis.cli(&["HGET", &key, "principal"]), "a:b");
    let ends = redis.cli(&["PEXPIRETIME", &key]);
    assert_eq!(redis.cli(&["ZSCORE", index, &id]), ends);
    assert_eq!(redis.cli(&["PEXPIRETIME", index]), ends);
    assert_eq!(client.find("a:b"), Ok(vec![id.clone()]));
    // A second session keeps the index, in which the first one stays until somebody writes to it.
    let second = client.create("a:b", HOUR, "").expect("a session");
    wait::until("the end of the session", ENDED_WITHIN, || {
        match client.load(&id) {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    assert_eq!(client.save(&id, &[pair("a", "1")], &[], None), Ok(false));
    assert_eq!(redis.cli(&["EXISTS", &key]), "0");
    assert_eq!(client.find("a:b"), Ok(vec![second.clone()]));
    assert_eq!(redis.cli(&["ZCARD", index]), "2");
    assert_eq!(client.touch_session(&second), Ok(true));
    assert_eq!(redis.cli(&["ZRANGE", index, "0", "-1"]), second);
    assert_eq!(client.delete(&second), Ok(true));
    assert_eq!(redis.cli(&["KEYS", "vedetta:principal:*"]), "");
}

/// A session that was read here is pushed when it changes. Nobody keeps a copy, so nobody is told.
#[test]
fn changes_of_sessions_do_not_disturb_watchers_or_the_near_cache() {
    let redis = Redis::start(&RedisOptions::default());
    let ((vedetta, client), (_other, changing)) = (on(&redis), on(&redis));
    let id = client.create("ada", HOUR, "").expect("a session");
    let discontinuities = || {
        let (_, metrics) = vedetta.admin_get("/metrics").expect("metrics");
        let lines = metrics.lines().map(str::to_owned);
        let name = "vedetta_watch_discontinuities_total";
        lines
            .filter(|line| line.starts_with(name))
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(client.put("c", "k", "v"), Ok(()));
    assert_eq!(client.text("c", "k").as_deref(), Some("v"));
    let before = discontinuities();
    for number in 0..100 {
        assert!(client.load(&id).expect("load").is_some());
        let saved = changing.save(&id, &[pair("a", &number.to_string())], &[], None);
        assert_eq!(saved, Ok(true));
    }
    assert_eq!(client.text("c", "k").as_deref(), Some("v"));
    assert_eq!(discontinuities(), before);
    assert_eq!(client.status().near.expect("a near cache").entries, 1);
}

#[test]
fn where_sessions_are_switched_off_every_call_says_so() {
    let vedetta = Vedetta::start(&[], &[("REDIS_SESSION_ACTIVE", "false")]);
    let client = Client::connect(vedetta.api());
    for refused in [
        client.create("ada", HOUR, "").expect_err("off"),
        client.load("not even an id!").expect_err("off"),
        client.find("").expect_err("off"),
    ] {
        assert_eq!(refused.code, Code::FailedPrecondition);
        assert_eq!(
            (refused.reason.as_str(), refused.applied.as_str()),
            ("SESSIONS_INACTIVE", "NO")
        );
        assert!(
            refused.message.contains("REDIS_SESSION_ACTIVE"),
            "{refused:?}"
        );
    }
    let capabilities = client.status().capabilities;
    let sessions = capabilities.iter().find(|one| one.name == "sessions");
    assert!(sessions.is_some_and(|sessions| !sessions.available));
}

/// Calls wait through the failover; what was acknowledged and replicated before it is there after it.
#[test]
fn sessions_outlive_their_master() {
    let mut set = SentinelSet::start();
    let list = set.sentinel_list();
    let environment = [("REDIS_ADDRESSES", list.as_str())];
    let (one, two) = (
        Vedetta::start(&[], &environment),
        Vedetta::start(&[], &environment),
    );
    let (client, other) = (Client::connect(one.api()), Client::connect(two.api()));
    let id = client.create("ada", HOUR, "login").expect("a session");
    assert_eq!(client.save(&id, &[pair("a", "1")], &[], None), Ok(true));
    let replicas = set.replica_addresses();
    wait::until("copies", ENDED_WITHIN, || {
        let key = format!("vedetta:session:::{id}");
        let has = |at: &std::net::SocketAddr| set.redis_cli(*at, &["HGET", &key, "a:a"]) == "1";
        replicas
            .iter()
            .all(has)
            .then_some(())
            .ok_or_else(|| "not yet".to_owned())
    });
    let (old, _) = set.kill9_master();
    // Sent while there is no master: each waits for the next one.
    assert_eq!(client.create("ada", HOUR, "login").as_ref(), Ok(&id));
    assert_eq!(other.save(&id, &[pair("b", "2")], &[], None), Ok(true));
    let session = client.load(&id).expect("load").expect("a session");
    let names: BTreeSet<&str> = session.attributes.keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(["a", "b"]));
    let new = other.change_id(&id).expect("answered").expect("a session");
    assert_eq!(client.load(&id), Ok(None));
    assert_eq!(client.find("ada"), Ok(vec![new]));
    assert_ne!(set.wait_for_master_other_than(old), old);
}
