//! What may be handed out, and as what.

use std::time::Duration;

use crate::model::{CacheId, Freshness, Moment, Token};

use super::entry::{Entry, NearHit, Removal};
use super::mutant::{Mutant, breaks};
use super::store::{Near, Want};

impl<F: Clone> Near<F> {
    /// The copy of a key, if it is provably fresh enough.
    pub fn fresh(&self, key: &[u8], owner: &CacheId, want: Want, now: Moment) -> Option<NearHit> {
        let lease = self.lease.read();
        let standing = lease.standing();
        if !standing.live || standing.quarantine > now {
            return None;
        }
        let covered = |token: Token| lease.covers(token.lineage, token.offset);
        if !want.token.is_none_or(covered) {
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
        let stamped = entry
            .stamp
            .as_ref()
            .is_none_or(|(slot, mark)| slot.is(standing.generation, *mark));
        if !current || !stamped || self.is_flushed(entry.number) {
            return None;
        }
        let age = now.since(lease.proof(standing.generation, entry.filled)?);
        (age <= want.bound).then(|| hit(entry, Freshness::Fresh, age, now))
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
        let stamped = entry
            .stamp
            .as_ref()
            .is_none_or(|(slot, mark)| slot.was(*mark));
        (stamped && age <= max_age).then(|| hit(entry, Freshness::Stale, age, now))
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
