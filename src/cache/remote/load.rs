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
use super::super::store::{Items, Put, Write, other_lineage};
use super::expiry::arguments;
use super::sweep::{shared, start};
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
        let mut keys = vec![self.layout.load(cache), self.layout.loaded(cache)];
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
                lineage.to_text().into(),
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
                [Reply::Int(1), ..] => Ok(Begun::Busy),
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
        let mut batch = Batch::new(Operation::Load, Effect::Write);
        batch.script(
            &self.scripts.load_renew,
            &[self.layout.load(cache)],
            &[running.id.clone(), lease()],
        );
        for put in puts {
            self.add_load(&mut batch, &session, cache, running, put);
        }
        let sent = self.send_puts(&session, cache, batch).await?;
        let mut answers = sent.replies.into_iter().map(step);
        // The renewal tells by itself whether the load is over.
        answers.next().unwrap_or(Ok(false))?;
        let answers: Items<bool> = answers.collect();
        // An item that is told that the load is over ends all of it.
        if let Some(fault) = answers.iter().find_map(|item| item.as_ref().err()) {
            return Err(fault.clone());
        }
        Ok(answers)
    }

    fn add_load(
        &self,
        batch: &mut Batch,
        session: &Session,
        cache: &CacheId,
        running: &Running,
        put: &Put,
    ) {
        let policy = self.rules.policy(&cache.name);
        let expiry = arguments(put.expiry, policy.ttl);
        let (entry, record) = (self.layout.entry(cache, &put.key), self.layout.load(cache));
        let (id, mode) = (running.id.clone(), letter(running.load.mode));
        if policy.encoding == Encoding::Raw {
            let arguments = [id, mode, expiry.kind, expiry.ms, frame::raw(&put.value)];
            batch.script(&self.scripts.load_raw, &[entry, record], &arguments);
            return;
        }
        let snapshot = running.load.snapshot;
        let (before, after) = frame::loaded_header(&put.value, &new_version(session), snapshot);
        batch.script(
            &self.scripts.load_framed,
            &[entry, record, self.layout.stamp(cache)],
            &[
                id,
                mode,
                frame::snapshot_digits(snapshot).into(),
                expiry.kind,
                expiry.ms,
                new_stamp(),
                before,
                after,
                frame::payload(&put.value),
            ],
        );
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
        batch.script(
            &self.scripts.load_renew,
            &[self.layout.load(cache)],
            &[running.id.clone(), ms],
        );
        let reply = self.send(&session, batch).await?.into_iter().next();
        step(reply.unwrap_or(Reply::Nil)).map(|_| ())
    }

    async fn remove_once_of_load(
        &self,
        session: Arc<Session>,
        cache: &CacheId,
        running: &Running,
        keys: &[Key],
    ) -> Result<Vec<bool>, Fault> {
        same_history(&session, running)?;
        let record = self.layout.load(cache);
        let second = self.stamp_key(cache).unwrap_or_else(|| record.clone());
        let mut names = vec![record, second];
        names.extend(keys.iter().map(|key| self.layout.entry(cache, key)));
        let framed = self.encoding(cache) == Encoding::Framed;
        let encoding = Bytes::from_static(if framed { b"F" } else { b"R" });
        let arguments = [running.id.clone(), encoding, shared(cache), new_stamp()];
        let mut batch = Batch::new(Operation::Load, Effect::Write);
        batch.script(&self.scripts.load_remove, &names, &arguments);
        match self.send(&session, batch).await?.into_iter().next() {
            Some(Reply::Bytes(states)) if states.len() == keys.len() => {
                Ok(states.iter().map(|state| *state == b'r').collect())
            }
            Some(Reply::Bytes(states)) if states.is_empty() => Err(lost()),
            reply => Err(strange(reply.unwrap_or(Reply::Nil))),
        }
    }

    async fn finish_once(
        &self,
        session: Arc<Session>,
        cache: &CacheId,
        running: &Running,
    ) -> Result<(), Fault> {
        same_history(&session, running)?;
        let framed = self.encoding(cache) == Encoding::Framed;
        let mut keys = vec![self.layout.load(cache), self.layout.loaded(cache)];
        keys.extend(self.stamp_key(cache));
        let mut batch = Batch::new(Operation::Load, Effect::Write);
        batch.script(
            &self.scripts.load_finish,
            &keys,
            &[running.id.clone(), new_stamp()],
        );
        let sent = self
            .send_write(&session, batch)
            .await
            .inspect_err(|fault| {
                if fault.applied != Applied::No {
                    self.journal.loaded(cache, framed, session.place(None));
                }
            })?;
        let place = session.place(sent.token);
        step(sent.replies.into_iter().next().unwrap_or(Reply::Nil))?;
        self.journal.loaded(cache, framed, place);
        Ok(())
    }

    async fn keys_once(
        &self,
        session: Arc<Session>,
        cache: &CacheId,
        cursor: Option<&Cursor>,
    ) -> Result<(Vec<Key>, Option<Cursor>), Fault> {
        let lineage = session.lineage();
        let at = match cursor {
            None => start(),
            Some(cursor) if cursor.lineage == lineage => cursor.at.clone(),
            Some(_) => return Err(other_lineage()),
        };
        let (next, names) = self
            .sweeper
            .scan(&session, cache, &at, Operation::Scan)
            .await?;
        let keys = names.iter().filter_map(|name| self.layout.key(cache, name));
        let next = (next != start()).then_some(Cursor { at: next, lineage });
        Ok((keys.collect(), next))
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
        self.0
            .passage
            .persist(patience, Repeat::Harmless, attempt)
            .await
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
        self.0
            .passage
            .persist(patience, Repeat::Harmless, attempt)
            .await
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
        self.0
            .passage
            .persist(patience, Repeat::Harmless, attempt)
            .await
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

fn same_history(session: &Session, running: &Running) -> Result<(), Fault> {
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
fn step(reply: Reply) -> Result<bool, Fault> {
    match reply {
        Reply::Int(1) => Ok(true),
        Reply::Int(0) => Ok(false),
        Reply::Int(_) => Err(lost()),
        reply => Err(strange(reply)),
    }
}
