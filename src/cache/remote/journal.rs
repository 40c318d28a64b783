//! What this process has written lately, so that a new master can be rid of what the loss of it brought back.
//!
//! A write that a failover loses leaves the value before it in place, and with it a clear leaves everything that it had
//! cleared. So the writes of the last 30 s are remembered, and before a session with another history is used, those
//! that its node does not provably have are compared with what is there: what is older goes, a stamp that is not ours
//! is replaced, of a cache or of a group. Removing too much is safe for a cache. Counters are never touched.
//!
//! Invariants: bounded; what no longer fits is remembered by the name of its cache, which is then cleared as a whole.
//! A write is noted before it is answered. Not held back by the fence: nobody else uses the session yet.
//!
//! Not here: what is remembered (`notes`), which writes a node has (`model::History`), the comparison itself (`scripts/reconcile.lua`).

mod notes;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::clock;
use crate::config::Quotas;
use crate::failover::{Reconcile, Reconciled, Reconciling};
use crate::invalidation::{Event, Hub};
use crate::model::{CacheId, Cause, Fault, GroupName, Moment, Place};
use crate::upstream::{Batch, Effect, Operation, Reply, Session};

use super::super::layout::Layout;
use super::judged::Declared;
use super::scripts::{MOST_READ, Scripts};
use super::{new_stamp, strange};
pub(super) use notes::Wrote;
use notes::{Clear, Flush, Halves, Note};

/// Entries that are compared in one step, so that no step blocks Redis for long.
const STEP: usize = 256;

/// How long a new master may be compared. Longer means that it is not well, and another attempt is due.
const LIMIT: Duration = Duration::from_secs(5);

/// Raw caches whose clear is waiting to be done again.
const CLEARS: usize = 1024;

/// Remembers, and reconciles.
#[derive(Debug)]
pub struct Journal {
    halves: Mutex<Halves>,
    layout: Layout,
    scripts: Arc<Scripts>,
    hub: Arc<Hub>,
    /// Raw caches to be cleared once more, by whoever can.
    again: mpsc::Sender<CacheId>,
}

/// The clears of raw caches that a journal asks for.
pub(super) type Again = mpsc::Receiver<CacheId>;

impl Journal {
    /// An empty one.
    pub fn new(prefix: &str, quotas: &Quotas, hub: Arc<Hub>) -> (Arc<Self>, ClearsAgain) {
        let (again, clears) = mpsc::channel(CLEARS);
        let journal = Self {
            halves: Mutex::default(),
            layout: Layout::new(prefix).counting(quotas),
            scripts: Arc::new(Scripts::new()),
            hub,
            again,
        };
        (Arc::new(journal), ClearsAgain(clears))
    }

    /// An entry was written, or may have been.
    pub(super) fn wrote(
        &self,
        cache: &CacheId,
        entry: &Bytes,
        wrote: Wrote,
        framed: bool,
        place: Place,
    ) {
        let note = Note {
            cache: cache.clone(),
            wrote,
            framed,
            place,
            acknowledged: place.offset.is_some(),
            number: 0,
            first: Moment::START,
        };
        self.halves.lock().note(entry, note, clock::now());
    }

    /// An entry was counted up or down, or may have been: what it was put as before is not what is looked for.
    pub(super) fn counted(&self, entry: &Bytes, place: Place) {
        self.halves.lock().counted(entry, place);
    }

    /// A cache was cleared, or may have been; in framed caches by this stamp.
    pub(super) fn cleared(&self, cache: &CacheId, stamp: Option<Bytes>, place: Place) {
        let clear = Clear {
            framed: stamp.is_some(),
            stamp,
            place,
            acknowledged: place.offset.is_some(),
            number: 0,
            first: Moment::START,
        };
        self.halves.lock().clear(cache, clear, clock::now());
    }

    /// A load of a cache is complete. A node without all of it is not looked through: the cache is cleared there, since
    /// it has to be loaded again anyhow.
    pub(super) fn loaded(&self, cache: &CacheId, framed: bool, place: Place) {
        let clear = Clear {
            framed,
            stamp: None,
            place,
            acknowledged: place.offset.is_some(),
            number: 0,
            first: Moment::START,
        };
        self.halves.lock().clear(cache, clear, clock::now());
    }

    /// Groups were flushed, or may have been, by this stamp.
    pub(super) fn flushed(
        &self,
        cache: &CacheId,
        groups: &[GroupName],
        stamp: &Bytes,
        place: Place,
    ) {
        let (mut halves, now) = (self.halves.lock(), clock::now());
        for group in groups {
            let clear = Clear {
                framed: true,
                stamp: Some(stamp.clone()),
                place,
                acknowledged: place.offset.is_some(),
                number: 0,
                first: Moment::START,
            };
            halves.flush(cache, group, clear, now);
        }
    }

    async fn compare(&self, session: &Arc<Session>) -> Result<Reconciled, Fault> {
        let mut unproven = {
            let mut halves = self.halves.lock();
            halves.unproven(session.history(), clock::now())
        };
        if self.layout.counts() {
            let entries = &mut unproven.entries;
            entries.sort_by(|(_, a), (_, b)| a.cache.cmp(&b.cache));
        }
        let mut found = Reconciled {
            checked: unproven.entries.len() + unproven.clears.len() + unproven.flushes.len(),
            ..Reconciled::default()
        };
        for step in unproven.entries.chunks(STEP) {
            self.compare_entries(session, step, &mut found).await?;
        }
        for step in unproven.clears.chunks(STEP) {
            self.clear_again(session, step, &mut found).await?;
        }
        for step in unproven.flushes.chunk_by(|(a, ..), (b, ..)| a == b) {
            for step in step.chunks(STEP) {
                self.flush_again(session, step, &mut found).await?;
            }
        }
        let mut named = HashSet::new();
        found.caches.retain(|cache| named.insert(cache.clone()));
        let mut behind = Batch::new(Operation::Reconcile, Effect::Read);
        behind.with_offset();
        let role = session.execute_here(&behind).await?.pop();
        if let Some(token) = role.and_then(|role| session.token(&role)) {
            let mut halves = self.halves.lock();
            halves.reconciled(session.history(), token.offset, unproven.count);
        }
        Ok(found)
    }

    async fn compare_entries(
        &self,
        session: &Arc<Session>,
        step: &[(Bytes, Note)],
        found: &mut Reconciled,
    ) -> Result<(), Fault> {
        let mut batch = Batch::new(Operation::Reconcile, Effect::Write);
        // Where it is counted what caches hold, a script has entries of one cache only.
        let together = |(_, a): &(Bytes, Note), (_, b): &(Bytes, Note)| {
            !self.layout.counts() || a.cache == b.cache
        };
        let parts = step.chunk_by(together);
        for part in parts.flat_map(|part| part.chunks(MOST_READ)) {
            let Some((_, first)) = part.first() else {
                continue;
            };
            let keys: Vec<Bytes> = part.iter().map(|(entry, _)| entry.clone()).collect();
            let arguments: Vec<Bytes> = part.iter().flat_map(|(_, note)| kind(note)).collect();
            let (call, place) = ((keys, arguments), (&self.layout, &first.cache));
            Declared::default().change(&mut batch, &self.scripts.reconcile, call, place);
        }
        let mut states = BytesMut::with_capacity(step.len());
        for reply in session.execute_here(&batch).await? {
            match reply {
                Reply::Bytes(part) => states.extend_from_slice(&part),
                reply => return Err(strange(reply)),
            }
        }
        for ((_, note), state) in step.iter().zip(states.iter()) {
            let acknowledged = note.acknowledged;
            let gone = match (state, &note.wrote) {
                // An older value was there, and has been removed.
                (b'o', _) => {
                    found.removed += 1;
                    true
                }
                // Another vedetta's, of the same reign: here without what came before it, or a clock is wrong.
                (b'n', _) => {
                    found.removed += 1;
                    false
                }
                // Not there: lost, evicted or expired.
                (b'-', Wrote::Value(_)) => true,
                _ => false,
            };
            if gone && acknowledged {
                lost(&note.cache, note.first, found);
            }
        }
        Ok(())
    }

    async fn clear_again(
        &self,
        session: &Arc<Session>,
        step: &[(CacheId, Clear)],
        found: &mut Reconciled,
    ) -> Result<(), Fault> {
        let (framed, raw): (Vec<_>, Vec<_>) = step.iter().partition(|(_, clear)| clear.framed);
        let mut batch = Batch::new(Operation::Reconcile, Effect::Write);
        for (cache, clear) in &framed {
            let ours = clear.stamp.clone().unwrap_or_default();
            let call = (vec![self.layout.stamp(cache)], vec![ours, new_stamp()]);
            let script = &self.scripts.clear_again;
            Declared::default().change(&mut batch, script, call, (&self.layout, cache));
        }
        let replies = match batch.is_empty() {
            true => Vec::new(),
            false => session.execute_here(&batch).await?,
        };
        let mut gone = raw.clone();
        for (clear, reply) in framed.into_iter().zip(replies) {
            match reply {
                Reply::Int(0) => {}
                Reply::Int(_) => gone.push(clear),
                reply => return Err(strange(reply)),
            }
        }
        for (cache, _) in raw {
            // Too long for now. A full queue is of caches that are cleared already.
            let _ = self.again.try_send(cache.clone());
        }
        for (cache, clear) in gone.into_iter().filter(|(_, clear)| clear.acknowledged) {
            lost(cache, clear.first, found);
        }
        Ok(())
    }

    /// Flushes of groups of one cache.
    async fn flush_again(
        &self,
        session: &Arc<Session>,
        step: &[Flush],
        found: &mut Reconciled,
    ) -> Result<(), Fault> {
        let Some((cache, ..)) = step.first() else {
            return Ok(());
        };
        let mut keys = vec![self.layout.flushes(cache)];
        let mut arguments = vec![new_stamp()];
        for (cache, group, flush) in step {
            keys.push(self.layout.group(cache, group));
            arguments.push(flush.stamp.clone().unwrap_or_default());
        }
        let mut batch = Batch::new(Operation::Reconcile, Effect::Write);
        batch.script(&self.scripts.flush_again, &keys, &arguments);
        let reply = session.execute_here(&batch).await?.into_iter().next();
        let Some(Reply::Bytes(states)) = reply else {
            return Err(strange(reply.unwrap_or(Reply::Nil)));
        };
        for ((cache, _, flush), state) in step.iter().zip(states.iter()) {
            if *state == b'f' && flush.acknowledged {
                lost(cache, flush.first, found);
            }
        }
        Ok(())
    }
}

/// How the script is told of a write: a letter, and the version.
fn kind(note: &Note) -> [Bytes; 2] {
    let (kind, version): (&'static [u8], _) = match (&note.wrote, note.framed) {
        (Wrote::Value(version), true) => (b"F", version),
        (Wrote::Value(version), false) => (b"R", version),
        (Wrote::Removal(version), true) => (b"f", version),
        (Wrote::Removal(version), false) => (b"r", version),
    };
    [Bytes::from_static(kind), version.as_bytes().clone()]
}

/// An acknowledged write to that cache is not there. Each is named once in the end.
fn lost(cache: &CacheId, first: Moment, found: &mut Reconciled) {
    found.lost += 1;
    found.since = Some(found.since.map_or(first, |at| at.min(first)));
    found.caches.push(cache.clone());
}

/// Clears of raw caches that have to be done again, because a new master may not have them.
#[derive(Debug)]
pub struct ClearsAgain(pub(super) Again);

impl Reconcile for Journal {
    fn reconcile<'a>(&'a self, session: &'a Arc<Session>) -> Reconciling<'a> {
        Box::pin(async move {
            tokio::time::timeout(LIMIT, self.compare(session))
                .await
                .unwrap_or_else(|_| {
                    Err(Fault::not_applied(
                        Cause::RedisUnreachable,
                        format!(
                            "{} did not answer for {LIMIT:?} while recent writes were looked for",
                            session.master().endpoint
                        ),
                    ))
                })
        })
    }

    fn installed(&self, found: &Reconciled) {
        if found.checked > 0 {
            tracing::info!(
                checked = found.checked,
                removed = found.removed,
                lost = found.lost,
                "compared recent writes with the new master"
            );
        }
        if !found.caches.is_empty() {
            let caches = found.caches.clone();
            let ago = |at: Moment| clock::now().since(at);
            let since = found.since.map(|at| SystemTime::now() - ago(at));
            self.hub.record(Event::DataLoss { caches, since });
        }
    }
}
