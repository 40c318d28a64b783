//! A key of our own that is written once a second, by a connection of its own as any other client would, to measure
//! how stale an entry can be and to prove that pushes still arrive.
//!
//! - *Staleness*: the time from the acknowledgement of the write until its push has been applied here.
//! - *Pushes flow*: once a heartbeat has proven that everything acknowledged before it has been applied, the push for
//!   the canary is among it, or pushes have stopped (a changed ACL, a proxy) although the link works: the session ends.
//! - *Nothing was lost*: a new history whose canary is older than the last acknowledged one, or that misses the stamp
//!   of a cache, has lost acknowledged writes.
//!
//! Invariants: a canary that cannot be written proves nothing and changes nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock;
use crate::invalidation::Event;
use crate::model::{CacheId, Cause, Lineage, Moment, Signal};
use crate::upstream::{Batch, Effect, Operation, Reply, Session, SessionSettings, Untracked};

use super::{Core, Remote};

/// Between two writes of the canary.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long a push is waited for when no heartbeat decides. By then the session has ended for other reasons.
const PATIENCE: Duration = Duration::from_secs(3);

/// A canary that is not written for that long is a reason to ask the Sentinels.
const SLOW: Duration = Duration::from_millis(500);

/// Between two looks at the lease while waiting.
const LOOK: Duration = Duration::from_millis(20);

/// The canary of a process that is gone stays that long; a loss is recognised for that long after the last write.
const LIFETIME: Duration = Duration::from_secs(600);

/// Counts whose time is remembered: as many as are written in the lifetime of the key.
const MOST_TIMES: usize = 600;

/// Stamps that are read in one command.
const STAMPS: usize = 500;

/// A key for the canary of one process; the prefix keeps applications apart.
pub fn canary_key(prefix: &str, process: u64) -> Bytes {
    format!("vedetta:canary:{prefix}:{process:016x}").into()
}

/// Writes the canary, and watches what becomes of it.
#[derive(Debug)]
pub struct Canary {
    core: Arc<Core>,
    key: Bytes,
    settings: SessionSettings,
    /// When the last push for the key was applied.
    seen: watch::Receiver<Moment>,
    writer: Option<Arc<Session>>,
    count: u64,
    acknowledged: Option<Acknowledged>,
    /// When each of the last counts was acknowledged. Bounded by the lifetime of the key.
    times: VecDeque<(u64, SystemTime)>,
}

/// The last write that was acknowledged.
#[derive(Debug, Clone, Copy)]
struct Acknowledged {
    lineage: Lineage,
    count: u64,
    at: Instant,
}

impl Canary {
    /// For that store; `seen` tells when a push for the key was applied.
    pub fn new(
        remote: &Remote,
        key: Bytes,
        settings: &SessionSettings,
        seen: watch::Receiver<Moment>,
    ) -> Self {
        Self {
            core: remote.0.clone(),
            key,
            settings: SessionSettings {
                slots: 1,
                tracker: Arc::new(Untracked),
                tracking: false,
                ..settings.clone()
            },
            seen,
            writer: None,
            count: 0,
            acknowledged: None,
            times: VecDeque::new(),
        }
    }

    /// Writes for ever.
    pub async fn run(mut self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            if let Ok(session) = self.core.lane.session() {
                // Whatever does not work out now is tried again.
                let _ = self.round(&session).await;
            }
        }
    }

    async fn round(&mut self, session: &Arc<Session>) -> Option<()> {
        let writer = self.writer(session).await?;
        let armed = clock::now();
        // Tracks the key.
        let held = self.read(session).await?;
        self.look_for_losses(session, held).await;
        let sent = clock::now();
        let before = SystemTime::now();
        self.write(&writer).await?;
        let written = clock::now();
        self.times.push_back((self.count, before));
        if self.times.len() > MOST_TIMES {
            self.times.pop_front();
        }
        self.acknowledged = Some(Acknowledged {
            lineage: session.lineage(),
            count: self.count,
            at: Instant::now(),
        });
        match self.push_since(session, armed, written).await {
            Some(applied) if applied >= sent => {
                self.core.metrics.staleness(applied.since(written));
            }
            // Evicted, flushed, or pushed out of the tracking table before the write: nothing is shown.
            Some(_) => {}
            None if session.ended().is_none() => session.end(
                Cause::PushesStopped,
                "Redis has stopped to send invalidations although the link works; was the ACL user changed?",
            ),
            None => {}
        }
        Some(())
    }

    /// When a push for the key was applied after it was read; `None` if there provably was none.
    async fn push_since(
        &mut self,
        session: &Session,
        armed: Moment,
        written: Moment,
    ) -> Option<Moment> {
        let patience = Instant::now() + PATIENCE;
        loop {
            // Before the push is looked for: whatever this proves has been applied by then.
            let standing = self.core.coherence.near.standing();
            let applied = *self.seen.borrow_and_update();
            if applied >= armed {
                return Some(applied);
            }
            let ours = standing.generation == session.generation();
            if ours && standing.link.is_some_and(|link| link > written) {
                return None;
            }
            if !ours || Instant::now() >= patience {
                // Nothing is decided: the lease does not stand any more either.
                return Some(written).filter(|_| session.ended().is_none());
            }
            let _ = tokio::time::timeout(LOOK, self.seen.changed()).await;
        }
    }

    /// Also sees to it that the history is still the one that the session began with: a master changes its replication
    /// id when its first replica attaches, or after a long time without any.
    async fn read(&self, session: &Arc<Session>) -> Option<Option<u64>> {
        session.check_history().await;
        let mut batch = Batch::new(Operation::Canary, Effect::Read);
        batch.command("GET", &[&self.key]);
        match session.execute(batch).await.ok()?.pop()? {
            Reply::Bytes(text) => Some(std::str::from_utf8(&text).ok()?.parse().ok()),
            Reply::Nil => Some(None),
            _ => None,
        }
    }

    async fn write(&mut self, writer: &Arc<Session>) -> Option<()> {
        self.count += 1;
        let lifetime = LIFETIME.as_millis().to_string();
        let mut batch = Batch::new(Operation::Canary, Effect::Write);
        let count = self.count.to_string();
        batch.command(
            "SET",
            &[&self.key, count.as_bytes(), b"PX", lifetime.as_bytes()],
        );
        let mut answer = std::pin::pin!(writer.execute(batch));
        let answer = match tokio::time::timeout(SLOW, answer.as_mut()).await {
            Ok(answer) => answer,
            Err(_) => {
                self.settings.alarm.raise(Signal::SlowCanary);
                answer.await
            }
        };
        match answer.ok()?.pop()? {
            Reply::Bytes(_) => Some(()),
            _ => None,
        }
    }

    /// A connection of its own to the master of the session.
    async fn writer(&mut self, session: &Arc<Session>) -> Option<Arc<Session>> {
        let standing = self
            .writer
            .take()
            .filter(|writer| writer.ended().is_none() && writer.lineage() == session.lineage());
        self.writer = match standing {
            Some(writer) if writer.has_newest(&self.settings.secrets) => Some(writer),
            // With newer secrets, or with those from before for as long as these do not work.
            standing => Session::open(session.master().clone(), 0, &self.settings)
                .await
                .ok()
                .or(standing),
        };
        self.writer.clone()
    }

    /// After a change of history: what is known to have been acknowledged must be there.
    async fn look_for_losses(&mut self, session: &Arc<Session>, held: Option<u64>) {
        let Some(last) = self.acknowledged else {
            return;
        };
        if last.lineage == session.lineage() || last.at.elapsed() >= LIFETIME {
            return;
        }
        self.acknowledged = None;
        let all = held.is_none_or(|held| held < last.count);
        let (caches, since) = if all {
            // What was written to the old master before the canary that is there, is there too: it replicates in order.
            let mut times = self.times.iter();
            let since = held.and_then(|held| times.find(|(count, _)| *count == held));
            (self.caches(), since.map(|(_, at)| *at))
        } else {
            (self.without_stamp(session).await, None)
        };
        if !caches.is_empty() {
            self.core.metrics.lost();
            tracing::warn!(
                caches = caches.len(),
                "acknowledged writes are missing on {}",
                session.master().endpoint
            );
            self.core
                .coherence
                .hub
                .record(Event::DataLoss { caches, since });
        }
    }

    /// Every cache that this process has read or written.
    fn caches(&self) -> Vec<CacheId> {
        let mut caches = self.core.coherence.directory.caches();
        caches.extend(self.core.registry.caches());
        caches.sort();
        caches.dedup();
        caches
    }

    /// The caches whose stamp was known and is gone.
    async fn without_stamp(&self, session: &Arc<Session>) -> Vec<CacheId> {
        let known: Vec<CacheId> = self
            .core
            .coherence
            .near
            .slots()
            .iter()
            .filter(|slot| !slot.is_group())
            .filter(|slot| matches!(slot.last_known(), Some(Some(_))))
            .map(|slot| slot.cache().clone())
            .collect();
        let mut gone = Vec::new();
        for caches in known.chunks(STAMPS) {
            let keys: Vec<Bytes> = caches
                .iter()
                .map(|cache| self.core.layout.stamp(cache))
                .collect();
            let names: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).collect();
            let mut batch = Batch::new(Operation::Canary, Effect::Read);
            batch.command("MGET", &names);
            if let Ok(replies) = session.execute(batch).await
                && let Some(Reply::Array(stamps)) = replies.into_iter().next()
            {
                let missing = caches
                    .iter()
                    .zip(stamps)
                    .filter(|(_, stamp)| *stamp == Reply::Nil);
                gone.extend(missing.map(|(cache, _)| cache.clone()));
            }
        }
        gone
    }
}
