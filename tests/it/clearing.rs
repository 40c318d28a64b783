//! Clearing a large cache: nobody reads an old entry after the answer, Redis is never held up for long, and the memory
//! comes back.
//!
//! `VEDETTA_LONG` makes it a million entries. How long Redis took for its longest command is printed, from its slow log.
//!
//! Not here: which keys are whose (`layout`).

use std::time::{Duration, Instant};

use vedetta::proto::v1;
use vedetta::proto::v1::cache_client::CacheClient;

use crate::client::{Client, callers};
use crate::support::{Redis, RedisOptions, Reply, Vedetta, wait};

/// Entries of one PutMany.
const BATCH: usize = 1_000;

/// Longer than the sweep of a million entries takes.
const SWEPT_WITHIN: Duration = Duration::from_secs(120);

/// Of a raw cache the answer comes after the last of its steps.
const CLEARED_WITHIN: Duration = Duration::from_secs(28);

/// How many entries, and the shortest command that the slow log takes in, in microseconds: of a million entries it would
/// be too long with all of them.
fn size() -> (usize, u64) {
    match std::env::var_os("VEDETTA_LONG") {
        Some(_) => (1_000_000, 1_000),
        None => (20_000, 0),
    }
}

fn fill(vedetta: &Vedetta, cache: &'static str, entries: usize) {
    let thread = callers::call(vedetta.api(), move |channel, set| {
        let mut client = CacheClient::new(channel);
        set.spawn(async move {
            for first in (0..entries).step_by(BATCH) {
                let item = |number: usize| v1::put_many_request::Item {
                    key: number.to_string().into(),
                    content: Some(v1::put_many_request::item::Content::Value(
                        vec![b'v'; 100].into(),
                    )),
                    ..v1::put_many_request::Item::default()
                };
                let request = v1::PutManyRequest {
                    cache: cache.to_owned(),
                    items: (first..first + BATCH).map(item).collect(),
                    ..v1::PutManyRequest::default()
                };
                client.put_many(request).await.expect("stored");
            }
        });
    });
    thread.join().expect("the caller");
}

fn number(redis: &mut Redis, command: &[&str]) -> i64 {
    match redis.ask(command) {
        Ok(Reply::Integer(number)) => number,
        other => panic!("{command:?}: {other:?}"),
    }
}

/// The most keys that a script may have: the work of Redis 7.0 for a tracked session that reads each of them grows with
/// the square of it.
const MOST_KEYS: usize = 32;

/// What Redis has done since its slow log, which takes in every command, was emptied: duration and words of each.
fn commands(redis: &mut Redis) -> Vec<(Duration, Vec<String>)> {
    let Ok(Reply::Many(commands)) = redis.ask(&["SLOWLOG", "GET", "-1"]) else {
        panic!("no slow log");
    };
    let told = |command: &Reply| match command {
        Reply::Many(parts) => match (&parts[2], &parts[3]) {
            (Reply::Integer(micros), Reply::Many(words)) => {
                let micros = Duration::from_micros(micros.unsigned_abs());
                Some((micros, words.iter().map(ToString::to_string).collect()))
            }
            _ => None,
        },
        _ => None,
    };
    commands.iter().filter_map(told).collect()
}

/// What took longest of what is in the slow log. No script there had too many keys.
fn longest(redis: &mut Redis, shortest: u64) -> (Duration, String) {
    let mut commands = commands(redis);
    commands.retain(|(_, words)| words[0] != "SLOWLOG");
    let scripts = commands
        .iter()
        .filter(|(_, words)| words[0].starts_with("EVAL"));
    let keys = scripts.map(|(_, words)| words[2].parse::<usize>().expect("a number of keys"));
    let most = keys.max().unwrap_or_default();
    assert!(most <= MOST_KEYS, "a script with {most} keys");
    let longest = commands.into_iter().max();
    assert!(shortest > 0 || longest.is_some(), "nothing was logged");
    let below = (Duration::from_micros(shortest), "or less".to_owned());
    longest.map_or(below, |(took, words)| (took, words[0].clone()))
}

/// A Redis whose slow log takes in every command that is not shorter than that, in microseconds.
fn slow_logged(shortest: u64) -> Redis {
    Redis::start(&RedisOptions {
        lines: vec![
            format!("slowlog-log-slower-than {shortest}"),
            "slowlog-max-len 100000".to_owned(),
        ],
        ..RedisOptions::default()
    })
}

#[test]
fn a_large_cache_is_gone_at_the_answer_and_its_memory_later() {
    let (entries, shortest) = size();
    let mut redis = slow_logged(shortest);
    let address = redis.address().to_string();
    let environment = [
        ("REDIS_ADDRESS", address.as_str()),
        ("VEDETTA_CACHES", "raw:raw"),
    ];
    let pods = [
        Vedetta::start(&[], &environment),
        Vedetta::start(&[], &environment),
    ];
    // Anew each time: while it is not called a client answers no pings, and its connection is given up after 15 s.
    let reader = || Client::connect(pods[1].api());
    for cache in ["framed", "raw"] {
        reader().put("other", "kept", "x").expect("stored");
        let before = number(&mut redis, &["DBSIZE"]);
        fill(&pods[0], cache, entries);
        let full = reader();
        let samples = [0, entries / 2, entries - 1].map(|number| number.to_string());
        for key in &samples {
            let found = full.get(cache, key).expect("an answer");
            assert!(found.is_some(), "{cache}: {key}");
        }
        let keys: Vec<String> = (0..BATCH).map(|number| number.to_string()).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let found = full.get_many(cache, &keys).expect("an answer");
        assert_eq!(found, vec!["hit"; BATCH]);
        let (longest_before, _) = longest(&mut redis, shortest);
        redis.ask(&["SLOWLOG", "RESET"]).expect("reset");
        let mut clearer = Client::connect(pods[0].api());
        clearer.timeout = CLEARED_WITHIN;
        let began = Instant::now();
        let removed = clearer.clear(cache).expect("cleared");
        let took = began.elapsed();
        for key in &samples {
            let found = clearer.get(cache, key).expect("an answer");
            assert_eq!(found, None, "{cache}: {key} after the answer");
        }
        match cache {
            "raw" => assert_eq!(removed, Some(entries as u64)),
            _ => assert_eq!(removed, None),
        }
        wait::until("the memory is back", SWEPT_WITHIN, || {
            let left = number(&mut redis, &["DBSIZE"]);
            // The stamp of the cache, the list of caches and the lock of the sweep are new.
            (left <= before + 5)
                .then_some(())
                .ok_or_else(|| left.to_string())
        });
        let (longest, command) = longest(&mut redis, shortest);
        println!(
            "{cache}: {entries} entries, answer after {took:?}, gone after {:?}, longest step of Redis {longest:?} \
             ({command}), and before, with a GetMany of {BATCH}, {longest_before:?}",
            began.elapsed()
        );
        let empty = reader();
        for key in &samples {
            assert_eq!(empty.get(cache, key).expect("an answer"), None);
        }
        assert!(empty.get("other", "kept").expect("an answer").is_some());
    }
}
