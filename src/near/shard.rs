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

use crate::model::{CacheId, Moment};

use super::entry::{Entry, Removal};
use super::stamp::Pushes;

/// What an entry weighs beyond key and value: owner, version, times, stamp and the slots of the map.
pub(super) const OVERHEAD: u64 = 264;

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
    OVERHEAD + GROUP * entry.members.len() as u64 + (key.len() + entry.found.len()) as u64
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
        let expected = usize::try_from(capacity / (2 * OVERHEAD)).unwrap_or(usize::MAX);
        Self {
            entries: Cache::with(
                expected.min(1 << 16),
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
