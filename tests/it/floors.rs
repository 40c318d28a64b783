//! A counter that gives out numbers, through a failover that loses increments: no number is given out twice. The old
//! plugin gives out 33 to 70 % twice with two pods.
//!
//! Each pod has the numbers that it was given in a database, which all pods share. When it is refused for want of a
//! floor, it gives the highest number of the database.
//!
//! Not here: what a floor does to a value (`tests/behaviour/counters_and_copies.json`).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tonic::transport::Channel;
use vedetta::proto::v1;
use vedetta::proto::v1::cache_client::CacheClient;

use crate::client::callers;
use crate::support::{SentinelOptions, SentinelSet, Vedetta, wait};

const CALLERS: usize = 2;
const WITHIN: Duration = Duration::from_secs(60);
const CACHES: [&str; 2] = ["framed", "raw"];

/// How often each number was given out, and what was refused.
#[derive(Debug, Default)]
struct Database {
    given: Mutex<HashMap<i64, u32>>,
    refused: AtomicU64,
}

impl Database {
    fn highest(&self) -> i64 {
        self.given.lock().keys().copied().max().unwrap_or(0)
    }

    fn count(&self) -> usize {
        self.given.lock().len()
    }

    fn twice(&self) -> usize {
        self.given
            .lock()
            .values()
            .filter(|times| **times > 1)
            .count()
    }
}

async fn call(
    mut client: CacheClient<Channel>,
    cache: &str,
    database: Arc<Database>,
    stop: Arc<AtomicBool>,
) {
    let mut floor = None;
    while !stop.load(Ordering::Relaxed) {
        let mut request = tonic::Request::new(v1::IncrementRequest {
            cache: cache.to_owned(),
            key: Bytes::from_static(b"id"),
            delta: 1,
            floor,
            ..v1::IncrementRequest::default()
        });
        request.set_timeout(Duration::from_secs(15));
        match client.increment(request).await {
            Ok(answer) => {
                floor = None;
                let number = answer.into_inner().value;
                *database.given.lock().entry(number).or_default() += 1;
            }
            Err(status) if status.message().contains("`floor`") => {
                database.refused.fetch_add(1, Ordering::Relaxed);
                floor = Some(database.highest());
            }
            // In doubt: that number is given to nobody.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

fn wait_for_numbers(databases: &[Arc<Database>], what: &str) {
    let before: Vec<usize> = databases.iter().map(|database| database.count()).collect();
    wait::until(what, WITHIN, || {
        let enough = |(database, before): (&Arc<Database>, &usize)| database.count() > before + 50;
        let done = databases.iter().zip(&before).all(enough);
        done.then_some(()).ok_or_else(|| format!("{before:?}"))
    });
}

/// The callers of each pod.
fn start(
    pods: &[Vedetta],
    databases: &[Arc<Database>],
    stop: &Arc<AtomicBool>,
) -> Vec<JoinHandle<()>> {
    pods.iter()
        .map(|vedetta| {
            let (databases, stop) = (databases.to_vec(), stop.clone());
            callers::call(vedetta.api(), move |channel, set| {
                for (cache, database) in CACHES.into_iter().zip(databases) {
                    for _ in 0..CALLERS {
                        let client = CacheClient::new(channel.clone());
                        set.spawn(call(client, cache, database.clone(), stop.clone()));
                    }
                }
            })
        })
        .collect()
}

fn no_number_twice(count: usize) {
    let mut set = SentinelSet::start_with(&SentinelOptions {
        proxied: true,
        // The fence is a second shorter: so long the master that is cut off acknowledges what will be lost.
        sentinel_lines: vec!["sentinel down-after-milliseconds mymaster 4000".to_owned()],
        ..SentinelOptions::default()
    });
    set.wait_until_known();
    let list = set.sentinel_list();
    let environment = [
        ("REDIS_ADDRESSES", list.as_str()),
        ("VEDETTA_CACHES", "raw:raw"),
        ("VEDETTA_FENCE_PERIOD", "3s"),
    ];
    let pods: Vec<Vedetta> = (0..count)
        .map(|_| Vedetta::start(&[], &environment))
        .collect();
    let databases: Vec<Arc<Database>> = CACHES.iter().map(|_| Arc::default()).collect();
    let stop = Arc::new(AtomicBool::new(false));
    // A pod that starts gives the floor, and a failover must not lose the first one.
    for cache in CACHES {
        let client = crate::client::Client::connect(pods[0].api());
        let number = client
            .increment(cache, "id", Some(0))
            .expect("a first number");
        assert_eq!(number, 1);
    }
    let threads = start(&pods, &databases, &stop);
    wait_for_numbers(&databases, "numbers before");
    let master = set.master_endpoint();
    set.redis_cli(master, &["SET", "marker", "x"]);
    wait::until("the replicas have the floors", WITHIN, || {
        let had = set.redis_cli(master, &["WAIT", "2", "1000"]);
        (had == "2").then_some(()).ok_or(had)
    });
    set.proxy(master).mute_others("vedetta");
    wait_for_numbers(&databases, "numbers that will be lost");
    set.redis(master).kill9();
    let next = set.wait_for_master_other_than(master);
    let given: Vec<i64> = databases
        .iter()
        .map(|database| database.highest())
        .collect();
    wait_for_numbers(&databases, "numbers after");
    stop.store(true, Ordering::Relaxed);
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("the callers"));
    for ((cache, database), before) in CACHES.iter().zip(&databases).zip(given) {
        let refused = database.refused.load(Ordering::Relaxed);
        println!(
            "{count} pods, {cache}: {} numbers, {} twice, {refused} refused, {before} before {next} was the master",
            database.count(),
            database.twice()
        );
        assert_eq!(database.twice(), 0, "{cache}");
        assert!(refused > 0, "nothing was lost, so this has shown nothing");
    }
}

#[test]
fn two_pods_give_out_no_number_twice() {
    no_number_twice(2);
}

#[test]
fn three_pods_give_out_no_number_twice() {
    no_number_twice(3);
}
