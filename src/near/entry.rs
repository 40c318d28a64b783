//! What the near cache holds, hands out and takes in.
//!
//! Not here: keeping it (`shard`) and judging it (`store`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::model::{CacheId, Freshness, Moment, Value, Version};

use super::stamp::{Mark, Members, Slot};

/// What a read of the master found. That there is nothing is worth remembering too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A live entry.
    Present(Value, Version),
    /// None.
    Absent,
}

impl Found {
    /// The number of payload bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Present(value, _) => value.len(),
            Self::Absent => 0,
        }
    }

    /// Whether there is no payload.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A copy.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Whose it is: two caches may have the same Redis key, but not the same entry.
    pub(super) owner: CacheId,
    pub(super) found: Found,
    pub(super) generation: u64,
    /// The number of its fill: one that is lower than the last flush of everything is absent.
    pub(super) number: u64,
    /// When its read was sent.
    pub(super) filled: Moment,
    pub(super) expires: Option<Moment>,
    /// The stamp it was read under; `None` in caches without stamps.
    pub(super) stamp: Option<(Arc<Slot>, Mark)>,
    /// The stamps of its groups that it was read under.
    pub(super) members: Members,
}

impl Entry {
    pub(super) fn ttl(&self, now: Moment) -> Option<Duration> {
        self.expires.map(|expires| expires.since(now))
    }

    /// Whether every stamp that it was read under is current in that generation.
    pub(super) fn is_stamped(&self, generation: u64) -> bool {
        self.stamps().all(|(slot, mark)| slot.is(generation, *mark))
    }

    /// Whether every stamp that it was read under was current when it was last known.
    pub(super) fn was_stamped(&self) -> bool {
        self.stamps().all(|(slot, mark)| slot.was(*mark))
    }

    fn stamps(&self) -> impl Iterator<Item = &(Arc<Slot>, Mark)> {
        self.stamp.iter().chain(&self.members)
    }

    pub(super) fn is_expired(&self, now: Moment) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// A copy, as it is handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearHit {
    /// What it says.
    pub found: Found,
    /// FRESH or STALE.
    pub freshness: Freshness,
    /// It reflects every write acknowledged that long ago.
    pub age: Duration,
    /// `None`: no expiry.
    pub ttl: Option<Duration>,
}

/// The permission to insert what a read will find. Dies with any push for the key.
#[derive(Debug)]
pub struct Fill {
    pub(super) key: Bytes,
    pub(super) owner: CacheId,
    pub(super) slot: Option<Arc<Slot>>,
    pub(super) pushes: u64,
    pub(super) number: u64,
    pub(super) generation: u64,
    /// An older copy that only needs to be confirmed.
    pub held: Option<Held>,
}

/// A copy of an older generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its content.
    pub value: Value,
    /// What to ask the master about.
    pub version: Version,
}

/// What a read found, and what is known about its time.
#[derive(Debug, Clone)]
pub struct ReadBack {
    /// The entry.
    pub found: Found,
    /// The stamp of its cache, read at the same moment.
    pub mark: Mark,
    /// The stamps of its groups; `None` if it is in one too many, so that it must not be kept.
    pub members: Option<Members>,
    /// Remaining time to live; `None`: no expiry.
    pub ttl: Option<Duration>,
    /// A moment before the read was sent.
    pub sent: Moment,
    /// A moment after its reply was received. Only a mutant looks at it.
    pub received: Moment,
    /// Of the session that read.
    pub generation: u64,
}

/// Why a copy left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// There was no room for it.
    Capacity,
    /// The server said that its key changed.
    Invalidated,
    /// This vedetta wrote its key.
    OwnWrite,
    /// Its time was over.
    Expired,
    /// It was of a generation or before a flush that nobody remembers.
    Outdated,
}

/// Every reason with its label, in the order of their numbers.
pub const REMOVALS: [(Removal, &str); 5] = [
    (Removal::Capacity, "capacity"),
    (Removal::Invalidated, "invalidated"),
    (Removal::OwnWrite, "own_write"),
    (Removal::Expired, "expired"),
    (Removal::Outdated, "outdated"),
];
