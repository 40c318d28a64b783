//! What is measured.

use crate::client::{Entries, KEY};
use crate::subject::{Kept, Memory, Store, Subject};

/// Sizes and numbers of entries that are all kept.
const FILLS: [(usize, usize); 3] = [(100, 1_000_000), (1024, 100_000), (16 * 1024, 10_000)];
/// Room for all of them, in MiB.
const ROOM: u64 = 1024;

/// The capacity at which entries come and go, in MiB: the one without a setting.
pub(crate) const CAPACITY: u64 = 64;
/// The sizes that they have in turn, another one each time.
const MIXED: [usize; 5] = [100, 300, 1024, 4096, 16 * 1024];
/// So many entries, which is twice what fits, are overwritten so often.
const MIXED_ENTRIES: usize = 30_000;
const ROUNDS: usize = 4;

/// A vedetta that nobody has asked anything but whether it serves.
pub(crate) struct Idle {
    pub(crate) store: Store,
    pub(crate) memory: Memory,
}

/// A vedetta that keeps so many entries of one size.
pub(crate) struct Held {
    pub(crate) store: Store,
    pub(crate) size: usize,
    pub(crate) entries: usize,
    pub(crate) memory: Memory,
    pub(crate) kept: Kept,
    /// Bytes that each entry of the second half has taken.
    pub(crate) each: f64,
}

impl Held {
    /// Bytes of each entry beyond its key and value: what was taken.
    pub(crate) fn overhead(&self) -> f64 {
        self.each - (self.size + KEY) as f64
    }

    /// And what counts against the capacity.
    pub(crate) fn weighed(&self) -> f64 {
        self.kept.weight as f64 / self.kept.entries as f64 - (self.size + KEY) as f64
    }

    /// All resident memory for each byte of values.
    pub(crate) fn of_payload(&self) -> f64 {
        self.memory.resident as f64 * 1024.0 / (self.size * self.entries) as f64
    }
}

/// A vedetta that is full, after everything was overwritten so often.
pub(crate) struct Churned {
    pub(crate) store: Store,
    pub(crate) round: usize,
    /// Before the first entry.
    pub(crate) idle: Memory,
    pub(crate) memory: Memory,
    /// The most that was seen in this round.
    pub(crate) most: u64,
    pub(crate) kept: Kept,
}

impl Churned {
    /// What is weighed, as a part of the capacity.
    pub(crate) fn weighed(&self) -> f64 {
        self.kept.weight as f64 / (CAPACITY << 20) as f64
    }

    /// What is resident beyond the idle process, as a part of the capacity.
    pub(crate) fn taken(&self) -> f64 {
        self.memory.resident.saturating_sub(self.idle.resident) as f64 / (CAPACITY << 10) as f64
    }
}

pub(crate) fn idle() -> Result<Vec<Idle>, String> {
    let of = |store| {
        let subject = Subject::start(store, None)?;
        let memory = subject.at_rest()?;
        Ok(Idle { store, memory })
    };
    [Store::Embedded, Store::Near, Store::Sentinels]
        .into_iter()
        .map(of)
        .collect()
}

pub(crate) fn held() -> Result<Vec<Held>, String> {
    let mut all = Vec::new();
    for store in [Store::Embedded, Store::Near] {
        for (size, entries) in FILLS {
            eprintln!("memory: {}, {entries} entries of {size} B", store.text());
            all.push(hold(store, size, entries)?);
        }
    }
    Ok(all)
}

fn hold(store: Store, size: usize, entries: usize) -> Result<Held, String> {
    let mut subject = Subject::start(store, Some(ROOM))?;
    let size_of = |_| size;
    let some = |from, to| Entries {
        from,
        to,
        size: &size_of,
    };
    subject.fill(some(0, entries / 2))?;
    let half = subject.at_rest()?;
    subject.fill(some(entries / 2, entries))?;
    let memory = subject.at_rest()?;
    let kept = subject.kept()?;
    if kept.entries != entries as u64 {
        return Err(format!("it keeps {} of {entries} entries", kept.entries));
    }
    let taken = memory.resident.saturating_sub(half.resident) as f64 * 1024.0;
    Ok(Held {
        store,
        size,
        entries,
        memory,
        kept,
        each: taken / (entries - entries / 2) as f64,
    })
}

pub(crate) fn churned() -> Result<Vec<Churned>, String> {
    let mut all = Vec::new();
    for store in [Store::Embedded, Store::Near] {
        let mut subject = Subject::start(store, Some(CAPACITY))?;
        let idle = subject.at_rest()?;
        for round in 1..=ROUNDS {
            eprintln!(
                "memory: {}, everything written {round} of {ROUNDS} times",
                store.text()
            );
            let size = |number| MIXED[(number + round) % MIXED.len()];
            let most = subject.fill(Entries {
                from: 0,
                to: MIXED_ENTRIES,
                size: &size,
            })?;
            all.push(Churned {
                store,
                round,
                idle,
                memory: subject.at_rest()?,
                most,
                kept: subject.kept()?,
            });
        }
    }
    Ok(all)
}
