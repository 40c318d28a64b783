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
        let (_, metrics) = vedetta
            .admin_get("/metrics")
            .map_err(|error| error.to_string())?;
        if metrics.contains("\nvedetta_inflight_requests 2\n") {
            Ok(())
        } else {
            Err("not both".to_owned())
        }
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
