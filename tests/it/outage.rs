//! Everything is down for a long time while calls go on arriving: memory and tasks stay flat, calls are answered in
//! time, more than may wait are refused at once, and it serves again by itself.
//!
//! `VEDETTA_LONG` makes the outage ten minutes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tonic::Code;
use tonic::transport::Channel;
use vedetta::proto::v1;
use vedetta::proto::v1::cache_client::CacheClient;

use crate::client::{Client, callers};
use crate::support::{SentinelSet, Vedetta, wait};

/// More calls at once than may wait.
const CALLERS: usize = 160;
const WAITING: usize = 100;

/// What vedetta may be late beyond a deadline, on a machine that is busy.
const LATE: Duration = Duration::from_secs(2);
const WITHIN: Duration = Duration::from_secs(60);

/// Beyond this growth it is a leak; the first third of the outage fills what is bounded.
const GROWTH: f64 = 1.2;
const SLACK: u64 = 16 << 20;

#[derive(Debug, Default)]
struct Tally {
    answered: AtomicU64,
    overflowed: AtomicU64,
    late: AtomicU64,
    strange: AtomicU64,
}

fn outage() -> Duration {
    if std::env::var_os("VEDETTA_LONG").is_some() {
        Duration::from_secs(600)
    } else {
        Duration::from_secs(15)
    }
}

async fn call(
    mut client: CacheClient<Channel>,
    caller: usize,
    stop: Arc<AtomicBool>,
    tally: Arc<Tally>,
) {
    // Deadlines and sizes of many kinds.
    let deadline = Duration::from_millis(100 + 300 * (caller as u64 % 16));
    let value = Bytes::from(vec![0; 1024 << (caller % 7)]);
    let mut number = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let (began, key) = (Instant::now(), Bytes::from(format!("{caller}-{number}")));
        let result = if caller.is_multiple_of(2) {
            let mut request = tonic::Request::new(v1::GetRequest {
                cache: "c".to_owned(),
                key,
                ..v1::GetRequest::default()
            });
            request.set_timeout(deadline);
            client.get(request).await.map(|_| ())
        } else {
            let mut request = tonic::Request::new(v1::PutRequest {
                cache: "c".to_owned(),
                key,
                content: Some(v1::put_request::Content::Value(value.clone())),
                ..v1::PutRequest::default()
            });
            request.set_timeout(deadline);
            client.put(request).await.map(|_| ())
        };
        if began.elapsed() > deadline + LATE {
            tally.late.fetch_add(1, Ordering::Relaxed);
        }
        let counter = match result {
            Ok(()) => &tally.answered,
            Err(status) => match status.code() {
                Code::ResourceExhausted => &tally.overflowed,
                // Also of a write that was in flight when everything went down.
                Code::Unavailable | Code::DeadlineExceeded | Code::Unknown | Code::Cancelled => {
                    &tally.answered
                }
                _ => {
                    eprintln!("{status:?}");
                    &tally.strange
                }
            },
        };
        counter.fetch_add(1, Ordering::Relaxed);
        // Whoever was refused at once comes again a little later.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn start(
    api: SocketAddr,
    stop: &Arc<AtomicBool>,
    tally: &Arc<Tally>,
) -> std::thread::JoinHandle<()> {
    let (stop, tally) = (stop.clone(), tally.clone());
    callers::call(api, move |channel, callers| {
        for caller in 0..CALLERS {
            let client = CacheClient::new(channel.clone());
            callers.spawn(call(client, caller, stop.clone(), tally.clone()));
        }
    })
}

/// Memory and tasks, thirty times in the outage.
#[expect(clippy::disallowed_methods, reason = "time is what is under test")]
fn watch(vedetta: &Vedetta) -> Vec<(u64, u64)> {
    let began = Instant::now();
    let mut samples = Vec::new();
    while began.elapsed() < outage() {
        let memory = vedetta.count("process_resident_memory_bytes");
        samples.push((memory, vedetta.count("vedetta_tasks")));
        std::thread::sleep(outage() / 30);
    }
    samples
}

#[test]
fn memory_and_tasks_stay_flat_while_everything_is_down() {
    let mut set = SentinelSet::start();
    let (list, most) = (set.sentinel_list(), WAITING.to_string());
    let environment = [
        ("REDIS_ADDRESSES", list.as_str()),
        ("VEDETTA_LIMITS_WAITING_CALLS", most.as_str()),
    ];
    let vedetta = Vedetta::start(&[], &environment);
    let client = Client::connect(vedetta.api());
    assert_eq!(client.put("c", "k", "before"), Ok(()));
    let (stop, tally) = (Arc::new(AtomicBool::new(false)), Arc::new(Tally::default()));
    let callers = start(vedetta.api(), &stop, &tally);

    let nodes: Vec<SocketAddr> = set.redis_addresses().iter().map(|(at, _)| *at).collect();
    set.sentinels()
        .iter_mut()
        .for_each(crate::support::Node::kill9);
    nodes.iter().for_each(|node| set.redis(*node).kill9());
    let samples = watch(&vedetta);
    let waiting = vedetta.count("vedetta_waiting_calls");
    assert!(waiting <= WAITING as u64, "{waiting} calls wait");

    nodes.iter().for_each(|node| set.redis(*node).start_again());
    let mut sentinels = set.sentinels().iter_mut();
    sentinels
        .by_ref()
        .for_each(crate::support::Node::start_again);
    wait::until("it serves again", WITHIN, || {
        client
            .put("c", "k", "after")
            .map_err(|failure| format!("{failure:?}"))
    });
    stop.store(true, Ordering::Relaxed);
    callers.join().expect("the callers");

    let (third, end) = (samples[samples.len() / 3], samples[samples.len() - 1]);
    println!("memory and tasks after a third: {third:?}, at the end: {end:?}; {tally:?}");
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    assert!(
        of(&tally.overflowed) > 0,
        "nobody was refused for want of room"
    );
    assert_eq!((of(&tally.late), of(&tally.strange)), (0, 0));
    let most = (third.0 as f64 * GROWTH) as u64 + SLACK;
    assert!(end.0 <= most, "memory grew: {samples:?}");
    assert!(end.1 <= third.1 + 16, "tasks grew: {samples:?}");
}
