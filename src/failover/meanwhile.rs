//! What became of calls, counted for the report of a failover.
//!
//! Invariants: counters only grow; a report shows differences.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::{Applied, Fault, Moment};

/// Counted by the calls.
#[derive(Debug, Default)]
pub struct Meanwhile {
    waited: AtomicU64,
    failed: AtomicU64,
    unknown: AtomicU64,
    repeated: AtomicU64,
    /// The generation of the latest session that a write was acknowledged on, and when that was first.
    wrote: parking_lot::Mutex<(u64, Moment)>,
    wrote_generation: AtomicU64,
}

/// What had been counted at one moment, or between two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Calls {
    /// Waited for a master, or for the fence to open.
    pub waited: u64,
    /// Failed for want of a master, not applied.
    pub failed: u64,
    /// Nobody knows whether they were applied.
    pub unknown: u64,
    /// Attempts that were made again.
    pub repeated: u64,
}

impl Calls {
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            waited: self.waited.saturating_sub(before.waited),
            failed: self.failed.saturating_sub(before.failed),
            unknown: self.unknown.saturating_sub(before.unknown),
            repeated: self.repeated.saturating_sub(before.repeated),
        }
    }
}

impl Meanwhile {
    pub(super) fn waits(&self) {
        self.waited.fetch_add(1, Ordering::Relaxed);
    }

    /// An attempt is made again.
    pub fn repeats(&self) {
        self.repeated.fetch_add(1, Ordering::Relaxed);
    }

    /// A call has failed for want of a master.
    pub fn failed(&self, fault: &Fault) {
        match fault.applied {
            Applied::No => self.failed.fetch_add(1, Ordering::Relaxed),
            Applied::Unknown | Applied::Yes => self.unknown.fetch_add(1, Ordering::Relaxed),
        };
    }

    /// A write was acknowledged on the session of that generation.
    pub fn wrote(&self, generation: u64, now: impl FnOnce() -> Moment) {
        // All but the first of a generation end here.
        if self.wrote_generation.load(Ordering::Relaxed) >= generation {
            return;
        }
        let mut wrote = self.wrote.lock();
        if wrote.0 < generation {
            *wrote = (generation, now());
            self.wrote_generation.store(generation, Ordering::Relaxed);
        }
    }

    pub(super) fn calls(&self) -> Calls {
        Calls {
            waited: self.waited.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            unknown: self.unknown.load(Ordering::Relaxed),
            repeated: self.repeated.load(Ordering::Relaxed),
        }
    }

    /// When the first write of that generation was acknowledged.
    pub(super) fn first_write(&self, generation: u64) -> Option<Moment> {
        let wrote = *self.wrote.lock();
        (wrote.0 == generation).then_some(wrote.1)
    }
}
