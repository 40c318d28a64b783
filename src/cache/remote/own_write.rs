//! A write of this process, as far as the near cache and its subscribers are concerned.
//!
//! Invariants: what is written leaves the near cache before the write is sent and again before it is answered, failed
//! or given up, because Redis sends the push for our own write after the reply to it (DESIGN §5, rule 7). Subscribers
//! are told the same, whether or not the server tracked the key. A read that is sent after the answer executes after
//! the write, and no older one can still be inserted.
//!
//! A write whose caller stopped to wait may execute later: whoever read the key in between read it on the tracked
//! session, so its push follows.

use std::sync::Arc;

use bytes::Bytes;

use crate::invalidation::{Event, Hub};
use crate::model::{Applied, CacheId, Fault, GroupName, Key};
use crate::near::{Near, Slot};

use super::Core;
use super::flight::Flight;

/// Keys being written. Dropped when the write is over, however it ended.
#[derive(Debug)]
pub(super) struct OwnWrite {
    near: Arc<Near<Flight>>,
    hub: Arc<Hub>,
    cache: CacheId,
    keys: Vec<(Key, Bytes)>,
    changed: Vec<bool>,
}

/// A cache being cleared.
#[derive(Debug)]
pub(super) struct OwnClear {
    near: Arc<Near<Flight>>,
    hub: Arc<Hub>,
    cache: CacheId,
    slot: Option<Arc<Slot>>,
    changed: bool,
}

/// Groups being flushed.
#[derive(Debug)]
pub(super) struct OwnFlush {
    near: Arc<Near<Flight>>,
    hub: Arc<Hub>,
    cache: CacheId,
    groups: Vec<GroupName>,
    slot: Option<Arc<Slot>>,
    stamp_keys: Vec<Bytes>,
    changed: bool,
}

impl Core {
    /// These keys are about to be written.
    pub(super) fn own_write(
        &self,
        cache: &CacheId,
        keys: impl IntoIterator<Item = Key>,
    ) -> OwnWrite {
        let keys = keys.into_iter().map(|key| {
            let entry = self.layout.entry(cache, &key);
            (key, entry)
        });
        let write = OwnWrite {
            near: self.coherence.near.clone(),
            hub: self.coherence.hub.clone(),
            cache: cache.clone(),
            keys: keys.collect(),
            changed: Vec::new(),
        };
        write.forget();
        write
    }

    /// This cache is about to be cleared.
    pub(super) fn own_clear(&self, cache: &CacheId) -> OwnClear {
        let near = self.coherence.near.clone();
        let clear = OwnClear {
            slot: self.stamp_key(cache).and_then(|key| near.slot(&key, cache)),
            hub: self.coherence.hub.clone(),
            cache: cache.clone(),
            near,
            changed: true,
        };
        clear.forget();
        clear
    }

    /// These groups are about to be flushed.
    pub(super) fn own_flush(&self, cache: &CacheId, groups: &[GroupName]) -> OwnFlush {
        let near = self.coherence.near.clone();
        let stamp_keys = groups.iter().map(|group| self.layout.group(cache, group));
        let flush = OwnFlush {
            slot: near.slot(&self.layout.stamp(cache), cache),
            hub: self.coherence.hub.clone(),
            cache: cache.clone(),
            groups: groups.to_vec(),
            stamp_keys: stamp_keys.collect(),
            near,
            changed: true,
        };
        flush.forget();
        flush
    }
}

impl OwnWrite {
    /// Which of the keys the write changed. Until that is said, all of them may have been.
    pub(super) fn changed(&mut self, changed: impl IntoIterator<Item = bool>) {
        self.changed = changed.into_iter().collect();
    }

    /// The write failed: if it was not applied, nothing has changed.
    pub(super) fn failed(&mut self, fault: &Fault) {
        if fault.applied == Applied::No {
            self.changed = vec![false; self.keys.len()];
        }
    }

    fn forget(&self) {
        for (_, entry) in &self.keys {
            self.near.wrote(entry);
        }
    }
}

impl Drop for OwnWrite {
    fn drop(&mut self) {
        self.forget();
        let mut changed = self.changed.iter();
        let keys: Vec<Key> = self
            .keys
            .drain(..)
            .filter(|_| *changed.next().unwrap_or(&true))
            .map(|(key, _)| key)
            .collect();
        if !keys.is_empty() {
            self.hub.invalidated(self.cache.clone(), keys);
        }
    }
}

impl OwnClear {
    /// The clear failed: if it was not applied, nothing has changed.
    pub(super) fn failed(&mut self, fault: &Fault) {
        self.changed = fault.applied != Applied::No;
    }

    fn forget(&self) {
        if let Some(slot) = &self.slot {
            self.near.cleared(slot);
        }
    }
}

impl Drop for OwnClear {
    fn drop(&mut self) {
        self.forget();
        if self.changed {
            self.hub.record(Event::Cleared(self.cache.clone()));
        }
    }
}

impl OwnFlush {
    /// The flush failed: if it was not applied, nothing has changed.
    pub(super) fn failed(&mut self, fault: &Fault) {
        self.changed = fault.applied != Applied::No;
    }

    fn forget(&self) {
        if let Some(slot) = &self.slot {
            self.near.flushed(slot, &self.stamp_keys);
        }
    }
}

impl Drop for OwnFlush {
    fn drop(&mut self) {
        self.forget();
        if self.changed {
            self.hub.record(Event::GroupsFlushed {
                cache: self.cache.clone(),
                groups: std::mem::take(&mut self.groups),
            });
        }
    }
}
