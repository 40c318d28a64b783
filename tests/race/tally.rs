//! What a race counts.
//!
//! Not here: what the figures must be (`program`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// One figure.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// One more.
    pub(crate) fn up(&self) {
        self.add(1);
    }

    /// So many more.
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Calls that failed, by what they said.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<BTreeMap<String, u64>>);

impl Failures {
    /// One more.
    pub(crate) fn up(&self, words: &str) {
        *self.0.lock().entry(words.to_owned()).or_default() += 1;
    }

    /// How many.
    pub(crate) fn get(&self) -> u64 {
        self.0.lock().values().sum()
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (words, count) in self.0.lock().iter() {
            write!(f, "\n    failed {count} times: {words}")?;
        }
        Ok(())
    }
}

/// All figures of one race.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Times that the writers were stopped and the copies compared.
    pub(crate) rounds: Count,
    /// Reads of the server while a write of the same key was in flight.
    pub(crate) pairs: Count,
    pub(crate) reads: Count,
    pub(crate) failed_reads: Failures,
    /// Reads during the race that a copy answered.
    pub(crate) hits: Count,
    pub(crate) writes: Count,
    pub(crate) failed_writes: Failures,
    pub(crate) foreign_writes: Count,
    /// Reads after an acknowledged write of the same task, and those that did not see it.
    pub(crate) own_reads: Count,
    pub(crate) own_violations: Count,
    /// Copies judged by what had been acknowledged before their proof, and those that were older.
    pub(crate) judged: Count,
    pub(crate) older: Count,
    /// After the writers stopped: answers compared with the server, ...
    pub(crate) compared: Count,
    /// ... those that were entries, ...
    pub(crate) present: Count,
    /// ... those that came from a copy, ...
    pub(crate) kept: Count,
    /// ... differences that were gone at the second look, ...
    pub(crate) moved: Count,
    /// ... those that were not, ...
    pub(crate) stuck: Count,
    /// ... and copies that outlive the entry on the server.
    pub(crate) outliving: Count,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} racing pairs in {} rounds; reads {} ({} from copies, {} failed), writes {} ({} failed) and {} foreign; \
             read-your-writes {}/{} violated; staleness {}/{} violated; compared {}: {} entries, {} from copies, \
             {} moved, {} outliving, STUCK {}{}{}",
            self.pairs.get(),
            self.rounds.get(),
            self.reads.get(),
            self.hits.get(),
            self.failed_reads.get(),
            self.writes.get(),
            self.failed_writes.get(),
            self.foreign_writes.get(),
            self.own_violations.get(),
            self.own_reads.get(),
            self.older.get(),
            self.judged.get(),
            self.compared.get(),
            self.present.get(),
            self.kept.get(),
            self.moved.get(),
            self.outliving.get(),
            self.stuck.get(),
            self.failed_reads,
            self.failed_writes,
        )
    }
}
