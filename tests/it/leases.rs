//! Leases between several pods: a cold key is loaded once, whoever waits is woken by the one who loads it, and nobody
//! waits for one who has died.
//!
//! Not here: what ends a lease (`tests/behaviour/leases.json`); waits that must not be in vain (`waiting`);
//! what Redis loses (`lost`).

mod lost;
mod waiting;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tonic::transport::Channel;
use vedetta::proto::v1;
use vedetta::proto::v1::cache_client::CacheClient;
use vedetta::proto::v1::get_or_lease_response::Result as Answered;

use crate::client::callers;
use crate::support::{Redis, RedisOptions, SentinelSet, Vedetta};

const CACHE: &str = "pages";
const PODS: usize = 3;
const CALLERS: usize = 100;

/// How long a page is loaded: long enough for every caller to come while it is.
const LOADING: Duration = Duration::from_millis(300);

/// Longer than any wait, so that only a push can end one.
const HOLD: Duration = Duration::from_secs(600);

fn pods(redis: &Redis) -> Vec<Vedetta> {
    let address = redis.address().to_string();
    let environment = [("REDIS_ADDRESS", address.as_str())];
    (0..PODS)
        .map(|_| Vedetta::start(&[], &environment))
        .collect()
}

fn seconds(duration: Duration) -> Option<prost_types::Duration> {
    Some(duration.try_into().expect("a duration"))
}

fn wish(key: &str, hold: Duration) -> v1::GetOrLeaseRequest {
    v1::GetOrLeaseRequest {
        cache: CACHE.to_owned(),
        key: key.to_owned().into(),
        max_wait: seconds(Duration::from_secs(20)),
        hold: seconds(hold),
        ..v1::GetOrLeaseRequest::default()
    }
}

fn put(key: &str, value: String, lease: bytes::Bytes) -> v1::PutRequest {
    v1::PutRequest {
        cache: CACHE.to_owned(),
        key: key.to_owned().into(),
        content: Some(v1::put_request::Content::Value(value.into())),
        lease,
        ..v1::PutRequest::default()
    }
}

/// What the callers of all pods did and got.
#[derive(Debug, Default)]
struct Tally {
    loads: AtomicUsize,
    /// Loads that were begun and never ended.
    abandoned: AtomicUsize,
    got: Mutex<Vec<String>>,
}

/// Reads a page, and loads it if it is this caller's turn; the first `dying` of those die over it.
async fn render(
    mut client: CacheClient<Channel>,
    tally: Arc<Tally>,
    (key, hold, dying): (&'static str, Duration, usize),
) {
    let answer = client.get_or_lease(wish(key, hold)).await;
    let got = match answer.expect("an answer").into_inner().result {
        Some(Answered::Hit(hit)) => match hit.content {
            Some(v1::hit::Content::Value(value)) => String::from_utf8_lossy(&value).into_owned(),
            other => format!("{other:?}"),
        },
        Some(Answered::Lease(_)) if tally.abandoned.load(Ordering::Relaxed) < dying => {
            tally.abandoned.fetch_add(1, Ordering::Relaxed);
            return;
        }
        Some(Answered::Lease(lease)) => {
            let load = tally.loads.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(LOADING).await;
            let page = format!("page of load {load}");
            let stored = client.put(put(key, page.clone(), lease)).await;
            let stored = stored.expect("an answer").into_inner().result;
            assert!(
                matches!(stored, Some(v1::put_response::Result::Stored(_))),
                "{stored:?}"
            );
            page
        }
        other => format!("{other:?}"),
    };
    tally.got.lock().push(got);
}

fn stampede(pods: &[Vedetta], key: &'static str, hold: Duration, dying: usize) -> Arc<Tally> {
    let tally = Arc::new(Tally::default());
    let threads = pods.iter().map(|vedetta| {
        let tally = tally.clone();
        callers::call(vedetta.api(), move |channel, set| {
            for _ in 0..CALLERS {
                let client = CacheClient::new(channel.clone());
                set.spawn(render(client, tally.clone(), (key, hold, dying)));
            }
        })
    });
    let threads: Vec<_> = threads.collect();
    for thread in threads {
        thread.join().expect("the callers");
    }
    tally
}

#[test]
fn a_cold_key_is_loaded_once_by_three_pods() {
    let redis = Redis::start(&RedisOptions::default());
    let pods = pods(&redis);
    let tally = stampede(&pods, "cold", HOLD, 0);
    let (loads, got) = (tally.loads.load(Ordering::Relaxed), tally.got.lock());
    println!("{} callers, {loads} loads", PODS * CALLERS);
    assert_eq!((loads, got.len()), (1, PODS * CALLERS));
    assert!(got.iter().all(|page| page == "page of load 0"), "{got:?}");
}

#[test]
fn one_that_dies_over_a_load_is_waited_for_until_its_lease_ends() {
    let redis = Redis::start(&RedisOptions::default());
    let pods = pods(&redis);
    let dead = 2;
    let tally = stampede(&pods, "abandoned", Duration::from_secs(1), dead);
    let (loads, got) = (tally.loads.load(Ordering::Relaxed), tally.got.lock());
    println!("{dead} loads abandoned, {loads} done");
    assert_eq!((loads, got.len()), (1, PODS * CALLERS - dead));
    assert!(got.iter().all(|page| page == "page of load 0"), "{got:?}");
}

/// The page is served for as long as it may be, whatever the loader does; then it is not.
#[test]
fn while_a_loader_fails_the_old_page_is_served_until_it_ends() {
    let redis = Redis::start(&RedisOptions::default());
    let pods = pods(&redis);
    let life = Duration::from_secs(3);
    let (served, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let threads = pods.iter().enumerate().map(|(pod, vedetta)| {
        let (served, failed) = (served.clone(), failed.clone());
        callers::call(vedetta.api(), move |channel, set| {
            let mut client = CacheClient::new(channel);
            set.spawn(async move {
                let mut page = put("failing", "old".to_owned(), bytes::Bytes::new());
                page.expiry = Some(v1::Expiry {
                    when: Some(v1::expiry::When::Ttl(life.try_into().expect("a duration"))),
                });
                page.condition = Some(v1::Condition {
                    must_be: Some(v1::condition::MustBe::Absent(v1::condition::Absent {})),
                });
                client.put(page).await.expect("stored");
                let mut held = true;
                loop {
                    let mut wish = wish("failing", HOLD);
                    wish.refresh_within = seconds(life * 2);
                    let answer = client.get_or_lease(wish).await.expect("an answer");
                    let answer = answer.into_inner();
                    match answer.result {
                        Some(Answered::Hit(_)) => {
                            // Only with the page a lease ends before it is given back.
                            assert!(held, "pod {pod}");
                            served.fetch_add(1, Ordering::Relaxed)
                        }
                        // It has ended, and this pod is the one that would have to load it.
                        Some(Answered::Lease(lease)) => {
                            release(&mut client, lease).await;
                            return;
                        }
                        other => panic!("pod {pod}: {other:?}"),
                    };
                    if !answer.refresh.is_empty() {
                        failed.fetch_add(1, Ordering::Relaxed);
                        held = release(&mut client, answer.refresh).await;
                    }
                }
            });
        })
    });
    let threads: Vec<_> = threads.collect();
    for thread in threads {
        thread.join().expect("the callers");
    }
    let (served, failed) = (
        served.load(Ordering::Relaxed),
        failed.load(Ordering::Relaxed),
    );
    println!("{served} times served while {failed} loads failed");
    assert!(failed > 0 && served > failed);
}

async fn release(client: &mut CacheClient<Channel>, lease: bytes::Bytes) -> bool {
    let request = v1::ReleaseLeaseRequest {
        cache: CACHE.to_owned(),
        key: "failing".into(),
        lease,
        ..v1::ReleaseLeaseRequest::default()
    };
    let released = client.release_lease(request).await.expect("an answer");
    released.into_inner().held
}

/// A new master may have the lease and not what ended it.
#[test]
fn a_lease_ends_with_its_history() {
    let mut set = SentinelSet::start();
    let list = set.sentinel_list();
    let vedetta = Vedetta::start(&[], &[("REDIS_ADDRESSES", list.as_str())]);
    let (sender, receiver) = std::sync::mpsc::channel();
    let ask = |sender: std::sync::mpsc::Sender<Answered>| {
        let thread = callers::call(vedetta.api(), move |channel, callers| {
            callers.spawn(async move {
                let mut client = CacheClient::new(channel);
                let answer = client.get_or_lease(wish("old", HOLD)).await;
                let answer = answer.expect("an answer").into_inner();
                sender.send(answer.result.expect("a result")).expect("sent");
            });
        });
        thread.join().expect("the caller");
    };
    ask(sender.clone());
    let Ok(Answered::Lease(old)) = receiver.recv() else {
        panic!("no lease");
    };
    let (master, _) = set.kill9_master();
    set.wait_for_master_other_than(master);
    let thread = callers::call(vedetta.api(), move |channel, callers| {
        callers.spawn(async move {
            let put = put("old", "loaded before".to_owned(), old);
            let stored = CacheClient::new(channel).put(put).await.expect("an answer");
            let stored = stored.into_inner().result;
            assert!(
                matches!(stored, Some(v1::put_response::Result::NotStored(_))),
                "{stored:?}"
            );
        });
    });
    thread.join().expect("the caller");
    ask(sender);
    let next = receiver.recv();
    assert!(matches!(next, Ok(Answered::Lease(_))), "{next:?}");
}
