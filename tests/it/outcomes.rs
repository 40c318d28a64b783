//! Failed calls say whether they were applied (G3), and deadlines are the caller's.

use std::time::Duration;

use tonic::Code;

use crate::client::Client;
use crate::support::{Redis, RedisOptions, SentinelSet, Vedetta, wait};

const WITHIN: Duration = Duration::from_secs(10);

fn single() -> (Redis, Vedetta, Client) {
    let redis = Redis::start(&RedisOptions::default());
    let address = redis.address().to_string();
    let environment = [
        ("REDIS_ADDRESS", address.as_str()),
        // Longer than the deadlines below, so that these decide.
        ("VEDETTA_REDIS_COMMAND_TIMEOUT", "10s"),
    ];
    let vedetta = Vedetta::start(&[], &environment);
    let client = Client::connect(vedetta.api());
    assert_eq!(client.put("c", "k", "v"), Ok(()));
    (redis, vedetta, client)
}

#[test]
fn a_passed_deadline_is_deadline_exceeded_and_tells_reads_from_writes() {
    let (redis, _vedetta, mut client) = single();
    client.timeout = Duration::from_millis(100);
    redis.cli(&["CLIENT", "PAUSE", "1500", "ALL"]);
    let read = client.get("c", "k").expect_err("a deadline");
    assert_eq!(
        (read.code, read.reason.as_str()),
        (Code::DeadlineExceeded, "DEADLINE")
    );
    assert_eq!(read.applied, "NO");
    let write = client.put("c", "k", "v2").expect_err("a deadline");
    assert_eq!(
        (write.code, write.reason.as_str()),
        (Code::DeadlineExceeded, "DEADLINE")
    );
    assert_eq!(write.applied, "UNKNOWN");
}

#[test]
fn a_write_whose_link_breaks_is_in_doubt_and_a_read_is_not() {
    let (mut redis, vedetta, client) = single();
    let api = vedetta.api();
    redis.pause();
    let write = std::thread::spawn(move || Client::connect(api).put("c", "k", "v2"));
    let read = std::thread::spawn(move || Client::connect(api).get("c", "k"));
    wait::until("both calls are in flight", WITHIN, || {
        vedetta.metric("vedetta_inflight_requests 2")
    });
    redis.kill9();
    let write = write.join().expect("writer").expect_err("a broken link");
    assert_eq!(
        (write.code, write.reason.as_str()),
        (Code::Unknown, "OUTCOME_UNKNOWN")
    );
    assert_eq!(write.applied, "UNKNOWN");
    let read = read.join().expect("reader").expect_err("a broken link");
    assert_eq!(
        (read.code, read.applied.as_str()),
        (Code::Unavailable, "NO")
    );
    redis.start_again();
    wait::until("a new session", WITHIN, || {
        client
            .put("c", "k", "v3")
            .map_err(|failure| format!("{failure:?}"))
    });
}

#[test]
fn a_full_redis_refuses_writes_by_name_and_keeps_serving_reads() {
    let (redis, _vedetta, client) = single();
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let failure = client.put("c", "k", "v2").expect_err("full");
    assert_eq!(failure.code, Code::ResourceExhausted);
    assert_eq!(
        (failure.reason.as_str(), failure.applied.as_str()),
        ("REDIS_OUT_OF_MEMORY", "NO")
    );
    assert_eq!(client.text("c", "k").as_deref(), Some("v"));
    redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(client.put("c", "k", "v2"), Ok(()));
}

/// A node that is demoted behind the Sentinels' back is not written to, and its READONLY is no answer to a caller.
#[test]
fn a_demoted_node_is_left() {
    let set = SentinelSet::start();
    let other = set.replica_addresses()[0];
    let redis = Redis::start(&RedisOptions::default());
    let address = redis.address().to_string();
    let vedetta = Vedetta::start(&[], &[("REDIS_ADDRESS", &address)]);
    let client = Client::connect(vedetta.api());
    assert_eq!(client.put("c", "k", "v"), Ok(()));
    redis.cli(&[
        "REPLICAOF",
        &other.ip().to_string(),
        &other.port().to_string(),
    ]);
    wait::until("calls are refused", WITHIN, || {
        match client.put("c", "k", "v2") {
            Err(failure) if failure.reason == "NOT_A_MASTER" => Ok(()),
            answer => Err(format!("{answer:?}")),
        }
    });
    assert_eq!(
        client.get("c", "k").expect_err("reads too").reason,
        "NOT_A_MASTER"
    );
    redis.cli(&["REPLICAOF", "NO", "ONE"]);
    wait::until("it is the master again", WITHIN, || {
        client
            .put("c", "k", "v3")
            .map_err(|failure| format!("{failure:?}"))
    });
}

/// A clear of a raw cache begins anew where its link breaks, and tells all that it removed; one that cannot be completed
/// has removed something, and says that nobody knows what.
#[test]
fn a_clear_that_is_interrupted_goes_on_or_is_in_doubt() {
    let mut redis = Redis::start(&RedisOptions {
        lines: vec!["enable-debug-command yes".to_owned()],
        ..RedisOptions::default()
    });
    let address = redis.address().to_string();
    let environment = [
        ("REDIS_ADDRESS", address.as_str()),
        ("VEDETTA_CACHES", "raw:raw"),
    ];
    let vedetta = Vedetta::start(&[], &environment);
    let api = vedetta.api();
    let half_way = |deadline: Duration| {
        redis.cli(&["DEBUG", "POPULATE", "300000", "raw:", "10"]);
        let clear = std::thread::spawn(move || {
            let mut client = Client::connect(api);
            client.timeout = deadline;
            client.clear("raw")
        });
        wait::until("something is gone", WITHIN, || {
            let left: u64 = redis
                .cli(&["DBSIZE"])
                .parse()
                .map_err(|error| format!("{error}"))?;
            if left < 300_000 {
                Ok(())
            } else {
                Err(format!("{left} are left"))
            }
        });
        clear
    };
    // How long a clear of so many takes is the machine's business.
    let clear = half_way(Duration::from_secs(120));
    redis.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    let removed = clear.join().expect("clear").expect("it goes on");
    // One step may have been answered to nobody.
    assert!(
        (299_000..=300_000).contains(&removed.expect("a count")),
        "{removed:?}"
    );
    assert_eq!(redis.cli(&["KEYS", "raw:*"]), "");

    let clear = half_way(Duration::from_secs(5));
    redis.kill9();
    let failure = clear.join().expect("clear").expect_err("no Redis");
    assert_eq!(
        (failure.code, failure.reason.as_str()),
        (Code::Unknown, "OUTCOME_UNKNOWN")
    );
    assert_eq!(failure.applied, "UNKNOWN");
}

/// The items of a batch execute in order, also on a node that does not know the scripts.
#[test]
fn a_batch_keeps_its_order_without_the_scripts() {
    let redis = Redis::start(&RedisOptions::default());
    let address = redis.address().to_string();
    let environment = [
        ("REDIS_ADDRESS", address.as_str()),
        ("VEDETTA_CACHES", "raw:raw"),
    ];
    let vedetta = Vedetta::start(&[], &environment);
    let client = Client::connect(vedetta.api());
    for cache in ["raw", "framed"] {
        for _ in 0..2 {
            redis.cli(&["SCRIPT", "FLUSH"]);
            // The first needs a script in both encodings, the second only in the framed one.
            assert_eq!(
                client.put_keeping_then_plain(cache, "k", "first", "last"),
                Ok(())
            );
            assert_eq!(client.text(cache, "k").as_deref(), Some("last"), "{cache}");
        }
    }
}

/// One caller's many large values are no reason to keep everybody waiting, or to fill the memory.
#[test]
fn an_answer_that_would_be_too_large_is_refused_by_item() {
    let redis = Redis::start(&RedisOptions::default());
    let address = redis.address().to_string();
    for environment in [&[("REDIS_ADDRESS", address.as_str())][..], &[]] {
        let vedetta = Vedetta::start(&[], environment);
        let client = Client::connect(vedetta.api());
        assert_eq!(client.put("c", "large", &"x".repeat(12 << 20)), Ok(()));
        assert_eq!(client.put("c", "small", "x"), Ok(()));
        let keys = ["large", "large", "large", "small", "missing"];
        let outcomes = client.get_many("c", &keys).expect("GetMany");
        let expected = ["hit", "hit", "ANSWER_TOO_LARGE", "hit", "miss"];
        assert_eq!(outcomes, expected);
    }
}

/// Calls that are being uploaded or answered slowly count as calls in flight.
#[test]
fn calls_over_the_bound_are_refused_and_counted() {
    let mut redis = Redis::start(&RedisOptions::default());
    let address = redis.address().to_string();
    let environment = [
        ("REDIS_ADDRESS", address.as_str()),
        ("VEDETTA_REDIS_COMMAND_TIMEOUT", "10s"),
        ("VEDETTA_LIMITS_INFLIGHT_CALLS", "1"),
    ];
    let vedetta = Vedetta::start(&[], &environment);
    let api = vedetta.api();
    let client = Client::connect(api);
    assert_eq!(client.put("c", "k", "v"), Ok(()));
    redis.pause();
    let first = std::thread::spawn(move || Client::connect(api).text("c", "k"));
    wait::until("the first is in flight", WITHIN, || {
        vedetta.metric("vedetta_inflight_requests 1")
    });
    let second = client.get("c", "k").expect_err("one too many");
    assert_eq!(
        (second.code, second.reason.as_str()),
        (Code::ResourceExhausted, "OVERLOADED")
    );
    assert_eq!(second.applied, "NO");
    // Who looks after the process is not kept out.
    assert!(client.status().master.is_some());
    redis.resume();
    assert_eq!(first.join().expect("first").as_deref(), Some("v"));
    assert_eq!(vedetta.count("vedetta_requests_refused_total"), 1);
}
