//! Loads of the embedded store: the same rules as in Redis, under the one lock.
//!
//! Invariants: bounded by the caches that are being or were loaded, and by the notes of each load. A load needs no lease
//! here: it ends with whoever holds it.

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use tokio::time::Instant;

use crate::config::Encoding;
use crate::model::{CacheId, Expiry, Fault, GroupName, Groups, Key};

use super::super::load::{Begun, Bulk, Cursor, Load, Mode, Running, lost};
use super::super::store::{Items, Put, too_many_groups};
use super::state::{Now, State, own_place};
use super::{Embedded, now};

/// Entries that others may write or remove while a load runs; one more ends it.
const NOTES: usize = 100_000;

/// What is known about the loads of each cache.
#[derive(Debug, Default)]
pub(super) struct Register {
    running: HashMap<CacheId, Record>,
    /// The last complete one.
    complete: HashMap<CacheId, (u64, Mode)>,
}

#[derive(Debug)]
struct Record {
    id: Bytes,
    /// Written or removed by others since it began.
    edited: HashSet<Key>,
    flushed: Flushed,
}

/// The most flushed groups that are remembered by name; after more every group counts as flushed.
const MOST_FLUSHED: usize = 1_000;

/// The groups that were flushed since a load began.
#[derive(Debug, Default)]
struct Flushed(BTreeSet<GroupName>);

impl Flushed {
    fn add(&mut self, groups: &[GroupName]) {
        for group in groups {
            if self.0.len() > MOST_FLUSHED {
                return;
            }
            self.0.insert(group.clone());
        }
    }

    /// Whether one of these may be among them.
    fn any(&self, groups: &Groups) -> bool {
        let all = self.0.len() > MOST_FLUSHED && !groups.is_empty();
        all || groups.iter().any(|group| self.0.contains(group))
    }
}

impl Register {
    /// Somebody writes or removes an entry.
    pub(super) fn note(&mut self, cache: &CacheId, key: &Key) {
        if let Some(record) = self.running.get_mut(cache) {
            record.edited.insert(key.clone().into_owned());
            if record.edited.len() > NOTES {
                self.running.remove(cache);
            }
        }
    }

    pub(super) fn flush(&mut self, cache: &CacheId, groups: &[GroupName]) {
        if let Some(record) = self.running.get_mut(cache) {
            record.flushed.add(groups);
        }
    }

    /// The cache is cleared.
    pub(super) fn clear(&mut self, cache: &CacheId) {
        self.running.remove(cache);
        self.complete.remove(cache);
    }

    /// Whether one of these groups may have been flushed since the load began.
    fn flushed(&self, cache: &CacheId, groups: &Groups) -> bool {
        let record = self.running.get(cache);
        record.is_some_and(|record| record.flushed.any(groups))
    }

    fn begin(&mut self, cache: &CacheId, id: &Bytes, load: Load) -> Option<Begun> {
        match self.running.get(cache) {
            Some(record) if record.id == *id => return None,
            Some(_) => return Some(Begun::Busy),
            None => {}
        }
        if let Some((snapshot, mode)) = self.complete.get(cache)
            && load.snapshot != 0
        {
            let covers = *mode == Mode::Replace || load.mode == Mode::IfOlder;
            let same = *snapshot == load.snapshot && !load.again && covers;
            if same || *snapshot > load.snapshot {
                return Some(Begun::Loaded(*snapshot));
            }
        }
        let record = Record {
            id: id.clone(),
            edited: HashSet::new(),
            flushed: Flushed::default(),
        };
        self.running.insert(cache.clone(), record);
        None
    }

    fn of(&self, cache: &CacheId, running: &Running) -> Result<&Record, Fault> {
        let record = self.running.get(cache);
        record
            .filter(|record| record.id == running.id)
            .ok_or_else(lost)
    }

    fn finish(&mut self, cache: &CacheId, running: &Running) -> Result<(), Fault> {
        self.of(cache, running)?;
        self.running.remove(cache);
        let Load { snapshot, mode, .. } = running.load;
        if snapshot == 0 {
            self.complete.remove(cache);
        } else {
            self.complete.insert(cache.clone(), (snapshot, mode));
        }
        Ok(())
    }
}

impl State {
    /// Writes an entry of a load, unless there is one that may be newer; tells whether it did, and whether the entry that
    /// was there has changed.
    fn put_loaded(
        &mut self,
        cache: &CacheId,
        mut put: Put,
        load: Load,
        random: u64,
        now: Now,
    ) -> Result<(bool, bool), Fault> {
        self.remember(cache);
        let current = self.live(cache, &put.key, now);
        if load.mode == Mode::IfOlder
            && let Some(entry) = &current
        {
            match self.rules.policy(&cache.name).encoding {
                Encoding::Framed if entry.loaded.is_some_and(|of| of <= load.snapshot) => {}
                Encoding::Framed => return Ok((false, false)),
                // Only what is absent is stored; what a repeated batch finds is its own.
                Encoding::Raw => return Ok((entry.value == put.value, false)),
            }
        }
        if self.loads.flushed(cache, &put.groups) {
            // What it would have replaced is older, and the flush would have reached it too.
            return Ok((false, self.remove(cache, &put.key, now)));
        }
        // A deadline that somebody has set may be newer than the expiry that the load gives.
        if let due @ Expiry::At(_) = self.due(cache, &put.key, Expiry::CacheDefault, now) {
            put.expiry = due;
        }
        // Nobody but whoever adds to its groups has changed it since the load began.
        let before = current.as_ref().map(|entry| entry.groups.clone());
        let before = before.unwrap_or_default();
        put.groups = before.with(&put.groups).map_err(|_| too_many_groups())?;
        let place = own_place(cache, &put.key);
        self.store(cache, put, current.as_ref(), random, now)?;
        if let Some(mut entry) = self.entries.get(&place).cloned() {
            entry.loaded = Some(load.snapshot);
            self.entries.insert(place, entry);
        }
        Ok((true, true))
    }

    fn keys(&self, cache: &CacheId) -> Vec<Key> {
        let ours = self
            .entries
            .iter()
            .filter(|(place, _)| place.cache == *cache);
        ours.map(|(place, _)| place.key.clone()).collect()
    }

    fn load(
        &mut self,
        cache: &CacheId,
        running: &Running,
        put: &Put,
        now: Now,
    ) -> Result<(bool, bool), Fault> {
        let record = self.loads.of(cache, running)?;
        if record.edited.contains(&put.key) {
            return Ok((false, false));
        }
        self.put_loaded(cache, put.clone(), running.load, rand::random(), now)
    }

    fn remove_other(
        &mut self,
        cache: &CacheId,
        running: &Running,
        key: &Key,
        now: Now,
    ) -> Result<bool, Fault> {
        let edited = self.loads.of(cache, running)?.edited.contains(key);
        Ok(!edited && self.remove(cache, key, now))
    }
}

impl Embedded {
    fn tell(&self, cache: &CacheId, changed: Vec<Key>) {
        if !changed.is_empty() {
            self.hub.invalidated(cache.clone(), changed);
        }
    }
}

impl Bulk for Embedded {
    async fn begin_load(
        &self,
        cache: &CacheId,
        id: Bytes,
        load: Load,
        _: Option<Instant>,
    ) -> Result<Begun, Fault> {
        let begun = self.state.lock().loads.begin(cache, &id, load);
        let lineage = self.lineage;
        Ok(begun.unwrap_or(Begun::Running(Running { id, load, lineage })))
    }

    async fn load(
        &self,
        cache: &CacheId,
        running: &Running,
        puts: &[Put],
        _: Option<Instant>,
    ) -> Result<Items<bool>, Fault> {
        let mut changed = Vec::new();
        let answer: Items<bool> = {
            let mut state = self.state.lock();
            let now = now();
            let mut one = |put: &Put| {
                let (stored, changes) = state.load(cache, running, put, now)?;
                if changes {
                    changed.push(put.key.clone());
                }
                Ok(stored)
            };
            puts.iter().map(&mut one).collect()
        };
        self.tell(cache, changed);
        Ok(answer)
    }

    async fn renew_load(&self, cache: &CacheId, running: &Running) -> Result<(), Fault> {
        self.state.lock().loads.of(cache, running).map(|_| ())
    }

    async fn remove_others(
        &self,
        cache: &CacheId,
        running: &Running,
        keys: &[Key],
        _: Option<Instant>,
    ) -> Result<Vec<bool>, Fault> {
        let removed: Result<Vec<bool>, Fault> = {
            let mut state = self.state.lock();
            let now = now();
            let one = |key| state.remove_other(cache, running, key, now);
            keys.iter().map(one).collect()
        };
        let removed = removed?;
        let gone = keys.iter().zip(&removed).filter(|(_, removed)| **removed);
        self.tell(cache, gone.map(|(key, _)| key.clone()).collect());
        Ok(removed)
    }

    async fn finish_load(
        &self,
        cache: &CacheId,
        running: &Running,
        _: Option<Instant>,
    ) -> Result<(), Fault> {
        self.state.lock().loads.finish(cache, running)
    }

    fn abandon_load(&self, cache: &CacheId, running: &Running) {
        let mut state = self.state.lock();
        if state.loads.of(cache, running).is_ok() {
            state.loads.running.remove(cache);
        }
    }

    /// All at once: what is in this memory can be listed in it.
    async fn keys(
        &self,
        cache: &CacheId,
        _: Option<Cursor>,
        _: Option<Instant>,
    ) -> Result<(Vec<Key>, Option<Cursor>), Fault> {
        Ok((self.state.lock().keys(cache), None))
    }
}
