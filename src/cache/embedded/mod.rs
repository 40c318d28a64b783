//! The store in this process's memory: for a laptop, for tests, and as the oracle of later tests.
//!
//! Invariants: one lock, held for one step at a time and never across an `.await`; bounded by bytes.
//!
//! Not here: the rules (`state`). Nothing survives the process, and nothing is shared with another one.

mod state;

use std::time::{Duration, Instant, SystemTime};

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};
use parking_lot::Mutex;

use crate::config::CacheRules;
use crate::model::{CacheId, Expiry, Fault, Key, Lookup, PutOutcome, Tenant, TtlLookup};

use super::store::{IfAbsent, Items, Put, Store, too_large};
pub use state::Figures;
use state::{Now, State};

/// How often memory of expired entries is looked for. They are absent from the moment they expire; this only
/// gives their memory back.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

/// Keeps entries in memory.
#[derive(Debug)]
pub struct Embedded {
    state: Mutex<State>,
    gauges: Gauges,
}

impl Embedded {
    /// An empty store of that many bytes.
    pub fn new(capacity: u64, rules: CacheRules) -> Self {
        Self {
            state: Mutex::new(State::new(capacity, rules)),
            gauges: Gauges::register(capacity),
        }
    }

    /// How full it is.
    pub fn figures(&self) -> Figures {
        self.state.lock().figures()
    }

    /// Gives the memory of expired entries back, and shows the figures.
    pub fn sweep(&self) {
        let figures = {
            let mut state = self.state.lock();
            state.sweep(now());
            state.figures()
        };
        self.gauges.show(figures);
    }
}

fn now() -> Now {
    Now {
        clock: Instant::now(),
        wall: SystemTime::now(),
    }
}

impl Store for Embedded {
    async fn get(
        &self,
        cache: &CacheId,
        keys: &[Key],
        budget: u64,
    ) -> Result<Items<Lookup>, Fault> {
        let mut state = self.state.lock();
        let now = now();
        let mut left = budget;
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

    async fn put(&self, cache: &CacheId, puts: Vec<Put>) -> Result<Items<PutOutcome>, Fault> {
        let mut state = self.state.lock();
        let now = now();
        Ok(puts
            .into_iter()
            .map(|put| state.put(cache, put, rand::random(), now))
            .collect())
    }

    async fn put_if_absent(&self, cache: &CacheId, put: Put) -> Result<IfAbsent, Fault> {
        self.state
            .lock()
            .put_if_absent(cache, put, rand::random(), now())
    }

    async fn evict(&self, cache: &CacheId, keys: &[Key]) -> Result<Items<bool>, Fault> {
        let mut state = self.state.lock();
        let now = now();
        Ok(keys
            .iter()
            .map(|key| Ok(state.evict(cache, key, now)))
            .collect())
    }

    async fn touch(&self, cache: &CacheId, key: &Key, expiry: Expiry) -> Result<bool, Fault> {
        Ok(self.state.lock().touch(cache, key, expiry, now()))
    }

    async fn ttl(&self, cache: &CacheId, key: &Key) -> Result<TtlLookup, Fault> {
        Ok(self.state.lock().ttl(cache, key, now()))
    }

    async fn clear(&self, cache: &CacheId) -> Result<Option<u64>, Fault> {
        Ok(self.state.lock().clear(cache, now()))
    }

    async fn caches(&self, tenant: &Tenant) -> Result<Vec<CacheId>, Fault> {
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
