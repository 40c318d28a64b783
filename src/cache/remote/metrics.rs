//! How the near cache does.
//!
//! Invariants: every series without a cache exists from the start at 0; at most [`MOST_CACHES`] caches have series of
//! their own, the others share one.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};
use parking_lot::RwLock;
use quick_cache::DefaultHashBuilder;

use crate::clock;
use crate::model::{CacheId, CacheName};
use crate::near::{REMOVALS, Removal};

use super::Coherence;
use super::audit::Verdict;

/// Caches that are told apart.
const MOST_CACHES: usize = 100;

/// The label of all others.
const OTHERS: &str = "(others)";

/// Handles, resolved once.
#[derive(Debug)]
pub(super) struct Metrics {
    caches: RwLock<HashMap<CacheName, Arc<PerCache>, DefaultHashBuilder>>,
    others: OnceLock<Arc<PerCache>>,
    joined: Counter,
    confirmed: Counter,
    rejected: Counter,
    entries: Gauge,
    weight: Gauge,
    capacity: Gauge,
    removed: Vec<(Removal, Counter)>,
    lease: Gauge,
    staleness: Histogram,
    audits: Vec<(Verdict, Counter)>,
    losses: Counter,
}

/// The figures of one cache.
#[derive(Debug)]
pub(super) struct PerCache {
    hits: Counter,
    misses: Counter,
    stale: Counter,
}

impl PerCache {
    fn register(name: &str) -> Arc<Self> {
        let name = name.to_owned();
        Arc::new(Self {
            hits: counter!("vedetta_near_hits_total", "cache" => name.clone()),
            misses: counter!("vedetta_near_misses_total", "cache" => name.clone()),
            stale: counter!("vedetta_near_stale_total", "cache" => name),
        })
    }

    pub(super) fn hit(&self) {
        self.hits.increment(1);
    }

    pub(super) fn miss(&self) {
        self.misses.increment(1);
    }

    pub(super) fn stale(&self) {
        self.stale.increment(1);
    }
}

impl Metrics {
    /// Registers with the recorder of the moment.
    pub(super) fn register() -> Self {
        describe();
        Self {
            caches: RwLock::default(),
            others: OnceLock::new(),
            joined: counter!("vedetta_near_joined_total"),
            confirmed: counter!("vedetta_near_confirmed_total"),
            rejected: counter!("vedetta_near_rejected_fills_total"),
            entries: gauge!("vedetta_near_entries"),
            weight: gauge!("vedetta_near_weight_bytes"),
            capacity: gauge!("vedetta_near_capacity_bytes"),
            removed: REMOVALS
                .iter()
                .map(|(why, name)| {
                    (
                        *why,
                        counter!("vedetta_near_removed_total", "reason" => *name),
                    )
                })
                .collect(),
            lease: gauge!("vedetta_near_lease_remaining_seconds"),
            staleness: histogram!("vedetta_staleness_seconds"),
            audits: Verdict::ALL
                .iter()
                .map(|(verdict, name)| {
                    (
                        *verdict,
                        counter!("vedetta_audits_total", "result" => *name),
                    )
                })
                .collect(),
            losses: counter!("vedetta_data_losses_total"),
        }
    }

    /// The figures of a cache.
    pub(super) fn of(&self, cache: &CacheId) -> Arc<PerCache> {
        {
            let caches = self.caches.read();
            if let Some(figures) = caches.get(&cache.name) {
                return figures.clone();
            }
            if caches.len() >= MOST_CACHES {
                return self
                    .others
                    .get_or_init(|| PerCache::register(OTHERS))
                    .clone();
            }
        }
        let mut caches = self.caches.write();
        caches
            .entry(cache.name.clone())
            .or_insert_with(|| PerCache::register(cache.name.as_str()))
            .clone()
    }

    pub(super) fn joined(&self) {
        self.joined.increment(1);
    }

    pub(super) fn confirmed(&self) {
        self.confirmed.increment(1);
    }

    pub(super) fn staleness(&self, staleness: Duration) {
        self.staleness.record(staleness.as_secs_f64());
    }

    pub(super) fn audited(&self, verdict: Verdict) {
        if let Some((_, counter)) = self.audits.iter().find(|(known, _)| *known == verdict) {
            counter.increment(1);
        }
    }

    pub(super) fn lost(&self) {
        self.losses.increment(1);
    }

    /// Shows what the near cache counts itself.
    pub(super) fn show(&self, coherence: &Coherence) {
        let figures = coherence.near.figures();
        self.entries.set(figures.entries as f64);
        self.weight.set(figures.weight as f64);
        self.capacity.set(figures.capacity as f64);
        self.rejected.absolute(figures.rejected);
        for (why, counter) in &self.removed {
            counter.absolute(coherence.near.removed(*why));
        }
        let now = clock::now();
        let base = coherence.near.standing().base;
        let remaining = base.map_or(Duration::ZERO, |base| (base + coherence.bound).since(now));
        self.lease.set(remaining.as_secs_f64());
    }
}

fn describe() {
    describe_counter!(
        "vedetta_near_hits_total",
        "Reads answered FRESH from the near cache, by cache; a cached absence is a hit"
    );
    describe_counter!(
        "vedetta_near_misses_total",
        "Reads that the near cache could not answer FRESH, by cache"
    );
    describe_counter!(
        "vedetta_near_stale_total",
        "Reads answered STALE from the near cache, by cache"
    );
    describe_counter!(
        "vedetta_near_joined_total",
        "Reads that waited for the read of another call"
    );
    describe_counter!(
        "vedetta_near_confirmed_total",
        "Copies of an older session that the master confirmed without sending their value again"
    );
    describe_counter!(
        "vedetta_near_rejected_fills_total",
        "Reads whose result was not kept because a push, a write or the end of the session overtook them"
    );
    describe_gauge!(
        "vedetta_near_entries",
        "Entries in the near cache, those that cannot be served included"
    );
    describe_gauge!(
        "vedetta_near_weight_bytes",
        metrics::Unit::Bytes,
        "Weight of the entries in the near cache"
    );
    describe_gauge!(
        "vedetta_near_capacity_bytes",
        metrics::Unit::Bytes,
        "Weight at which the near cache evicts"
    );
    describe_counter!(
        "vedetta_near_removed_total",
        "Entries that left the near cache, by reason"
    );
    describe_gauge!(
        "vedetta_near_lease_remaining_seconds",
        metrics::Unit::Seconds,
        "For how long the near cache may still answer FRESH if nothing more is heard; 0 while it may not"
    );
    describe_histogram!(
        "vedetta_staleness_seconds",
        metrics::Unit::Seconds,
        "Time from the acknowledgement of a write of the canary, once a second, until its push was applied"
    );
    describe_counter!(
        "vedetta_audits_total",
        "Answers of the near cache that were compared with the master; stuck must stay 0"
    );
    describe_counter!(
        "vedetta_data_losses_total",
        "Times that acknowledged writes were found missing after a change of master or a restart"
    );
}
