//! One pod reads an entry while another one overwrites it; afterwards no pod has an old one. With the old plugin what was
//! read was sometimes kept after the invalidation for it had gone by, and stayed.
//!
//! Not here: how long an old entry may be answered while pushes are on their way (`partition`).

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::application::{App, From};
use super::{Budget, ENTRIES, MOST_PODS, PAGES, PODS, left_over, percent, pods};
use crate::support::{SentinelSet, Vedetta};

const ROUNDS: u64 = 5_000;
const MOST: Duration = Duration::from_secs(5);
/// Rounds at the same time, each with a key of its own.
const LANES: usize = 12;
/// Writes, and reads of each pod, in one round.
const WRITES: usize = 2;
const READS: usize = 2;
/// Raw and framed.
const CACHES: [&str; 2] = [PAGES, ENTRIES];

/// The keys of the rounds that are over, by cache.
type Rounds = Arc<Mutex<[Vec<String>; 2]>>;

fn value(number: usize) -> String {
    format!("version {number}")
}

async fn rounds(apps: Vec<App>, budget: Arc<Budget>, done: Rounds) {
    while let Some(round) = budget.take() {
        let (which, key) = (round as usize % 2, format!("{}-{round}", apps.len()));
        let cache = CACHES[which];
        let mut readers = JoinSet::new();
        for app in apps.clone() {
            let key = key.clone();
            readers.spawn(async move {
                for _ in 0..READS {
                    app.get(cache, &key).await;
                }
            });
        }
        let writer = &apps[round as usize / 2 % apps.len()];
        for number in 1..=WRITES {
            writer.put(cache, &key, &value(number), &[]).await;
        }
        readers.join_all().await;
        done.lock()[which].push(key);
    }
}

/// The keys that the application does not read as they were written last, and how many reads a copy answered.
async fn old(app: &App, cache: &str, keys: &[String]) -> (Vec<String>, usize) {
    let seen = app.get_all(cache, keys, From::Anywhere).await;
    let near = seen.iter().filter(|seen| seen.near).count();
    let last = value(WRITES);
    let with_keys = keys.iter().zip(seen);
    let old = with_keys.filter(|(_, seen)| seen.text.as_ref() != Some(&last));
    (old.map(|(key, _)| key.clone()).collect(), near)
}

fn overtaken(pods: &[Vedetta]) -> u64 {
    let of = |pod: &Vedetta| pod.count("vedetta_near_rejected_fills_total");
    pods.iter().map(of).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_entry_stays_old() {
    let set = SentinelSet::start();
    let (pods, apps) = pods(&set, MOST_PODS);
    for count in PODS {
        let apps = &apps[..count];
        let before = overtaken(&pods);
        let budget = Arc::new(Budget::new(ROUNDS, MOST));
        let (done, mut lanes) = (Rounds::default(), JoinSet::new());
        for _ in 0..LANES {
            lanes.spawn(rounds(apps.to_vec(), budget.clone(), done.clone()));
        }
        lanes.join_all().await;
        let keys = std::mem::take(&mut *done.lock());
        let (mut stuck, mut near) = (0, 0);
        for app in apps {
            for (cache, keys) in CACHES.into_iter().zip(&keys) {
                let (mut left, from_copies) = old(app, cache, keys).await;
                near += from_copies;
                if !left.is_empty() {
                    left = left_over(|| async { old(app, cache, &left).await.0 });
                }
                stuck += left.len();
            }
        }
        let (rounds, raced) = (keys[0].len() + keys[1].len(), overtaken(&pods) - before);
        println!(
            "old entries, {count} pods: {stuck} of {} stay old ({:.2} %) after {rounds} rounds, {near} read from copies, \
             {raced} reads overtaken",
            rounds * count,
            percent(stuck, rounds * count),
        );
        assert_eq!(stuck, 0, "{count} pods");
        assert!(near > 0, "no copy answered, so this has shown nothing");
        assert!(
            raced > 0,
            "no read was overtaken, so this has shown nothing"
        );
    }
}
