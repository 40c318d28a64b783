//! Many operations on one stream: each is answered once and right by its id, whatever happens meanwhile.
//!
//! Not here: what single operations answer (`tests/behaviour/pipeline.json`); who is read next and how much of it is in
//! progress (`grpc::pipeline`).

mod pipe;

use std::collections::BTreeSet;
use std::time::Duration;

use tonic::Code;
use vedetta::proto::v1::bulk_load_request::Mode;
use vedetta::proto::v1::get_response::Result as Got;
use vedetta::proto::v1::pipeline_request::Call;
use vedetta::proto::v1::pipeline_response::Answer;
use vedetta::proto::v1::put_response::Result as Written;
use vedetta::proto::v1::{Applied, ItemError};

use crate::bulk::loader::{Loader, begin};
use crate::client::Client;
use crate::support::{Redis, RedisOptions, SentinelSet, Vedetta, wait};
use pipe::{Pipe, Rest};

const CACHE: &str = "piped";
const WITHIN: Duration = Duration::from_secs(20);

fn pod(redis: &Redis) -> Vedetta {
    let address = redis.address().to_string();
    // Longer than any pause below, so that the deadlines of calls decide.
    let patient = ("VEDETTA_REDIS_COMMAND_TIMEOUT", "10s");
    Vedetta::start(&[], &[("REDIS_ADDRESS", &address), patient])
}

fn error(rest: &Rest, id: u64) -> Option<&ItemError> {
    match rest.only(id) {
        Answer::Error(error) => Some(error),
        _ => None,
    }
}

fn key(pod: usize, id: u64) -> String {
    format!("p{pod}-{id}")
}

/// Of every four: a write, a count of one number that both pods share, a read of what both read, and a read of nothing.
fn mixture(pipe: &Pipe, pod: usize, operations: u64) -> Vec<(u64, Call)> {
    let call = |id: u64| match id % 4 {
        0 => pipe.put(&key(pod, id), id.to_string()),
        1 => pipe.increment("count"),
        2 => pipe.get("known"),
        _ => pipe.get("unknown"),
    };
    (0..operations).map(|id| (id, call(id))).collect()
}

fn count_of(answer: &Answer) -> i64 {
    match answer {
        Answer::Increment(counted) => counted.value,
        other => panic!("{other:?}"),
    }
}

fn check_kind(id: u64, answer: &Answer) {
    let right = match (id % 4, answer) {
        (0, Answer::Put(put)) => matches!(put.result, Some(Written::Stored(_))),
        (1, Answer::Increment(_)) => true,
        (2, Answer::Get(got)) => matches!(got.result, Some(Got::Hit(_))),
        (3, Answer::Get(got)) => matches!(got.result, Some(Got::Miss(_))),
        _ => false,
    };
    assert!(right, "{id} has {answer:?}");
}

#[test]
fn two_pods_pipe_thousands_of_operations_and_each_is_answered_once() {
    const OPERATIONS: u64 = 4000;
    let redis = Redis::start(&RedisOptions::default());
    let pods = [pod(&redis), pod(&redis)];
    let known = Client::connect(pods[0].api()).put(CACHE, "known", "v");
    assert_eq!(known, Ok(()));
    let run = |pod: usize| {
        let api = pods[pod].api();
        std::thread::spawn(move || {
            let pipe = Pipe::open(api, CACHE);
            let calls = mixture(&pipe, pod, OPERATIONS);
            pipe.finish(calls)
        })
    };
    let runs = [run(0), run(1)].map(|run| run.join().expect("a stream"));
    let client = Client::connect(pods[1].api());
    let mut counts = BTreeSet::new();
    for (pod, rest) in runs.iter().enumerate() {
        assert_eq!(rest.end, Ok(()));
        assert_eq!(rest.answers.len() as u64, OPERATIONS);
        for id in 0..OPERATIONS {
            check_kind(id, rest.only(id));
        }
        for id in (0..OPERATIONS).step_by(4) {
            let value = client.text(CACHE, &key(pod, id));
            assert_eq!(value, Some(id.to_string()), "{}", key(pod, id));
        }
        counts.extend((1..OPERATIONS).step_by(4).map(|id| count_of(rest.only(id))));
    }
    let increments = i64::try_from(OPERATIONS / 2).expect("few");
    assert_eq!(counts, (1..=increments).collect());
    for pod in &pods {
        let counted = |series: &str| pod.count(&format!("vedetta_requests_total{{{series}}}"));
        assert_eq!(
            counted(r#"method="Put",result="stored""#) - u64::from(pod.api() == pods[0].api()),
            OPERATIONS / 4
        );
        assert_eq!(
            counted(r#"method="Increment",result="done""#),
            OPERATIONS / 4
        );
        assert_eq!(counted(r#"method="Pipeline",result="done""#), 1);
        wait::until("the stream is over", WITHIN, || {
            pod.metric("vedetta_pipelines 0")
        });
    }
}

/// To hand a read to the link costs several times as much as the read.
#[test]
fn what_is_missed_at_one_time_is_read_together() {
    const MISSES: u64 = 800;
    let redis = Redis::start(&RedisOptions::default());
    let vedetta = pod(&redis);
    let pipe = Pipe::open(vedetta.api(), CACHE);
    let calls = (0..MISSES).map(|id| (id, pipe.get(&key(0, id)))).collect();
    let rest = pipe.finish(calls);
    assert_eq!(rest.end, Ok(()));
    for id in 0..MISSES {
        check_kind(3, rest.only(id));
    }
    let batches = vedetta.count(r#"vedetta_redis_command_duration_seconds_count{command="get"}"#);
    assert!((1..MISSES / 4).contains(&batches), "{batches}");
}

/// Calls wait for the new master, and so do those in a pipeline; the stream stays.
#[test]
fn through_a_failover_every_request_is_answered_and_its_error_is_true() {
    const BATCH: u64 = 2000;
    let mut set = SentinelSet::start();
    let list = set.sentinel_list();
    let vedetta = Vedetta::start(
        &[],
        &[("REDIS_ADDRESSES", &list), ("VEDETTA_CACHES", "piped:raw")],
    );
    let pipe = Pipe::open(vedetta.api(), CACHE);
    let puts = |ids: std::ops::Range<u64>| -> Vec<(u64, Call)> {
        ids.map(|id| (id, pipe.put(&key(0, id), "v"))).collect()
    };
    let (early, late) = (puts(0..BATCH), puts(BATCH..2 * BATCH));
    for (id, call) in early {
        pipe.send(id, call, None);
        if id == BATCH / 2 {
            set.kill9_master();
        }
    }
    let rest = pipe.finish(late);
    let switched = set.master_endpoint();
    assert_eq!(rest.end, Ok(()));
    assert_eq!(rest.answers.len() as u64, 2 * BATCH);
    let mut refused = 0;
    for id in 0..2 * BATCH {
        let there =
            || set.redis_cli(switched, &["EXISTS", &format!("{CACHE}::{}", key(0, id))]) == "1";
        match rest.only(id) {
            Answer::Put(_) => {}
            Answer::Error(error) => {
                refused += 1;
                assert_ne!(error.applied(), Applied::Unspecified, "{error:?}");
                let not_applied = error.applied() == Applied::No;
                assert!(!(not_applied && there()), "{id} is there: {error:?}");
            }
            other => panic!("{id} has {other:?}"),
        }
    }
    let last = rest.only(2 * BATCH - 1);
    assert!(matches!(last, Answer::Put(_)), "{last:?}");
    println!("{refused} of {} were answered with an error", 2 * BATCH);
}

#[test]
fn an_operation_has_a_deadline_of_its_own() {
    let redis = Redis::start(&RedisOptions::default());
    let vedetta = pod(&redis);
    let client = Client::connect(vedetta.api());
    assert_eq!(client.put(CACHE, "k", "v"), Ok(()));
    let pipe = Pipe::open(vedetta.api(), CACHE);
    redis.cli(&["CLIENT", "PAUSE", "1500", "ALL"]);
    let short = Some(Duration::from_millis(100));
    pipe.send(1, pipe.get("other"), short);
    pipe.send(2, pipe.put("k", "v2"), short);
    pipe.send(3, pipe.put("k2", "v"), None);
    let rest = pipe.finish(Vec::new());
    assert_eq!(rest.end, Ok(()));
    for (id, applied) in [(1, Applied::No), (2, Applied::Unknown)] {
        let error = error(&rest, id).expect("an error");
        assert_eq!(error.code, Code::DeadlineExceeded as i32);
        assert_eq!(
            (error.reason.as_str(), error.applied()),
            ("DEADLINE", applied)
        );
    }
    assert_eq!(error(&rest, 3), None);
}

#[test]
fn a_vedetta_that_stops_answers_what_it_has_begun_and_says_that_it_stops() {
    let redis = Redis::start(&RedisOptions::default());
    let mut vedetta = pod(&redis);
    let mut pipe = Pipe::open(vedetta.api(), CACHE);
    let loader = Loader::begun(vedetta.api(), begin("loaded", Mode::Replace, 1));
    pipe.send(1, pipe.put("k", "v"), None);
    assert_eq!(pipe.next().id, 1);
    redis.cli(&["CLIENT", "PAUSE", "1000", "WRITE"]);
    pipe.send(2, pipe.put("k", "v2"), None);
    wait::until("the write is in flight", WITHIN, || {
        vedetta.metric("vedetta_inflight_requests 3")
    });
    let (status, _) = vedetta.terminate();
    assert!(status.success(), "{status}");
    let rest = pipe.finish(Vec::new());
    assert_eq!(error(&rest, 2), None, "{:?}", rest.only(2));
    let stopped = rest.end.expect_err("the stop");
    assert_eq!(
        (stopped.code, stopped.reason.as_str()),
        (Code::Unavailable, "SHUTTING_DOWN")
    );
    let stopped = loader.outcome().expect_err("the stop");
    assert_eq!(
        (stopped.code, stopped.reason.as_str()),
        (Code::Unavailable, "SHUTTING_DOWN")
    );
}

#[test]
fn who_does_not_read_is_read_no_further() {
    const HITS: u64 = 4000;
    let vedetta = Vedetta::start(&[], &[]);
    let client = Client::connect(vedetta.api());
    let large = "x".repeat(100_000);
    assert_eq!(client.put(CACHE, "k", &large), Ok(()));
    let pipe = Pipe::open(vedetta.api(), CACHE);
    // Larger than all buffers on the way together, so that the sender is held back.
    let mut wish = match pipe.get("k") {
        Call::Get(get) => get,
        other => panic!("{other:?}"),
    };
    wish.not_modified_if = vec![7; 20_000].into();
    let wishes = (0..HITS).map(|_| Call::Get(wish.clone()));
    assert!(!pipe.fits(wishes, Duration::from_secs(2)));
    let served = vedetta.count(r#"vedetta_requests_total{method="Get",result="hit"}"#);
    assert!((1..HITS / 4).contains(&served), "{served} of {HITS}");
    // Everybody else is served.
    assert_eq!(
        client.text(CACHE, "k").map(|text| text.len()),
        Some(large.len())
    );
}
