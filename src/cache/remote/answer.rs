//! What a read is answered, and what it may be called.
//!
//! Invariants: nothing that is not provably fresh is called FRESH, wherever it is from.
//!
//! Not here: getting it (`reader`).

use std::sync::Arc;

use bytes::Bytes;

use crate::clock;
use crate::model::{CacheId, Evidence, Hit, Lookup, Moment, Source};
use crate::near::{Found, NearHit};
use crate::upstream::Session;

use super::Core;
use super::flight::Landed;
use super::metrics::PerCache;
use super::read::Seen;
use super::reader::Place;
use super::terms::{Aim, Terms};

impl Core {
    /// Whether the leases stand, so that asking the master is worth the wait.
    pub(super) fn is_proven(&self, now: Moment) -> bool {
        let standing = self.coherence.near.standing();
        let bound = self.coherence.bound;
        let based = standing.base.is_some_and(|base| now.since(base) <= bound);
        based && standing.quarantine <= now
    }

    /// The answer of the near cache; a hit is counted.
    pub(super) fn near_answer(
        self: &Arc<Self>,
        (cache, figures): (&CacheId, &PerCache),
        entry: &Bytes,
        aim: &Aim,
        now: Moment,
    ) -> Option<Lookup> {
        let near = &self.coherence.near;
        if let Some(hit) = near.fresh(entry, cache, aim.want, now) {
            figures.hit();
            if self.audits.is_due() {
                self.audit(self.place(cache, entry.clone()), hit.found.clone());
            }
            return Some(lookup(hit));
        }
        if aim.takes_unverified()
            && !self.is_proven(now)
            && let Some(hit) = near.unverified(entry, cache, aim.want.bound, now)
        {
            figures.hit();
            // It may have landed since it was looked for, and a read proves its own entry.
            let fresh = near.fresh(entry, cache, aim.want, now);
            return Some(lookup(fresh.unwrap_or(hit)));
        }
        None
    }

    /// An old answer, for whoever takes one.
    pub(super) fn old_answer(&self, place: &Place, terms: &Terms, now: Moment) -> Option<Lookup> {
        let near = &self.coherence.near;
        let hit = near.stale(&place.entry, &place.cache, terms.aim.stale?, now)?;
        self.metrics.of(&place.cache).stale();
        Some(lookup(hit))
    }

    /// What the master said, as an answer.
    pub(super) fn landed(&self, landed: &Landed, now: Moment) -> Lookup {
        let near = &self.coherence.near;
        let evidence = near.evidence(landed.generation, landed.sent, self.coherence.bound, now);
        match &landed.found {
            Found::Absent => Lookup::Miss(evidence),
            Found::Present(value, version) => Lookup::Hit(Hit {
                value: value.clone(),
                version: version.clone(),
                // A flight that was joined may have asked a while ago.
                ttl: landed
                    .ttl
                    .map(|ttl| ttl.saturating_sub(now.since(landed.sent))),
                evidence,
            }),
        }
    }

    pub(super) fn answer(&self, session: &Session, sent: Moment, seen: Seen) -> Lookup {
        let landed = Landed {
            found: seen.found,
            ttl: seen.ttl,
            sent,
            generation: session.generation(),
            lineage: session.lineage(),
        };
        self.landed(&landed, clock::now())
    }
}

pub(super) fn lookup(hit: NearHit) -> Lookup {
    let evidence = Evidence {
        source: Source::L1,
        freshness: hit.freshness,
        age_bound: hit.age,
    };
    match hit.found {
        Found::Absent => Lookup::Miss(evidence),
        Found::Present(value, version) => Lookup::Hit(Hit {
            value,
            version,
            ttl: hit.ttl,
            evidence,
        }),
    }
}
