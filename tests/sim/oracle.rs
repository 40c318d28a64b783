//! What was executed, acknowledged and seen; and the promises that it must keep.
//!
//! A history of writes is a *lineage*: a promotion or a restart begins a new one. A read belongs to the lineage of the
//! session that it was answered from. It must reflect every change acknowledged before its limit on its own lineage or
//! on a later one. A change of an older lineage may have been lost by Redis, which is not the near cache's to repair.

use std::fmt;
use std::time::Duration;

use crate::model::Moment;

use super::node::is_member;

/// More than any run makes.
const HISTORIES_PER_EPOCH: u64 = 10_000;

/// What a change does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Put(String),
    Remove(String),
    /// Expired or evicted: nobody acknowledges it.
    Drop(String),
    /// Of the cache, by its stamp.
    Clear,
    /// Of the group, by its stamp.
    FlushGroup,
    Flush,
}

impl Change {
    fn concerns(&self, key: &str) -> bool {
        match self {
            Self::Put(of) | Self::Remove(of) | Self::Drop(of) => {
                of.strip_prefix("c::") == Some(key)
            }
            Self::FlushGroup => is_member(key),
            Self::Clear | Self::Flush => true,
        }
    }

    fn is_put(&self) -> bool {
        matches!(self, Self::Put(_))
    }
}

#[derive(Debug)]
struct Record {
    change: Change,
    lineage: u64,
    expires: Option<Moment>,
    acknowledged: Option<Moment>,
}

/// What somebody was told.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) key: &'a str,
    /// The number of the write; `None`: absent.
    pub(super) value: Option<u64>,
    pub(super) lineage: u64,
    pub(super) now: Moment,
    /// Everything acknowledged before that must be reflected.
    pub(super) limit: Moment,
    pub(super) by: &'static str,
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Figures {
    pub(super) near: u64,
    pub(super) master: u64,
    pub(super) app: u64,
    pub(super) stale: u64,
    pub(super) rejected: u64,
    pub(super) changes: u64,
    pub(super) sessions: u64,
    pub(super) renewals: u64,
    pub(super) faults: u64,
    pub(super) discontinuities: u64,
    pub(super) dropped: u64,
    pub(super) worst: Duration,
}

impl Figures {
    pub(super) fn add(&mut self, other: &Self) {
        self.near += other.near;
        self.master += other.master;
        self.app += other.app;
        self.stale += other.stale;
        self.rejected += other.rejected;
        self.changes += other.changes;
        self.sessions += other.sessions;
        self.renewals += other.renewals;
        self.faults += other.faults;
        self.discontinuities += other.discontinuities;
        self.dropped += other.dropped;
        self.worst = self.worst.max(other.worst);
    }

    /// A run in which nothing happens proves nothing.
    pub(super) fn assert_eventful(&self) {
        for (what, count) in [
            ("FRESH hits", self.near),
            ("reads of the master", self.master),
            ("hits of the applications", self.app),
            ("stale answers", self.stale),
            ("overtaken fills", self.rejected),
            ("discontinuities", self.discontinuities),
            ("subscribers that were too slow", self.dropped),
            ("sessions that took over", self.renewals),
        ] {
            assert!(count > 100, "only {count} {what}");
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} changes, {} faults, {} sessions, {} of which took over; FRESH: {} from L1, {} from the master, {} from L0; \
             {} stale; {} overtaken fills, {} discontinuities, {} slow subscribers; the oldest FRESH value had been replaced for \
             {:?}",
            self.changes,
            self.faults,
            self.sessions,
            self.renewals,
            self.near,
            self.master,
            self.app,
            self.stale,
            self.rejected,
            self.discontinuities,
            self.dropped,
            self.worst
        )
    }
}

pub(super) struct Oracle {
    records: Vec<Record>,
    lineages: u64,
    violation: Option<String>,
    pub(super) figures: Figures,
}

impl Oracle {
    pub(super) fn new() -> Self {
        Self {
            records: Vec::new(),
            lineages: 0,
            violation: None,
            figures: Figures::default(),
        }
    }

    /// A new history. Those of a later epoch come later, whenever they began: a node that is being replaced may
    /// restart after its successor was promoted.
    pub(super) fn next_lineage(&mut self, epoch: u64) -> u64 {
        self.lineages += 1;
        epoch * HISTORIES_PER_EPOCH + self.lineages
    }

    /// The number of the next change.
    pub(super) fn next_number(&self) -> u64 {
        self.records.len() as u64
    }

    /// Judges what one sidecar told after it had acknowledged a write of its own.
    pub(super) fn read_your_write(
        &mut self,
        key: &str,
        value: Option<u64>,
        lineage: u64,
        own: u64,
    ) {
        if self.record(own).lineage != lineage {
            return;
        }
        let reflected = match value {
            Some(value) => value >= own || self.record(value).lineage != lineage,
            None => {
                let later = self.records[own as usize..].iter();
                let gone = |record: &Record| {
                    record.lineage == lineage
                        && record.change.concerns(key)
                        && (!record.change.is_put() || record.expires.is_some())
                };
                later.into_iter().any(gone)
            }
        };
        if !reflected {
            self.broken(format!(
                "{key} is {value:?} after the own write {own} was acknowledged"
            ));
        }
    }

    /// A change was executed; its number orders it within its lineage.
    pub(super) fn executed(
        &mut self,
        change: Change,
        lineage: u64,
        expires: Option<Moment>,
    ) -> u64 {
        self.figures.changes += 1;
        self.records.push(Record {
            change,
            lineage,
            expires,
            acknowledged: None,
        });
        self.records.len() as u64 - 1
    }

    pub(super) fn acknowledged(&mut self, id: u64, now: Moment) {
        self.record_mut(id).acknowledged = Some(now);
    }

    pub(super) fn is_broken(&self) -> bool {
        self.violation.is_some()
    }

    pub(super) fn verdict(&mut self) -> Result<(), String> {
        self.violation.take().map_or(Ok(()), Err)
    }

    pub(super) fn broken(&mut self, violation: String) {
        self.violation.get_or_insert(violation);
    }

    /// Judges what was told as FRESH.
    pub(super) fn judge(&mut self, seen: &Seen<'_>) {
        // What the master said was alive when it said it.
        if let Some(id) = seen.value
            && seen.by != "the master"
            && self.record(id).expires.is_some_and(|at| at < seen.now)
        {
            self.broken(format!("{seen:?} was served after it had expired"));
        }
        let ours = |record: &Record| record.lineage == seen.lineage;
        let since = seen.value.filter(|id| ours(self.record(*id)));
        for (number, record) in self.records.iter().enumerate().rev() {
            if !record.change.concerns(seen.key) || record.lineage < seen.lineage {
                continue;
            }
            if ours(record) && since.is_some_and(|id| number as u64 <= id) {
                break;
            }
            let missed = record.acknowledged.is_some_and(|at| at < seen.limit);
            // Whoever saw nothing may have seen it before the last put, or after any removal or expiry.
            let ended = record.expires.is_some_and(|at| at <= seen.now);
            let explained = seen.value.is_none() && (!record.change.is_put() || ended);
            if explained && ours(record) {
                break;
            }
            if missed && !explained {
                let since = record.acknowledged.map(|at| seen.limit.since(at));
                self.broken(format!(
                    "{seen:?} misses {number} {record:?}, acknowledged {since:?} before the limit"
                ));
                return;
            }
            if let Some(at) = record.acknowledged
                && seen.value.is_some()
            {
                self.figures.worst = self.figures.worst.max(seen.now.since(at));
            }
        }
    }

    fn record(&self, id: u64) -> &Record {
        &self.records[id as usize]
    }

    fn record_mut(&mut self, id: u64) -> &mut Record {
        &mut self.records[id as usize]
    }
}
