//! Whoever waits for a lease waits for somebody who fills, and keeps nobody from filling.
//!
//! Not here: which Puts end a lease (`tests/behaviour/leases.json`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use vedetta::proto::v1;
use vedetta::proto::v1::cache_client::CacheClient;
use vedetta::proto::v1::get_or_lease_response::Result as Answered;
use vedetta::proto::v1::put_response::Result as Stored;

use super::{CACHE, HOLD, put, seconds, wish};
use crate::client::callers;
use crate::support::{Redis, RedisOptions, Vedetta, wait};

/// Longer than anything here takes, and shorter than [`HOLD`].
const LONG: Duration = Duration::from_secs(8);

/// How often this vedetta has asked for a lease.
const ASKED: &str = "vedetta_redis_command_duration_seconds_count{command=\"lease\"}";

const INFLIGHT: &str = "vedetta_inflight_requests";

pub(super) fn pod(redis: &Redis, more: &[(&str, &str)]) -> Vedetta {
    let address = redis.address().to_string();
    let environment = [&[("REDIS_ADDRESS", address.as_str())], more].concat();
    Vedetta::start(&[], &environment)
}

fn patient(key: &str, max_wait: Duration) -> v1::GetOrLeaseRequest {
    v1::GetOrLeaseRequest {
        max_wait: seconds(max_wait),
        ..wish(key, HOLD)
    }
}

/// One call in a thread of its own.
fn call(
    api: SocketAddr,
    request: Request<v1::GetOrLeaseRequest>,
) -> JoinHandle<Result<Answered, Status>> {
    std::thread::spawn(move || {
        let (sender, receiver) = std::sync::mpsc::channel();
        let caller = callers::call(api, move |channel, callers| {
            callers.spawn(async move {
                let answer = CacheClient::new(channel).get_or_lease(request).await;
                let result = answer.map(|answer| answer.into_inner().result.expect("a result"));
                sender.send(result).expect("sent");
            });
        });
        caller.join().expect("the caller");
        receiver.recv().expect("an answer")
    })
}

fn ask(vedetta: &Vedetta, request: v1::GetOrLeaseRequest) -> Result<Answered, Status> {
    let caller = call(vedetta.api(), Request::new(request));
    caller.join().expect("the caller")
}

pub(super) fn lease(vedetta: &Vedetta, key: &str) -> bytes::Bytes {
    match ask(vedetta, patient(key, LONG)) {
        Ok(Answered::Lease(lease)) => lease,
        other => panic!("no lease: {other:?}"),
    }
}

/// Waits until it has asked for a lease so often.
fn asked(vedetta: &Vedetta, times: u64) {
    wait::until("a caller waits", LONG, || match vedetta.count(ASKED) {
        count if count >= times => Ok(()),
        count => Err(format!("asked {count} times")),
    });
}

/// Redis gives it when the call is over.
#[test]
fn a_lease_that_reaches_nobody_is_given_back() {
    let redis = Redis::start(&RedisOptions::default());
    let vedetta = pod(&redis, &[]);
    redis.cli(&["CLIENT", "PAUSE", "60000", "WRITE"]);
    let mut hasty = Request::new(patient("k", LONG));
    hasty.set_timeout(Duration::from_millis(300));
    let late = call(vedetta.api(), hasty).join().expect("the caller");
    let late = late.expect_err("too late");
    assert!(
        matches!(late.code(), Code::DeadlineExceeded | Code::Cancelled),
        "{late:?}"
    );
    redis.cli(&["CLIENT", "UNPAUSE"]);
    lease(&vedetta, "k");
}

#[test]
fn a_clear_wakes_who_waits_for_a_lease_that_it_ends() {
    let redis = Redis::start(&RedisOptions::default());
    let (holder, other) = (pod(&redis, &[]), pod(&redis, &[]));
    let old = lease(&holder, "k");
    let waiting = call(other.api(), Request::new(patient("k", LONG)));
    asked(&other, 1);
    let clear = v1::ClearRequest {
        cache: CACHE.to_owned(),
        ..v1::ClearRequest::default()
    };
    let cleared = callers::call(holder.api(), move |channel, callers| {
        callers.spawn(async move {
            CacheClient::new(channel).clear(clear).await.expect("clear");
        });
    });
    cleared.join().expect("the caller");
    let next = waiting.join().expect("the caller");
    assert!(
        matches!(&next, Ok(Answered::Lease(next)) if *next != old),
        "{next:?}"
    );
}

/// A Redis that stands still is no reason to wait for longer than was asked for.
#[test]
fn a_wait_ends_in_time_where_redis_has_gone() {
    let mut redis = Redis::start(&RedisOptions::default());
    let vedetta = pod(&redis, &[]);
    lease(&vedetta, "k");
    let waiting = call(
        vedetta.api(),
        Request::new(patient("k", Duration::from_secs(3))),
    );
    asked(&vedetta, 2);
    redis.pause();
    let answer = waiting.join().expect("the caller");
    assert!(matches!(answer, Ok(Answered::Miss(_))), "{answer:?}");
}

/// What callers have been told.
#[derive(Debug, Default)]
struct Told {
    hits: AtomicUsize,
    misses: AtomicUsize,
    refused: AtomicUsize,
}

impl Told {
    fn all(&self) -> usize {
        let of = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        of(&self.hits) + of(&self.misses) + of(&self.refused)
    }
}

async fn wait_for_it(mut client: CacheClient<Channel>, told: Arc<Told>) {
    let answer = client.get_or_lease(patient("k", LONG)).await;
    let count = match answer.map(|answer| answer.into_inner().result) {
        Ok(Some(Answered::Hit(_))) => &told.hits,
        Ok(Some(Answered::Miss(_))) => &told.misses,
        Err(refused) if refused.code() == Code::ResourceExhausted => &told.refused,
        other => panic!("{other:?}"),
    };
    count.fetch_add(1, Ordering::Relaxed);
}

/// One caller fills over the connection on which so many others wait for it, once `waits` says that they do.
fn fill_among(
    vedetta: &Vedetta,
    others: usize,
    waits: impl Fn(usize, u64) -> bool,
) -> (Result<Option<Stored>, Status>, Arc<Told>) {
    let told = Arc::new(Told::default());
    let (go, gone) = tokio::sync::oneshot::channel();
    let (sender, receiver) = std::sync::mpsc::channel();
    let counted = told.clone();
    let thread = callers::call(vedetta.api(), move |channel, callers| {
        callers.spawn(async move {
            let mut client = CacheClient::new(channel);
            let first = client.get_or_lease(patient("k", LONG)).await;
            let Ok(Some(Answered::Lease(lease))) = first.map(|first| first.into_inner().result)
            else {
                panic!("no lease");
            };
            let mut waiting = tokio::task::JoinSet::new();
            for _ in 0..others {
                waiting.spawn(wait_for_it(client.clone(), counted.clone()));
            }
            gone.await.expect("everybody waits");
            let stored = client.put(put("k", "page".to_owned(), lease)).await;
            let stored = stored.map(|stored| stored.into_inner().result);
            sender.send(stored).expect("sent");
            waiting.join_all().await;
        });
    });
    wait::until("everybody waits", LONG, || {
        let (told, inflight) = (told.all(), vedetta.count(INFLIGHT));
        match waits(told, inflight) {
            true => Ok(()),
            false => Err(format!("{told} have been told, {inflight} are in flight")),
        }
    });
    go.send(()).expect("the caller is there");
    thread.join().expect("the callers");
    (receiver.recv().expect("the Put was made"), told)
}

#[test]
fn those_who_wait_leave_room_on_their_connection() {
    let redis = Redis::start(&RedisOptions::default());
    let vedetta = pod(&redis, &[]);
    let others = 1100;
    let (stored, told) = fill_among(&vedetta, others, |_, inflight| inflight >= 1024);
    assert!(matches!(stored, Ok(Some(Stored::Stored(_)))), "{stored:?}");
    assert_eq!(told.hits.load(Ordering::Relaxed), others, "{told:?}");
}

#[test]
fn those_who_wait_leave_room_for_other_calls() {
    let redis = Redis::start(&RedisOptions::default());
    let vedetta = pod(&redis, &[("VEDETTA_LIMITS_INFLIGHT_CALLS", "64")]);
    let (others, may_wait) = (100, 32);
    // While they all ask at once, they take every place.
    let settled =
        |told, inflight: u64| told + inflight as usize == others && inflight <= may_wait as u64;
    let (stored, told) = fill_among(&vedetta, others, settled);
    assert!(matches!(stored, Ok(Some(Stored::Stored(_)))), "{stored:?}");
    assert_eq!(told.hits.load(Ordering::Relaxed), may_wait, "{told:?}");
}
