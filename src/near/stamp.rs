//! The stamps of caches, as far as this vedetta has read them.
//!
//! A clear replaces the stamp of a cache, and with it makes every entry dead that bears another one, in one step of
//! one key. Here that key is tracked like any other: its push makes the stamp *unknown*, and an entry counts only
//! while the stamp of its cache is known and is the one that the entry was read under.
//!
//! Invariants: a stamp is known only from a read after which no push for it has arrived.
//!
//! Not here: what a stamp means for entries in Redis (`cache::frame`); stamps of groups, which come with groups.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use crate::model::CacheId;

/// Caches whose stamps are remembered. Entries of a further one are not kept.
const MOST_CACHES: usize = 10_000;

/// What the key of a stamp holds: the stamp, and whether entries without one are visible. `None` where there is none.
pub type Mark = Option<[u8; 17]>;

/// The stamp of one cache.
#[derive(Debug)]
pub struct Slot {
    cache: CacheId,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Raised by every push, so that a read that was overtaken by one can be told.
    pushes: u64,
    known: Option<(u64, Mark)>,
}

impl Slot {
    /// Whose stamp it is.
    pub fn cache(&self) -> &CacheId {
        &self.cache
    }

    /// How many pushes it has had, to be compared after a read.
    pub(super) fn pushes(&self) -> u64 {
        self.state.lock().pushes
    }

    /// A read of that generation, begun after so many pushes, found `mark`.
    pub(super) fn learn(&self, generation: u64, mark: Mark, pushes: u64) {
        let mut state = self.state.lock();
        let newer = state.known.is_some_and(|(known, _)| known > generation);
        if state.pushes == pushes && !newer {
            state.known = Some((generation, mark));
        }
    }

    /// Whether the stamp is known in this generation, and is this one.
    pub(super) fn is(&self, generation: u64, mark: Mark) -> bool {
        self.state.lock().known == Some((generation, mark))
    }

    /// Whether the stamp was this one when it was last known, and no push has come since.
    pub(super) fn was(&self, mark: Mark) -> bool {
        matches!(self.state.lock().known, Some((_, known)) if known == mark)
    }

    /// The stamp as last known, if no push has come since.
    pub fn last_known(&self) -> Option<Mark> {
        self.state.lock().known.map(|(_, mark)| mark)
    }

    /// A push for it arrived.
    pub(super) fn forget(&self) {
        let mut state = self.state.lock();
        state.pushes += 1;
        state.known = None;
    }
}

/// All of them, by the Redis key of the stamp.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    slots: RwLock<HashMap<Bytes, Arc<Slot>>>,
    /// Whether there was one cache too many.
    refused: AtomicBool,
}

impl Stamps {
    /// The slot of a cache; `None` when there are too many.
    pub(super) fn slot(&self, key: &Bytes, cache: &CacheId) -> Option<Arc<Slot>> {
        if let Some(slot) = self.slots.read().get(key) {
            return Some(slot.clone());
        }
        let mut slots = self.slots.write();
        if slots.len() >= MOST_CACHES && !slots.contains_key(key) {
            self.refused.store(true, Ordering::Release);
            return None;
        }
        let slot = slots.entry(key.clone()).or_insert_with(|| {
            Arc::new(Slot {
                cache: cache.clone(),
                state: Mutex::default(),
            })
        });
        Some(slot.clone())
    }

    /// The slot at that Redis key, if it is one.
    pub(super) fn find(&self, key: &[u8]) -> Option<Arc<Slot>> {
        self.slots.read().get(key).cloned()
    }

    /// Whether there are stamps that are not remembered.
    pub(super) fn refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }

    /// Everything may have changed.
    pub(super) fn forget_all(&self) {
        for slot in self.slots.read().values() {
            slot.forget();
        }
    }

    /// Every slot.
    pub(super) fn all(&self) -> Vec<Arc<Slot>> {
        self.slots.read().values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{CacheName, Tenant};

    use super::*;

    fn slot() -> Arc<Slot> {
        let cache = CacheId {
            tenant: Tenant::primary(),
            name: CacheName::new("c").expect("cache"),
        };
        let stamps = Stamps::default();
        stamps
            .slot(&Bytes::from_static(b"s"), &cache)
            .expect("a slot")
    }

    #[test]
    fn a_read_that_a_push_overtook_teaches_nothing() {
        let slot = slot();
        let mark = Some([7; 17]);
        let before = slot.pushes();
        slot.forget();
        slot.learn(1, mark, before);
        assert!(!slot.is(1, mark) && !slot.was(mark));
        slot.learn(1, mark, slot.pushes());
        assert!(slot.is(1, mark) && slot.was(mark));
        assert!(!slot.is(2, mark) && !slot.is(1, None));
        slot.forget();
        assert!(!slot.was(mark));
    }
}
