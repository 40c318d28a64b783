//! What may be handed out, and as what.

use std::time::Duration;

use crate::model::{CacheId, Evidence, Freshness, Moment, Source, Token};

use super::entry::{Entry, NearHit, Removal};
use super::lease::Lease;
use super::mutant::{Mutant, breaks};
use super::store::{Near, Want};

/// When no majority has stood behind a master for that long, copies of what it said are no longer handed out.
pub const UNVERIFIED_FOR: Duration = Duration::from_secs(30);

impl<F: Clone> Near<F> {
    /// What may be said of an answer of the master of that generation, which was asked at `sent`.
    ///
    /// FRESH if a majority stood behind that master no longer ago than the bound: no later master can have acknowledged
    /// a write before that. Not in the quarantine after a change of history: old values that lost writes have brought
    /// back are still being removed.
    pub fn evidence(
        &self,
        generation: u64,
        sent: Moment,
        bound: Duration,
        now: Moment,
    ) -> Evidence {
        let (proof, majority) = self.read_proof(generation, sent);
        let quarantined = self.standing().quarantine > now;
        let freshness = if !quarantined && now.since(majority) <= bound {
            Freshness::Fresh
        } else {
            Freshness::Unverified
        };
        Evidence {
            source: Source::Master,
            freshness,
            age_bound: now.since(proof),
        }
    }

    /// The copy of a key, if it is provably fresh enough.
    pub fn fresh(&self, key: &[u8], owner: &CacheId, want: Want, now: Moment) -> Option<NearHit> {
        self.current(key, owner, now, |lease, entry, generation| {
            let covered = |token: Token| lease.covers(token.lineage, token.offset);
            if lease.is_quarantined(now) || !want.token.is_none_or(covered) {
                return None;
            }
            let age = now.since(lease.proof(generation, entry.filled)?);
            (age <= want.bound).then_some((Freshness::Fresh, age))
        })
    }

    /// The copy of a key, if the node that it is from would say the same, and a majority stood behind that node not too
    /// long ago. Asking the node again would prove no more.
    pub fn unverified(
        &self,
        key: &[u8],
        owner: &CacheId,
        bound: Duration,
        now: Moment,
    ) -> Option<NearHit> {
        self.current(key, owner, now, |lease, entry, _| {
            let (link, majority) = lease.apart(entry.filled);
            let age = now.since(link);
            (age <= bound && now.since(majority) <= UNVERIFIED_FOR)
                .then_some((Freshness::Unverified, age))
        })
    }

    /// The copy of a key, if nothing has been heard against it in this generation, and if it passes.
    fn current(
        &self,
        key: &[u8],
        owner: &CacheId,
        now: Moment,
        judge: impl FnOnce(&Lease, &Entry, u64) -> Option<(Freshness, Duration)>,
    ) -> Option<NearHit> {
        let lease = self.lease.read();
        let standing = lease.standing();
        if !standing.live {
            return None;
        }
        let mut shard = self.shard(key).lock();
        let entry = shard.get(key).filter(|entry| entry.owner == *owner)?;
        if entry.is_expired(now) {
            shard.remove(key, Removal::Expired);
            return None;
        }
        let current =
            entry.generation == standing.generation || breaks(self.broken, Mutant::KeepOnReconnect);
        let stamped = entry.is_stamped(standing.generation);
        if !current || !stamped || self.is_flushed(entry.number) {
            return None;
        }
        let (freshness, age) = judge(&lease, entry, standing.generation)?;
        Some(hit(entry, freshness, age, now))
    }

    /// The copy of a key, if it was current at most `max_age` ago and nobody has told that it changed.
    pub fn stale(
        &self,
        key: &[u8],
        owner: &CacheId,
        max_age: Duration,
        now: Moment,
    ) -> Option<NearHit> {
        let lease = self.lease.read();
        let mut shard = self.shard(key).lock();
        let entry = shard.get(key).filter(|entry| entry.owner == *owner)?;
        let proof = lease.proof(entry.generation, entry.filled);
        let gone = if entry.is_expired(now) {
            Some(Removal::Expired)
        } else if self.is_flushed(entry.number) || proof.is_none() {
            Some(Removal::Outdated)
        } else {
            None
        };
        if let Some(why) = gone {
            shard.remove(key, why);
            return None;
        }
        let age = now.since(proof?);
        (entry.was_stamped() && age <= max_age).then(|| hit(entry, Freshness::Stale, age, now))
    }
}

fn hit(entry: &Entry, freshness: Freshness, age: Duration, now: Moment) -> NearHit {
    NearHit {
        found: entry.found.clone(),
        freshness,
        age,
        ttl: entry.ttl(now),
    }
}
