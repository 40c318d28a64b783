//! Deadlines across pods and in raw caches, where a Put is a plain SET as long as nobody sets a deadline.
//!
//! Not here: what a deadline does to an entry (`tests/behaviour/deadlines.json`).

use std::time::Duration;

use crate::client::Client;
use crate::support::{Redis, RedisOptions, Vedetta, wait};

const PUTS: u64 = 200;
const WITHIN: Duration = Duration::from_secs(20);

fn pod(redis: &Redis) -> (Vedetta, Client) {
    let address = redis.address().to_string();
    let environment = [
        ("REDIS_ADDRESS", address.as_str()),
        ("VEDETTA_CACHES", "raw:raw:4h"),
    ];
    let vedetta = Vedetta::start(&[], &environment);
    let client = Client::connect(vedetta.api());
    (vedetta, client)
}

/// How many scripts Redis has run.
fn scripts(redis: &Redis) -> u64 {
    let stats = redis.cli(&["INFO", "commandstats"]);
    let calls = stats.lines().filter_map(|line| {
        let line = line.strip_prefix("cmdstat_eval")?;
        let calls = line.split("calls=").nth(1)?.split(',').next()?;
        calls.parse::<u64>().ok()
    });
    calls.sum()
}

fn put_many(redis: &Redis, client: &Client) -> u64 {
    let before = scripts(redis);
    for number in 0..PUTS {
        assert_eq!(client.put("raw", &format!("k{number}"), "v"), Ok(()));
    }
    scripts(redis) - before
}

fn plain(redis: &Redis, client: &Client) {
    wait::until("puts are plain", WITHIN, || {
        let before = scripts(redis);
        assert_eq!(client.put("raw", "first", "v"), Ok(()));
        let run = scripts(redis) - before;
        (run == 0)
            .then_some(())
            .ok_or_else(|| format!("{run} scripts"))
    });
}

fn hours(client: &Client, key: &str) -> u64 {
    let ttl = client
        .ttl("raw", key)
        .expect("an answer")
        .expect("an expiry");
    (ttl.as_secs() + 1800) / 3600
}

#[test]
fn a_raw_cache_without_deadlines_is_written_by_plain_sets() {
    let redis = Redis::start(&RedisOptions::default());
    let (_vedetta, client) = pod(&redis);
    plain(&redis, &client);
    let run = put_many(&redis, &client);
    println!("{run} scripts in {PUTS} puts");
    // A machine that stands still for a second loses the proof for a moment.
    assert!(run <= PUTS / 10, "{run} scripts in {PUTS} puts");
}

#[test]
fn a_pod_that_wrote_plainly_takes_the_deadline_of_another() {
    let redis = Redis::start(&RedisOptions::default());
    let ((_a, setter), (_b, writer)) = (pod(&redis), pod(&redis));
    plain(&redis, &writer);
    for round in 0..3 {
        let key = format!("d{round}");
        assert_eq!(
            setter.set_deadline("raw", &key, Duration::from_secs(3600)),
            Ok(false)
        );
        assert_eq!(writer.put("raw", &key, "v"), Ok(()));
        assert_eq!(hours(&writer, &key), 1, "{key}");
    }
    assert_eq!(
        put_many(&redis, &writer),
        PUTS,
        "a plain SET looks for no deadline"
    );
    assert_eq!(hours(&writer, "k1"), 4);
    // A foreign writer cannot know.
    redis.cli(&["SET", "raw::foreign", "v"]);
    assert_eq!(redis.cli(&["PTTL", "raw::foreign"]), "-1");
}

/// Its keys are gone, and with them the deadline; the next one is kept.
#[test]
fn whatever_redis_loses_of_deadlines_is_forgotten() {
    let redis = Redis::start(&RedisOptions::default());
    let (_vedetta, client) = pod(&redis);
    let hour = Duration::from_secs(3600);
    assert_eq!(client.set_deadline("raw", "k", hour), Ok(false));
    redis.cli(&["FLUSHALL"]);
    assert_eq!(client.put("raw", "k", "v"), Ok(()));
    assert_eq!(hours(&client, "k"), 4);
    assert_eq!(client.set_deadline("raw", "k", hour), Ok(true));
    assert_eq!(hours(&client, "k"), 1);
    assert_eq!(client.put("raw", "k", "v"), Ok(()));
    assert_eq!(hours(&client, "k"), 1);
}
