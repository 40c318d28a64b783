//! A part of the near cache: entries and fill tokens by Redis key.
//!
//! Invariants: a token is registered before its read is sent, and at most one lives per key; whatever changes a key
//! takes both its entry and its token. So a read that was overtaken by a push finds its token gone, and one that was
//! not is followed by the push on the wire, which then finds the entry. Never `retain` on entries alone: it would
//! leave the token of a read that is on its way.
//!
//! Not here: whether an entry may be served (`store`).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use quick_cache::unsync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter};

use crate::model::{CacheId, Moment, allocated};

use super::entry::{Entry, Removal};
use super::stamp::Pushes;

/// The place of an entry in a part: key, owner, times and stamps, the links to its neighbours (16), and its part of the
/// index (8).
const SLOT: u64 = (size_of::<Bytes>() + size_of::<Entry>()) as u64 + 16 + 8;

/// What an entry weighs beyond key and value: its slot, and for both the count of those who share it (24).
const OVERHEAD: u64 = SLOT + 2 * 24;

/// What a value came with, version included, and is kept with: the header of a frame.
const FRAME: usize = 41;

/// Keys that were evicted lately, by which one that comes back is known, take at most this part of the capacity: a slot
/// each, which is not weighed.
const REMEMBERED_PART: u64 = 32;

/// What each of its groups weighs.
const GROUP: u64 = 32;

/// Entries that left, by reason.
#[derive(Debug, Default)]
pub(super) struct Removals([AtomicU64; 5]);

impl Removals {
    pub(super) fn count(&self, removal: Removal) {
        self.0[removal as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn get(&self, removal: Removal) -> u64 {
        self.0[removal as usize].load(Ordering::Relaxed)
    }
}

#[derive(Debug, Clone)]
struct ByWeight;

impl Weighter<Bytes, Entry> for ByWeight {
    fn weight(&self, key: &Bytes, entry: &Entry) -> u64 {
        weight(key, entry)
    }
}

pub(super) fn weight(key: &Bytes, entry: &Entry) -> u64 {
    OVERHEAD
        + GROUP * entry.members.len() as u64
        + allocated(key.len())
        + allocated(FRAME + entry.found.len())
}

#[derive(Debug, Clone)]
struct Counting(Arc<Removals>);

impl Lifecycle<Bytes, Entry> for Counting {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: Bytes, _: Entry) {
        self.0.count(Removal::Capacity);
    }
}

/// A read on its way.
#[derive(Debug)]
pub(super) struct Flight<F> {
    pub(super) number: u64,
    pub(super) generation: u64,
    pub(super) owner: CacheId,
    pub(super) began: Moment,
    /// How many pushes the stamps of its cache and of the groups there had had by then.
    pub(super) pushes: Pushes,
    pub(super) handle: F,
}

/// Entries and tokens.
#[derive(Debug)]
pub(super) struct Shard<F> {
    entries: Cache<Bytes, Entry, ByWeight, DefaultHashBuilder, Counting>,
    pub(super) flights: HashMap<Bytes, Flight<F>>,
    removals: Arc<Removals>,
    capacity: u64,
}

impl<F> Shard<F> {
    pub(super) fn new(capacity: u64, removals: Arc<Removals>) -> Self {
        // Half as many keys are remembered as entries are expected; nothing else follows from that number.
        let expected = 2 * (capacity / REMEMBERED_PART / SLOT);
        Self {
            entries: Cache::with(
                usize::try_from(expected).unwrap_or(usize::MAX),
                capacity,
                ByWeight,
                DefaultHashBuilder::default(),
                Counting(removals.clone()),
            ),
            flights: HashMap::new(),
            removals,
            capacity,
        }
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// Whether there is room for an entry of that weight without emptying half of the shard.
    pub(super) fn fits(&self, weight: u64) -> bool {
        weight <= self.capacity / 2
    }

    pub(super) fn insert(&mut self, key: Bytes, entry: Entry) {
        self.entries.insert(key, entry);
    }

    /// Removes the entry, and kills the token of a read that is on its way.
    pub(super) fn kill(&mut self, key: &[u8], why: Removal) {
        self.flights.remove(key);
        self.remove(key, why);
    }

    /// Removes the entry alone, because of its age.
    pub(super) fn remove(&mut self, key: &[u8], why: Removal) {
        if self.entries.remove(key).is_some() {
            self.removals.count(why);
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(super) fn weight(&self) -> u64 {
        self.entries.weight()
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::Found;
    use super::*;
    use crate::model::{CacheName, Tenant};

    const CAPACITY: u64 = 100_000;

    #[test]
    fn slots_are_weighed_but_for_a_part_that_remembers_evicted_keys() {
        let mut shard: Shard<()> = Shard::new(CAPACITY, Arc::default());
        let owner = CacheId {
            tenant: Tenant::primary(),
            name: CacheName::new("c").expect("cache"),
        };
        for number in 0..10_000 {
            let entry = Entry {
                owner: owner.clone(),
                found: Found::Absent,
                generation: 1,
                number,
                filled: Moment::START,
                expires: None,
                stamp: None,
                members: Vec::new(),
            };
            shard.insert(Bytes::from(number.to_string()), entry);
            assert!(shard.weight() <= CAPACITY);
        }
        assert!(shard.len() > 200, "{}", shard.len());
        // As the library counts them. What is weighed but not in there is the index.
        let slots = shard.entries.memory_used().entries as u64;
        let remembered = slots.saturating_sub(shard.len() * SLOT);
        assert!(remembered <= CAPACITY / REMEMBERED_PART, "{slots}");
    }
}
