//! Leases of the embedded store.
//!
//! Invariants: whatever writes or removes an entry ends the lease on it; bounded in number, and each in what it remembers.
//!
//! Not here: waiting for a lease (`cache::lease`).

use std::collections::HashMap;
use std::time::Instant;

use crate::model::{CacheId, Cause, Fault, GroupName, Groups, Key, Lease, Version};

use super::super::store::{Granting, LeaseRequest};
use super::groups::Flushed;
use super::state::{Now, State};

/// The most leases at a time.
const MOST: usize = 65_536;

/// The leases that are held.
#[derive(Debug, Default)]
pub(super) struct Leases {
    held: HashMap<(CacheId, Key), Held>,
    /// Those that have ended, and nobody was told yet.
    ended: Vec<(CacheId, Key)>,
}

#[derive(Debug)]
struct Held {
    lease: Lease,
    until: Instant,
    version: Option<Version>,
    flushed: Flushed,
}

impl Held {
    /// Whether what was loaded under it may be stored, in place of that version and in these groups.
    fn covers(&self, version: Option<&Version>, groups: &Groups) -> bool {
        self.version.as_ref() == version && !self.flushed.any(groups)
    }
}

impl Leases {
    /// Ends the lease on an entry, if there is one.
    pub(super) fn end(&mut self, cache: &CacheId, key: &Key) {
        // Without leases, which is the usual case, nothing is copied.
        if self.held.is_empty() {
            return;
        }
        let place = (cache.clone(), key.clone());
        if self.held.remove(&place).is_some() {
            self.ended.push(place);
        }
    }

    /// Ends all leases of a cache.
    pub(super) fn clear(&mut self, cache: &CacheId) {
        let ended = &mut self.ended;
        self.held.retain(|place, _| {
            let stays = place.0 != *cache;
            if !stays {
                ended.push(place.clone());
            }
            stays
        });
    }

    pub(super) fn flush(&mut self, cache: &CacheId, groups: &[GroupName]) {
        let of_cache = self.held.iter_mut().filter(|(place, _)| place.0 == *cache);
        for (_, held) in of_cache {
            held.flushed.add(groups);
        }
    }

    /// Ends that lease, if it is the one on the entry: it is of no use to its owner any more.
    pub(super) fn end_of(&mut self, (cache, key): (&CacheId, &Key), lease: &Lease) {
        let place = (cache.clone(), key.clone());
        if self
            .held
            .get(&place)
            .is_some_and(|held| held.lease == *lease)
        {
            self.end(cache, key);
        }
    }

    /// Whether a Put under that lease may be done.
    pub(super) fn may_fill(
        &self,
        (cache, key): (&CacheId, &Key),
        lease: &Lease,
        version: Option<&Version>,
        groups: &Groups,
        now: Now,
    ) -> bool {
        let place = (cache.clone(), key.clone());
        self.held.get(&place).is_some_and(|held| {
            held.lease == *lease && held.until > now.clock && held.covers(version, groups)
        })
    }

    /// Whose ends somebody may wait for.
    pub(super) fn take_ended(&mut self) -> Vec<(CacheId, Key)> {
        std::mem::take(&mut self.ended)
    }
}

impl State {
    pub(super) fn lease(
        &mut self,
        cache: &CacheId,
        key: &Key,
        request: &LeaseRequest,
        now: Now,
    ) -> Result<Granting, Fault> {
        let live = self.live(cache, key, now);
        if let Some(entry) = &live {
            let left = entry.expires.map(|at| at - now.clock);
            let due = left
                .zip(request.refresh_within)
                .is_some_and(|(left, within)| left <= within);
            if !due {
                return Ok(Granting::Alive);
            }
        }
        let held = &mut self.leases.held;
        let place = (cache.clone(), key.clone());
        let version = live.map(|entry| entry.version);
        // One under which nothing can be stored any more, because the entry that it was to replace is gone, keeps nobody
        // waiting.
        let holds = |held: &&Held| held.until > now.clock && held.version == version;
        if let Some(held) = held.get(&place).filter(holds) {
            return Ok(Granting::Held(held.until - now.clock));
        }
        if held.len() >= MOST {
            held.retain(|_, held| held.until > now.clock);
        }
        if held.len() >= MOST {
            let detail = format!("{MOST} entries are being filled, which is the most");
            return Err(Fault::not_applied(Cause::StoreFull, detail));
        }
        let given = Held {
            lease: request.lease.clone(),
            until: now.clock + request.hold,
            version,
            flushed: Flushed::default(),
        };
        held.insert(place, given);
        Ok(Granting::Granted)
    }

    /// Gives a lease back; whether it held until now.
    pub(super) fn release(&mut self, cache: &CacheId, key: &Key, lease: &Lease, now: Now) -> bool {
        let held = self.leases.held.get(&(cache.clone(), key.clone()));
        let held = held.is_some_and(|held| held.lease == *lease && held.until > now.clock);
        if held {
            self.leases.end(cache, key);
        }
        held
    }
}
