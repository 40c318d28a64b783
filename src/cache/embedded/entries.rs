//! Entries of the embedded store, and what they weigh.
//!
//! Not here: the rules about them (`state`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use quick_cache::unsync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter};

use crate::model::{CacheId, Groups, Key, Value, Version, allocated};

/// The place of an entry in the cache: names and times, the links to its neighbours (16), and its part of the index (8).
pub(super) const SLOT: u64 = (size_of::<Place>() + size_of::<Entry>()) as u64 + 16 + 8;

/// What an entry weighs beyond its key and value: its slot, the bytes of its version, and for key, value and version the
/// count of those who share it (24).
pub(super) const OVERHEAD: u64 = SLOT + Version::UNIQUE_BYTES as u64 + 3 * 24;

/// What a group of an entry weighs beyond its name.
pub(super) const GROUP: u64 = 32;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) cache: CacheId,
    pub(super) key: Key,
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) version: Version,
    pub(super) expires: Option<Instant>,
    pub(super) groups: Groups,
    /// The snapshot of the load that wrote it, if one did.
    pub(super) loaded: Option<u64>,
    /// Later ones have higher numbers.
    pub(super) number: u64,
}

#[derive(Debug, Clone)]
pub(super) struct ByWeight;

impl Weighter<Place, Entry> for ByWeight {
    fn weight(&self, place: &Place, entry: &Entry) -> u64 {
        weight(&place.key, &entry.value, &entry.groups)
    }
}

pub(super) fn weight(key: &Key, value: &Value, groups: &Groups) -> u64 {
    OVERHEAD
        + allocated(key.as_bytes().len())
        + allocated(value.len())
        + GROUP * groups.len() as u64
        + groups.bytes() as u64
}

#[derive(Debug, Clone, Default)]
pub(super) struct Evictions(pub(super) Arc<AtomicU64>);

impl Lifecycle<Place, Entry> for Evictions {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: Place, _: Entry) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

pub(super) type Entries = Cache<Place, Entry, ByWeight, DefaultHashBuilder, Evictions>;
