//! The course of one load: wait for its turn, store in batches, remove the others, complete.
//!
//! Invariants: memory is bounded by one batch, and for a load that replaces by 16 bytes for each of at most [`LARGEST`]
//! entries; nothing is removed before every entry is in place; a load that is dropped before it is complete is
//! abandoned.
//!
//! Not here: what the store makes of it; where the entries come from.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::{Applied, CacheId, Cause, Fault, Key};

use super::super::path::Cache;
use super::super::store::{Put, Store};
use super::progress::{End, Loads, Progress};
use super::{Begun, Load, Mode, Running, lost};
use crate::call::Call;

/// A batch is sent when it has so many entries or bytes: one round trip each, and well below a millisecond in Redis for
/// each of its steps.
const BATCH_ENTRIES: usize = 256;
const BATCH_BYTES: u64 = 1 << 20;

/// Entries of a load that replaces: what is not in it has to be told from what is.
const LARGEST: usize = 1_000_000;

/// Keys that are removed in one step.
const REMOVED_AT_ONCE: usize = 100;

/// Removed keys that are told by name.
const REMOVED_TOLD: usize = 1_000;

/// How often a load that waits for its turn looks whether it is there.
const LOOK: Duration = Duration::from_millis(200);

/// How long it waits at most.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// How often a load tells that it is alive: three times in the 10 s for which the stores believe it.
const RENEW: Duration = Duration::from_secs(3);

/// What a load begins with.
#[derive(Debug)]
pub enum Start<S: Store> {
    /// It runs.
    Runs(Box<Loading<S>>),
    /// There is nothing to do: a load of that snapshot is complete.
    Unneeded(u64),
}

/// A load that runs.
#[derive(Debug)]
pub struct Loading<S: Store> {
    cache: Arc<Cache<S>>,
    call: Call,
    id: CacheId,
    running: Running,
    pending: Vec<Put>,
    pending_bytes: u64,
    /// The keys of the load, where others will be removed.
    seen: Option<Seen>,
    entries: u64,
    stored: u64,
    skipped: u64,
    renewed: Instant,
    progress: Progress,
    complete: bool,
}

/// What came of a load.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Entries stored.
    pub stored: u64,
    /// Entries passed over.
    pub skipped: u64,
    /// Entries removed because they are not in the load.
    pub removed: u64,
    /// The first of those.
    pub removed_keys: Vec<Key>,
}

impl<S: Store> Cache<S> {
    /// Begins a load when its turn has come.
    ///
    /// # Errors
    /// Why it cannot; `LoadRunning` if another one does not come to an end.
    pub async fn begin_load(
        self: &Arc<Self>,
        call: Call,
        id: &CacheId,
        load: Load,
        loads: &Arc<Loads>,
    ) -> Result<Start<S>, Fault> {
        self.allowance.call(id, 1)?;
        let mut progress = loads.begin(id, load.snapshot)?;
        let name = format!("{:032x}", rand::random::<u128>());
        let latest = Instant::now() + LONGEST_WAIT;
        let until = call.deadline().map_or(latest, |at| at.min(latest));
        loop {
            let name = name.clone().into();
            let begun = self.store().begin_load(id, name, load, call.deadline());
            match call.write(begun).await? {
                Begun::Running(running) => {
                    progress.runs();
                    let seen = (load.mode == Mode::Replace).then(Seen::default);
                    return Ok(Start::Runs(Box::new(Loading {
                        cache: self.clone(),
                        call,
                        id: id.clone(),
                        running,
                        pending: Vec::new(),
                        pending_bytes: 0,
                        seen,
                        entries: 0,
                        stored: 0,
                        skipped: 0,
                        renewed: Instant::now(),
                        progress,
                        complete: false,
                    })));
                }
                Begun::Loaded(snapshot) => {
                    progress.ends(End::Unneeded);
                    return Ok(Start::Unneeded(snapshot));
                }
                Begun::Busy if Instant::now() + LOOK >= until => {
                    return Err(Fault::not_applied(
                        Cause::LoadRunning,
                        "another load of this cache is running; wait for it with a longer deadline, or call again",
                    ));
                }
                Begun::Busy => tokio::time::sleep(LOOK).await,
            }
        }
    }
}

impl<S: Store> Loading<S> {
    /// Takes an entry, and sends the batch when it is full.
    ///
    /// # Errors
    /// The load has failed.
    pub async fn put(&mut self, put: Put) -> Result<(), Fault> {
        if let Some(seen) = &mut self.seen {
            seen.add(&put.key)?;
        }
        self.entries += 1;
        self.pending_bytes += put.weight();
        self.pending.push(put);
        if self.pending.len() >= BATCH_ENTRIES || self.pending_bytes >= BATCH_BYTES {
            self.send().await?;
        }
        Ok(())
    }

    /// When something has to be done even if no entry comes.
    pub fn next_step(&self) -> Instant {
        self.renewed + RENEW
    }

    /// Does that: what has come is stored, and the store hears that the load is alive.
    ///
    /// # Errors
    /// The load has failed.
    pub async fn step(&mut self) -> Result<(), Fault> {
        self.send().await?;
        let renewed = self.cache.store().renew_load(&self.id, &self.running);
        self.call.write(renewed).await.map_err(stays)?;
        self.renewed = Instant::now();
        Ok(())
    }

    /// What is loaded.
    pub fn cache(&self) -> &CacheId {
        &self.id
    }

    /// How many entries it has been given.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Stores the rest, removes what is not in the load if it replaces, and completes it.
    ///
    /// # Errors
    /// The load has failed.
    pub async fn finish(mut self: Box<Self>) -> Result<Loaded, Fault> {
        self.send().await?;
        let mut loaded = Loaded {
            stored: self.stored,
            skipped: self.skipped,
            ..Loaded::default()
        };
        self.remove_others(&mut loaded).await?;
        let deadline = self.call.deadline();
        let store = self.cache.store();
        let finished = store.finish_load(&self.id, &self.running, deadline);
        self.call.write(finished).await.map_err(stays)?;
        self.complete = true;
        self.progress.ends(End::Complete);
        Ok(loaded)
    }

    async fn send(&mut self) -> Result<(), Fault> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.cache.allowance.debit(&self.id, self.pending.len());
        let deadline = self.call.deadline();
        let store = self.cache.store();
        let sent = store.load(&self.id, &self.running, &self.pending, deadline);
        let mut stored = 0;
        let mut skipped = 0;
        for item in self.call.write(sent).await.map_err(stays)? {
            if item.map_err(stays)? {
                stored += 1;
            } else {
                skipped += 1;
            }
        }
        self.stored += stored;
        self.skipped += skipped;
        self.progress.loaded(stored, skipped, self.pending_bytes);
        self.pending.clear();
        self.pending_bytes = 0;
        self.renewed = Instant::now();
        Ok(())
    }

    async fn remove_others(&mut self, loaded: &mut Loaded) -> Result<(), Fault> {
        let Some(seen) = self.seen.take() else {
            return Ok(());
        };
        let deadline = self.call.deadline();
        let mut cursor = None;
        loop {
            let store = self.cache.store();
            let (mut keys, next) = self
                .call
                .read(store.keys(&self.id, cursor, deadline))
                .await
                .map_err(|fault| match fault.cause {
                    Cause::LineageChanged => lost(),
                    _ => stays(fault),
                })?;
            keys.retain(|key| !seen.has(key));
            for keys in keys.chunks(REMOVED_AT_ONCE) {
                let removed = store.remove_others(&self.id, &self.running, keys, deadline);
                let removed = self.call.write(removed).await.map_err(stays)?;
                let gone = keys.iter().zip(removed).filter(|(_, removed)| *removed);
                let before = loaded.removed;
                for (key, _) in gone {
                    loaded.removed += 1;
                    if loaded.removed_keys.len() < REMOVED_TOLD {
                        loaded.removed_keys.push(key.clone().into_owned());
                    }
                }
                self.progress.removed(loaded.removed - before);
            }
            if Instant::now() >= self.next_step() {
                self.step().await?;
            }
            if next.is_none() {
                return Ok(());
            }
            cursor = next;
        }
    }
}

impl<S: Store> Drop for Loading<S> {
    fn drop(&mut self) {
        if !self.complete {
            self.cache.store().abandon_load(&self.id, &self.running);
        }
    }
}

/// The fault of a step, as one of the load: what was stored before it stays.
fn stays(fault: Fault) -> Fault {
    Fault {
        applied: Applied::Unknown,
        ..fault
    }
}

/// The keys of a load, by two independent hashes: of a million keys no two are alike, in all likelihood ever. If two
/// were, an entry would be kept that should have gone.
#[derive(Debug, Default)]
struct Seen {
    hashers: [RandomState; 2],
    keys: HashSet<[u64; 2]>,
}

impl Seen {
    fn add(&mut self, key: &Key) -> Result<(), Fault> {
        if self.keys.len() >= LARGEST {
            return Err(Fault::unknown(
                Cause::LoadTooLarge,
                format!(
                    "the load has more than {LARGEST} entries, too many to tell them from those to be removed; clear the \
                     cache and load it with MODE_IF_OLDER"
                ),
            ));
        }
        self.keys.insert(self.hashes(key));
        Ok(())
    }

    fn has(&self, key: &Key) -> bool {
        self.keys.contains(&self.hashes(key))
    }

    fn hashes(&self, key: &Key) -> [u64; 2] {
        self.hashers
            .each_ref()
            .map(|hasher| hasher.hash_one(key.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::cache::{CacheBounds, Embedded};
    use crate::config::CacheRules;
    use crate::invalidation::{Bell, Hub, HubLimits, Metrics};
    use crate::model::{
        Address, CacheName, Condition, Consistency, Expiry, Groups, Lookup, Tenant, Value,
    };

    use super::*;

    const ALL: Load = Load {
        snapshot: 1,
        mode: Mode::Replace,
        again: false,
    };

    type World = (Arc<Cache<Embedded>>, Arc<Loads>, CacheId);

    fn world() -> World {
        let rules = CacheRules::default();
        let limits = HubLimits {
            subscribers: 1,
            records: 16,
            bound: Duration::from_secs(1),
        };
        let hub = Hub::new(limits, std::time::SystemTime::now(), Metrics::register());
        let bell = Arc::new(Bell::default());
        let heard = (Arc::new(hub), bell.clone());
        let bounds = CacheBounds {
            budget: 1 << 20,
            waiting: 1,
        };
        let store = Embedded::new(1 << 24, rules.clone(), heard);
        let id = CacheId {
            tenant: Tenant::primary(),
            name: CacheName::new("c").expect("cache"),
        };
        (
            Arc::new(Cache::new(store, rules, bounds, bell)),
            Loads::register(),
            id,
        )
    }

    fn put(name: &str) -> Put {
        Put {
            key: key(name),
            value: Value::Null,
            expiry: Expiry::Never,
            condition: Condition::None,
            groups: Groups::default(),
            lease: None,
        }
    }

    fn key(name: &str) -> Key {
        Key::new(Bytes::copy_from_slice(name.as_bytes())).expect("key")
    }

    async fn begin(
        (cache, loads, id): &World,
        call: Call,
        load: Load,
    ) -> Result<Start<Embedded>, Fault> {
        cache.begin_load(call, id, load, loads).await
    }

    async fn running(world: &World) -> Box<Loading<Embedded>> {
        match begin(world, Call::until(None), ALL).await {
            Ok(Start::Runs(loading)) => loading,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_load_waits_for_the_one_before_it_until_its_deadline() {
        let world = world();
        let first = running(&world).await;
        let deadline = Instant::now() + Duration::from_secs(5);
        let fault = begin(&world, Call::until(Some(deadline)), ALL).await;
        assert_eq!(fault.expect_err("it waits").cause, Cause::LoadRunning);
        assert!(Instant::now() <= deadline);
        first.finish().await.expect("complete");
        let second = begin(&world, Call::until(None), ALL).await;
        assert!(matches!(second, Ok(Start::Unneeded(1))), "{second:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_load_that_is_dropped_is_abandoned_and_removes_nothing() {
        let world = world();
        let (cache, loads, id) = &world;
        let none = Call::until(None);
        cache.put(none, id, put("old")).await.expect("stored");
        let mut first = running(&world).await;
        first.put(put("new")).await.expect("taken");
        assert_eq!(loads.figures().len(), 1);
        drop(first);
        assert!(loads.figures().is_empty());
        let second = running(&world).await;
        let address = Address {
            cache: id.clone(),
            key: key("old"),
        };
        let found = cache.get(none, &address, Consistency::Master).await;
        assert!(matches!(found, Ok(Lookup::Hit(_))), "{found:?}");
        let loaded = second.finish().await.expect("complete");
        assert_eq!((loaded.removed, loaded.removed_keys), (1, vec![key("old")]));
    }

    #[tokio::test(start_paused = true)]
    async fn the_removed_are_told_up_to_a_bound_and_counted_beyond() {
        let world = world();
        let (cache, _, id) = &world;
        let olds = (0..REMOVED_TOLD + 10).map(|number| put(&number.to_string()));
        cache
            .put_many(Call::until(None), id, olds.collect())
            .await
            .expect("stored");
        let loaded = running(&world).await.finish().await.expect("complete");
        assert_eq!(loaded.removed_keys.len(), REMOVED_TOLD);
        assert_eq!(loaded.removed, REMOVED_TOLD as u64 + 10);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_loads_than_are_allowed() {
        let (cache, loads, _) = world();
        let mut all = Vec::new();
        for number in 0..17 {
            let id = CacheId {
                tenant: Tenant::primary(),
                name: CacheName::new(&format!("c{number}")).expect("cache"),
            };
            all.push(cache.begin_load(Call::until(None), &id, ALL, &loads).await);
        }
        let refused = all.pop().expect("17").expect_err("one too many");
        assert_eq!(refused.cause, Cause::TooManyLoads);
        assert!(all.iter().all(Result::is_ok));
    }

    #[tokio::test(start_paused = true)]
    async fn edits_meanwhile_win_and_a_clear_ends_it() {
        let world = world();
        let (cache, _, id) = &world;
        let none = Call::until(None);
        let mut loading = running(&world).await;
        cache.put(none, id, put("put")).await.expect("stored");
        let gone = [key("evicted")];
        cache.evict_many(none, id, &gone).await.expect("noted");
        for name in ["put", "evicted", "untouched"] {
            loading.put(put(name)).await.expect("taken");
        }
        let loaded = loading.finish().await.expect("complete");
        assert_eq!((loaded.stored, loaded.skipped), (1, 2));
        cache.clear(none, id).await.expect("cleared");
        let loading = running(&world).await;
        cache.clear(none, id).await.expect("cleared");
        let lost = loading.finish().await.expect_err("it is over");
        assert_eq!(lost.cause, Cause::LoadLost);
    }
}
