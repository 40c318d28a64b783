//! Counters of the embedded store.
//!
//! Invariants: an operation that is remembered is not done again; the memory of operations is bounded in time and
//! number.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::model::{CacheId, Condition, Expiry, Fault, Key, Value};

use super::super::remote::not_a_number;
use super::super::store::{Increment, Put};
use super::state::{Now, State};

/// How long an operation is remembered, as in Redis.
const REMEMBERED: Duration = Duration::from_secs(120);

/// Most operations remembered; the oldest are forgotten first.
const OPERATIONS: usize = 100_000;

/// One operation on one counter.
type Named = (CacheId, Key, Bytes);

/// What was answered to calls that may be repeated.
#[derive(Debug, Default)]
pub(super) struct Operations {
    answers: HashMap<Named, i64>,
    order: VecDeque<(Instant, Named)>,
}

impl Operations {
    fn answer(&mut self, named: &Named, now: Instant) -> Option<i64> {
        while let Some((at, oldest)) = self.order.front()
            && (now.duration_since(*at) >= REMEMBERED || self.order.len() > OPERATIONS)
        {
            self.answers.remove(oldest);
            self.order.pop_front();
        }
        self.answers.get(named).copied()
    }

    fn remember(&mut self, named: Named, answer: i64, now: Instant) {
        self.answers.insert(named.clone(), answer);
        self.order.push_back((now, named));
    }
}

impl State {
    /// Adds to a counter, once per operation; tells the value, and whether it was changed just now.
    pub(super) fn increment(
        &mut self,
        cache: &CacheId,
        increment: Increment,
        random: u64,
        now: Now,
    ) -> Result<(i64, bool), Fault> {
        let id = Bytes::copy_from_slice(&increment.operation_id);
        let named = (cache.clone(), increment.key.clone().into_owned(), id);
        let once = !increment.operation_id.is_empty();
        if once && let Some(answer) = self.operations.answer(&named, now.clock) {
            return Ok((answer, false));
        }
        let current = match self.value(cache, &increment.key, now) {
            None => None,
            Some(Value::Null) => return Err(not_a_number()),
            Some(Value::Data(text)) => Some(parse(&text).ok_or_else(not_a_number)?),
        };
        let base = match (current, increment.floor) {
            (Some(current), Some(floor)) => current.max(floor),
            (Some(number), None) | (None, Some(number)) => number,
            (None, None) => 0,
        };
        let sum = base.checked_add(increment.delta).ok_or_else(not_a_number)?;
        // A counter stays in its groups.
        let groups = self.groups(cache, &increment.key, now);
        let put = Put {
            key: increment.key,
            value: Value::Data(sum.to_string().into()),
            expiry: match current {
                Some(_) => Expiry::Keep,
                None => increment.initial_expiry,
            },
            condition: Condition::None,
            groups,
        };
        self.put(cache, put, random, now)?;
        if once {
            self.operations.remember(named, sum, now.clock);
        }
        Ok((sum, true))
    }
}

/// A number as Redis writes it; anything else is none.
fn parse(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}
