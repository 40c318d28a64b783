//! Named tasks and the order to stop: the only place that spawns. `gathered` is what a task may be begun for.
//!
//! Invariants: every task of the process is tracked here; [`Tasks::stop`] ends them all within its grace and
//! tells who was late; a task that panics is reported by [`Tasks::failed`], because a process that goes on without
//! its topology or its failover only looks alive.
//!
//! Not here: what draining means for calls in flight (`grpc::server`) and signals (`app`).

mod gathered;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use gathered::{Gathered, Turn};

/// Spawns, tracks and stops.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    failed: CancellationToken,
    running: Arc<Mutex<BTreeMap<&'static str, usize>>>,
}

impl Tasks {
    /// Nothing runs yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `task` until it ends by itself or [`Tasks::stop`] is called, whichever comes first.
    pub fn spawn(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let stop = self.stop.clone();
        self.track(name, async move {
            tokio::select! {
                () = task => (),
                () = stop.cancelled() => (),
            }
        })
    }

    /// Runs `task`, which watches [`Tasks::stopping`] itself and has work to finish after it.
    pub fn spawn_draining(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        self.track(name, task)
    }

    /// How many run.
    pub fn count(&self) -> usize {
        self.running.lock().values().sum()
    }

    /// Completes when a task has panicked.
    pub async fn failed(&self) {
        self.failed.cancelled().await;
    }

    /// Completes when the process is to stop.
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Tells every task to stop and waits for them, at most `grace`. Returns the names of those still running.
    pub async fn stop(&self, grace: Duration) -> Vec<&'static str> {
        self.stop.cancel();
        self.tracker.close();
        match tokio::time::timeout(grace, self.tracker.wait()).await {
            Ok(()) => Vec::new(),
            Err(_) => self.running.lock().keys().copied().collect(),
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that spawns"
    )]
    fn track(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let running = self.running.clone();
        *running.lock().entry(name).or_default() += 1;
        let registered = Registered {
            name,
            running,
            failed: self.failed.clone(),
        };
        tokio::spawn(self.tracker.track_future(async move {
            let _registered = registered;
            task.await;
        }))
    }
}

/// Takes the task's name off the list when the task ends, also when it panics or is aborted.
struct Registered {
    name: &'static str,
    running: Arc<Mutex<BTreeMap<&'static str, usize>>>,
    failed: CancellationToken,
}

impl Drop for Registered {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(task = self.name, "a task has panicked; please report this");
            self.failed.cancel();
        }
        let mut running = self.running.lock();
        if let Some(count) = running.get_mut(self.name) {
            *count -= 1;
            if *count == 0 {
                running.remove(self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_reported() {
        let tasks = Tasks::new();
        tasks.spawn("well", std::future::ready(()));
        tasks.spawn("broken", async { panic!("as the test wants it") });
        tasks.failed().await;
    }

    #[tokio::test(start_paused = true)]
    async fn stopping_ends_tasks_and_names_the_late_one() {
        let tasks = Tasks::new();
        tasks.spawn("patient", std::future::pending());
        tasks.spawn_draining("late", tokio::time::sleep(Duration::from_secs(60)));
        assert_eq!(tasks.stop(Duration::from_secs(1)).await, ["late"]);
        assert!(tasks.stop(Duration::from_secs(120)).await.is_empty());
    }
}
