//! The stamps of caches and of groups, as far as this vedetta has read them.
//!
//! A clear replaces the stamp of a cache, a flush that of a group, and with it makes every entry dead that bears another
//! one, in one step of one key. Here that key is tracked like any other: its push makes the stamp *unknown*, and an entry
//! counts only while the stamps of its cache and its groups are known and are those that the entry was read under.
//!
//! Invariants: a stamp is known only from a read after which no push for it has arrived. A push for the stamp of a group
//! is counted at its cache too, for those who do not know yet in which groups an entry is.
//!
//! Not here: what a stamp means for entries in Redis (`cache::frame`).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use crate::model::{CacheId, GroupName};

/// Caches whose stamps are remembered. Entries of a further one are not kept.
const MOST_CACHES: usize = 10_000;

/// Groups whose stamps are remembered. Entries of a further one are not kept.
const MOST_GROUPS: usize = 65_536;

/// What counts of what the key of a stamp holds: the stamp, and in that of a cache whether entries without one are
/// visible. `None` where there is none.
pub type Mark = Option<[u8; 17]>;

/// The mark of a group with that stamp.
pub fn group_mark(stamp: [u8; 16]) -> Mark {
    let mut mark = [b'g'; 17];
    mark[..16].copy_from_slice(&stamp);
    Some(mark)
}

/// The stamps of the groups of an entry: each must stay what it is for as long as the entry counts.
pub type Members = Vec<(Arc<Slot>, Mark)>;

/// Whose stamp changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stamped {
    /// A cache was cleared.
    Cache(CacheId),
    /// A group was flushed.
    Group(CacheId, GroupName),
}

/// The stamp of one cache or group.
#[derive(Debug)]
pub struct Slot {
    cache: CacheId,
    /// Which group, and the slot of its cache; `None`: the cache itself.
    group: Option<(GroupName, Arc<Self>)>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Raised by every push, so that a read that was overtaken by one can be told.
    pushes: u64,
    /// Raised by every push for a group of the cache.
    flushes: u64,
    known: Option<(u64, Mark)>,
}

/// How much had been pushed for a cache and its groups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pushes {
    /// For its own stamp.
    pub(super) clears: u64,
    /// For those of its groups.
    pub(super) flushes: u64,
}

impl Slot {
    fn new(cache: &CacheId, group: Option<(GroupName, Arc<Self>)>) -> Arc<Self> {
        Arc::new(Self {
            cache: cache.clone(),
            group,
            state: Mutex::default(),
        })
    }

    /// Whose stamp it is.
    pub fn cache(&self) -> &CacheId {
        &self.cache
    }

    /// Whether it is that of a group.
    pub fn is_group(&self) -> bool {
        self.group.is_some()
    }

    fn stamped(&self) -> Stamped {
        match &self.group {
            None => Stamped::Cache(self.cache.clone()),
            Some((group, _)) => Stamped::Group(self.cache.clone(), group.clone()),
        }
    }

    /// How many pushes it has had, to be compared after a read.
    pub fn pushes(&self) -> u64 {
        self.state.lock().pushes
    }

    /// The same for a cache and its groups, to be compared before a read is joined.
    pub(super) fn all_pushes(&self) -> Pushes {
        let state = self.state.lock();
        Pushes {
            clears: state.pushes,
            flushes: state.flushes,
        }
    }

    /// A read of that generation, begun after so many pushes, found `mark`.
    pub fn learn(&self, generation: u64, mark: Mark, pushes: u64) {
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

    /// The stamp, if it is known in that generation.
    pub fn known_in(&self, generation: u64) -> Option<Mark> {
        let known = self.state.lock().known;
        known
            .filter(|(known, _)| *known == generation)
            .map(|(_, mark)| mark)
    }

    /// The stamp as last known, if no push has come since.
    pub fn last_known(&self) -> Option<Mark> {
        self.state.lock().known.map(|(_, mark)| mark)
    }

    /// A push for it arrived.
    pub(super) fn forget(&self) {
        {
            let mut state = self.state.lock();
            state.pushes += 1;
            state.known = None;
        }
        if let Some((_, cache)) = &self.group {
            cache.flushed();
        }
    }

    /// A push for one of its groups arrived, or may be about to.
    pub(super) fn flushed(&self) {
        self.state.lock().flushes += 1;
    }
}

/// All of them, by the Redis key of the stamp.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    slots: RwLock<Slots>,
    /// Whether there was one cache or group too many.
    refused: AtomicBool,
}

#[derive(Debug, Default)]
struct Slots {
    by_key: HashMap<Bytes, Arc<Slot>>,
    groups: usize,
}

impl Stamps {
    /// The slot of a cache; `None` when there are too many.
    pub(super) fn slot(&self, key: &Bytes, cache: &CacheId) -> Option<Arc<Slot>> {
        self.find(key).or_else(|| {
            let mut slots = self.slots.write();
            let full = slots.by_key.len() - slots.groups >= MOST_CACHES;
            self.enter(&mut slots, key, full, || Slot::new(cache, None))
        })
    }

    /// The slot of a group of a cache; `None` when there are too many.
    pub(super) fn group(
        &self,
        key: &Bytes,
        cache: &Arc<Slot>,
        group: &GroupName,
    ) -> Option<Arc<Slot>> {
        self.find(key).or_else(|| {
            let mut slots = self.slots.write();
            let full = slots.groups >= MOST_GROUPS;
            let of = Some((group.clone(), cache.clone()));
            self.enter(&mut slots, key, full, || Slot::new(cache.cache(), of))
        })
    }

    fn enter(
        &self,
        slots: &mut Slots,
        key: &Bytes,
        full: bool,
        make: impl FnOnce() -> Arc<Slot>,
    ) -> Option<Arc<Slot>> {
        if let Some(slot) = slots.by_key.get(key) {
            return Some(slot.clone());
        }
        if full {
            self.refused.store(true, Ordering::Release);
            return None;
        }
        let slot = make();
        slots.groups += usize::from(slot.is_group());
        // What came in a message would keep all of it in memory.
        slots
            .by_key
            .insert(Bytes::copy_from_slice(key), slot.clone());
        Some(slot)
    }

    /// The slot at that Redis key, if it is one.
    pub(super) fn find(&self, key: &[u8]) -> Option<Arc<Slot>> {
        self.slots.read().by_key.get(key).cloned()
    }

    /// A push for the stamp at that key arrived; tells whose it is, if it is one.
    pub(super) fn pushed(&self, key: &[u8], heard: impl FnOnce(&Slot) -> bool) -> Option<Stamped> {
        let slot = self.find(key)?;
        if heard(&slot) {
            slot.forget();
        }
        Some(slot.stamped())
    }

    /// Whether there are stamps that are not remembered.
    pub(super) fn refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }

    /// Everything may have changed.
    pub(super) fn forget_all(&self) {
        for slot in self.slots.read().by_key.values() {
            slot.forget();
        }
    }

    /// Every slot.
    pub(super) fn all(&self) -> Vec<Arc<Slot>> {
        self.slots.read().by_key.values().cloned().collect()
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
    fn the_flush_of_a_group_is_counted_at_its_cache_and_forgets_no_other_stamp() {
        let (cache, stamps) = (slot(), Stamps::default());
        let name = |name| GroupName::new(name).expect("group");
        let of = |key: &'static str| {
            let key = Bytes::from_static(key.as_bytes());
            stamps.group(&key, &cache, &name("g")).expect("a slot")
        };
        let (one, other) = (of("1"), of("2"));
        for slot in [&cache, &one, &other] {
            slot.learn(1, group_mark([7; 16]), slot.pushes());
        }
        let before = cache.all_pushes();
        let told = stamps.pushed(b"1", |_| true);
        let expected = Stamped::Group(cache.cache().clone(), name("g"));
        assert_eq!(told, Some(expected));
        assert_eq!(one.known_in(1), None);
        assert_eq!(other.known_in(1), Some(group_mark([7; 16])));
        assert!(cache.is(1, group_mark([7; 16])));
        assert_ne!(cache.all_pushes(), before);
        assert_eq!(stamps.pushed(b"3", |_| true), None);
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
