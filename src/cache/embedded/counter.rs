//! Counters of the embedded store.
//!
//! Invariants: a counter that has had a floor and is gone does not begin anew without one.

use bytes::Bytes;

use crate::model::{CacheId, Cause, Condition, Expiry, Fault, Value};

use super::super::remote::{floor_required, not_a_number};
use super::super::store::{Increment, Put};
use super::state::{Now, State};

/// Most counters that have a floor.
const FLOORS: usize = 100_000;

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
        self.check_floor(cache, &increment, current.is_some())?;
        let base = match (current, increment.floor) {
            (Some(current), Some(floor)) => current.max(floor),
            (Some(number), None) | (None, Some(number)) => number,
            (None, None) => 0,
        };
        let sum = base.checked_add(increment.delta).ok_or_else(not_a_number)?;
        let floored = increment.floor.is_some();
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
            lease: None,
        };
        self.put(cache, put, random, now)?;
        if floored {
            self.floors.insert((cache.clone(), named.1.clone()));
        }
        if once {
            self.operations.remember(named, sum, now.clock);
        }
        Ok((sum, true))
    }

    /// Nothing is lost here but what is evicted, expired or cleared.
    fn check_floor(
        &self,
        cache: &CacheId,
        increment: &Increment,
        exists: bool,
    ) -> Result<(), Fault> {
        let known = self
            .floors
            .contains(&(cache.clone(), increment.key.clone()));
        match increment.floor {
            None if known && !exists => Err(floor_required()),
            Some(_) if !known && self.floors.len() >= FLOORS => Err(Fault::not_applied(
                Cause::StoreFull,
                format!("the embedded store keeps at most {FLOORS} counters with a floor"),
            )),
            _ => Ok(()),
        }
    }
}

/// A number as Redis writes it; anything else is none.
fn parse(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}
