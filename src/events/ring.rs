//! The newest of what was read of one log, for all its subscribers.
//!
//! Invariants: sequences rise by one and never return while the channel is followed; a reader that asks for what comes
//! after a sequence gets all of it or is told that some is gone. Bounded by number and by bytes.
//!
//! Not here: whether anything is missing in the log itself (`chain`).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::model::HistoryId;

use super::chain::{Entry, Gap, Told};
use super::point::{EntryId, Point};

/// The most records that are kept for subscribers that lag.
const RECORDS: usize = 4096;

/// The most payload that these hold, in bytes.
const BYTES: usize = 8 << 20;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What was published.
    pub payload: Bytes,
    /// When, by the clock of Redis.
    pub published: SystemTime,
}

/// What a subscriber is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Message(Message),
    Gap(Gap),
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// To resume from behind it.
    pub(super) point: Point,
    pub(super) what: What,
}

/// The records that follow from what a page told, behind `point`.
pub(super) fn records(point: Point, history: HistoryId, told: Vec<Told>) -> Vec<Arc<Record>> {
    let mut at = point.at;
    let record = |told| {
        let what = match told {
            Told::Gap(gap) => What::Gap(gap),
            Told::Message(Entry { id, payload, .. }) => {
                at = Some(id);
                let published = UNIX_EPOCH + Duration::from_millis(id.ms);
                What::Message(Message { payload, published })
            }
        };
        let point = Point { history, at };
        Arc::new(Record { point, what })
    };
    told.into_iter().map(record).collect()
}

/// The records.
#[derive(Debug)]
pub(super) struct Ring {
    records: VecDeque<Arc<Record>>,
    /// Before the oldest record.
    base: Point,
    /// The sequence of the newest record.
    head: u64,
    weight: usize,
}

impl Ring {
    /// Nothing was read but that this is where the log ends.
    pub(super) fn new(base: Point) -> Self {
        Self {
            records: VecDeque::new(),
            base,
            head: 0,
            weight: 0,
        }
    }

    /// The sequence of the newest record, and the point behind it.
    pub(super) fn head(&self) -> (u64, Point) {
        let newest = self.records.back();
        (self.head, newest.map_or(self.base, |record| record.point))
    }

    pub(super) fn append(&mut self, record: Arc<Record>) {
        self.head += 1;
        self.weight += weight(&record);
        self.records.push_back(record);
        while self.records.len() > RECORDS || self.weight > BYTES {
            let Some(oldest) = self.records.pop_front() else {
                break;
            };
            self.weight -= weight(&oldest);
            self.base = oldest.point;
        }
    }

    /// The records after a sequence, at most so many; `None` if some of them are gone.
    pub(super) fn after(&self, sequence: u64, most: usize) -> Option<Vec<Arc<Record>>> {
        let skip = sequence.checked_sub(self.tail())?;
        // More than are kept in memory cannot be skipped.
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        Some(self.records.iter().skip(skip).take(most).cloned().collect())
    }

    /// The sequence behind which that very point is.
    pub(super) fn find(&self, point: &Point) -> Option<u64> {
        let newest_first = (self.tail() + 1..=self.head).rev();
        let mut records = newest_first.zip(self.records.iter().rev());
        match records.find(|(_, record)| record.point == *point) {
            Some((sequence, _)) => Some(sequence),
            None => (self.base == *point).then(|| self.tail()),
        }
    }

    /// The messages that were read here, in order.
    pub(super) fn told(&self) -> Vec<EntryId> {
        let points = self.records.iter().map(|record| record.point);
        let base = std::iter::once(self.base);
        base.chain(points).filter_map(|point| point.at).collect()
    }

    fn tail(&self) -> u64 {
        self.head - self.records.len() as u64
    }
}

fn weight(record: &Record) -> usize {
    match &record.what {
        What::Message(message) => message.payload.len(),
        What::Gap(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::point::Mark;
    use super::*;

    fn point(number: u64) -> Point {
        let mark = Mark(number.to_be_bytes());
        let at = EntryId {
            ms: number,
            number: 0,
            mark,
        };
        Point {
            history: HistoryId::new("a"),
            at: Some(at),
        }
    }

    fn ring(messages: u64, bytes: usize) -> Ring {
        let mut ring = Ring::new(point(0));
        for number in 1..=messages {
            let message = Message {
                payload: vec![0; bytes].into(),
                published: UNIX_EPOCH,
            };
            ring.append(Arc::new(Record {
                point: point(number),
                what: What::Message(message),
            }));
        }
        ring
    }

    #[test]
    fn a_reader_gets_all_or_hears_that_some_are_gone() {
        let full = RECORDS as u64;
        let ring = ring(full + 2, 1);
        assert_eq!(ring.after(1, 1), None);
        let oldest = ring.after(2, 1).expect("kept");
        assert_eq!(oldest[0].point, point(3));
        assert_eq!(ring.after(full + 2, 9), Some(vec![]));
        assert_eq!(ring.head(), (full + 2, point(full + 2)));
    }

    #[test]
    fn large_messages_do_not_make_it_grow() {
        let ring = ring(20, BYTES / 4);
        assert!(ring.weight <= BYTES);
        assert_eq!(ring.after(15, 9), None);
        assert_eq!(ring.after(16, 9).map(|records| records.len()), Some(4));
    }

    #[test]
    fn a_point_is_found_where_it_was_read() {
        let ring = ring(3, 1);
        assert_eq!(ring.find(&point(0)), Some(0));
        assert_eq!(ring.find(&point(2)), Some(2));
        assert_eq!(ring.find(&point(4)), None);
        let elsewhere = Point {
            history: HistoryId::new("b"),
            ..point(2)
        };
        assert_eq!(ring.find(&elsewhere), None);
        let told: Vec<Option<EntryId>> = ring.told().into_iter().map(Some).collect();
        assert_eq!(told, [0, 1, 2, 3].map(|number| point(number).at));
    }
}
