//! Removing entries, and clearing caches.
//!
//! Not here: what a clear leaves behind (`sweep`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::config::Encoding;
use crate::failover::Repeat;
use crate::model::{Applied, CacheId, Cause, Durability, Fault, Key, Place};
use crate::upstream::{Batch, Effect, Operation, Reply, Session};

use super::super::store::{Items, Write, Written};
use super::journal::{Again, Wrote};
use super::judged::{Declared, Item};
use super::write::{nothing, together, truth};
use super::{Core, Sent, new_stamp, new_version};

impl Core {
    pub(super) async fn remove(
        &self,
        cache: &CacheId,
        keys: &[Key],
        write: Write,
    ) -> Result<Written<Items<bool>>, Fault> {
        if keys.is_empty() {
            return Ok(nothing());
        }
        let weight = keys.iter().map(|key| key.as_bytes().len() as u64).sum();
        let mut own = self.own_write(cache, keys.iter().cloned());
        let attempt = |session| self.remove_once(session, cache, keys, write.durability);
        let patience = self.patience(&write, weight);
        let written = self
            .passage
            .persist(patience, Repeat::Harmless, attempt)
            .await;
        let written = written.inspect_err(|fault| own.failed(fault))?;
        own.changed(written.answer.iter().map(|existed| *existed != Ok(false)));
        Ok(written)
    }

    async fn remove_once(
        &self,
        session: Arc<Session>,
        cache: &CacheId,
        keys: &[Key],
        durability: Durability,
    ) -> Result<Written<Items<bool>>, Fault> {
        let framed = self.encoding(cache) == Encoding::Framed;
        let item = |key| Item {
            key,
            judges: framed,
            declared: Declared::default(),
        };
        let add = |batch: &mut Batch, at: usize, declared: &Declared| {
            let entry = self.layout.entry(cache, &keys[at]);
            if !framed {
                let keys = [entry, self.layout.load_notes(cache)];
                batch.script(&self.scripts.evict_raw, &keys, &[]);
                return;
            }
            let lease = self.layout.lease(cache, &keys[at]);
            let call = (
                vec![
                    entry,
                    self.layout.stamp(cache),
                    lease,
                    self.layout.load_notes(cache),
                ],
                vec![new_stamp()],
            );
            let script = &self.scripts.evict_framed;
            declared.change(batch, script, call, (&self.layout, cache));
        };
        let version = new_version(&session);
        let wrote = |key| (key, Wrote::Removal(version.clone()));
        let (what, items) = ((Operation::Evict, cache), keys.iter().map(item).collect());
        let sent = match self.send_judged(&session, what, items, add).await {
            Ok(sent) => sent,
            Err(fault) => return Err(self.doubted(&session, cache, keys.iter().map(wrote), fault)),
        };
        let answer: Items<bool> = sent.replies.iter().cloned().map(truth).collect();
        let place = session.place(sent.token);
        // Also where nothing was there: whoever removed it before us may be forgotten with us.
        for (key, item) in keys.iter().zip(&answer) {
            match item {
                Ok(_) => self.remember(cache, wrote(key), place),
                Err(fault) if fault.applied != Applied::No => {
                    self.remember(cache, wrote(key), session.place(None));
                }
                Err(_) => {}
            }
        }
        let written = together(Written {
            answer,
            token: sent.token,
        })?;
        self.secure(&session, &sent, durability).await?;
        Ok(written)
    }

    /// Makes every entry of a cache a miss.
    pub(super) async fn clear(
        &self,
        cache: &CacheId,
        write: Write,
    ) -> Result<Written<Option<u64>>, Fault> {
        let mut own = self.own_clear(cache);
        let patience = self.patience(&write, 0);
        let removed = AtomicU64::new(0);
        let attempt = |session| self.clear_once(session, cache, &removed, write.durability);
        let cleared = self
            .passage
            .persist(patience, Repeat::Harmless, attempt)
            .await;
        cleared.inspect_err(|fault| own.failed(fault))
    }

    /// `removed` is what this call has removed so far, in earlier attempts too.
    async fn clear_once(
        &self,
        session: Arc<Session>,
        cache: &CacheId,
        removed: &AtomicU64,
        durability: Durability,
    ) -> Result<Written<Option<u64>>, Fault> {
        let framed = self.encoding(cache) == Encoding::Framed;
        let stamp = framed.then(new_stamp);
        let cleared = match &stamp {
            Some(stamp) => self.replace_stamp(&session, cache, stamp).await,
            None => self.remove_all(&session, cache, removed).await,
        };
        let (answer, sent) = cleared.inspect_err(|fault| {
            if fault.applied != Applied::No {
                self.journal
                    .cleared(cache, stamp.clone(), session.place(None));
            }
        })?;
        let place = session.place(sent.token);
        self.journal.cleared(cache, stamp.clone(), place);
        if let Some(stamp) = stamp {
            self.sweeper.sweep(cache, stamp);
        }
        self.secure(&session, &sent, durability).await?;
        Ok(Written {
            answer,
            token: sent.token,
        })
    }

    /// One step, whatever the size of the cache.
    async fn replace_stamp(
        &self,
        session: &Arc<Session>,
        cache: &CacheId,
        stamp: &Bytes,
    ) -> Result<(Option<u64>, Sent), Fault> {
        let mut batch = Batch::new(Operation::Clear, Effect::Write);
        let call = (vec![self.layout.stamp(cache)], vec![stamp.clone()]);
        let script = &self.scripts.clear_framed;
        Declared::default().change(&mut batch, script, call, (&self.layout, cache));
        let sent = self.send_write(session, batch).await?;
        truth(sent.replies.first().cloned().unwrap_or(Reply::Nil))?;
        Ok((None, sent))
    }

    /// Small steps; the point of history is asked for after the last one.
    async fn remove_all(
        &self,
        session: &Arc<Session>,
        cache: &CacheId,
        removed: &AtomicU64,
    ) -> Result<(Option<u64>, Sent), Fault> {
        // Before and after: neither a load that was running nor one that began meanwhile may pass for complete.
        self.end_loads(session, cache).await?;
        self.sweeper.remove_all(session, cache, removed).await?;
        let mut behind = Batch::new(Operation::Clear, Effect::Write);
        let deadlines = [self.layout.deadlines(cache)];
        behind.script(&self.scripts.forget_deadlines, &deadlines, &[new_stamp()]);
        self.add_end_of_loads(&mut behind, cache);
        let sent = self.send_write(session, behind).await.map_err(|fault| {
            let detail = format!("cleared, but the link ended then: {}", fault.detail);
            Fault::unknown(Cause::OutcomeUnknown, detail)
        })?;
        Ok((Some(removed.load(Ordering::Relaxed)), sent))
    }

    async fn end_loads(&self, session: &Arc<Session>, cache: &CacheId) -> Result<(), Fault> {
        let mut batch = Batch::new(Operation::Clear, Effect::Write);
        self.add_end_of_loads(&mut batch, cache);
        let ended = self.send(session, batch).await?;
        truth(ended.into_iter().next().unwrap_or(Reply::Nil)).map(|_| ())
    }

    fn add_end_of_loads(&self, batch: &mut Batch, cache: &CacheId) {
        let records = self.records(cache);
        batch.command(
            "UNLINK",
            &records.iter().map(AsRef::as_ref).collect::<Vec<_>>(),
        );
    }

    /// Clears raw caches again whose clear a new master may not have.
    pub(super) async fn clear_raw_again(&self, mut caches: Again) {
        while let Some(cache) = caches.recv().await {
            if let Err(fault) = self.clear(&cache, Write::default()).await {
                let reason = fault.cause.reason();
                tracing::warn!(%cache, reason, "a clear may be lost: {}", fault.detail);
            }
        }
    }

    /// Remembers a write, and where in the history it is.
    pub(super) fn remember(&self, cache: &CacheId, (key, wrote): (&Key, Wrote), place: Place) {
        let framed = self.encoding(cache) == Encoding::Framed;
        let entry = self.layout.entry(cache, key);
        self.journal.wrote(cache, &entry, wrote, framed, place);
    }

    /// Remembers writes that failed so, unless they provably were not applied.
    pub(super) fn doubted<'a>(
        &self,
        session: &Session,
        cache: &CacheId,
        writes: impl IntoIterator<Item = (&'a Key, Wrote)>,
        fault: Fault,
    ) -> Fault {
        if fault.applied != Applied::No {
            for write in writes {
                self.remember(cache, write, session.place(None));
            }
        }
        fault
    }
}
