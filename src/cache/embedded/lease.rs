//! Leases of the embedded store.
//!
//! Invariants: whatever writes or removes an entry ends the lease on it; bounded in number, and so is what is remembered of
//! flushes.
//!
//! Not here: waiting for a lease (`cache::lease`).

use std::collections::HashMap;
use std::time::Instant;

use crate::model::{CacheId, Cause, Fault, GroupName, Groups, Key, Lease, Version};

use super::super::store::{Granting, LeaseRequest};
use super::state::{Now, State};

/// The most leases at a time.
const MOST: usize = 65_536;

/// The most groups whose last flush is remembered.
const MOST_FLUSHED: usize = 65_536;

/// The leases that are held.
#[derive(Debug, Default)]
pub(super) struct Leases {
    held: HashMap<(CacheId, Key), Held>,
    /// Those that have ended, and nobody was told yet.
    ended: Vec<(CacheId, Key)>,
    flushes: Flushes,
}

#[derive(Debug)]
struct Held {
    lease: Lease,
    until: Instant,
    version: Option<Version>,
    /// How many flushes there had been.
    flushes: u64,
}

/// The flushes since the first of the leases was given, by number.
#[derive(Debug, Default)]
struct Flushes {
    count: u64,
    last: HashMap<CacheId, HashMap<GroupName, u64>>,
    groups: usize,
    /// Up to this one they are forgotten: any group may have been flushed then.
    forgotten: u64,
}

impl Flushes {
    fn note(&mut self, cache: &CacheId, groups: &[GroupName]) {
        self.count += 1;
        if self.groups + groups.len() > MOST_FLUSHED {
            self.last.clear();
            (self.groups, self.forgotten) = (0, self.count);
        }
        let last = self.last.entry(cache.clone()).or_default();
        let before = last.len();
        last.extend(groups.iter().map(|group| (group.clone(), self.count)));
        self.groups += last.len() - before;
    }

    /// Whether one of these groups may have been flushed since there had been so many flushes.
    fn any_since(&self, count: u64, cache: &CacheId, groups: &Groups) -> bool {
        let last = self.last.get(cache);
        let flushed =
            |group| last.is_some_and(|last| last.get(group).is_some_and(|at| *at > count));
        (self.forgotten > count && !groups.is_empty()) || groups.iter().any(flushed)
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
        // Without leases, nobody will ask.
        if !self.held.is_empty() {
            self.flushes.note(cache, groups);
        }
    }

    /// Gives the memory of those back whose time is over.
    pub(super) fn forget_old(&mut self, now: Now) {
        self.held.retain(|_, held| held.until > now.clock);
        if self.held.is_empty() {
            self.held.shrink_to_fit();
            self.flushes = Flushes::default();
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
        let Some(held) = self.held.get(&place).filter(|held| held.lease == *lease) else {
            return false;
        };
        let flushed = self.flushes.any_since(held.flushes, cache, groups);
        held.until > now.clock && held.version.as_ref() == version && !flushed
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
        let leases = &mut self.leases;
        let place = (cache.clone(), key.clone().into_owned());
        let version = live.map(|entry| entry.version);
        // One under which nothing can be stored any more, because the entry that it was to replace is gone, keeps nobody
        // waiting.
        let holds = |held: &&Held| held.until > now.clock && held.version == version;
        if let Some(held) = leases.held.get(&place).filter(holds) {
            return Ok(Granting::Held(held.until - now.clock));
        }
        if leases.held.len() >= MOST {
            leases.forget_old(now);
        }
        if leases.held.len() >= MOST {
            let detail = format!("{MOST} entries are being filled, which is the most");
            return Err(Fault::not_applied(Cause::StoreFull, detail));
        }
        let given = Held {
            lease: request.lease.clone(),
            until: now.clock + request.hold,
            version,
            flushes: leases.flushes.count,
        };
        leases.held.insert(place, given);
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use bytes::Bytes;

    use crate::config::CacheRules;
    use crate::model::{CacheName, Tenant};

    use super::*;

    const HOLD: Duration = Duration::from_secs(10);

    fn cache() -> CacheId {
        CacheId {
            tenant: Tenant::primary(),
            name: CacheName::new("c").expect("cache"),
        }
    }

    fn start() -> Now {
        Now {
            clock: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    fn state() -> State {
        State::new(100_000, CacheRules::new(Vec::new()))
    }

    fn group(number: usize) -> GroupName {
        GroupName::new(&number.to_string()).expect("group")
    }

    fn lease(state: &mut State, key: &Key, now: Now) -> Lease {
        let request = LeaseRequest {
            lease: Lease::random(),
            hold: HOLD,
            refresh_within: None,
            deadline: None,
        };
        let granting = state.lease(&cache(), key, &request, now);
        assert_eq!(granting, Ok(Granting::Granted));
        request.lease
    }

    #[test]
    fn a_lease_keeps_neither_its_message_nor_its_memory() {
        let (mut state, now) = (state(), start());
        let message = Bytes::from(b"key and much more".to_vec());
        let key = Key::new(message.slice(..3)).expect("key");
        lease(&mut state, &key, now);
        drop(key);
        assert!(message.is_unique());
        state.forget_old(now);
        assert_eq!(state.leases.held.len(), 1);
        let later = Now {
            clock: now.clock + HOLD,
            ..now
        };
        state.forget_old(later);
        assert!(state.leases.held.is_empty());
    }

    #[test]
    fn flushes_that_are_forgotten_count_for_every_group() {
        let (mut state, now) = (state(), start());
        let [old, new] = [b"a", b"b"].map(|key| Key::new(Bytes::from_static(key)).expect("key"));
        let groups = Groups::new([group(MOST_FLUSHED)]).expect("few");
        let first = lease(&mut state, &old, now);
        let may = |state: &State, key, lease| {
            let place = (&cache(), key);
            state.leases.may_fill(place, lease, None, &groups, now)
        };
        for number in 0..MOST_FLUSHED {
            state.flush_groups(&cache(), &[group(number)], now);
        }
        assert!(may(&state, &old, &first));
        state.flush_groups(&cache(), &[group(MOST_FLUSHED + 1)], now);
        assert_eq!(state.leases.flushes.groups, 1);
        assert!(!may(&state, &old, &first));
        let second = lease(&mut state, &new, now);
        assert!(may(&state, &new, &second));
        state.flush_groups(&cache(), &[group(MOST_FLUSHED)], now);
        assert!(!may(&state, &new, &second));
    }
}
