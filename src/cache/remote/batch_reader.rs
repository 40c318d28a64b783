//! The read path for several entries at once: what the near cache does not have is read in one batch.
//!
//! Invariants: as for one entry (`reader`), with a token for each. A batch neither joins nor is joined by others while
//! it is being read, because it answers as one.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::backoff::Backoff;
use crate::clock;
use crate::model::{CacheId, Cause, Fault, Key, Lookup};
use crate::near::{Fill, Want};
use crate::upstream::Session;

use super::super::store::{Items, Read, other_lineage, too_large};
use super::Core;
use super::flight::Pilot;
use super::membership::Stamps;
use super::read::Seen;
use super::reader::Boarding;
use super::terms::Terms;

impl Core {
    /// Several entries: those that the near cache does not have are read in one batch.
    pub(super) async fn get_many(
        self: &Arc<Self>,
        cache: &CacheId,
        keys: &[Key],
        read: Read,
    ) -> Result<Items<Lookup>, Fault> {
        let kept = keys
            .first()
            .is_some_and(|key| !self.place(cache, self.layout.entry(cache, key)).is_unkept());
        let terms = self.terms(&read).filter(|_| kept);
        let Some(terms) = terms else {
            return self.ask_many(cache, keys, &read).await;
        };
        let (now, figures) = (clock::now(), self.metrics.of(cache));
        let mut left = read.budget;
        let mut answers: Vec<Option<Result<Lookup, Fault>>> = Vec::with_capacity(keys.len());
        let mut missing = Vec::new();
        for key in keys {
            let entry = self.layout.entry(cache, key);
            let near = self.near_answer((cache, &figures), &entry, &terms.aim, now);
            let hit = near.or_else(|| {
                figures.miss();
                // As for one entry: whoever takes an old answer does not wait for a master in doubt.
                let place = self.place(cache, entry.clone());
                let old = (!self.is_proven(now)).then(|| self.old_answer(&place, &terms, now));
                old.flatten().inspect(|_| self.refresh(&place))
            });
            if hit.is_none() {
                missing.push((answers.len(), key.clone(), entry));
            }
            answers.push(hit.map(|hit| within(&mut left, hit)));
        }
        if !missing.is_empty() {
            let found = self.land_many(cache, &missing, &terms, left).await?;
            for ((at, ..), landing) in missing.iter().zip(found) {
                answers[*at] = Some(landing);
            }
        }
        Ok(answers
            .into_iter()
            .map(|answer| answer.unwrap_or_else(|| Err(too_large())))
            .collect())
    }

    async fn land_many(
        self: &Arc<Self>,
        cache: &CacheId,
        missing: &[(usize, Key, Bytes)],
        terms: &Terms,
        left: u64,
    ) -> Result<Items<Lookup>, Fault> {
        let mut backoff = Backoff::new();
        loop {
            let generation = self.coherence.near.standing().generation;
            let fault = match self.read_missing(cache, missing, terms, left).await {
                Ok(found) => return Ok(found),
                Err(fault) => fault,
            };
            let now = clock::now();
            let old: Vec<Option<Lookup>> = missing
                .iter()
                .map(|(_, _, entry)| self.old_answer(&self.place(cache, entry.clone()), terms, now))
                .collect();
            if old.iter().any(Option::is_some) {
                let mut left = left;
                let mut item = |old: Option<Lookup>| {
                    let old = old.ok_or_else(|| fault.clone())?;
                    within(&mut left, old)
                };
                return Ok(old.into_iter().map(&mut item).collect());
            }
            self.wait_to_retry(generation, fault, terms, &mut backoff)
                .await?;
        }
    }

    /// One batch for all of them, under a token each, in a task of its own: the tokens outlive a caller that is gone.
    /// They do not join others, because a batch answers as one.
    async fn read_missing(
        self: &Arc<Self>,
        cache: &CacheId,
        missing: &[(usize, Key, Bytes)],
        terms: &Terms,
        left: u64,
    ) -> Result<Items<Lookup>, Fault> {
        let weight = missing.iter().map(|(_, _, entry)| entry.len()).sum();
        self.passage.readable(terms.patience(weight)).await?;
        let mut fills = Vec::with_capacity(missing.len());
        let mut keys = Vec::with_capacity(missing.len());
        for (_, key, entry) in missing {
            if let Boarding::Leads(fill, pilot, _) =
                self.board(&self.place(cache, entry.clone()), None)
            {
                fills.push((fill, pilot));
                keys.push(key.clone());
            }
        }
        let (answer, answered) = oneshot::channel();
        let (core, cache, want) = (self.clone(), cache.clone(), terms.aim.want);
        self.tasks.spawn("fill many", async move {
            // A caller that is gone does not read it.
            let _ = answer.send(core.fill_many(&cache, &keys, fills, want, left).await);
        });
        answered.await.unwrap_or_else(|_| {
            let detail = "this vedetta is stopping";
            Err(Fault::not_applied(Cause::ShuttingDown, detail))
        })
    }

    async fn fill_many(
        &self,
        cache: &CacheId,
        keys: &[Key],
        fills: Vec<(Fill, Pilot)>,
        want: Want,
        left: u64,
    ) -> Result<Items<Lookup>, Fault> {
        let near = &self.coherence.near;
        let read = async {
            let session = self.lane.session()?;
            if want
                .token
                .is_some_and(|token| token.lineage != session.lineage())
            {
                return Err(other_lineage());
            }
            let sent = clock::now();
            let stamps = Stamps::of(want.bound, want.token);
            let seen = self
                .read_many(&session, cache, keys, (left, stamps))
                .await?;
            Ok((session, sent, seen))
        };
        let (session, sent, seen) = match read.await {
            Ok(read) => read,
            Err(fault) => {
                for (fill, _) in &fills {
                    near.abandon(fill);
                }
                return Err(fault);
            }
        };
        let received = clock::now();
        let take_in = |((fill, pilot), seen): ((Fill, Pilot), Result<Seen, Fault>)| {
            let seen = seen.inspect_err(|_| near.abandon(&fill))?;
            let landed = self.take_in(fill, seen, &session, sent, received);
            pilot.land(Ok(landed.clone()));
            Ok(self.landed(&landed, received))
        };
        Ok(fills.into_iter().zip(seen).map(take_in).collect())
    }

    async fn ask_many(
        self: &Arc<Self>,
        cache: &CacheId,
        keys: &[Key],
        read: &Read,
    ) -> Result<Items<Lookup>, Fault> {
        if let Some(key) = keys.first() {
            let entry = self.layout.entry(cache, key);
            self.coherence.directory.note(&entry, cache);
        }
        let attempt = |session: Arc<Session>| async move {
            if !read.is_of(&session) {
                return Err(other_lineage());
            }
            let sent = clock::now();
            let terms = (read.budget, Stamps::Asked);
            let seen = self.read_many(&session, cache, keys, terms).await?;
            let answer = |seen: Result<Seen, Fault>| Ok(self.answer(&session, sent, seen?));
            Ok(seen.into_iter().map(answer).collect())
        };
        let weight = keys.iter().map(|key| key.as_bytes().len() as u64).sum();
        let patience = self.passage.patience(read.deadline, weight);
        self.passage.retrieve(patience, attempt).await
    }
}

/// Takes the size of an answer from what is left, or refuses it.
fn within(left: &mut u64, lookup: Lookup) -> Result<Lookup, Fault> {
    if let Lookup::Hit(hit) = &lookup {
        *left = left
            .checked_sub(hit.value.len() as u64)
            .ok_or_else(too_large)?;
    }
    Ok(lookup)
}
