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
pub(super) struct Deadlines(HashMap<(CacheId, Key), Deadline>);

#[derive(Debug, Clone, Copy)]
struct Deadline {
    at: SystemTime,
    /// When it is forgotten.
    until: SystemTime,
}

impl Deadlines {
    /// What is known about a key that has no live entry.
    pub(super) fn about(&self, cache: &CacheId, key: &Key, now: Now) -> TtlLookup {
        match self.0.get(&(cache.clone(), key.clone())) {
            Some(deadline) if deadline.at > now.wall => TtlLookup::Waiting(deadline.at),
            Some(deadline) if deadline.until > now.wall => TtlLookup::Passed(deadline.at),
            _ => TtlLookup::Miss,
        }
    }

    pub(super) fn clear(&mut self, cache: &CacheId) {
        self.0.retain(|(of, _), _| of != cache);
    }
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
            kept.retain(|_, deadline| deadline.until > now.wall);
        }
        if kept.len() >= DEADLINES && !kept.contains_key(&named) {
            return Err(Fault::not_applied(
                Cause::StoreFull,
                format!("the embedded store keeps at most {DEADLINES} deadlines"),
            ));
        }
        let until = deadline.max(now.wall) + PASSED_FOR;
        kept.insert(
            named,
            Deadline {
                at: deadline,
                until,
            },
        );
        let applied = self.expire(cache, key, Expiry::At(deadline), 0, now);
        if applied {
            self.loads.note(cache, key);
        }
        Ok(applied)
    }

    /// The expiry that a write gives: a deadline that has not passed takes the place of the default, and every other
    /// expiry that of the deadline.
    pub(super) fn due(&mut self, cache: &CacheId, key: &Key, expiry: Expiry, now: Now) -> Expiry {
        let named = (cache.clone(), key.clone());
        let Deadlines(kept) = &mut self.deadlines;
        let Some(Deadline { at, .. }) = kept.get(&named).copied() else {
            return expiry;
        };
        if matches!(expiry, Expiry::CacheDefault | Expiry::Keep) && at > now.wall {
            return Expiry::At(at);
        }
        kept.remove(&named);
        expiry
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use crate::config::CacheRules;
    use crate::model::{CacheName, Tenant};

    use super::*;

    #[test]
    fn a_deadline_waits_passes_and_is_forgotten() {
        let mut state = State::new(100_000, CacheRules::new(Vec::new()));
        let cache = CacheId {
            tenant: Tenant::primary(),
            name: CacheName::new("c").expect("cache"),
        };
        let key = Key::new(bytes::Bytes::from_static(b"k")).expect("key");
        let start = Now {
            clock: Instant::now(),
            wall: SystemTime::now(),
        };
        let after = |by| Now {
            clock: start.clock + by,
            wall: start.wall + by,
        };
        let at = start.wall + Duration::from_secs(5);
        assert_eq!(state.ttl(&cache, &key, start), TtlLookup::Miss);
        assert_eq!(state.set_deadline(&cache, &key, at, start), Ok(false));
        let tick = Duration::from_nanos(1);
        for (by, expected) in [
            (Duration::from_secs(5) - tick, TtlLookup::Waiting(at)),
            (Duration::from_secs(5), TtlLookup::Passed(at)),
            (
                Duration::from_secs(5) + PASSED_FOR - tick,
                TtlLookup::Passed(at),
            ),
            (Duration::from_secs(5) + PASSED_FOR, TtlLookup::Miss),
        ] {
            assert_eq!(state.ttl(&cache, &key, after(by)), expected, "{by:?}");
        }
    }
}
