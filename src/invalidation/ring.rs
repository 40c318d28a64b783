//! What happened, numbered: the newest records, in order, as many as fit.
//!
//! Invariants: sequences rise by one from 1 on and never return in one process; a reader that asks for what comes
//! after a point gets all of it or is told of a gap.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::model::GroupName;

use super::event::{Event, Position};

/// What the keys of all records together may weigh, in bytes.
const BYTES: usize = 16 << 20;

/// What a record weighs beyond its keys.
const OVERHEAD: usize = 128;

/// One record.
#[derive(Debug)]
pub struct Recorded {
    /// Where in the stream.
    pub position: Position,
    /// What happened.
    pub event: Event,
}

/// The records.
#[derive(Debug)]
pub(super) struct Ring {
    records: VecDeque<Arc<Recorded>>,
    capacity: usize,
    weight: usize,
    head: u64,
}

/// Records that a reader asked for are not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap;

impl Ring {
    /// For that many records.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            records: VecDeque::new(),
            capacity: capacity.max(1),
            weight: 0,
            head: 0,
        }
    }

    /// The sequence of the newest record; 0 before the first.
    pub(super) fn head(&self) -> u64 {
        self.head
    }

    pub(super) fn append(&mut self, generation: u64, event: Event) {
        self.head += 1;
        self.weight += weight(&event);
        self.records.push_back(Arc::new(Recorded {
            position: Position {
                generation,
                sequence: self.head,
            },
            event,
        }));
        while self.records.len() > self.capacity || self.weight > BYTES {
            let Some(oldest) = self.records.pop_front() else {
                break;
            };
            self.weight -= weight(&oldest.event);
        }
    }

    /// The records after `sequence`, at most so many.
    pub(super) fn after(&self, sequence: u64, most: usize) -> Result<Vec<Arc<Recorded>>, Gap> {
        let tail = self.head - self.records.len() as u64;
        let skip = sequence.checked_sub(tail).ok_or(Gap)?;
        // More than are kept in memory cannot be skipped.
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        Ok(self.records.iter().skip(skip).take(most).cloned().collect())
    }

    /// The records after `sequence`, or, if some are missing, all that there are: what a mutant would hand out.
    pub(super) fn after_ignoring_gaps(&self, sequence: u64, most: usize) -> Vec<Arc<Recorded>> {
        let tail = self.head - self.records.len() as u64;
        self.after(sequence.max(tail), most).unwrap_or_default()
    }
}

fn weight(event: &Event) -> usize {
    OVERHEAD
        + match event {
            Event::Invalidated { keys, .. } => {
                keys.iter().map(|key| key.as_bytes().len() + OVERHEAD).sum()
            }
            Event::GroupsFlushed { groups, .. } => {
                let bytes = |group: &GroupName| group.as_str().len() + OVERHEAD;
                groups.iter().map(bytes).sum()
            }
            Event::DataLoss { caches, .. } => caches.len() * OVERHEAD,
            Event::Cleared(_)
            | Event::Discontinuity(_)
            | Event::FailoverStarted
            | Event::FailoverFinished { .. } => 0,
        }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::model::{CacheId, CacheName, Key, Tenant};

    use super::*;

    fn sequences(found: Result<Vec<Arc<Recorded>>, Gap>) -> Result<Vec<u64>, Gap> {
        let number = |record: &Arc<Recorded>| record.position.sequence;
        found.map(|records| records.iter().map(number).collect())
    }

    #[test]
    fn a_reader_gets_all_or_hears_of_a_gap() {
        let mut ring = Ring::new(3);
        assert_eq!(sequences(ring.after(0, 10)), Ok(vec![]));
        for _ in 0..5 {
            ring.append(1, Event::FailoverStarted);
        }
        assert_eq!(sequences(ring.after(1, 10)), Err(Gap));
        assert_eq!(sequences(ring.after(2, 10)), Ok(vec![3, 4, 5]));
        assert_eq!(sequences(ring.after(2, 2)), Ok(vec![3, 4]));
        assert_eq!(sequences(ring.after(5, 10)), Ok(vec![]));
        assert_eq!(sequences(ring.after(u64::MAX, 10)), Ok(vec![]));
        assert_eq!(
            sequences(Ok(ring.after_ignoring_gaps(0, 10))),
            Ok(vec![3, 4, 5])
        );
    }

    #[test]
    fn large_keys_do_not_make_it_grow() {
        let mut ring = Ring::new(usize::MAX);
        let cache = CacheId {
            tenant: Tenant::primary(),
            name: CacheName::new("c").expect("cache"),
        };
        let key = Key::new(Bytes::from(vec![b'k'; BYTES / 4])).expect("key");
        for _ in 0..10 {
            let (cache, keys) = (cache.clone(), vec![key.clone()]);
            ring.append(1, Event::Invalidated { cache, keys });
        }
        assert!(ring.weight <= BYTES);
        assert_eq!(sequences(ring.after(7, 10)), Ok(vec![8, 9, 10]));
    }
}
