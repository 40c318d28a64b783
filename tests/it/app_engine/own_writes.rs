//! A pod reads what it has just written. With the old plugin a write went past the copies of its own pod, which answered
//! until an invalidation had come back.
//!
//! Not here: entries that stay old (`old_entries`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use super::application::App;
use super::{Budget, ENTRIES, MOST_PODS, PODS, pods};
use crate::support::SentinelSet;

const READS: u64 = 20_000;
const MOST: Duration = Duration::from_secs(5);
/// Each has keys of its own.
const WRITERS: usize = 8;
const KEYS: u64 = 2;

#[derive(Default)]
struct Tally {
    reads: AtomicUsize,
    near: AtomicUsize,
    stale: AtomicUsize,
}

fn key(pod: usize, writer: usize, number: u64) -> String {
    format!("UserProfile_{pod}-{writer}-{number}")
}

/// Puts and evicts, and reads each time twice: the second read finds the copy that the first has left.
async fn write_and_read(
    app: App,
    (pod, writer): (usize, usize),
    budget: Arc<Budget>,
    to: Arc<Tally>,
) {
    while let Some(number) = budget.take() {
        let key = key(pod, writer, number % KEYS);
        let text = (number % 4 > 0).then(|| number.to_string());
        match &text {
            Some(text) => app.put(ENTRIES, &key, text, &[]).await,
            None => app.evict(ENTRIES, &key).await,
        }
        for _ in 0..2 {
            let seen = app.get(ENTRIES, &key).await;
            let stale = seen.text != text;
            to.reads.fetch_add(1, Ordering::Relaxed);
            to.near.fetch_add(seen.near.into(), Ordering::Relaxed);
            to.stale.fetch_add(stale.into(), Ordering::Relaxed);
        }
    }
}

/// Fills the copies of a pod with what its writers write meanwhile.
async fn read_along(app: App, pod: usize, over: Arc<AtomicBool>) {
    while !over.load(Ordering::Relaxed) {
        for writer in 0..WRITERS {
            for number in 0..KEYS {
                app.get(ENTRIES, &key(pod, writer, number)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_reads_what_it_has_written() {
    let set = SentinelSet::start();
    let (_pods, apps) = pods(&set, MOST_PODS);
    for count in PODS {
        let budget = Arc::new(Budget::new(READS / 2, MOST));
        let (tally, over) = (Arc::<Tally>::default(), Arc::<AtomicBool>::default());
        let (mut writers, mut readers) = (JoinSet::new(), JoinSet::new());
        for (pod, app) in apps[..count].iter().enumerate() {
            for writer in 0..WRITERS {
                let (budget, tally) = (budget.clone(), tally.clone());
                writers.spawn(write_and_read(app.clone(), (pod, writer), budget, tally));
            }
            readers.spawn(read_along(app.clone(), pod, over.clone()));
        }
        writers.join_all().await;
        over.store(true, Ordering::Relaxed);
        readers.join_all().await;
        let of = |figure: &AtomicUsize| figure.load(Ordering::Relaxed);
        let (reads, near, stale) = (of(&tally.reads), of(&tally.near), of(&tally.stale));
        println!("own writes, {count} pods: {stale} of {reads} reads stale, {near} from copies");
        assert!(near > 0, "no copy answered, so this has shown nothing");
        assert_eq!(stale, 0, "{count} pods");
    }
}
