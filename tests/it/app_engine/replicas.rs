//! What the tutorial about high availability has its reader validate, with two pods. First: a pod goes, killed or stopped,
//! and the other one serves as if nothing had happened; with the old plugin every pod that stopped cleared what all shared.
//! Second: what one pod has stored is there for the other when the first is killed at once, also if the Redis master is
//! killed with it; and so is its membership of groups.
//!
//! Invariants: an application ends with its pod, and only then may its calls fail.
//!
//! Not here: writes that were not waited for on replicas when the master dies (`resurrection`, `switchover`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::task::JoinSet;

use super::application::{App, From};
use super::{ENTRIES, PAGES, WITHIN, pod};
use crate::support::{SentinelSet, Vedetta, wait};

/// In each of the two caches.
const KEYS: usize = 150;
const GROUP: &str = "jacms_ContentsIdCacheGroup_CNG";

fn key(number: usize) -> String {
    format!("CNG{number}")
}

fn keys() -> Vec<String> {
    (0..KEYS).map(key).collect()
}

/// What the database has.
fn content(key: &str) -> String {
    format!("content of {key}")
}

/// What an application saw while it rendered pages.
#[derive(Debug, Default)]
struct Tally {
    pages: AtomicUsize,
    reads: AtomicUsize,
    failed: AtomicUsize,
    /// Loads from the database.
    reloads: AtomicUsize,
    other: AtomicUsize,
}

impl Tally {
    fn of(figure: &AtomicUsize) -> usize {
        figure.load(Ordering::Relaxed)
    }

    fn up(figure: &AtomicUsize) {
        figure.fetch_add(1, Ordering::Relaxed);
    }
}

/// Reads every entry, and loads from the database what is not there.
async fn render(app: &App, tally: &Tally) {
    for cache in [ENTRIES, PAGES] {
        for key in keys() {
            Tally::up(&tally.reads);
            match app.try_get(cache, &key).await {
                Err(_) => Tally::up(&tally.failed),
                Ok(seen) if seen.text.is_none() => {
                    Tally::up(&tally.reloads);
                    let groups: &[&str] = if cache == ENTRIES { &[GROUP] } else { &[] };
                    app.put(cache, &key, &content(&key), groups).await;
                }
                Ok(seen) if seen.text == Some(content(&key)) => {}
                Ok(_) => Tally::up(&tally.other),
            }
        }
    }
    Tally::up(&tally.pages);
}

/// A pod that renders pages.
struct Replica {
    vedetta: Vedetta,
    app: App,
    tally: Arc<Tally>,
    over: Arc<AtomicBool>,
    work: JoinSet<()>,
}

impl Replica {
    fn start(set: &SentinelSet) -> Self {
        let vedetta = pod(set);
        let app = App::of(&vedetta);
        let (tally, over) = (Arc::<Tally>::default(), Arc::<AtomicBool>::default());
        let mut work = JoinSet::new();
        let (reader, figures, end) = (app.clone(), tally.clone(), over.clone());
        work.spawn(async move {
            while !end.load(Ordering::Relaxed) {
                render(&reader, &figures).await;
            }
        });
        Self {
            vedetta,
            app,
            tally,
            over,
            work,
        }
    }

    /// Waits until so many pages more are ready than now, which have been begun since.
    fn renders(&self, more: usize) {
        let wanted = Tally::of(&self.tally.pages) + 1 + more;
        wait::until("pages", WITHIN, || {
            let pages = Tally::of(&self.tally.pages);
            (pages >= wanted)
                .then_some(())
                .ok_or_else(|| format!("{pages} of {wanted}"))
        });
    }

    /// Its application ends; its vedetta goes on.
    async fn finish(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.work.join_next().await {
            ended.expect("an application");
        }
    }
}

/// How a pod goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Killed,
    Stopped,
}

async fn the_other_serves(end: End) {
    let set = SentinelSet::start();
    let mut one = Replica::start(&set);
    one.renders(1);
    assert_eq!(
        Tally::of(&one.tally.reloads),
        2 * KEYS,
        "the first pod loads all"
    );
    let mut two = Replica::start(&set);
    two.renders(1);
    match end {
        End::Killed => one.vedetta.process().kill9(),
        End::Stopped => {
            let (status, _) = one.vedetta.terminate();
            assert!(status.success(), "{status}");
        }
    }
    one.work.shutdown().await;
    two.renders(2);
    let mut there = 0;
    for cache in [ENTRIES, PAGES] {
        let seen = two.app.get_all(cache, &keys(), From::Master).await;
        there += seen.iter().filter(|seen| seen.text.is_some()).count();
    }
    let mut again = Replica::start(&set);
    again.renders(1);
    again.finish().await;
    println!(
        "replicas, one {end:?}: {there} of {} entries there",
        2 * KEYS
    );
    assert_eq!(there, 2 * KEYS);
    for (who, pod) in [("that stayed", &two), ("that came back", &again)] {
        let tally = &pod.tally;
        println!("replicas, one {end:?}: the pod {who} {tally:?}");
        for figure in [&tally.failed, &tally.reloads, &tally.other] {
            assert_eq!(Tally::of(figure), 0, "{who}: {tally:?}");
        }
    }
    // What the figures are worth: with the old plugin a pod clears the cache when it stops.
    again.app.clear(ENTRIES).await;
    two.renders(1);
    two.finish().await;
    assert!(Tally::of(&two.tally.reloads) > 0, "a clear was not noticed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_pod_is_killed_the_other_serves_everything() {
    the_other_serves(End::Killed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_pod_stops_the_other_serves_everything() {
    the_other_serves(End::Stopped).await;
}

/// What the first answers of a pod are: hits with the right value, and anything else.
async fn first_answers(app: &App, keys: &[String]) -> (usize, usize) {
    let mut reads = JoinSet::new();
    for key in keys {
        let (app, key) = (app.clone(), key.clone());
        reads.spawn(async move {
            let found = app.try_get(ENTRIES, &key).await;
            found.is_ok_and(|seen| seen.text == Some(content(&key)))
        });
    }
    let answers = reads.join_all().await;
    let right = answers.iter().filter(|right| **right).count();
    (right, answers.len() - right)
}

/// A flush through a pod that did not store the entries: what it leaves for that pod, for the master, and for a new pod.
async fn flush(apps: [&App; 2], keys: &[String]) -> usize {
    apps[0].flush_group(ENTRIES, GROUP).await;
    let mut left = 0;
    for (app, from) in [(0, From::Anywhere), (0, From::Master), (1, From::Anywhere)] {
        let seen = apps[app].get_all(ENTRIES, keys, from).await;
        left += seen.iter().filter(|seen| seen.text.is_some()).count();
    }
    left
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_pod_has_stored_is_there_when_it_is_killed_at_once() {
    const ROUNDS: usize = 3;
    let set = SentinelSet::start();
    let two = pod(&set);
    let other = App::of(&two);
    let mut one = pod(&set);
    let (mut right, mut wrong, mut left) = (0, 0, 0);
    for round in 0..ROUNDS {
        let app = App::of(&one);
        let keys: Vec<String> = (0..KEYS)
            .map(|number| format!("{round}-{number}"))
            .collect();
        for key in &keys {
            app.put(ENTRIES, key, &content(key), &[GROUP, "other"])
                .await;
        }
        one.process().kill9();
        let (hits, others) = first_answers(&other, &keys).await;
        (right, wrong) = (right + hits, wrong + others);
        one = pod(&set);
        left += flush([&other, &App::of(&one)], &keys).await;
    }
    println!(
        "stored and killed, {ROUNDS} times: {wrong} of {} first answers wrong, {left} entries outlive the flush",
        right + wrong
    );
    assert_eq!((right, wrong, left), (ROUNDS * KEYS, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_pod_has_stored_is_there_when_it_is_killed_together_with_the_master() {
    let mut set = SentinelSet::start();
    let (mut one, two) = (pod(&set), pod(&set));
    let (app, other) = (App::of(&one), App::of(&two));
    let master = set.master_endpoint();
    // The other pod has some of them in its own memory, and has never seen the rest.
    let (known, unknown): (Vec<String>, Vec<String>) =
        (keys(), (KEYS..2 * KEYS).map(key).collect());
    for keys in [&known, &unknown] {
        for key in keys {
            app.put_to_all(ENTRIES, key, &content(key), &[GROUP, "other"])
                .await;
        }
        if keys == &known {
            assert_eq!(first_answers(&other, keys).await, (KEYS, 0));
        }
    }
    one.process().kill9();
    set.redis(master).kill9();
    let all = [known, unknown].concat();
    let (right, wrong) = first_answers(&other, &all).await;
    let next = set.wait_for_master_other_than(master);
    let three = pod(&set);
    let left = flush([&other, &App::of(&three)], &all).await;
    println!(
        "stored and killed with the master: {wrong} of {} first answers wrong, {left} entries outlive the flush at {next}",
        right + wrong
    );
    assert_eq!((right, wrong, left), (2 * KEYS, 0, 0));
}
