//! The end of a load on the master: what is not in it is removed, and it is complete.
//!
//! Invariants: a step removes a bounded number of entries.
//!
//! Not here: its beginning, and how often a step is tried (`load`).

use std::sync::Arc;

use bytes::Bytes;

use crate::config::Encoding;
use crate::model::{Applied, CacheId, Fault, Key};
use crate::upstream::{Batch, Effect, Operation, Reply, Session};

use super::super::load::{Running, lost};
use super::judged::{Declared, Item};
use super::load::{same_history, step};
use super::scripts::MOST_READ;
use super::sweep::shared;
use super::{Core, new_stamp, strange};

/// Entries that one script removes, so that with the records it declares no more than it may read.
const REMOVED_BY_ONE: usize = MOST_READ - 3;

impl Core {
    pub(super) async fn remove_once_of_load<'a>(
        &self,
        session: Arc<Session>,
        cache: &CacheId,
        running: &Running,
        keys: &'a [Key],
    ) -> Result<Vec<bool>, Fault> {
        same_history(&session, running)?;
        let framed = self.encoding(cache) == Encoding::Framed;
        let encoding = Bytes::from_static(if framed { b"F" } else { b"R" });
        let (record, notes) = (self.layout.load(cache), self.layout.load_notes(cache));
        let third = self.stamp_key(cache).unwrap_or_else(|| record.clone());
        let chunks: Vec<&[Key]> = keys.chunks(REMOVED_BY_ONE).collect();
        let add = |batch: &mut Batch, at: usize, declared: &Declared| {
            let mut names = vec![record.clone(), notes.clone(), third.clone()];
            let entries = chunks[at].iter();
            names.extend(entries.map(|key| self.layout.entry(cache, key)));
            let (id, encoding) = (running.id.clone(), encoding.clone());
            let call = (names, vec![id, encoding, shared(cache), new_stamp()]);
            let script = &self.scripts.load_remove;
            declared.change(batch, script, call, (&self.layout, cache));
        };
        // One script for some of them, so one item.
        let item = |keys: &&'a [Key]| Item {
            key: &keys[0],
            judges: framed,
            declared: Declared::default(),
        };
        let (what, items) = ((Operation::Load, cache), chunks.iter().map(item).collect());
        let sent = self.send_judged(&session, what, items, add).await?;
        let mut removed = Vec::with_capacity(keys.len());
        for (reply, keys) in sent.replies.into_iter().zip(&chunks) {
            match reply {
                Reply::Bytes(states) if states.len() == keys.len() => {
                    removed.extend(states.iter().map(|state| *state == b'r'));
                }
                Reply::Bytes(states) if states.is_empty() => return Err(lost()),
                reply => return Err(strange(reply)),
            }
        }
        Ok(removed)
    }

    pub(super) async fn finish_once(
        &self,
        session: Arc<Session>,
        cache: &CacheId,
        running: &Running,
    ) -> Result<(), Fault> {
        same_history(&session, running)?;
        let framed = self.encoding(cache) == Encoding::Framed;
        let mut keys = self.records(cache);
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
}
