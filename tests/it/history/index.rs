//! A history in the order in which `check` asks for it: a question costs the logarithm of the writes of a key.
//!
//! Invariants: a *witness* is a write that was acknowledged by the node that reigned, or a value that was seen in it;
//! what the reigning node did in one reign, it did in the order of the numbers.
//!
//! Not here: which witness convicts (`check`).

use std::collections::BTreeSet;

use super::record::{History, Moment, Outcome, Reign, Write};

/// At some moment between the two, the master held this or something later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Witness {
    pub(crate) number: u64,
    pub(crate) evict: bool,
    pub(crate) sent: Moment,
    pub(crate) returned: Moment,
}

impl Witness {
    fn of(write: &Write) -> Self {
        Self {
            number: write.number,
            evict: write.evict,
            sent: write.sent,
            returned: write.returned,
        }
    }
}

/// One key.
#[derive(Debug, Default)]
struct OfKey<'a> {
    /// By number, from 1 without gaps.
    writes: Vec<&'a Write>,
    acknowledged: Vec<Witness>,
    witnesses: Vec<Witness>,
    /// By pod.
    own: Vec<Vec<Witness>>,
    /// What was seen in the reigning master; not by number, because an unknown write may be applied late.
    seen: Vec<Witness>,
}

/// The index.
#[derive(Debug)]
pub(crate) struct Index<'a> {
    keys: Vec<OfKey<'a>>,
    reigns: &'a [Reign],
    /// When each loss began, in order, and the latest end of all up to it.
    losses: Vec<(Moment, Moment)>,
}

impl<'a> Index<'a> {
    pub(crate) fn new(history: &'a History) -> Self {
        let mut latest = Moment::ZERO;
        let losses = history.losses.iter().map(|loss| {
            latest = latest.max(loss.until);
            (loss.from, latest)
        });
        let mut index = Self {
            losses: losses.collect(),
            keys: Vec::new(),
            reigns: &history.reigns,
        };
        assert!(index.losses.is_sorted(), "losses are in order");
        for write in &history.writes {
            index.add(write, history.bounds.len());
        }
        for seen in &history.seen {
            let witness = Witness {
                number: seen.number,
                evict: false,
                sent: seen.sent,
                returned: seen.returned,
            };
            if index.reigned(seen.node, witness) {
                index.of_key(seen.key).seen.push(witness);
            }
        }
        for key in &mut index.keys {
            key.seen.sort_by_key(|witness| witness.sent);
        }
        index
    }

    fn add(&mut self, write: &'a Write, pods: usize) {
        let witness = Witness::of(write);
        let certain = write.node.is_some_and(|node| self.reigned(node, witness));
        let key = self.of_key(write.key);
        key.writes.push(write);
        assert_eq!(key.writes.len() as u64, write.number, "without gaps");
        key.own.resize(pods, Vec::new());
        if write.outcome != Outcome::Acknowledged {
            return;
        }
        key.acknowledged.push(witness);
        if certain {
            key.witnesses.push(witness);
            key.own[write.pod].push(witness);
        }
    }

    fn of_key(&mut self, key: usize) -> &mut OfKey<'a> {
        while self.keys.len() <= key {
            self.keys.push(OfKey::default());
        }
        &mut self.keys[key]
    }

    /// Whether the node reigned all the time.
    fn reigned(&self, node: usize, witness: Witness) -> bool {
        let next = self
            .reigns
            .partition_point(|reign| reign.from <= witness.sent);
        let reign = next.checked_sub(1).and_then(|last| self.reigns.get(last));
        reign.is_some_and(|reign| reign.node == node && witness.returned <= reign.until)
    }

    /// A write by its number.
    pub(crate) fn write(&self, key: usize, number: u64) -> Option<&Write> {
        let at = usize::try_from(number).ok()?.checked_sub(1)?;
        self.keys.get(key)?.writes.get(at).copied()
    }

    /// All evicts of a key.
    pub(crate) fn evicts(&self, key: usize) -> impl Iterator<Item = &Write> {
        let writes = self.keys.get(key).into_iter().flat_map(|key| &key.writes);
        writes.copied().filter(|write| write.evict)
    }

    /// When the last loss was over that may have begun by then.
    pub(crate) fn last_loss(&self, by: Moment) -> Moment {
        let next = self.losses.partition_point(|(from, _)| *from <= by);
        next.checked_sub(1)
            .map_or(Moment::ZERO, |last| self.losses[last].1)
    }

    /// Of what was sent after `since`, the first witness of something later than `number`.
    pub(crate) fn first_after(&self, key: usize, number: u64, since: Moment) -> Option<Witness> {
        let key = self.keys.get(key)?;
        let write = first(&key.witnesses, number, since);
        let from = key.seen.partition_point(|seen| seen.sent <= since);
        let seen = key.seen[from..].iter().find(|seen| seen.number > number);
        let both = write.into_iter().chain(seen.copied());
        both.min_by_key(|witness| witness.returned)
    }

    /// As [`Self::first_after`], of the writes through one pod.
    pub(crate) fn first_own_after(
        &self,
        key: usize,
        pod: usize,
        number: u64,
        since: Moment,
    ) -> Option<Witness> {
        first(self.keys.get(key)?.own.get(pod)?, number, since)
    }

    /// The first acknowledged write later than `number`, lost or not.
    pub(crate) fn first_acknowledged_after(&self, key: usize, number: u64) -> Option<Witness> {
        first(&self.keys.get(key)?.acknowledged, number, Moment::ZERO)
    }

    /// The last witness among the writes that were acknowledged before that.
    pub(crate) fn last_before(&self, key: usize, moment: Moment) -> Option<Witness> {
        let witnesses = &self.keys.get(key)?.witnesses;
        let next = witnesses.partition_point(|witness| witness.returned < moment);
        next.checked_sub(1).map(|last| witnesses[last])
    }

    /// How many acknowledged writes were followed by the sight of an older value in the reigning master.
    pub(crate) fn lost_writes(&self, history: &History) -> usize {
        let mut lost = BTreeSet::new();
        for (number, key) in self.keys.iter().enumerate() {
            for seen in &key.seen {
                let write = self.write(number, seen.number);
                // One that was applied late tells nothing about its successors.
                if write.is_none_or(|write| write.outcome == Outcome::Unknown) {
                    continue;
                }
                let begin = key
                    .acknowledged
                    .partition_point(|w| w.number <= seen.number);
                let end = key.acknowledged.partition_point(|w| w.returned < seen.sent);
                let gone = key.acknowledged.get(begin..end).unwrap_or_default();
                lost.extend(gone.iter().map(|witness| (number, witness.number)));
            }
        }
        debug_assert!(lost.len() <= history.writes.len());
        lost.len()
    }
}

/// The first of them that is later than `number` and was sent after `since`; both grow along the list.
fn first(witnesses: &[Witness], number: u64, since: Moment) -> Option<Witness> {
    let at = witnesses.partition_point(|witness| witness.number <= number || witness.sent <= since);
    witnesses.get(at).copied()
}
