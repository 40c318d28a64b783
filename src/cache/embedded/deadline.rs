//! Deadlines of the embedded store.
//!
//! Invariants: one per key, whether or not there is an entry; bounded in number; one that has passed is told for a
//! while and then forgotten, and binds nobody.

use std::collections::HashMap;
use std::time::SystemTime;

use crate::model::{CacheId, Cause, Expiry, Fault, Key, TtlLookup};

use super::super::remote::PASSED_FOR;
use super::state::{Now, State};

/// Most deadlines kept.
const DEADLINES: usize = 100_000;

/// What was set.
#[derive(Debug, Default)]
pub(super) struct Deadlines(HashMap<(CacheId, Key), SystemTime>);

impl Deadlines {
    /// What is known about a key that has no live entry.
    pub(super) fn about(&self, cache: &CacheId, key: &Key, now: Now) -> TtlLookup {
        match self.0.get(&(cache.clone(), key.clone())) {
            Some(at) if *at > now.wall => TtlLookup::Waiting(*at),
            Some(at) if !is_forgotten(*at, now) => TtlLookup::Passed(*at),
            _ => TtlLookup::Miss,
        }
    }

    pub(super) fn clear(&mut self, cache: &CacheId) {
        self.0.retain(|(of, _), _| of != cache);
    }
}

fn is_forgotten(at: SystemTime, now: Now) -> bool {
    now.wall
        .duration_since(at)
        .is_ok_and(|since| since >= PASSED_FOR)
}

impl State {
    /// Tells whether there was a live entry.
    pub(super) fn set_deadline(
        &mut self,
        cache: &CacheId,
        key: &Key,
        deadline: SystemTime,
        now: Now,
    ) -> Result<bool, Fault> {
        let named = (cache.clone(), key.clone().into_owned());
        let Deadlines(kept) = &mut self.deadlines;
        if kept.len() >= DEADLINES && !kept.contains_key(&named) {
            kept.retain(|_, at| !is_forgotten(*at, now));
        }
        if kept.len() >= DEADLINES && !kept.contains_key(&named) {
            return Err(Fault::not_applied(
                Cause::StoreFull,
                format!("the embedded store keeps at most {DEADLINES} deadlines"),
            ));
        }
        kept.insert(named, deadline);
        Ok(self.expire(cache, key, Expiry::At(deadline), 0, now))
    }

    /// The expiry that a write gives: a deadline that has not passed takes the place of the default, and every other
    /// expiry that of the deadline.
    pub(super) fn due(&mut self, cache: &CacheId, key: &Key, expiry: Expiry, now: Now) -> Expiry {
        let named = (cache.clone(), key.clone());
        let Deadlines(kept) = &mut self.deadlines;
        let Some(at) = kept.get(&named).copied() else {
            return expiry;
        };
        if matches!(expiry, Expiry::CacheDefault | Expiry::Keep) && at > now.wall {
            return Expiry::At(at);
        }
        kept.remove(&named);
        expiry
    }
}
