//! Whoever waits for a lease waits for somebody who fills, and keeps nobody from filling.
//!
//! Not here: which Puts end a lease (`tests/behaviour/leases.json`).

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use tonic::{Code, Request, Status};
use vedetta::proto::v1;
use vedetta::proto::v1::cache_client::CacheClient;
use vedetta::proto::v1::get_or_lease_response::Result as Answered;

use super::{HOLD, seconds, wish};
use crate::client::callers;
use crate::support::{Redis, RedisOptions, Vedetta};

/// Longer than anything here takes, and shorter than [`HOLD`].
const LONG: Duration = Duration::from_secs(8);

fn pod(redis: &Redis, more: &[(&str, &str)]) -> Vedetta {
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

fn lease(vedetta: &Vedetta, key: &str) -> bytes::Bytes {
    match ask(vedetta, patient(key, LONG)) {
        Ok(Answered::Lease(lease)) => lease,
        other => panic!("no lease: {other:?}"),
    }
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
