//! Loads, on the master.
//!
//! Each step is a script that begins by asking whether the load is still the one that is registered: a loader that was
//! held up, and succeeded by another, stores nothing more.
//!
//! Invariants: a load is not carried over to another history; a step touches a bounded number of keys. Until a load is
//! complete nothing of it has been acknowledged, so the journal hears of it then, as a whole.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::clock;
use crate::config::Encoding;
use crate::failover::{Patience, Repeat};
use crate::model::{Applied, CacheId, Fault, Key};
use crate::upstream::{Batch, Effect, Operation, Reply, Session};

use super::super::frame;
use super::super::load::{Begun, Bulk, Cursor, Load, Mode, Running, lost};
use super::super::store::{Items, Put, Write, too_many_groups};
use super::expiry::arguments;
use super::judged::{Declared, Item, is_too_many};
use super::{Core, Remote, new_stamp, new_version, strange};

/// How long a loader is believed to be alive after its last step.
const LEASE: Duration = Duration::from_secs(10);

impl Core {
    fn patience_of_load(&self, deadline: Option<Instant>, weight: u64) -> Patience {
        let write = Write {
            deadline,
            ..Write::default()
        };
        self.patience(&write, weight)
    }

    async fn begin_load_once(
        &self,
        session: Arc<Session>,
        cache: &CacheId,
        id: &Bytes,
        load: Load,
    ) -> Result<Begun, Fault> {
        // The other pods' journals are replayed first: what is loaded then must not be taken for what they lost.
        let now = clock::now();
        let quarantine = self.coherence.near.standing().quarantine;
        if quarantine > now {
            tokio::time::sleep(quarantine.since(now)).await;
        }
        let mut keys = self.records(cache);
        keys.extend(self.stamp_key(cache));
        let lineage = session.lineage();
        let mut batch = Batch::new(Operation::Load, Effect::Write);
        batch.script(
            &self.scripts.load_begin,
            &keys,
            &[
                id.clone(),
                frame::snapshot_digits(load.snapshot).into(),
                letter(load.mode),
                Bytes::from_static(if load.again { b"1" } else { b"0" }),
                super::history(&session),
                lease(),
                new_stamp(),
            ],
        );
        match self.send(&session, batch).await?.into_iter().next() {
            Some(Reply::Array(fields)) => match fields.as_slice() {
                [Reply::Int(0)] => Ok(Begun::Running(Running {
                    id: id.clone(),
                    load,
                    lineage,
                })),
                [Reply::Int(1)] => Ok(Begun::Busy),
                [Reply::Int(2), Reply::Bytes(digits)] => snapshot(digits)
                    .map(Begun::Loaded)
                    .ok_or_else(|| strange(Reply::Nil)),
                _ => Err(strange(Reply::Nil)),
            },
            reply => Err(strange(reply.unwrap_or(Reply::Nil))),
        }
    }

    async fn load_once(
        &self,
        session: Arc<Session>,
        cache: &CacheId,
        running: &Running,
        puts: &[Put],
    ) -> Result<Items<bool>, Fault> {
        same_history(&session, running)?;
        let Some(first) = puts.first() else {
            return Ok(Items::new());
        };
        let framed = self.encoding(cache) == Encoding::Framed;
        // The first one renews the lease.
        let mut items = vec![Item {
            key: &first.key,
            judges: false,
            declared: Declared::default(),
        }];
        items.extend(puts.iter().map(|put| Item {
            key: &put.key,
            judges: framed,
            declared: Declared::joining(&put.groups),
        }));
        let add = |batch: &mut Batch, at: usize, declared: &Declared| match at.checked_sub(1) {
            Some(at) => self.add_load(batch, (&session, cache), running, &puts[at], declared),
            None => self.add_renewal(batch, cache, running, lease()),
        };
        let what = (Operation::Load, cache);
        let sent = self.send_judged(&session, what, items, add).await?;
        let mut answers = sent.replies.into_iter().map(step);
        // The renewal tells by itself whether the load is over.
        answers.next().unwrap_or(Ok(false))?;
        let answers: Items<bool> = answers.collect();
        // An item that is told that the load is over ends all of it.
        if let Some(fault) = answers.iter().find_map(|item| item.as_ref().err()) {
            // Others of the batch may be stored.
            return Err(Fault {
                applied: Applied::Unknown,
                ..fault.clone()
            });
        }
        Ok(answers)
    }

    fn add_load(
        &self,
        batch: &mut Batch,
        (session, cache): (&Session, &CacheId),
        running: &Running,
        put: &Put,
        declared: &Declared,
    ) {
        let policy = self.rules.policy(&cache.name);
        let expiry = arguments(put.expiry, policy.default_ttl(rand::random()));
        let mut keys = vec![
            self.layout.entry(cache, &put.key),
            self.layout.load(cache),
            self.layout.load_notes(cache),
        ];
        let deadline = [
            self.layout.deadline(cache, &put.key),
            self.layout.deadlines(cache),
        ];
        let (id, mode) = (running.id.clone(), letter(running.load.mode));
        if policy.encoding == Encoding::Raw {
            let arguments = [id, mode, expiry.kind, expiry.ms, frame::raw(&put.value)];
            keys.extend(deadline);
            batch.script(&self.scripts.load_raw, &keys, &arguments);
            return;
        }
        keys.extend([
            self.layout.stamp(cache),
            self.layout.pending(cache, &put.key),
            self.layout.flushes(cache),
        ]);
        keys.extend(deadline);
        keys.push(self.layout.lease(cache, &put.key));
        let arguments = vec![
            id,
            mode,
            frame::snapshot_digits(running.load.snapshot).into(),
            expiry.kind,
            expiry.ms,
            new_stamp(),
            frame::loaded_header(&put.value, &new_version(session)),
            frame::payload(&put.value),
            put.groups.len().to_string().into(),
        ];
        let script = &self.scripts.load_framed;
        declared.change(batch, script, (keys, arguments), (&self.layout, cache));
    }

    fn add_renewal(&self, batch: &mut Batch, cache: &CacheId, running: &Running, ms: Bytes) {
        let script = &self.scripts.load_renew;
        let keys = [self.layout.load(cache), self.layout.load_notes(cache)];
        batch.script(script, &keys, &[running.id.clone(), ms]);
    }

    async fn renew_once(
        &self,
        session: Arc<Session>,
        cache: &CacheId,
        running: &Running,
        ms: Bytes,
    ) -> Result<(), Fault> {
        same_history(&session, running)?;
        let mut batch = Batch::new(Operation::Load, Effect::Write);
        self.add_renewal(&mut batch, cache, running, ms);
        let reply = self.send(&session, batch).await?.into_iter().next();
        step(reply.unwrap_or(Reply::Nil)).map(|_| ())
    }

    /// The keys of the records of loads.
    pub(super) fn records(&self, cache: &CacheId) -> Vec<Bytes> {
        vec![
            self.layout.load(cache),
            self.layout.load_notes(cache),
            self.layout.loaded(cache),
        ]
    }
}

impl Bulk for Remote {
    async fn begin_load(
        &self,
        cache: &CacheId,
        id: Bytes,
        load: Load,
        deadline: Option<Instant>,
    ) -> Result<Begun, Fault> {
        let patience = self.0.patience_of_load(deadline, 0);
        let attempt = |session| self.0.begin_load_once(session, cache, &id, load);
        let passage = &self.0.passage;
        passage.persist(patience, Repeat::Harmless, attempt).await
    }

    async fn load(
        &self,
        cache: &CacheId,
        running: &Running,
        puts: &[Put],
        deadline: Option<Instant>,
    ) -> Result<Items<bool>, Fault> {
        let weight = puts.iter().map(Put::weight).sum();
        let mut own = self
            .0
            .own_write(cache, puts.iter().map(|put| put.key.clone()));
        let patience = self.0.patience_of_load(deadline, weight);
        let attempt = |session| self.0.load_once(session, cache, running, puts);
        let loaded = self
            .0
            .passage
            .persist(patience, Repeat::Harmless, attempt)
            .await;
        let loaded = loaded.inspect_err(|fault| own.failed(fault))?;
        own.changed(loaded.iter().map(|stored| *stored != Ok(false)));
        Ok(loaded)
    }

    async fn renew_load(&self, cache: &CacheId, running: &Running) -> Result<(), Fault> {
        let patience = self.0.patience_of_load(None, 0);
        let attempt = |session| self.0.renew_once(session, cache, running, lease());
        let passage = &self.0.passage;
        passage.persist(patience, Repeat::Harmless, attempt).await
    }

    async fn remove_others(
        &self,
        cache: &CacheId,
        running: &Running,
        keys: &[Key],
        deadline: Option<Instant>,
    ) -> Result<Vec<bool>, Fault> {
        let mut own = self.0.own_write(cache, keys.iter().cloned());
        let patience = self.0.patience_of_load(deadline, 0);
        let attempt = |session| self.0.remove_once_of_load(session, cache, running, keys);
        let removed = self
            .0
            .passage
            .persist(patience, Repeat::Harmless, attempt)
            .await;
        let removed = removed.inspect_err(|fault| own.failed(fault))?;
        own.changed(removed.iter().copied());
        Ok(removed)
    }

    async fn finish_load(
        &self,
        cache: &CacheId,
        running: &Running,
        deadline: Option<Instant>,
    ) -> Result<(), Fault> {
        let patience = self.0.patience_of_load(deadline, 0);
        let attempt = |session| self.0.finish_once(session, cache, running);
        let passage = &self.0.passage;
        passage.persist(patience, Repeat::Harmless, attempt).await
    }

    fn abandon_load(&self, cache: &CacheId, running: &Running) {
        let (core, cache, running) = (self.0.clone(), cache.clone(), running.clone());
        self.0.tasks.spawn("load abandoned", async move {
            // Without it the record expires by itself.
            if let Ok(session) = core.lane.session() {
                let _ = core
                    .renew_once(session, &cache, &running, Bytes::new())
                    .await;
            }
        });
    }

    async fn keys(
        &self,
        cache: &CacheId,
        cursor: Option<Cursor>,
        deadline: Option<Instant>,
    ) -> Result<(Vec<Key>, Option<Cursor>), Fault> {
        let patience = self.0.passage.patience(deadline, 0);
        let attempt = |session| self.0.keys_once(session, cache, cursor.as_ref());
        self.0.passage.retrieve(patience, attempt).await
    }
}

pub(super) fn same_history(session: &Session, running: &Running) -> Result<(), Fault> {
    if session.lineage() == running.lineage {
        return Ok(());
    }
    Err(lost())
}

fn lease() -> Bytes {
    LEASE.as_millis().to_string().into()
}

fn letter(mode: Mode) -> Bytes {
    Bytes::from_static(match mode {
        Mode::Replace => b"R",
        Mode::IfOlder => b"I",
    })
}

fn snapshot(digits: &Bytes) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// What a step of a load answers: done, passed over, or that the load is over.
pub(super) fn step(reply: Reply) -> Result<bool, Fault> {
    match reply {
        Reply::Int(1) => Ok(true),
        Reply::Int(0) => Ok(false),
        Reply::Int(_) => Err(lost()),
        Reply::Array(fields) if is_too_many(&fields) => Err(too_many_groups()),
        reply => Err(strange(reply)),
    }
}
