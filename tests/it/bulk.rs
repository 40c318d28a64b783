//! Loads of whole caches: whatever happens meanwhile, old data never overwrite newer ones, and nothing that a reader
//! could misread is ever left.
//!
//! Not here: what one stream alone answers (`tests/behaviour/bulk_loading.json`).

mod edits;
pub(crate) mod loader;
mod random;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use vedetta::proto::v1::bulk_load_request::Mode;
use vedetta::proto::v1::bulk_load_response::Event;

use crate::client::Client;
use crate::support::{Redis, RedisOptions, SentinelSet, Vedetta, binary, wait};
use loader::{Loader, begin};

const RAW: (&str, &str) = ("VEDETTA_CACHES", "raw*:raw");
const CACHES: [&str; 2] = ["framed", "raw"];
const WITHIN: Duration = Duration::from_secs(30);

fn pods(redis: &Redis) -> [Vedetta; 2] {
    let address = redis.address().to_string();
    let start = || Vedetta::start(&[], &[RAW, ("REDIS_ADDRESS", &address)]);
    [start(), start()]
}

fn text(client: &Client, cache: &str, key: &str) -> Option<String> {
    client.text(cache, key)
}

/// Defect 8 of the App Engine: each starting pod overwrites shared state with what its database had.
#[test]
fn what_is_edited_while_a_load_runs_wins_over_it() {
    let redis = Redis::start(&RedisOptions::default());
    let [loading, editing] = pods(&redis);
    let editor = Client::connect(editing.api());
    for cache in CACHES {
        for key in ["put", "evicted", "untouched", "gone"] {
            editor.put(cache, key, "before").expect("a put");
        }
        let mut loader = Loader::begun(loading.api(), begin(cache, Mode::Replace, 1));
        editor.put(cache, "put", "edit").expect("a put");
        editor.put(cache, "new", "edit").expect("a put");
        editor.evict(cache, "evicted").expect("an evict");
        editor.evict(cache, "absent").expect("an evict");
        for key in ["put", "evicted", "absent", "untouched"] {
            loader.send(key, "snapshot");
        }
        let loaded = loader.loaded();
        assert_eq!(
            (loaded.stored, loaded.skipped, loaded.removed),
            (1, 3, 1),
            "{cache}"
        );
        assert_eq!(loaded.removed_keys, ["gone"]);
        let found = ["put", "new", "evicted", "absent", "untouched", "gone"]
            .map(|key| text(&editor, cache, key));
        let expected = [
            Some("edit"),
            Some("edit"),
            None,
            None,
            Some("snapshot"),
            None,
        ];
        assert_eq!(found.each_ref().map(Option::as_deref), expected, "{cache}");
    }
}

#[test]
fn a_clear_ends_a_load() {
    let redis = Redis::start(&RedisOptions::default());
    let [loading, editing] = pods(&redis);
    let editor = Client::connect(editing.api());
    for cache in CACHES {
        let mut loader = Loader::begun(loading.api(), begin(cache, Mode::IfOlder, 1));
        editor.clear(cache).expect("a clear");
        loader.send("k", "snapshot");
        loader.end();
        assert_eq!(loader.answer().expect_err("it is over").reason, "LOAD_LOST");
        assert_eq!(text(&editor, cache, "k"), None);
    }
}

#[test]
fn of_two_pods_that_start_together_one_loads() {
    let redis = Redis::start(&RedisOptions::default());
    let [one, other] = pods(&redis);
    for cache in CACHES {
        let mut first = Loader::begun(one.api(), begin(cache, Mode::Replace, 7));
        let mut second = Loader::start(other.api(), begin(cache, Mode::Replace, 7));
        let waiting = Client::connect(other.api());
        wait::until("the second one waits", WITHIN, || {
            let loads = waiting.status().loads;
            let waits = loads.iter().any(|load| load.cache == cache && load.waiting);
            waits.then_some(()).ok_or_else(|| format!("{loads:?}"))
        });
        first.send("k", "v");
        assert_eq!(first.loaded().stored, 1);
        match second.answer() {
            Ok(Event::AlreadyLoaded(already)) => assert_eq!(already.snapshot_version, 7),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        other.count("vedetta_load_entries_total{result=\"stored\"}"),
        0
    );
    assert_eq!(other.count("vedetta_loads_total{result=\"unneeded\"}"), 2);
    assert_eq!(one.count("vedetta_loads_total{result=\"complete\"}"), 2);
}

/// Nothing is half replaced meanwhile: what was there before stays until somebody completes a load.
#[test]
fn a_loader_that_is_killed_is_succeeded() {
    let redis = Redis::start(&RedisOptions::default());
    let [mut dying, other] = pods(&redis);
    let reader = Client::connect(other.api());
    reader.put("framed", "old", "before").expect("a put");
    let mut first = Loader::begun(dying.api(), begin("framed", Mode::Replace, 1));
    // More than one batch, so that some of it is in place.
    for number in 0..300 {
        first.send(&format!("k{number}"), "v");
    }
    wait::until("a batch is in place", WITHIN, || {
        text(&reader, "framed", "k255").ok_or_else(|| "a miss".to_owned())
    });
    dying.process().kill9();
    assert_eq!(text(&reader, "framed", "old").as_deref(), Some("before"));
    let mut second = Loader::begun(other.api(), begin("framed", Mode::Replace, 1));
    second.send("k0", "w");
    let loaded = second.loaded();
    assert_eq!(loaded.stored, 1);
    assert!(loaded.removed >= 256, "{}", loaded.removed);
    assert_eq!(text(&reader, "framed", "old"), None);
    assert_eq!(text(&reader, "framed", "k0").as_deref(), Some("w"));
}

#[test]
fn a_load_beyond_a_quota_is_refused() {
    let redis = Redis::start(&RedisOptions::default());
    let address = redis.address().to_string();
    for store in [Some(("REDIS_ADDRESS", address.as_str())), None] {
        let mut environment = vec![("VEDETTA_QUOTAS", "cache=framed entries=3")];
        environment.extend(store);
        let pod = Vedetta::start(&[], &environment);
        let client = Client::connect(pod.api());
        let mut loader = Loader::begun(pod.api(), begin("framed", Mode::Replace, 1));
        client.put("framed", "put", "v").expect("room");
        for key in ["put", "a", "b"] {
            loader.send(key, "v");
        }
        assert_eq!(loader.loaded().stored, 2);
        // What is there already is not counted twice.
        let mut loader = Loader::begun(pod.api(), begin("framed", Mode::IfOlder, 2));
        for key in ["a", "b"] {
            loader.send(key, "v");
        }
        assert_eq!(loader.loaded().stored, 2);
        let mut loader = Loader::begun(pod.api(), begin("framed", Mode::Replace, 3));
        for key in ["a", "b", "c"] {
            loader.send(key, "v");
        }
        loader.end();
        // The old entries go after the last new one is in place.
        let failure = loader.answer().expect_err("the fourth");
        assert_eq!(failure.reason, "QUOTA", "{failure:?}");
        client.evict("framed", "put").expect("never refused");
        let mut loader = Loader::begun(pod.api(), begin("framed", Mode::Replace, 3));
        for key in ["a", "b", "c"] {
            loader.send(key, "v");
        }
        assert_eq!(loader.loaded().stored, 3);
    }
}

/// The next master may lack an edit that had to win, so the load does not go on there.
#[test]
fn a_failover_ends_a_load_and_the_next_one_succeeds() {
    let mut set = SentinelSet::start();
    let list = set.sentinel_list();
    let vedetta = Vedetta::start(&[], &[RAW, ("REDIS_ADDRESSES", &list)]);
    let reader = Client::connect(vedetta.api());
    set.wait_until_known();
    reader.put("framed", "old", "before").expect("a put");
    let master = set.master_endpoint();
    // On a connection of its own, so WAIT needs a write there.
    set.redis_cli(master, &["SET", "marker", "x"]);
    wait::until("the replicas have it", WITHIN, || {
        let had = set.redis_cli(master, &["WAIT", "2", "1000"]);
        (had == "2").then_some(()).ok_or(had)
    });
    let mut loader = Loader::begun(vedetta.api(), begin("framed", Mode::Replace, 1));
    loader.send("k", "v");
    let (old, _) = set.kill9_master();
    set.wait_for_master_other_than(old);
    loader.end();
    let failure = loader.answer().expect_err("it is over");
    assert_eq!(failure.reason, "LOAD_LOST", "{failure:?}");
    assert_eq!(text(&reader, "framed", "old").as_deref(), Some("before"));
    // On a machine that stands still for a second the Sentinels move once more, and the load has to be begun once more.
    let stored = loop {
        let master = set.master_endpoint();
        let mut again = Loader::begun(vedetta.api(), begin("framed", Mode::Replace, 1));
        again.send("k", "v");
        match again.outcome() {
            Ok(loaded) => break loaded.stored,
            Err(failure) => {
                assert_eq!(failure.reason, "LOAD_LOST", "{failure:?}");
                assert_ne!(set.master_endpoint(), master, "nothing was lost");
            }
        }
    };
    assert_eq!(stored, 1);
    assert_eq!(text(&reader, "framed", "k").as_deref(), Some("v"));
    assert_eq!(text(&reader, "framed", "old"), None);
}

/// Calls and microseconds of a command.
fn spent(redis: &Redis, command: &str) -> (u64, u64) {
    let stats = redis.cli(&["INFO", "commandstats"]);
    let line = stats
        .lines()
        .find(|line| line.starts_with(&format!("cmdstat_{command}:")));
    let field = |name: &str| {
        let rest = line?.split_once(&format!("{name}="))?.1;
        rest.split([',', '\r']).next()?.parse().ok()
    };
    (field("calls").unwrap_or(0), field("usec").unwrap_or(0))
}

#[test]
fn others_are_served_while_a_hundred_thousand_entries_are_loaded() {
    let redis = Redis::start(&RedisOptions {
        lines: vec!["slowlog-log-slower-than 5000".to_owned()],
        ..RedisOptions::default()
    });
    let [loading, serving] = pods(&redis);
    let client = Client::connect(serving.api());
    client.put("other", "k", "v").expect("a put");
    let mut loads = vec![("framed", 800), ("raw", 800), ("framed2", 100_000)];
    if std::env::var_os("VEDETTA_LONG").is_some() {
        loads.push(("raw2", 100_000));
    }
    for (cache, entries) in loads {
        redis.cli(&["CONFIG", "RESETSTAT"]);
        redis.cli(&["SLOWLOG", "RESET"]);
        let value = bytes::Bytes::from(vec![b'x'; 1024]);
        let (over, calls) = (AtomicBool::new(false), AtomicU64::new(0));
        let (loaded, took) = std::thread::scope(|scope| {
            let loading = scope.spawn(|| {
                let mut loader = Loader::begun(loading.api(), begin(cache, Mode::Replace, 1));
                let began = Instant::now();
                for number in 0..entries {
                    loader.send(&format!("key-{number}"), value.clone());
                }
                let loaded = loader.loaded();
                over.store(true, Ordering::Relaxed);
                (loaded, began.elapsed())
            });
            while !over.load(Ordering::Relaxed) && !loading.is_finished() {
                assert_eq!(text(&client, "other", "k").as_deref(), Some("v"));
                client.put("other", "k", "v").expect("a put");
                calls.fetch_add(2, Ordering::Relaxed);
            }
            loading.join().expect("loaded")
        });
        assert_eq!(
            (loaded.stored, loaded.skipped, loaded.removed),
            (entries, 0, 0)
        );
        let batches =
            loading.count("vedetta_redis_command_duration_seconds_count{command=\"load\"}");
        println!(
            "{cache}: {entries} entries of 1 KiB in {took:?}, {batches} round trips of loads so far; {calls:?} other calls"
        );
        for command in ["evalsha", "eval", "scan"] {
            let (count, micros) = spent(&redis, command);
            println!("    {command}: {count} calls, {micros} us");
            // A step that grew with the cache would be far above: this is an average over all of them.
            assert!(
                micros < 5_000 * count.max(1),
                "{command}: {micros} us in {count} calls"
            );
        }
        // The third line of an entry is its time; its arguments are nobody's business.
        let slow = redis.cli(&["SLOWLOG", "GET", "1"]);
        println!("    slowest above 5 ms: {:?} us", slow.lines().nth(2));
    }
}

/// Exit code and sorted lines of a command.
fn run(server: &Vedetta, arguments: &[&str]) -> (Option<i32>, Vec<String>) {
    let address = format!("http://{}", server.api());
    let mut command = binary();
    let output = command.args(["--address", &address]).args(arguments);
    let output = output.output().expect("vedetta");
    let text = String::from_utf8(output.stdout).expect("text");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    (output.status.code(), lines)
}

#[test]
fn what_is_dumped_and_loaded_is_the_same() {
    let redis = Redis::start(&RedisOptions::default());
    let [one, other] = pods(&redis);
    let client = Client::connect(one.api());
    let directory = tempfile::tempdir().expect("directory");
    for (cache, copy) in [("framed", "framed_copy"), ("raw", "raw_copy")] {
        for number in 0..600 {
            client
                .put(cache, &format!("k{number}"), &format!("v{number}\n\u{e9}"))
                .expect("a put");
        }
        client.put_null(cache, "null").expect("a put");
        client
            .put_until(cache, "deadline", 4_000_000_000)
            .expect("a put");
        let (code, dumped) = run(&one, &["dump", cache]);
        assert_eq!((code, dumped.len()), (Some(0), 602));
        let file = directory.path().join(cache);
        std::fs::write(&file, dumped.join("\n")).expect("a file");
        let file = file.display().to_string();
        client.put(copy, "not in the file", "v").expect("a put");
        assert_eq!(
            run(
                &other,
                &["load", copy, &file, "--replace", "--snapshot", "3"]
            )
            .0,
            Some(0)
        );
        assert_eq!(
            run(&one, &["load", copy, &file, "--replace", "--snapshot", "3"]).0,
            Some(1)
        );
        let (_, copied) = run(&one, &["dump", copy]);
        assert_eq!(copied.len(), dumped.len());
        let known = |line: &&String| !line.contains("deadline");
        assert!(
            copied.iter().filter(known).eq(dumped.iter().filter(known)),
            "{cache}"
        );
        let timed = copied
            .iter()
            .find(|line| line.contains("\"deadline\""))
            .expect("it is there");
        assert!(timed.contains("\"expires\":\"2096-10-02T07:06:"), "{timed}");
    }
    let wrong = directory.path().join("wrong");
    std::fs::write(&wrong, "{\"key\":\"k\",\"value\":\"v\"}\n{}\n").expect("a file");
    let wrong = wrong.display().to_string();
    assert_eq!(run(&one, &["load", "framed", &wrong]).0, Some(2));
    assert_eq!(run(&one, &["dump", "a::b"]).0, Some(4));
}
