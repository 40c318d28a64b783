//! The store in this process's memory: for a laptop, for tests, and as the oracle of later tests.
//!
//! Invariants: one lock, held for one step at a time and never across an `.await`; bounded by bytes.
//!
//! Not here: the rules (`state`). Nothing survives the process, and nothing is shared with another one.

mod cleared;
mod counter;
mod deadline;
mod entries;
mod groups;
mod lease;
mod list;
mod load;
mod operation;
mod pending;
mod quota;
mod state;
mod sweep;

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::config::CacheRules;
use crate::invalidation::{Bell, Event, Hub, Listener};
use crate::model::{
    CacheId, Expiry, Fault, GroupName, Groups, Key, Lease, Lineage, Lookup, PutOutcome, Tenant,
    Token, TtlLookup,
};

use super::layout::Layout;
use super::quota::Allowance;
use super::store::{
    Edited, Granting, IfAbsent, Increment, Items, LeaseRequest, ListEdit, Put, Read, Store, Write,
    Written, other_lineage, too_large,
};
pub use state::Figures;
use state::{Now, State};

/// Keeps entries in memory.
#[derive(Debug)]
pub struct Embedded {
    state: Mutex<State>,
    gauges: Gauges,
    /// Who is told. Every change goes through this store, so nothing else has to be listened to.
    hub: Arc<Hub>,
    /// Rung when a lease has ended.
    bell: Arc<Bell>,
    /// Rung when a cache was cleared.
    cleared: Notify,
    lineage: Lineage,
}

impl Embedded {
    /// An empty store of that many bytes.
    pub fn new(capacity: u64, rules: CacheRules, (hub, bell): (Arc<Hub>, Arc<Bell>)) -> Self {
        Self {
            state: Mutex::new(State::new(capacity, rules)),
            gauges: Gauges::register(capacity),
            hub,
            bell,
            cleared: Notify::new(),
            // What is written lives as long as this value does.
            lineage: Lineage::new(0, &format!("{:032x}", rand::random::<u128>())),
        }
    }

    /// The same, which stores as far as this allows.
    pub fn allowing(self, allowance: Arc<Allowance>) -> Self {
        self.state.lock().allowance = allowance;
        self
    }

    /// Tells subscribers which keys changed, and the writer that its write is in place: here, and nowhere else.
    fn written<T>(
        &self,
        cache: &CacheId,
        changed: Vec<Key>,
        answer: T,
        write: Write,
    ) -> Result<Written<T>, Fault> {
        if !changed.is_empty() {
            self.hub.invalidated(cache.clone(), changed);
        }
        self.tell_of_ended();
        write.durability.without_replicas()?;
        Ok(Written {
            answer,
            token: Some(Token {
                lineage: self.lineage,
                offset: 0,
            }),
        })
    }

    /// Wakes whoever waits for leases that have ended, behind the changes that ended them.
    fn tell_of_ended(&self) {
        let ended = self.state.lock().leases.take_ended();
        for (cache, key) in ended {
            self.bell.changed(&self.lease_key(&cache, &key));
        }
    }

    /// How full it is.
    pub fn figures(&self) -> Figures {
        self.state.lock().figures()
    }
}

fn now() -> Now {
    Now {
        clock: Instant::now(),
        wall: SystemTime::now(),
    }
}

impl Store for Embedded {
    fn at_hand(&self, cache: &CacheId, key: &Key, read: &Read) -> Option<Lookup> {
        let found = self.state.lock().get(cache, key, now());
        let fits = !matches!(&found, Lookup::Hit(hit) if hit.value.len() as u64 > read.budget);
        (fits && read.knows(self.lineage)).then_some(found)
    }

    async fn get(&self, cache: &CacheId, keys: &[Key], read: Read) -> Result<Items<Lookup>, Fault> {
        if !read.knows(self.lineage) {
            return Err(other_lineage());
        }
        let mut state = self.state.lock();
        let now = now();
        let mut left = read.budget;
        Ok(keys
            .iter()
            .map(|key| {
                let found = state.get(cache, key, now);
                if let Lookup::Hit(hit) = &found {
                    let size = hit.value.len() as u64;
                    left = left.checked_sub(size).ok_or_else(too_large)?;
                }
                Ok(found)
            })
            .collect())
    }

    async fn put(
        &self,
        cache: &CacheId,
        puts: Vec<Put>,
        write: Write,
    ) -> Result<Written<Items<PutOutcome>>, Fault> {
        let mut changed = Vec::new();
        let answer = {
            let mut state = self.state.lock();
            let now = now();
            let mut one = |put: Put| {
                let key = put.key.clone();
                let outcome = state.put(cache, put, rand::random(), now);
                if matches!(outcome, Ok(PutOutcome::Stored(_))) {
                    changed.push(key);
                }
                outcome
            };
            puts.into_iter().map(&mut one).collect()
        };
        self.written(cache, changed, answer, write)
    }

    async fn put_if_absent(
        &self,
        cache: &CacheId,
        put: Put,
        write: Write,
    ) -> Result<Written<IfAbsent>, Fault> {
        let key = put.key.clone();
        let answer = self
            .state
            .lock()
            .put_if_absent(cache, put, rand::random(), now())?;
        let changed = match answer {
            IfAbsent::Stored(_) => vec![key],
            IfAbsent::Existing(_) => Vec::new(),
        };
        self.written(cache, changed, answer, write)
    }

    async fn evict(
        &self,
        cache: &CacheId,
        keys: &[Key],
        write: Write,
    ) -> Result<Written<Items<bool>>, Fault> {
        let mut changed = Vec::new();
        let answer = {
            let mut state = self.state.lock();
            let now = now();
            let mut one = |key: &Key| {
                let existed = state.evict(cache, key, now);
                if existed {
                    changed.push(key.clone());
                }
                Ok(existed)
            };
            keys.iter().map(&mut one).collect()
        };
        self.written(cache, changed, answer, write)
    }

    async fn touch(
        &self,
        cache: &CacheId,
        key: &Key,
        expiry: Expiry,
        _: Write,
    ) -> Result<bool, Fault> {
        let touched = self
            .state
            .lock()
            .touch(cache, key, expiry, rand::random(), now());
        if touched {
            self.hub.invalidated(cache.clone(), vec![key.clone()]);
        }
        Ok(touched)
    }

    async fn increment(
        &self,
        cache: &CacheId,
        increment: Increment,
        write: Write,
    ) -> Result<Written<i64>, Fault> {
        let key = increment.key.clone();
        let (answer, changed) =
            self.state
                .lock()
                .increment(cache, increment, rand::random(), now())?;
        let changed = if changed { vec![key] } else { Vec::new() };
        self.written(cache, changed, answer, write)
    }

    async fn edit_list(
        &self,
        cache: &CacheId,
        edit: ListEdit,
        write: Write,
    ) -> Result<Written<Edited>, Fault> {
        let key = edit.key.clone();
        let (answer, changed) = self
            .state
            .lock()
            .edit_list(cache, edit, rand::random(), now())?;
        let changed = if changed { vec![key] } else { Vec::new() };
        self.written(cache, changed, answer, write)
    }

    async fn set_deadline(
        &self,
        cache: &CacheId,
        key: &Key,
        deadline: SystemTime,
        _: Write,
    ) -> Result<bool, Fault> {
        let applied = self
            .state
            .lock()
            .set_deadline(cache, key, deadline, now())?;
        if applied {
            self.hub.invalidated(cache.clone(), vec![key.clone()]);
        }
        Ok(applied)
    }

    async fn ttl(
        &self,
        cache: &CacheId,
        key: &Key,
        _: Option<tokio::time::Instant>,
    ) -> Result<TtlLookup, Fault> {
        Ok(self.state.lock().ttl(cache, key, now()))
    }

    async fn clear(&self, cache: &CacheId, write: Write) -> Result<Written<Option<u64>>, Fault> {
        let answer = self.state.lock().clear(cache, now());
        self.cleared.notify_one();
        self.hub.record(Event::Cleared(cache.clone()));
        self.written(cache, Vec::new(), answer, write)
    }

    async fn lease(
        &self,
        cache: &CacheId,
        key: &Key,
        request: &LeaseRequest,
    ) -> Result<Granting, Fault> {
        self.state.lock().lease(cache, key, request, now())
    }

    async fn release(
        &self,
        cache: &CacheId,
        key: &Key,
        lease: &Lease,
        _: Write,
    ) -> Result<bool, Fault> {
        let held = self.state.lock().release(cache, key, lease, now());
        self.tell_of_ended();
        Ok(held)
    }

    fn lease_key(&self, cache: &CacheId, key: &Key) -> Bytes {
        Layout::new("").lease(cache, key)
    }

    async fn add_to_groups(
        &self,
        cache: &CacheId,
        key: &Key,
        groups: &Groups,
        _: Write,
    ) -> Result<bool, Fault> {
        self.state.lock().add_to_groups(cache, key, groups, now())
    }

    async fn flush_groups(
        &self,
        cache: &CacheId,
        groups: &[GroupName],
        write: Write,
    ) -> Result<Written<()>, Fault> {
        self.state.lock().flush_groups(cache, groups, now());
        self.hub.record(Event::GroupsFlushed {
            cache: cache.clone(),
            groups: groups.to_vec(),
        });
        self.written(cache, Vec::new(), (), write)
    }

    async fn caches(
        &self,
        tenant: &Tenant,
        _: Option<tokio::time::Instant>,
    ) -> Result<Vec<CacheId>, Fault> {
        Ok(self.state.lock().caches(tenant))
    }
}

#[derive(Debug)]
struct Gauges {
    entries: Gauge,
    weight: Gauge,
    evictions: Counter,
}

impl Gauges {
    fn register(capacity: u64) -> Self {
        describe_gauge!(
            "vedetta_embedded_entries",
            "Entries in the embedded store, expired ones not yet swept included"
        );
        describe_gauge!(
            "vedetta_embedded_weight_bytes",
            metrics::Unit::Bytes,
            "Weight of the entries in the embedded store"
        );
        describe_gauge!(
            "vedetta_embedded_capacity_bytes",
            metrics::Unit::Bytes,
            "Weight at which the embedded store evicts"
        );
        describe_counter!(
            "vedetta_embedded_evictions_total",
            "Entries that left the embedded store because it was full"
        );
        gauge!("vedetta_embedded_capacity_bytes").set(capacity as f64);
        Self {
            entries: gauge!("vedetta_embedded_entries"),
            weight: gauge!("vedetta_embedded_weight_bytes"),
            evictions: counter!("vedetta_embedded_evictions_total"),
        }
    }

    fn show(&self, figures: Figures) {
        self.entries.set(figures.entries as f64);
        self.weight.set(figures.weight as f64);
        self.evictions.absolute(figures.evictions);
    }
}
