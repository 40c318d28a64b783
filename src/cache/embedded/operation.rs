//! Calls of the embedded store that bear an operation id.
//!
//! Invariants: an operation that is remembered is not done again; the memory of operations is bounded in time and
//! number.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;

use crate::failover::REMEMBERED;
use crate::model::{CacheId, Key};

/// Most operations remembered; the oldest are forgotten first.
const OPERATIONS: usize = 100_000;

/// One operation on one entry.
pub(super) type Named = (CacheId, Key, Bytes);

/// What was answered to calls that may be repeated.
#[derive(Debug)]
pub(super) struct Operations<T> {
    answers: HashMap<Named, T>,
    order: VecDeque<(Instant, Named)>,
}

impl<T> Default for Operations<T> {
    fn default() -> Self {
        Self {
            answers: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<T: Clone> Operations<T> {
    pub(super) fn answer(&mut self, named: &Named, now: Instant) -> Option<T> {
        while let Some((at, oldest)) = self.order.front()
            && (now.duration_since(*at) >= REMEMBERED || self.order.len() > OPERATIONS)
        {
            self.answers.remove(oldest);
            self.order.pop_front();
        }
        self.answers.get(named).cloned()
    }

    pub(super) fn remember(&mut self, named: Named, answer: T, now: Instant) {
        self.answers.insert(named.clone(), answer);
        self.order.push_back((now, named));
    }
}
