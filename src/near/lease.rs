//! The two leases of a generation: what is proven about the link, and what about the master.
//!
//! Invariants: a proof never claims a time that its evidence does not cover; evidence of one generation proves nothing
//! about another.
//!
//! Not here: sending heartbeats (`upstream`) and polls (`sentinel`).

use std::collections::VecDeque;

use crate::model::{Lineage, Moment};

use super::mutant::{Mutant, breaks};

/// Ended generations whose entries may still be served as STALE. Entries of older ones are absent.
const PAST: usize = 16;

/// A heartbeat: ROLE, answered by a master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// When it was sent.
    pub sent: Moment,
    /// The replication offset that it was answered with.
    pub offset: u64,
}

/// Since when a majority is known to stand behind a master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Majority {
    /// There are no Sentinels: the link lease stands alone.
    Alone,
    /// A majority named this master when polled at that time.
    Named(Moment),
}

impl Majority {
    fn base(self) -> Moment {
        match self {
            Self::Alone => Moment::END,
            Self::Named(at) => at,
        }
    }
}

/// What holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The current generation, or the last one.
    pub generation: u64,
    /// Whether its session lives.
    pub live: bool,
    /// The history that it reads from.
    pub lineage: Option<Lineage>,
    /// Every write acknowledged before that *on this node* has been applied here.
    pub link: Option<Moment>,
    /// Every write acknowledged before that has been applied here.
    pub base: Option<Moment>,
    /// Until when nothing is served FRESH from here, because other vedettas are still undoing lost writes.
    pub quarantine: Moment,
}

/// The leases.
#[derive(Debug)]
pub struct Lease {
    generation: u64,
    live: bool,
    lineage: Option<Lineage>,
    last: Option<Beat>,
    proven: Option<Beat>,
    majority: Majority,
    quarantine: Moment,
    past: VecDeque<Past>,
    pub(super) broken: Option<Mutant>,
}

#[derive(Debug)]
struct Past {
    generation: u64,
    link: Moment,
    majority: Moment,
}

impl Lease {
    /// No session yet.
    pub fn new() -> Self {
        Self {
            generation: 0,
            live: false,
            lineage: None,
            last: None,
            proven: None,
            majority: Majority::Named(Moment::START),
            quarantine: Moment::START,
            past: VecDeque::new(),
            broken: None,
        }
    }

    /// A session begins; whatever was proven for the one before it stays with that one.
    pub fn publish(
        &mut self,
        generation: u64,
        lineage: Lineage,
        majority: Majority,
        quarantine: Moment,
    ) {
        self.end(self.generation);
        self.generation = generation;
        self.live = true;
        self.lineage = Some(lineage);
        self.last = None;
        self.proven = None;
        self.majority = majority;
        self.quarantine = self.quarantine.max(quarantine);
    }

    /// The session has ended; false if it was not the current one, or had ended before.
    pub fn end(&mut self, generation: u64) -> bool {
        if !self.live || generation != self.generation {
            return false;
        }
        self.live = false;
        self.past.push_back(Past {
            generation,
            link: self.link(),
            majority: self.majority.base(),
        });
        if self.past.len() > PAST {
            self.past.pop_front();
        }
        true
    }

    /// A heartbeat was answered. It was sent after the one before it had been answered.
    ///
    /// Every write that was *acknowledged* before heartbeat n-1 was sent had been executed before it, and its push
    /// was put into our stream at the end of that turn of the event loop at the latest, hence before the answer to
    /// heartbeat n, which was sent later. That answer has now been read, so the push has been applied. Heartbeat n
    /// itself proves less: its answer may leave in the same turn as, and before, the push of a write acknowledged in
    /// that turn (coherence.md §1.4).
    pub fn beat(&mut self, generation: u64, beat: Beat, received: Moment) {
        if !self.live || generation != self.generation {
            return;
        }
        let previous = self.last.replace(beat);
        self.proven = if breaks(self.broken, Mutant::BaseIsReceiveTime) {
            Some(Beat {
                sent: received,
                offset: beat.offset,
            })
        } else if breaks(self.broken, Mutant::ThisHeartbeat) {
            Some(beat)
        } else {
            previous
        };
    }

    /// A majority named the master of this generation when polled at that time.
    pub fn named(&mut self, generation: u64, at: Moment) {
        if self.live
            && generation == self.generation
            && let Majority::Named(base) = &mut self.majority
        {
            *base = at.max(*base);
        }
    }

    /// The offset of the last answered heartbeat.
    pub fn last_offset(&self) -> Option<u64> {
        self.last.map(|beat| beat.offset)
    }

    /// Up to when an entry that was read by that generation, its read being sent at `filled`, is known to be current.
    ///
    /// The read itself is as good as a heartbeat: it reflects everything that its node had executed when it was sent.
    pub fn proof(&self, generation: u64, filled: Moment) -> Option<Moment> {
        let (link, majority) = if generation == self.generation && self.live {
            (self.link(), self.majority.base())
        } else {
            let past = self
                .past
                .iter()
                .find(|past| past.generation == generation)?;
            (past.link, past.majority)
        };
        Some(self.bounded(link.max(filled), majority))
    }

    /// Whether others may still be removing what the loss of their writes has brought back.
    pub fn is_quarantined(&self, now: Moment) -> bool {
        self.quarantine > now
    }

    /// The two proofs for an entry of the current generation, each by itself: about the link, and about the master.
    pub fn apart(&self, filled: Moment) -> (Moment, Moment) {
        (self.link().max(filled), self.majority.base())
    }

    /// Up to when what the master of that generation said is known to be the last word, its read being sent at
    /// `sent`, and up to when a majority was behind that master.
    pub fn read_proof(&self, generation: u64, sent: Moment) -> (Moment, Moment) {
        let majority = if generation == self.generation && self.live {
            self.majority.base()
        } else {
            let past = self.past.iter().find(|past| past.generation == generation);
            past.map_or(Moment::START, |past| past.majority)
        };
        (sent.min(majority), majority)
    }

    /// Whether every write up to that offset of the current lineage has been applied here. The offset must lie
    /// *before* the proven one: a master without replicas does not count, and its offset stands still.
    pub fn covers(&self, lineage: Lineage, offset: u64) -> bool {
        self.live
            && self.lineage == Some(lineage)
            && self.proven.is_some_and(|beat| beat.offset > offset)
    }

    /// What holds now.
    pub fn standing(&self) -> Standing {
        let proven = self.proven.filter(|_| self.live);
        Standing {
            generation: self.generation,
            live: self.live,
            lineage: self.lineage,
            link: proven.map(|beat| beat.sent),
            base: proven.map(|beat| self.bounded(beat.sent, self.majority.base())),
            quarantine: self.quarantine,
        }
    }

    fn link(&self) -> Moment {
        self.proven.map_or(Moment::START, |beat| beat.sent)
    }

    fn bounded(&self, link: Moment, majority: Moment) -> Moment {
        if breaks(self.broken, Mutant::NoMajority) {
            link
        } else {
            link.min(majority)
        }
    }
}

impl Default for Lease {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::after_boot(Duration::from_millis(ms))
    }

    fn beat(sent: u64) -> Beat {
        Beat {
            sent: at(sent),
            offset: sent,
        }
    }

    fn lineage(name: &str) -> Lineage {
        Lineage::new(1, name)
    }

    fn alone() -> Lease {
        let mut lease = Lease::new();
        lease.publish(1, lineage("a"), Majority::Alone, Moment::START);
        lease
    }

    #[test]
    fn a_heartbeat_proves_what_came_before_the_one_before_it() {
        let mut lease = alone();
        assert_eq!(lease.standing().base, None);
        lease.beat(1, beat(100), at(130));
        assert_eq!(lease.standing().base, None);
        lease.beat(1, beat(200), at(230));
        assert_eq!(lease.standing().base, Some(at(100)));
        // Of another generation: no evidence.
        lease.beat(2, beat(300), at(330));
        assert_eq!(lease.standing().base, Some(at(100)));
    }

    #[test]
    fn a_read_is_as_good_as_a_heartbeat_and_no_better_than_the_majority() {
        let mut lease = alone();
        assert_eq!(lease.proof(1, at(50)), Some(at(50)));
        lease.beat(1, beat(100), at(101));
        lease.beat(1, beat(200), at(201));
        assert_eq!(lease.proof(1, at(50)), Some(at(100)));
        lease.publish(2, lineage("b"), Majority::Named(at(250)), Moment::START);
        assert_eq!(lease.proof(2, at(300)), Some(at(250)));
        lease.named(2, at(290));
        lease.named(2, at(280));
        assert_eq!(lease.proof(2, at(300)), Some(at(290)));
        assert_eq!(lease.read_proof(2, at(270)), (at(270), at(290)));
        assert_eq!(lease.read_proof(2, at(300)), (at(290), at(290)));
        assert_eq!(lease.read_proof(9, at(270)), (Moment::START, Moment::START));
    }

    #[test]
    fn what_was_proven_stays_with_its_generation() {
        let mut lease = alone();
        lease.beat(1, beat(100), at(101));
        lease.beat(1, beat(200), at(201));
        assert!(lease.end(1));
        assert!(!lease.end(1));
        lease.beat(1, beat(300), at(301));
        assert_eq!(lease.standing().base, None);
        lease.publish(2, lineage("a"), Majority::Alone, Moment::START);
        assert_eq!(lease.proof(1, at(0)), Some(at(100)));
        assert_eq!(lease.proof(7, at(0)), None);
        for generation in 3..40 {
            lease.publish(generation, lineage("a"), Majority::Alone, Moment::START);
        }
        assert_eq!(lease.proof(1, at(0)), None);
    }

    #[test]
    fn an_offset_is_covered_once_a_proven_heartbeat_lies_behind_it() {
        let mut lease = alone();
        lease.beat(1, beat(100), at(101));
        assert!(!lease.covers(lineage("a"), 99));
        lease.beat(1, beat(200), at(201));
        assert!(lease.covers(lineage("a"), 99));
        assert!(!lease.covers(lineage("a"), 100));
        assert!(!lease.covers(lineage("b"), 1));
    }

    #[test]
    fn a_quarantine_is_never_shortened() {
        let mut lease = alone();
        lease.publish(2, lineage("b"), Majority::Alone, at(500));
        lease.publish(3, lineage("b"), Majority::Alone, Moment::START);
        assert_eq!(lease.standing().quarantine, at(500));
    }
}
