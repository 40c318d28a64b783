//! What a clear has made absent, and giving its memory back.
//!
//! A clear is one step whatever the size of the cache: entries are numbered as they are stored, and those of a cache whose
//! number is below that of its last clear are absent. They leave in small steps, between which others have their turn.
//!
//! Not here: when (`embedded`).

use std::collections::HashMap;

use quick_cache::DefaultHashBuilder;

use crate::config::Encoding;
use crate::model::CacheId;

use super::entries::{Entry, Place};
use super::state::{Now, State};

/// Entries that leave in one step.
pub(super) const STEP: usize = 512;

/// Entries that are noted in one look at all of them.
const NOTED: usize = 64 * STEP;

/// Caches whose last clear is remembered. Beyond, all that is absent is removed at once, and nothing has to be.
const MOST: usize = 10_000;

/// Numbers for entries, and the last clears.
#[derive(Debug, Default)]
pub(super) struct Cleared {
    last: u64,
    below: HashMap<CacheId, u64, DefaultHashBuilder>,
}

impl Cleared {
    /// For an entry that is stored now.
    pub(super) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Whether no clear came after an entry of that number.
    fn spares(&self, cache: &CacheId, number: u64) -> bool {
        self.below.is_empty() || self.below.get(cache).is_none_or(|below| number > *below)
    }
}

impl State {
    pub(super) fn is_live(&self, cache: &CacheId, entry: &Entry, now: Now) -> bool {
        entry.expires.is_none_or(|at| now.clock < at) && self.cleared.spares(cache, entry.number)
    }

    /// Counts in raw caches only, as the other store does.
    pub(super) fn clear(&mut self, cache: &CacheId, now: Now) -> Option<u64> {
        self.deadlines.clear(cache);
        self.leases.clear(cache);
        self.loads.clear(cache);
        let entries = match self.rules.policy(&cache.name).encoding {
            Encoding::Framed => None,
            Encoding::Raw => Some(self.count(cache, now)),
        };
        self.forget(cache);
        entries
    }

    /// Entries of a cache; looks at those of all.
    pub(super) fn count(&self, cache: &CacheId, now: Now) -> u64 {
        let ours = self
            .entries
            .iter()
            .filter(|(place, entry)| place.cache == *cache && self.is_live(cache, entry, now));
        ours.count() as u64
    }

    /// From now on everything in that cache is absent.
    fn forget(&mut self, cache: &CacheId) {
        if self.cleared.below.len() >= MOST && !self.cleared.below.contains_key(cache) {
            let Self {
                entries, cleared, ..
            } = self;
            entries.retain(|place, entry| cleared.spares(&place.cache, entry.number));
            self.cleared.below.clear();
        }
        let last = self.cleared.last;
        self.cleared.below.insert(cache.clone(), last);
    }

    /// Entries that are absent, as many as are noted at a time, and whether there may be more.
    pub(super) fn absent(&self, now: Now) -> (Vec<Place>, bool) {
        let dead = self
            .entries
            .iter()
            .filter(|(place, entry)| !self.is_live(&place.cache, entry, now));
        let places: Vec<Place> = dead.map(|(place, _)| place.clone()).take(NOTED).collect();
        let more = places.len() == NOTED;
        (places, more)
    }

    /// Gives the memory of these back, as far as they are absent still.
    pub(super) fn remove_absent(&mut self, places: &[Place], now: Now) {
        for place in places {
            let entry = self.entries.peek(place);
            if entry.is_some_and(|entry| !self.is_live(&place.cache, entry, now)) {
                self.entries.remove(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Instant, SystemTime};

    use bytes::Bytes;

    use crate::config::CacheRules;
    use crate::model::{CacheName, Condition, Expiry, Groups, Key, Tenant, Value};

    use super::super::super::store::Put;
    use super::*;

    fn cache(name: String) -> CacheId {
        CacheId {
            tenant: Tenant::primary(),
            name: CacheName::new(&name).expect("legal"),
        }
    }

    fn put(state: &mut State, cache: &CacheId, key: usize, now: Now) {
        let put = Put {
            key: Key::new(Bytes::from(key.to_string())).expect("a key"),
            value: Value::Null,
            expiry: Expiry::Never,
            condition: Condition::None,
            groups: Groups::default(),
            lease: None,
        };
        state.put(cache, put, 0, now).expect("room");
    }

    fn state() -> (State, Now) {
        let now = Now {
            clock: Instant::now(),
            wall: SystemTime::now(),
        };
        (State::new(1 << 30, CacheRules::default()), now)
    }

    #[test]
    fn what_was_cleared_leaves_in_steps_and_nothing_else() {
        let (mut state, now) = state();
        let (cleared, other) = (cache("cleared".to_owned()), cache("other".to_owned()));
        for key in 0..3 * STEP {
            put(&mut state, &cleared, key, now);
            put(&mut state, &other, key, now);
        }
        state.clear(&cleared, now);
        put(&mut state, &cleared, 0, now);
        assert_eq!(state.count(&cleared, now), 1);
        let (absent, more) = state.absent(now);
        assert_eq!((absent.len(), more), (3 * STEP - 1, false));
        // One of them comes back before it is given back.
        put(&mut state, &cleared, 1, now);
        assert_eq!(state.count(&cleared, now), 2);
        for step in absent.chunks(STEP) {
            state.remove_absent(step, now);
        }
        assert_eq!(state.figures().entries, 3 * STEP as u64 + 2);
        assert_eq!(state.count(&other, now), 3 * STEP as u64);
        assert_eq!(state.count(&cleared, now), 2);
    }

    #[test]
    fn what_is_remembered_of_clears_is_bounded() {
        let (mut state, now) = state();
        let first = cache("first".to_owned());
        put(&mut state, &first, 1, now);
        state.clear(&first, now);
        for number in 0..MOST {
            state.clear(&cache(number.to_string()), now);
        }
        assert!(state.cleared.below.len() <= MOST);
        assert_eq!(state.count(&first, now), 0);
    }
}
