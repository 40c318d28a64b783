//! Groups that wait for the value of a key in the embedded store.
//!
//! Invariants: bounded in time and number; one too many is refused, since forgetting it would take an entry out of reach of
//! a flush.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::model::{CacheId, Cause, Fault, GroupName, Groups, Key};

use super::super::store::too_many_groups;

/// How long they wait, as in Redis.
const WAIT: Duration = Duration::from_secs(60);

/// Most keys that groups wait for.
const MOST: usize = 100_000;

type Named = (CacheId, Key);

/// What waits for one key.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiting {
    pub(super) groups: Groups,
    /// Whether one of them was flushed since: the value is to be dead at its birth.
    pub(super) flushed: bool,
    since: Option<Instant>,
}

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Pending {
    waiting: HashMap<Named, Waiting>,
    order: VecDeque<(Instant, Named)>,
}

impl Pending {
    pub(super) fn add(
        &mut self,
        cache: &CacheId,
        key: &Key,
        groups: &Groups,
        now: Instant,
    ) -> Result<(), Fault> {
        self.forget_old(now);
        let before = self.of(cache, key);
        let waiting = Waiting {
            groups: before.groups.with(groups).map_err(|_| too_many_groups())?,
            flushed: before.flushed,
            since: Some(now),
        };
        if self.order.len() >= MOST {
            return Err(Fault::not_applied(
                Cause::StoreFull,
                format!("groups wait for the values of {MOST} keys already; put values first"),
            ));
        }
        let named = (cache.clone(), key.clone().into_owned());
        self.order.push_back((now, named.clone()));
        self.waiting.insert(named, waiting);
        Ok(())
    }

    /// What waits for that key; nothing, if nothing does.
    pub(super) fn of(&self, cache: &CacheId, key: &Key) -> Waiting {
        let named = (cache.clone(), key.clone());
        self.waiting.get(&named).cloned().unwrap_or_default()
    }

    pub(super) fn remove(&mut self, cache: &CacheId, key: &Key) {
        self.waiting.remove(&(cache.clone(), key.clone()));
    }

    pub(super) fn flush(&mut self, cache: &CacheId, groups: &[GroupName]) {
        for ((of, _), waiting) in &mut self.waiting {
            let flushed = of == cache && groups.iter().any(|group| waiting.groups.contains(group));
            waiting.flushed |= flushed;
        }
    }

    /// Those that have waited long enough are gone.
    pub(super) fn forget_old(&mut self, now: Instant) {
        while let Some((since, named)) = self.order.front()
            && now.duration_since(*since) >= WAIT
        {
            // It may wait since later by now.
            if self
                .waiting
                .get(named)
                .is_some_and(|waiting| waiting.since == Some(*since))
            {
                self.waiting.remove(named);
            }
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::model::{CacheName, Tenant};

    use super::*;

    fn cache() -> CacheId {
        CacheId {
            tenant: Tenant::primary(),
            name: CacheName::new("c").expect("cache"),
        }
    }

    fn groups(names: &[&str]) -> Groups {
        let name = |name: &&str| GroupName::new(name).expect("group");
        Groups::new(names.iter().map(name)).expect("few")
    }

    #[test]
    fn groups_wait_for_a_while() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        let key = Key::new(Bytes::from_static(b"k")).expect("key");
        pending
            .add(&cache(), &key, &groups(&["a"]), now)
            .expect("room");
        let later = now + WAIT / 2;
        pending
            .add(&cache(), &key, &groups(&["b"]), later)
            .expect("room");
        pending.forget_old(now + WAIT);
        assert_eq!(pending.of(&cache(), &key).groups, groups(&["a", "b"]));
        pending.forget_old(later + WAIT);
        assert!(pending.of(&cache(), &key).groups.is_empty());
        assert!(pending.order.is_empty());
    }

    #[test]
    fn a_flush_is_remembered_by_what_waits_for_it() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        let key = Key::new(Bytes::from_static(b"k")).expect("key");
        pending
            .add(&cache(), &key, &groups(&["a"]), now)
            .expect("room");
        let flush = |pending: &mut Pending, names| {
            let names: Vec<GroupName> = groups(names).iter().cloned().collect();
            pending.flush(&cache(), &names);
            pending.of(&cache(), &key).flushed
        };
        assert!(!flush(&mut pending, &["b"]));
        assert!(flush(&mut pending, &["b", "a"]));
    }
}
