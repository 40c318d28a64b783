//! That the stage holds: processes start, fail over, are watched and stopped as the stories rely on.
//!
//! Not here: anything about what vedetta answers.

use std::time::Duration;

use super::resp::Reply;
use super::{Redis, RedisOptions, SentinelOptions, SentinelSet, Vedetta, wait};

const SOON: Duration = Duration::from_secs(15);

#[test]
fn a_killed_redis_is_gone_and_comes_back_empty_at_its_address() {
    let mut redis = Redis::start(&RedisOptions {
        password: Some("secret".to_owned()),
        lines: vec!["maxmemory 50mb".to_owned()],
        ..RedisOptions::default()
    });
    assert_eq!(redis.cli(&["SET", "k", "v"]), "OK");
    assert_eq!(redis.ask(&["GET", "k"]), Ok(Reply::Bytes(b"v".to_vec())));
    assert_eq!(
        redis.cli(&["CONFIG", "GET", "maxmemory"]),
        "maxmemory\n52428800"
    );
    let address = redis.address();
    redis.kill9();
    assert!(redis.ask(&["PING"]).is_err());
    redis.start_again();
    assert_eq!(redis.address(), address);
    assert_eq!(redis.ask(&["GET", "k"]), Ok(Reply::Nil));
}

#[test]
fn a_paused_redis_does_not_answer_until_it_is_resumed() {
    let mut redis = Redis::start(&RedisOptions::default());
    redis.pause();
    assert!(redis.ask(&["PING"]).is_err());
    redis.resume();
    assert_eq!(redis.cli(&["PING"]), "PONG");
}

#[test]
fn a_crash_of_the_master_is_seen_by_every_sentinel() {
    let mut set = SentinelSet::start();
    let switches = set.watch_switches();
    assert!(switches.arrived().is_empty());
    assert_eq!(set.replica_addresses().len(), 2);
    let (old, killed) = set.kill9_master();
    let new = set.wait_for_master_other_than(old);
    assert_ne!(new, old);
    let mut heard: Vec<_> = (0..3)
        .map(|_| {
            let switch = switches.next(SOON);
            assert_eq!((switch.old, switch.new), (old, new));
            assert!(switch.at > killed);
            switch.sentinel
        })
        .collect();
    heard.sort_unstable();
    let mut all = set.sentinel_addresses();
    all.sort_unstable();
    assert_eq!(heard, all);
    assert!(set.redis_cli(new, &["ROLE"]).starts_with("master"));
    // The old master comes back and is made a replica of the new one.
    set.redis(old).start_again();
    wait::until("return of the old master", 2 * SOON, || {
        set.redis(old).replica_in_step()
    });
    set.wait_until_known();
}

#[test]
fn passwords_hold_and_a_manual_failover_moves_the_master() {
    let mut set = SentinelSet::start_with(&SentinelOptions {
        redis_password: Some("of-redis".to_owned()),
        sentinel_password: Some("of-sentinel".to_owned()),
        ..SentinelOptions::default()
    });
    let (old, _) = set.sentinel_failover();
    let new = set.wait_for_master_other_than(old);
    assert!(set.sentinel_list().contains(','));
    assert_eq!(set.redis_cli(new, &["PING"]), "PONG");
    for address in [new, set.sentinel_addresses()[0]] {
        let stranger = super::resp::Connection::open(address, None);
        let answer = stranger
            .and_then(|mut c| c.call(&["PING"]))
            .expect("an answer");
        assert!(
            matches!(&answer, Reply::Error(text) if text.starts_with("NOAUTH")),
            "{answer}"
        );
    }
    set.sentinels()[0].pause();
    assert_eq!(set.master_endpoint(), new, "two of three are a majority");
}

#[test]
fn vedetta_starts_answers_and_ends() {
    let mut vedetta = Vedetta::start(&[], &[]);
    assert!(vedetta.socket().exists());
    assert!(vedetta.directory().exists());
    assert_ne!(vedetta.api(), vedetta.admin());
    assert_eq!(vedetta.admin_get("/startupz").expect("an answer").0, 200);
    assert_eq!(vedetta.process().exited(), None);
    let (status, took) = vedetta.terminate();
    assert!(
        status.success(),
        "{status} after {took:?}\n{}",
        vedetta.output()
    );
}

#[test]
fn vedetta_that_refuses_to_start_says_so() {
    let mut vedetta = Vedetta::launch(&["--no-such-flag"], &[]);
    let (status, _) = vedetta.process().wait_exit(SOON);
    assert!(!status.success());
    assert!(vedetta.output().contains("--no-such-flag"));
}
