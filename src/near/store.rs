//! The near cache as a whole: what may be inserted, and what a push takes away.
//!
//! Invariants: see the room (`near`). Locks are taken in the order lease, shard, stamp, and none is held while
//! anything is waited for.
//!
//! Not here: what may be served (`serve`); clock, sockets, tasks.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use quick_cache::DefaultHashBuilder;

use crate::model::{CacheId, GroupName, Lineage, Moment, Token};

use super::entry::{Entry, Fill, Found, Held, ReadBack, Removal};
use super::lease::{Beat, Lease, Majority, Standing};
use super::mutant::{Mutant, breaks};
use super::shard::{Flight, Removals, Shard, weight};
use super::stamp::{Pushes, Slot, Stamped, Stamps};

/// Parts with a lock each. Few, because an entry may weigh at most half a part.
const SHARDS: usize = 8;

/// Copies below that size are read again rather than confirmed: the answer is hardly larger.
const WORTH_CONFIRMING: usize = 256;

/// The most that all entries together may weigh, in bytes; 0 switches the near cache off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity(pub u64);

/// What a FRESH read asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// The oldest proof that will do.
    pub bound: Duration,
    /// A write that must be reflected.
    pub token: Option<Token>,
}

/// What to do about a key that cannot be served.
#[derive(Debug)]
pub enum Begin<F> {
    /// Somebody is reading it.
    Join(F),
    /// Read it, then [`Near::complete`].
    Lead(Fill),
}

/// How full it is, and how it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Entries, those that cannot be served included.
    pub entries: u64,
    /// Their weight in bytes.
    pub weight: u64,
    /// The weight at which entries are evicted.
    pub capacity: u64,
    /// Fills that a push or the end of a session overtook.
    pub rejected: u64,
}

/// The near cache. `F` is what those who join a read wait on.
#[derive(Debug)]
pub struct Near<F> {
    shards: Vec<Mutex<Shard<F>>>,
    hasher: DefaultHashBuilder,
    pub(super) lease: RwLock<Lease>,
    stamps: Stamps,
    /// The number of the next fill.
    next: AtomicU64,
    /// Entries and tokens with lower numbers were flushed.
    floor: AtomicU64,
    removals: Arc<Removals>,
    rejected: AtomicU64,
    capacity: u64,
    pub(super) broken: Option<Mutant>,
}

impl<F: Clone> Near<F> {
    /// An empty one, without a session.
    pub fn new(capacity: Capacity) -> Self {
        let removals = Arc::new(Removals::default());
        let part = capacity.0 / SHARDS as u64;
        Self {
            shards: (0..SHARDS)
                .map(|_| Mutex::new(Shard::new(part, removals.clone())))
                .collect(),
            hasher: DefaultHashBuilder::default(),
            lease: RwLock::new(Lease::new()),
            stamps: Stamps::default(),
            next: AtomicU64::new(1),
            floor: AtomicU64::new(0),
            removals,
            rejected: AtomicU64::new(0),
            capacity: capacity.0,
            broken: None,
        }
    }

    /// With one mechanism broken.
    #[cfg(test)]
    pub(crate) fn broken(capacity: Capacity, mutant: Option<Mutant>) -> Self {
        let mut near = Self::new(capacity);
        near.broken = mutant;
        near.lease.write().broken = mutant;
        near
    }

    /// A session begins. Entries of earlier ones are not FRESH any more; they may be confirmed one by one.
    pub fn publish(&self, generation: u64, lineage: Lineage, majority: Majority, until: Moment) {
        self.lease
            .write()
            .publish(generation, lineage, majority, until);
    }

    /// A session has ended; false if that was known.
    pub fn end(&self, generation: u64) -> bool {
        self.lease.write().end(generation)
    }

    /// A heartbeat of that session was answered; the one before it had been answered when it was sent. False if its
    /// offset lies before the last one's, which no history does.
    pub fn beat(&self, generation: u64, beat: Beat, received: Moment) -> bool {
        let mut lease = self.lease.write();
        let standing = lease.standing();
        let backwards = standing.live
            && standing.generation == generation
            && lease.last_offset().is_some_and(|last| beat.offset < last);
        lease.beat(generation, beat, received);
        !backwards
    }

    /// A majority named the master of that session when polled at that time.
    pub fn named(&self, generation: u64, at: Moment) {
        self.lease.write().named(generation, at);
    }

    /// What holds now.
    pub fn standing(&self) -> Standing {
        self.lease.read().standing()
    }

    /// See [`Lease::read_proof`].
    pub fn read_proof(&self, generation: u64, sent: Moment) -> (Moment, Moment) {
        self.lease.read().read_proof(generation, sent)
    }

    /// The place of the stamp of a cache; `None` when there are too many caches, whose entries are then not kept.
    pub fn slot(&self, stamp_key: &Bytes, cache: &CacheId) -> Option<Arc<Slot>> {
        self.stamps.slot(stamp_key, cache)
    }

    /// The place of the stamp of a group of a cache that has one; `None` when there are too many groups, whose entries
    /// are then not kept.
    pub fn group(
        &self,
        stamp_key: &Bytes,
        cache: &Arc<Slot>,
        group: &GroupName,
    ) -> Option<Arc<Slot>> {
        self.stamps.group(stamp_key, cache, group)
    }

    /// Whether there are caches or groups whose stamps are not remembered.
    pub fn has_unknown_stamps(&self) -> bool {
        self.stamps.refused()
    }

    /// Every stamp that has a place.
    pub fn slots(&self) -> Vec<Arc<Slot>> {
        self.stamps.all()
    }

    /// Joins a read of the key that began at most `join` ago, or becomes the one that reads.
    ///
    /// The token is registered here, before the caller looks for a session and sends anything: step 1 of the proof.
    /// A read that a push has overtaken has lost its token and is not joined, nor is one that began before the last
    /// push for the stamp of its cache or of any group there: whoever comes after an invalidation, a clear or a flush
    /// does not get what was read before it.
    pub fn begin(
        &self,
        (key, owner, slot): (&Bytes, &CacheId, Option<&Arc<Slot>>),
        join: Option<Duration>,
        now: Moment,
        handle: F,
    ) -> Begin<F> {
        let standing = self.lease.read().standing();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let pushes = slot.map_or_else(Pushes::default, |slot| slot.all_pushes());
        let mut shard = self.shard(key).lock();
        let good = shard.flights.get(key).filter(|flight| {
            standing.live
                && flight.generation == standing.generation
                && flight.owner == *owner
                && flight.pushes == pushes
                && !self.is_flushed(flight.number)
        });
        if let Some(flight) = good
            && join.is_some_and(|bound| now.since(flight.began) <= bound)
        {
            return Begin::Join(flight.handle.clone());
        }
        // A read that is on its way and may still be kept is left its token by those who may not join it. Otherwise
        // many of them at once would see to it that nothing is ever kept.
        let registers = good.is_none() || join.is_some();
        let held = shard
            .get(key)
            .filter(|entry| entry.owner == *owner)
            .and_then(|entry| self.confirmable(entry, now));
        if registers {
            let flight = Flight {
                number,
                generation: standing.generation,
                owner: owner.clone(),
                began: now,
                pushes,
                handle,
            };
            shard.flights.insert(key.clone(), flight);
        }
        Begin::Lead(Fill {
            key: key.clone(),
            owner: owner.clone(),
            slot: slot.cloned(),
            pushes: pushes.clears,
            number,
            generation: standing.generation,
            held,
        })
    }

    /// What a copy holds, where asking the master about its version is cheaper than fetching it.
    fn confirmable(&self, entry: &Entry, now: Moment) -> Option<Held> {
        match &entry.found {
            Found::Present(value, version)
                if value.len() >= WORTH_CONFIRMING
                    && !entry.is_expired(now)
                    && !self.is_flushed(entry.number) =>
            {
                Some(Held {
                    value: value.clone(),
                    version: version.clone(),
                })
            }
            _ => None,
        }
    }

    /// Takes in what a read found; false if it was overtaken.
    ///
    /// Only under a token that lives, and only if the session that read is of the generation in which the token was
    /// taken: a session that was loaded too late, or too early, proves nothing about pushes (step 2). Expiry counts
    /// from before the read was sent (step 6).
    pub fn complete(&self, fill: Fill, read: &ReadBack) -> bool {
        let same = read.generation == fill.generation;
        if same && let Some(slot) = &fill.slot {
            slot.learn(read.generation, read.mark, fill.pushes);
        }
        let sent = if breaks(self.broken, Mutant::TtlFromReceiveTime) {
            read.received
        } else {
            read.sent
        };
        let generation = if breaks(self.broken, Mutant::OldGenerationFill) {
            self.standing().generation
        } else {
            read.generation
        };
        let entry = Entry {
            owner: fill.owner,
            found: read.found.clone(),
            generation,
            number: fill.number,
            filled: read.sent,
            expires: read.ttl.map(|ttl| sent + ttl),
            stamp: fill.slot.map(|slot| (slot, read.mark)),
            members: read.members.clone().unwrap_or_default(),
        };
        let mut shard = self.shard(&fill.key).lock();
        let live = match shard.flights.get(&fill.key) {
            Some(flight) if flight.number == fill.number => {
                shard.flights.remove(&fill.key);
                true
            }
            _ => breaks(self.broken, Mutant::NoToken),
        };
        let live = live && (same || breaks(self.broken, Mutant::OldGenerationFill));
        if !live {
            self.rejected.fetch_add(1, Ordering::Relaxed);
        } else if read.members.is_some() && shard.fits(weight(&fill.key, &entry)) {
            shard.insert(fill.key, entry);
        } else {
            // A smaller value that was there is not the value any more.
            shard.remove(&fill.key, Removal::Capacity);
        }
        live
    }

    /// Gives up a read that failed.
    pub fn abandon(&self, fill: &Fill) {
        let mut shard = self.shard(&fill.key).lock();
        if shard
            .flights
            .get(&fill.key)
            .is_some_and(|flight| flight.number == fill.number)
        {
            shard.flights.remove(&fill.key);
        }
    }

    /// The server says that a key changed; tells what was cleared or flushed, if it was the key of a stamp.
    pub fn invalidate(&self, key: &[u8]) -> Option<Stamped> {
        let heard = |slot: &Slot| {
            let ignored = if slot.is_group() {
                Mutant::GroupPushIgnored
            } else {
                Mutant::StampPushIgnored
            };
            !breaks(self.broken, ignored)
        };
        if let Some(stamped) = self.stamps.pushed(key, heard) {
            return Some(stamped);
        }
        let mut shard = self.shard(key).lock();
        if breaks(self.broken, Mutant::RetainTokens) {
            shard.remove(key, Removal::Invalidated);
        } else {
            shard.kill(key, Removal::Invalidated);
        }
        None
    }

    /// This vedetta wrote, or may have written, a key: nobody who comes after the answer sees what was before.
    pub fn wrote(&self, key: &[u8]) {
        if !breaks(self.broken, Mutant::OwnWriteKeeps) {
            self.shard(key).lock().kill(key, Removal::OwnWrite);
        }
    }

    /// This vedetta cleared, or may have cleared, a cache.
    pub fn cleared(&self, slot: &Slot) {
        slot.forget();
    }

    /// This vedetta flushed, or may have flushed, groups of that cache whose stamps have these keys.
    pub fn flushed(&self, cache: &Slot, stamp_keys: &[Bytes]) {
        for key in stamp_keys {
            if let Some(slot) = self.stamps.find(key) {
                slot.forget();
            }
        }
        // Also where no group is known yet: a read on its way may be of a member.
        cache.flushed();
    }

    /// The server says that everything is gone. In one step: entries and tokens so far are below the floor.
    pub fn flush(&self) {
        if breaks(self.broken, Mutant::NullPushIgnored) {
            return;
        }
        let floor = self.next.fetch_add(1, Ordering::AcqRel);
        self.floor.fetch_max(floor, Ordering::AcqRel);
        self.stamps.forget_all();
    }

    /// How full it is, and how it went.
    pub fn figures(&self) -> Figures {
        let mut figures = Figures {
            entries: 0,
            weight: 0,
            capacity: self.capacity,
            rejected: self.rejected.load(Ordering::Relaxed),
        };
        for shard in &self.shards {
            let shard = shard.lock();
            figures.entries += shard.len();
            figures.weight += shard.weight();
        }
        figures
    }

    /// How many entries left for that reason.
    pub fn removed(&self, why: Removal) -> u64 {
        self.removals.get(why)
    }

    pub(super) fn is_flushed(&self, number: u64) -> bool {
        number < self.floor.load(Ordering::Acquire)
    }

    pub(super) fn shard(&self, key: &[u8]) -> &Mutex<Shard<F>> {
        // The remainder of a division by the number of shards is one of them.
        &self.shards[(self.hasher.hash_one(key) % SHARDS as u64) as usize]
    }
}
