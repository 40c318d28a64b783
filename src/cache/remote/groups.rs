//! Joining groups, and flushing them.
//!
//! A flush replaces the stamps of its groups in one script, which also raises the flush clock of the cache, so that
//! somebody who remembers the clock can tell which groups were flushed since. Members are dead from there on, whatever
//! their number; they leave by their time to live, or with the sweep (`sweep_groups`).
//!
//! Invariants: a membership that waits for its value has the stamps of the moment at which it was added, so that a flush
//! in between makes the value dead at its birth. A flush is noted before it is answered, so that a new master that does
//! not have it is flushed again.
//!
//! Not here: what the near cache makes of it (`own_write`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::failover::Repeat;
use crate::model::{Applied, CacheId, Cause, Durability, Fault, GroupName, Groups, Key};
use crate::upstream::{Batch, Effect, Operation, Reply, Session};

use super::super::store::{Write, Written, too_many_groups};
use super::journal::Wrote;
use super::judged::{Declared, Item, is_too_many};
use super::write::truth;
use super::{Core, Sent, new_stamp, new_version, strange};

/// How long groups wait for their value. The App Engine adds them while it loads the value.
const WAIT: Duration = Duration::from_secs(60);

impl Core {
    pub(super) async fn add_to_groups(
        &self,
        cache: &CacheId,
        key: &Key,
        groups: &Groups,
        write: Write,
    ) -> Result<bool, Fault> {
        let mut own = self.own_write(cache, [key.clone()]);
        let weight = (key.as_bytes().len() + groups.bytes()) as u64;
        let patience = self.patience(&write, weight);
        let attempt = |session| self.add_to_groups_once(session, cache, key, groups);
        let added = self
            .passage
            .persist(patience, Repeat::Harmless, attempt)
            .await;
        // What was there may have been removed even where the groups wait.
        added.inspect_err(|fault| own.failed(fault))
    }

    async fn add_to_groups_once(
        &self,
        session: Arc<Session>,
        cache: &CacheId,
        key: &Key,
        groups: &Groups,
    ) -> Result<bool, Fault> {
        let item = Item {
            key,
            judges: true,
            declared: Declared::joining(groups),
        };
        let add = |batch: &mut Batch, _, declared: &Declared| {
            let keys = vec![
                self.layout.entry(cache, key),
                self.layout.stamp(cache),
                self.layout.pending(cache, key),
                self.layout.flushes(cache),
            ];
            let arguments = vec![
                new_stamp(),
                WAIT.as_millis().to_string().into(),
                groups.len().to_string().into(),
            ];
            let script = &self.scripts.add_to_groups;
            declared.change(batch, script, (keys, arguments), (&self.layout, cache));
        };
        let what = (Operation::Group, cache);
        // The version stays, so an entry that a new master has may lack the groups: it is to go.
        let wrote = || (key, Wrote::Removal(new_version(&session)));
        let sent = match self.send_judged(&session, what, vec![item], add).await {
            Ok(sent) => sent,
            Err(fault) => return Err(self.doubted(&session, cache, [wrote()], fault)),
        };
        match sent.replies.into_iter().next() {
            Some(Reply::Array(fields)) if is_too_many(&fields) => Err(too_many_groups()),
            Some(Reply::Array(fields)) => {
                let applied = truth(fields.into_iter().next().unwrap_or(Reply::Nil))?;
                self.remember(cache, wrote(), session.place(sent.token));
                Ok(applied)
            }
            reply => Err(strange(reply.unwrap_or(Reply::Nil))),
        }
    }

    /// Makes every member of these groups a miss.
    pub(super) async fn flush_groups(
        &self,
        cache: &CacheId,
        groups: &[GroupName],
        write: Write,
    ) -> Result<Written<()>, Fault> {
        let mut own = self.own_flush(cache, groups);
        let weight = groups.iter().map(|group| group.as_str().len() as u64).sum();
        let patience = self.patience(&write, weight);
        let attempt = |session| self.flush_groups_once(session, cache, groups, write.durability);
        let flushed = self
            .passage
            .persist(patience, Repeat::Harmless, attempt)
            .await;
        flushed.inspect_err(|fault| own.failed(fault))
    }

    async fn flush_groups_once(
        &self,
        session: Arc<Session>,
        cache: &CacheId,
        groups: &[GroupName],
        durability: Durability,
    ) -> Result<Written<()>, Fault> {
        let stamp = new_stamp();
        let note = |token| {
            let place = session.place(token);
            self.journal.flushed(cache, groups, &stamp, place);
        };
        let sent = self.replace_stamps(&session, cache, groups, &stamp).await;
        let sent = sent.inspect_err(|fault| {
            if fault.applied != Applied::No {
                note(None);
            }
        })?;
        note(sent.token);
        self.sweeper.sweep_groups(cache, groups);
        self.secure(&session, &sent, durability).await?;
        Ok(Written {
            answer: (),
            token: sent.token,
        })
    }

    async fn replace_stamps(
        &self,
        session: &Arc<Session>,
        cache: &CacheId,
        groups: &[GroupName],
        stamp: &Bytes,
    ) -> Result<Sent, Fault> {
        let mut keys = vec![self.layout.flushes(cache), self.layout.load_notes(cache)];
        keys.extend(groups.iter().map(|group| self.layout.group(cache, group)));
        let mut batch = Batch::new(Operation::Group, Effect::Write);
        let script = &self.scripts.flush_groups;
        batch.script(script, &keys, std::slice::from_ref(stamp));
        let sent = self.send_write(session, batch).await?;
        match sent.replies.first() {
            Some(Reply::Int(_)) => Ok(sent),
            Some(reply) => Err(strange(reply.clone())),
            None => Err(Fault::unknown(Cause::Internal, "a flush without a reply")),
        }
    }
}
