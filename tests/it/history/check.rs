//! Holds a run against the guarantees. Pure: the same history gives the same verdict.
//!
//! What is a violation:
//!
//! - **Stale** (G1). A read that was answered FRESH and sent at `s` shows the value of a write that was overwritten by
//!   a write acknowledged before `s - L`. The vedetta decided after `s` and acknowledged before the writer knew, so
//!   the comparison errs on its side only.
//! - **Own write lost** (G2). A read through one pod shows less than a write through the same pod that was acknowledged
//!   before the read was sent; whatever its freshness.
//! - **Vanished** (G1 of a miss, which carries no freshness). A read found nothing, although a put was acknowledged
//!   before `s - L` and no evict can explain it. Over-invalidation is no harm to a cache, and a journal that is
//!   replayed after a loss causes it, so it counts only when the last loss is longer ago than [`REPLAYED_WITHIN`].
//! - **Not applied, and seen** (G3). A value whose writer was told that it was not applied.
//! - **Phantom**. A value that nobody had written to that key.
//!
//! Redis itself loses acknowledged writes: with a failover, a restart without a disk, a FLUSHALL. Which ones it lost
//! cannot be known from outside, because the next write of the key hides the trace. So a write convicts a read only if
//! it cannot have been lost, and that is certain without knowing anything about replication:
//!
//! 1. it was acknowledged by the node that reigned (`reign`) from before it was sent until after it was acknowledged,
//!    by the pod's own word of which session it had before and after; a write by a master that was superseded, or by an
//!    unknown one, never convicts;
//! 2. nothing that loses writes (`reign`) happened, or may have happened, from before the write was sent until after
//!    the read was answered.
//!
//! A loss ends when the new master is named, not when the failover is over, so the rule leaves no gap where it matters:
//! a write on the new master convicts readers of the old one from its acknowledgement on, in the middle of the split. To convict also
//! readers of keys that nobody writes after a loss, the test looks into the reigning master itself now and then; what
//! it saw there convicts like a write that was acknowledged at that moment.
//!
//! FRESH reads that show less than an acknowledged write which may have been lost are counted (`rolled_back`, I1b of
//! the coherence guide), and so are the writes that were provably lost.
//!
//! A write whose outcome is unknown may be applied later than its successors: a paused node finds it in its sockets
//! when it wakes up. Its value is therefore no proof of age: writes that were sent less than [`GHOST_LIFE`] after it
//! do not convict a read that shows it. Everything that can hold it back (the longest fault, a deadline of a call, a
//! heartbeat) is over by then.
//!
//! Not here: who is told (`report`), and how the history came about.

use std::time::Duration;

use vedetta::proto::v1::{Freshness, Source};

use super::index::{Index, Witness};
use super::record::{Answer, History, Moment, Outcome, Read};

/// The longest fault is 5 s, a broken session ends 2 s later, and a call lives for half a second.
pub(crate) const GHOST_LIFE: Duration = Duration::from_secs(12);

/// The longest fault is 5 s, a pod may notice only when it is over, a broken session ends 2 s later, and then each pod
/// has 2 s to replay its journal.
pub(crate) const REPLAYED_WITHIN: Duration = Duration::from_secs(9);

/// What is wrong with a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Stale,
    OwnWriteLost,
    Vanished,
    NotAppliedAndSeen,
    Phantom,
}

/// A read that breaks a guarantee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) kind: Kind,
    pub(crate) read: Read,
    /// What it should have reflected.
    pub(crate) witness: Option<Witness>,
}

/// Reads of one freshness.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Class {
    pub(crate) reads: u64,
    /// Of them, from L1.
    pub(crate) near: u64,
    /// From the acknowledgement of the first write they do not reflect to their being sent.
    pub(crate) worst: Duration,
}

/// What a history shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdict {
    pub(crate) fresh: Class,
    pub(crate) stale: Class,
    pub(crate) unverified: Class,
    pub(crate) misses: u64,
    pub(crate) failed: u64,
    /// FRESH reads that could have been convicted: some write older than L would have shown them to be stale.
    pub(crate) tried: u64,
    /// FRESH reads behind a write that Redis may have lost, and how far.
    pub(crate) rolled_back: u64,
    pub(crate) rolled_back_by: Duration,
    /// Acknowledged writes that are provably gone.
    pub(crate) lost_writes: usize,
    pub(crate) violations: Vec<Violation>,
}

/// Holds the history against the guarantees.
pub(crate) fn check(history: &History) -> Verdict {
    let index = Index::new(history);
    let mut verdict = Verdict {
        lost_writes: index.lost_writes(history),
        ..Verdict::default()
    };
    for read in &history.reads {
        let bound = history.bounds[read.pod];
        match &read.answer {
            Answer::Failed(_) => verdict.failed += 1,
            Answer::Miss => {
                verdict.misses += 1;
                if let Some(witness) = vanished(&index, read, bound) {
                    verdict.convict(Kind::Vanished, read, Some(witness));
                }
            }
            Answer::Alien(_) => verdict.convict(Kind::Phantom, read, None),
            Answer::Value {
                number,
                source,
                freshness,
            } => verdict.value(&index, read, *number, (*source, *freshness), bound),
        }
    }
    verdict
}

impl Verdict {
    fn convict(&mut self, kind: Kind, read: &Read, witness: Option<Witness>) {
        self.violations.push(Violation {
            kind,
            read: read.clone(),
            witness,
        });
    }

    fn value(
        &mut self,
        index: &Index<'_>,
        read: &Read,
        number: u64,
        (source, freshness): (Source, Freshness),
        bound: Duration,
    ) {
        let write = index.write(read.key, number);
        let Some(write) = write.filter(|write| !write.evict && write.sent <= read.returned) else {
            return self.convict(Kind::Phantom, read, None);
        };
        if write.outcome == Outcome::NotApplied {
            return self.convict(Kind::NotAppliedAndSeen, read, None);
        }
        let ghost = match write.outcome {
            Outcome::Unknown => write.sent + GHOST_LIFE,
            Outcome::Acknowledged | Outcome::NotApplied => Moment::ZERO,
        };
        let since = index.last_loss(read.returned).max(ghost);
        let overwritten = index.first_after(read.key, number, since);
        let age = overwritten.map_or(Duration::ZERO, |witness| age(read, witness.returned));
        let class = match freshness {
            Freshness::Fresh => &mut self.fresh,
            Freshness::Unverified => &mut self.unverified,
            Freshness::Stale | Freshness::Unspecified => &mut self.stale,
        };
        class.reads += 1;
        class.near += u64::from(source == Source::L1);
        class.worst = class.worst.max(age);
        if freshness == Freshness::Fresh {
            let first = index.first_after(read.key, 0, since);
            self.tried += u64::from(first.is_some_and(|first| age_of(read, first) > bound));
            if age > bound {
                self.convict(Kind::Stale, read, overwritten);
            } else if let Some(write) = index.first_acknowledged_after(read.key, number)
                && age_of(read, write) > bound
                && write.sent > ghost
            {
                self.rolled_back += 1;
                self.rolled_back_by = self.rolled_back_by.max(age_of(read, write));
            }
        }
        let own = index.first_own_after(read.key, read.pod, number, since);
        if let Some(own) = own.filter(|own| own.returned < read.sent) {
            self.convict(Kind::OwnWriteLost, read, Some(own));
        }
    }
}

/// How long before the read was sent that had happened.
fn age(read: &Read, happened: Moment) -> Duration {
    read.sent.saturating_sub(happened)
}

fn age_of(read: &Read, witness: Witness) -> Duration {
    age(read, witness.returned)
}

/// The put that a miss should have found.
fn vanished(index: &Index<'_>, read: &Read, bound: Duration) -> Option<Witness> {
    let since = index.last_loss(read.returned);
    if since > Moment::ZERO && read.sent < since + REPLAYED_WITHIN {
        return None;
    }
    let put = index.last_before(read.key, read.sent.checked_sub(bound)?)?;
    let certain = put.sent > since && !put.evict;
    let evicted = index.evicts(read.key).any(|evict| {
        let later = evict.number > put.number && evict.sent <= read.returned;
        let ghost = evict.number < put.number
            && evict.outcome == Outcome::Unknown
            && evict.sent + GHOST_LIFE > put.sent;
        later || ghost
    });
    (certain && !evicted).then_some(put)
}
