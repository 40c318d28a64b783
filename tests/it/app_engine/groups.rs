//! Several pods put entries into one group at the same time, and one of them flushes it: no member is left. The old plugin
//! keeps the members in a list, which a pod reads, changes and puts back; a member that is missing there is never flushed.
//!
//! Not here: what a flush costs, and fills that it overtakes (`groups` of the stories).

use std::collections::BTreeSet;

use tokio::task::JoinSet;

use super::application::{App, From};
use super::{ENTRIES, left_over, percent, pods};
use crate::support::SentinelSet;

/// Keys of each pod, also of those ways that are slow in a debug build if `VEDETTA_LONG` is set.
const KEYS: usize = 300;
/// Of a pod.
const CALLERS: usize = 3;

/// How an entry comes into its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Value and groups in one call.
    WithTheValue,
    /// The membership comes first, as it does where a value is loaded.
    BeforeTheValue,
    /// Another pod flushes the group between the membership and the value.
    FlushedInBetween,
    /// With a list that all pods share.
    OldPlugin,
}

impl Way {
    /// Keys of each pod.
    fn keys(self) -> usize {
        match self {
            _ if std::env::var_os("VEDETTA_LONG").is_some() => KEYS,
            Self::WithTheValue => KEYS,
            Self::BeforeTheValue | Self::OldPlugin => KEYS / 3,
            Self::FlushedInBetween => KEYS / 10,
        }
    }
}

fn group(way: Way, count: usize) -> String {
    format!("PageCacheGroup_{way:?}_{count}")
}

fn key(way: Way, count: usize, pod: usize, number: usize) -> String {
    format!("{way:?}-{count}-{pod}-{number}")
}

async fn put(app: &App, other: &App, way: Way, (key, group): (&str, &str)) {
    match way {
        Way::WithTheValue => app.put(ENTRIES, key, "rendered", &[group]).await,
        Way::BeforeTheValue => {
            app.add_to_group(ENTRIES, key, group).await;
            app.put(ENTRIES, key, "rendered", &[]).await;
        }
        Way::FlushedInBetween => {
            app.add_to_group(ENTRIES, key, group).await;
            other.flush_group(ENTRIES, group).await;
            app.put(ENTRIES, key, "rendered", &[]).await;
        }
        Way::OldPlugin => {
            app.put(ENTRIES, key, "rendered", &[]).await;
            app.add_to_list(ENTRIES, group, key).await;
        }
    }
}

/// Every pod puts its keys at the same time; all keys.
async fn fill(apps: &[App], way: Way) -> Vec<String> {
    // In the old plugin each pod has a lock.
    let callers = if way == Way::OldPlugin { 1 } else { CALLERS };
    let (count, group) = (apps.len(), group(way, apps.len()));
    let mut tasks = JoinSet::new();
    for (pod, app) in apps.iter().enumerate() {
        for caller in 0..callers {
            let (app, other, group) = (app.clone(), apps[(pod + 1) % count].clone(), group.clone());
            tasks.spawn(async move {
                for number in (caller..way.keys()).step_by(callers) {
                    let key = key(way, count, pod, number);
                    put(&app, &other, way, (&key, &group)).await;
                }
            });
        }
    }
    tasks.join_all().await;
    let of = |pod| (0..way.keys()).map(move |number| key(way, count, pod, number));
    (0..count).flat_map(of).collect()
}

/// Those that are hits.
async fn hits(app: &App, keys: &[String], from: From) -> Vec<String> {
    let seen = app.get_all(ENTRIES, keys, from).await;
    let hits = keys
        .iter()
        .zip(seen)
        .filter(|(_, seen)| seen.text.is_some());
    hits.map(|(key, _)| key.clone()).collect()
}

/// Those that some pod still finds: the master and whoever flushed at once, copies of others when every push has arrived.
async fn lost(apps: &[App], keys: &[String]) -> usize {
    let mut lost: BTreeSet<String> = hits(&apps[0], keys, From::Anywhere)
        .await
        .into_iter()
        .collect();
    for app in apps {
        lost.extend(hits(app, keys, From::Master).await);
    }
    for app in apps {
        lost.extend(left_over(|| hits(app, keys, From::Anywhere)));
    }
    lost.len()
}

async fn a_flush_reaches_every_member(count: usize) {
    let set = SentinelSet::start();
    let (_pods, apps) = pods(&set, count);
    for way in [Way::WithTheValue, Way::BeforeTheValue] {
        let keys = fill(&apps, way).await;
        for app in &apps {
            let missing = left_over(|| async {
                let there = hits(app, &keys, From::Anywhere).await;
                vec![(); keys.len() - there.len()]
            });
            assert_eq!(missing.len(), 0, "{way:?}: missing before the flush");
        }
        apps[0].flush_group(ENTRIES, &group(way, count)).await;
        let (lost, all) = (lost(&apps, &keys).await, keys.len());
        println!("groups, {count} pods, {way:?}: {lost} of {all} members lost");
        assert_eq!(lost, 0, "{count} pods, {way:?}");
    }
    let way = Way::FlushedInBetween;
    let keys = fill(&apps, way).await;
    let (lost, all) = (lost(&apps, &keys).await, keys.len());
    println!("groups, {count} pods, {way:?}: {lost} of {all} outlive the flush");
    assert_eq!(lost, 0, "{count} pods, {way:?}");
    as_the_old_plugin_does_it(&apps).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_reaches_every_member_that_two_pods_added() {
    a_flush_reaches_every_member(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_reaches_every_member_that_three_pods_added() {
    a_flush_reaches_every_member(3).await;
}

/// What the story is worth.
async fn as_the_old_plugin_does_it(apps: &[App]) {
    let way = Way::OldPlugin;
    let keys = fill(apps, way).await;
    let list = group(way, apps.len());
    apps[0].evict_list(ENTRIES, &list).await;
    // What the master has, no copy need be waited for.
    let lost = hits(&apps[0], &keys, From::Master).await.len();
    println!(
        "groups, {} pods, as the old plugin does it: {lost} of {} members lost ({:.0} %)",
        apps.len(),
        keys.len(),
        percent(lost, keys.len())
    );
    assert!(
        lost > 0,
        "nothing is lost in the old way, so this has shown nothing"
    );
}
