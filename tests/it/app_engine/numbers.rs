//! Several pods give out numbers of one counter, and each pod that starts tells what its database says: no number is given
//! out twice. In the old plugin a number is what was read and one more, and a pod that starts puts what its database says.
//!
//! Not here: a failover that loses increments (`floors`).

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::application::App;
use super::{WITHIN, percent, pod};
use crate::support::{SentinelSet, Vedetta, wait};

const CACHE: &str = "Entando_KeyGeneratorManager";
/// Numbers of each pod, fewer in the old way.
const EACH: usize = 1_000;
/// How many numbers have been given out by the others before another pod starts.
const BETWEEN_STARTS: usize = 100;

/// What all pods share: how often each number was given out.
#[derive(Default)]
struct Database(Mutex<HashMap<i64, usize>>);

impl Database {
    fn save(&self, number: i64) {
        *self.0.lock().entry(number).or_default() += 1;
    }

    fn highest(&self) -> i64 {
        self.0.lock().keys().copied().max().unwrap_or_default()
    }

    fn saved(&self) -> usize {
        self.0.lock().values().sum()
    }

    fn twice(&self) -> usize {
        self.0.lock().values().map(|times| times - 1).sum()
    }
}

/// How a number is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Increment,
    OldPlugin,
}

impl Way {
    fn key(self, count: usize) -> String {
        format!("KeyGeneratorManager_key_{self:?}_{count}")
    }

    /// Of a pod; the old plugin has a lock in each.
    fn callers(self) -> usize {
        match self {
            Self::Increment => 2,
            Self::OldPlugin => 1,
        }
    }

    /// Numbers of each pod.
    fn numbers(self) -> usize {
        match self {
            Self::Increment => EACH,
            Self::OldPlugin => EACH / 4,
        }
    }

    /// What a pod does when it starts, with what the database said then.
    async fn start(self, app: &App, key: &str, database: &Database) {
        let highest = database.highest();
        match self {
            Self::Increment => database.save(app.next_number(CACHE, key, Some(highest)).await),
            Self::OldPlugin => app.put(CACHE, key, &highest.to_string(), &[]).await,
        }
    }

    async fn next(self, app: &App, key: &str) -> i64 {
        match self {
            Self::Increment => app.next_number(CACHE, key, None).await,
            Self::OldPlugin => app.next_number_by_put(CACHE, key).await,
        }
    }
}

/// Starts pods one after the other while those before give out numbers; what came of it, and when the last one started.
async fn give_out(set: &SentinelSet, count: usize, way: Way) -> (Arc<Database>, usize) {
    let (database, key) = (Arc::<Database>::default(), way.key(count));
    let (mut pods, mut tasks): (Vec<Vedetta>, _) = (Vec::new(), JoinSet::new());
    let mut before = 0;
    for _ in 0..count {
        let pod = pod(set);
        let app = App::of(&pod);
        before = database.saved();
        way.start(&app, &key, &database).await;
        for _ in 0..way.callers() {
            let (app, key, database) = (app.clone(), key.clone(), database.clone());
            tasks.spawn(async move {
                for _ in 0..way.numbers() / way.callers() {
                    database.save(way.next(&app, &key).await);
                }
            });
        }
        pods.push(pod);
        wait::until("numbers of this pod", WITHIN, || {
            let given = database.saved() - before;
            (given > BETWEEN_STARTS)
                .then_some(())
                .ok_or_else(|| given.to_string())
        });
    }
    tasks.join_all().await;
    (database, before)
}

async fn no_number_twice(count: usize) {
    let set = SentinelSet::start();
    for way in [Way::Increment, Way::OldPlugin] {
        let (database, before) = give_out(&set, count, way).await;
        let (saved, twice) = (database.saved(), database.twice());
        let share = percent(twice, saved);
        println!(
            "numbers, {count} pods, {way:?}: {twice} of {saved} twice ({share:.0} %), {before} before the last pod"
        );
        match way {
            Way::Increment => assert_eq!(twice, 0, "{count} pods"),
            Way::OldPlugin => assert!(twice > 0, "the old way is right: nothing was shown"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_pods_give_out_no_number_twice() {
    no_number_twice(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_pods_give_out_no_number_twice() {
    no_number_twice(3).await;
}
