//! The loads of this process, for people to look at.
//!
//! Invariants: at most [`MOST`] at a time; a load is shown from its beginning until it is dropped, however it ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};
use parking_lot::Mutex;

use crate::model::{CacheId, Cause, Fault};

/// Loads that run here at a time, or wait.
const MOST: usize = 16;

/// How far a load is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// Of which cache.
    pub cache: CacheId,
    /// Which snapshot.
    pub snapshot: u64,
    /// Entries stored or passed over.
    pub entries: u64,
    /// Their keys and values, in bytes.
    pub bytes: u64,
    /// When it was asked for.
    pub since: SystemTime,
    /// Whether another one is still running.
    pub waiting: bool,
}

/// All loads of this process.
#[derive(Debug)]
pub struct Loads {
    running: Mutex<BTreeMap<u64, Arc<Counts>>>,
    next: AtomicU64,
    metrics: Metrics,
}

/// Shows one load for as long as it exists.
#[derive(Debug)]
pub(super) struct Progress {
    loads: Arc<Loads>,
    number: u64,
    counts: Arc<Counts>,
    ended: Option<End>,
}

/// How a load ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Complete,
    /// There was nothing to do.
    Unneeded,
}

#[derive(Debug)]
struct Counts {
    cache: CacheId,
    snapshot: u64,
    entries: AtomicU64,
    bytes: AtomicU64,
    since: SystemTime,
    waiting: AtomicBool,
}

#[derive(Debug)]
struct Metrics {
    running: Gauge,
    complete: Counter,
    unneeded: Counter,
    failed: Counter,
    stored: Counter,
    skipped: Counter,
    removed: Counter,
    bytes: Counter,
}

impl Loads {
    /// None yet; registers the metrics.
    pub fn register() -> Arc<Self> {
        Arc::new(Self {
            running: Mutex::default(),
            next: AtomicU64::new(0),
            metrics: Metrics::register(),
        })
    }

    /// Those that run, oldest first.
    pub fn figures(&self) -> Vec<Figures> {
        let running = self.running.lock();
        running.values().map(|counts| counts.figures()).collect()
    }

    /// One more.
    ///
    /// # Errors
    /// There are too many.
    pub(super) fn begin(
        self: &Arc<Self>,
        cache: &CacheId,
        snapshot: u64,
    ) -> Result<Progress, Fault> {
        let mut running = self.running.lock();
        if running.len() >= MOST {
            return Err(Fault::not_applied(
                Cause::TooManyLoads,
                format!("{MOST} loads run in this vedetta; load again when one of them is over"),
            ));
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let counts = Arc::new(Counts {
            cache: cache.clone(),
            snapshot,
            entries: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            since: SystemTime::now(),
            waiting: AtomicBool::new(true),
        });
        running.insert(number, counts.clone());
        self.metrics.running.set(running.len() as f64);
        Ok(Progress {
            loads: self.clone(),
            number,
            counts,
            ended: None,
        })
    }
}

impl Progress {
    /// It waits no longer.
    pub(super) fn runs(&self) {
        self.counts.waiting.store(false, Ordering::Relaxed);
    }

    /// A batch is in place.
    pub(super) fn loaded(&self, stored: u64, skipped: u64, bytes: u64) {
        let entries = stored + skipped;
        self.counts.entries.fetch_add(entries, Ordering::Relaxed);
        self.counts.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.loads.metrics.stored.increment(stored);
        self.loads.metrics.skipped.increment(skipped);
        self.loads.metrics.bytes.increment(bytes);
    }

    /// Others are gone.
    pub(super) fn removed(&self, count: u64) {
        self.loads.metrics.removed.increment(count);
    }

    /// It is over. One that is dropped before has failed.
    pub(super) fn ends(&mut self, how: End) {
        self.ended = Some(how);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let metrics = &self.loads.metrics;
        let mut running = self.loads.running.lock();
        running.remove(&self.number);
        metrics.running.set(running.len() as f64);
        match self.ended {
            Some(End::Complete) => metrics.complete.increment(1),
            Some(End::Unneeded) => metrics.unneeded.increment(1),
            None => metrics.failed.increment(1),
        }
    }
}

impl Counts {
    fn figures(&self) -> Figures {
        Figures {
            cache: self.cache.clone(),
            snapshot: self.snapshot,
            entries: self.entries.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            since: self.since,
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }
}

impl Metrics {
    fn register() -> Self {
        describe_gauge!(
            "vedetta_loads_running",
            "Bulk loads that run in this process, or wait for another one"
        );
        describe_counter!(
            "vedetta_loads_total",
            "Bulk loads that are over, by result; unneeded: the snapshot was loaded already"
        );
        describe_counter!(
            "vedetta_load_entries_total",
            "Entries of bulk loads, by what became of them; removed: they were not in the load"
        );
        describe_counter!(
            "vedetta_load_bytes_total",
            metrics::Unit::Bytes,
            "Keys and values of bulk loads"
        );
        let loads = |result: &'static str| counter!("vedetta_loads_total", "result" => result);
        let entries =
            |result: &'static str| counter!("vedetta_load_entries_total", "result" => result);
        Self {
            running: gauge!("vedetta_loads_running"),
            complete: loads("complete"),
            unneeded: loads("unneeded"),
            failed: loads("failed"),
            stored: entries("stored"),
            skipped: entries("skipped"),
            removed: entries("removed"),
            bytes: counter!("vedetta_load_bytes_total"),
        }
    }
}
