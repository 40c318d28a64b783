//! Removing many entries in small steps: a raw cache at its clear, foreign entries of a framed one after it.
//!
//! SCAN and UNLINK, a few hundred keys a step, so that no step blocks Redis for long. A sweep that outlives its
//! session starts again on the next one, because a cursor is only good on the node that gave it.
//!
//! Invariants: one sweep at a time in this process, and one of a cache in the fleet, as long as the lock of the
//! latter lives; a clear during a sweep makes it start again.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::backoff::Backoff;
use crate::drain::Tasks;
use crate::model::{CacheId, Cause, Fault};
use crate::near::Near;
use crate::upstream::{Batch, Effect, Lane, Operation, Reply, Session};

use super::super::layout::Layout;
use super::flight::Flight;
use super::judged::Declared;
use super::scripts::{MOST_READ, Scripts};
use super::sweep_groups::Flushed;
use super::{new_stamp, strange};

/// Keys that SCAN looks at in one step. 500 take well below a millisecond on an ordinary machine.
const STEP: &[u8] = b"500";

/// Between two steps of a sweep others have their turn. At 500 keys a step, a million keys take ten seconds.
pub(super) const PAUSE: Duration = Duration::from_millis(5);

/// Attempts to complete a sweep. One that is given up is taken up by the next reader that meets a foreign entry.
const ATTEMPTS: usize = 10;

/// How long a vedetta has a sweep for itself, from each of its steps on. Whoever dies leaves it for that long.
pub(super) const LOCK_MS: &[u8] = b"5000";

/// Sweeps caches.
#[derive(Debug, Clone)]
pub(super) struct Sweeper {
    pub(super) lane: Lane,
    pub(super) layout: Layout,
    pub(super) scripts: Arc<Scripts>,
    near: Arc<Near<Flight>>,
    pub(super) tasks: Tasks,
    /// Caches being swept or waiting for it, with the stamp of the latest clear. Bounded by the caches cleared.
    running: Arc<Mutex<HashMap<CacheId, Bytes>>>,
    /// What flushes have left.
    pub(super) flushed: Flushed,
    pub(super) turn: Arc<Semaphore>,
}

impl Sweeper {
    pub(super) fn new(
        lane: Lane,
        layout: Layout,
        scripts: Arc<Scripts>,
        near: Arc<Near<Flight>>,
        tasks: Tasks,
    ) -> Self {
        Self {
            lane,
            layout,
            scripts,
            near,
            tasks,
            running: Arc::default(),
            flushed: Flushed::default(),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Removes every entry of a raw cache, and counts them.
    ///
    /// # Errors
    /// The fault that stopped it; once something is gone, the outcome is unknown.
    pub(super) async fn remove_all(
        &self,
        session: &Arc<Session>,
        cache: &CacheId,
        removed: &AtomicU64,
    ) -> Result<(), Fault> {
        self.remove_counting(session, cache, removed)
            .await
            .map_err(|fault| match removed.load(Ordering::Relaxed) {
                0 => fault,
                count => {
                    let detail =
                        format!("the clear stopped after {count} entries: {}", fault.detail);
                    Fault::unknown(Cause::OutcomeUnknown, detail)
                }
            })
    }

    async fn remove_counting(
        &self,
        session: &Arc<Session>,
        cache: &CacheId,
        removed: &AtomicU64,
    ) -> Result<(), Fault> {
        let mut cursor = start();
        loop {
            let (next, keys) = self.scan(session, cache, &cursor, Operation::Clear).await?;
            if !keys.is_empty() {
                let mut batch = Batch::new(Operation::Clear, Effect::Write);
                let names: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).collect();
                batch.command("UNLINK", &names);
                let unlinked = session.execute(batch).await;
                // Its push comes after its reply, which whoever asked for the clear must not outrun.
                for key in &keys {
                    self.near.wrote(key);
                }
                removed.fetch_add(count(unlinked?)?, Ordering::Relaxed);
            }
            if next == start() {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// Starts to remove what a clear of a framed cache left, unless that is being done already.
    pub(super) fn sweep(&self, cache: &CacheId, stamp: Bytes) {
        if self.running.lock().insert(cache.clone(), stamp).is_some() {
            return;
        }
        let (sweeper, cache) = (self.clone(), cache.clone());
        self.tasks
            .spawn("sweep", async move { sweeper.run(cache).await });
    }

    async fn run(self, cache: CacheId) {
        // The semaphore is never closed.
        let _turn = self.turn.acquire().await;
        while let Some(stamp) = self.latest(&cache) {
            self.sweep_one_clear(&cache, &stamp).await;
            self.done(&cache, &stamp);
        }
    }

    fn latest(&self, cache: &CacheId) -> Option<Bytes> {
        self.running.lock().get(cache).cloned()
    }

    async fn sweep_one_clear(&self, cache: &CacheId, stamp: &Bytes) {
        let mut backoff = Backoff::new();
        let mut ours = false;
        for _ in 0..ATTEMPTS {
            let result = async {
                ours = ours || self.lock(cache, stamp).await?;
                if ours {
                    return self.sweep_once(cache, stamp).await;
                }
                // Whoever holds the lock sweeps. Readers that meet a foreign entry ask once a second meanwhile.
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(())
            };
            let Err(fault) = result.await else {
                return;
            };
            let reason = fault.cause.reason();
            tracing::debug!(%cache, reason, "sweep interrupted: {}", fault.detail);
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    /// Takes the cache off the list, unless there was another clear since.
    fn done(&self, cache: &CacheId, stamp: &Bytes) {
        let mut running = self.running.lock();
        if running.get(cache) == Some(stamp) {
            running.remove(cache);
        }
    }

    async fn sweep_once(&self, cache: &CacheId, stamp: &Bytes) -> Result<(), Fault> {
        let session = self.lane.session()?;
        let stamp_key = self.layout.stamp(cache);
        let lock = self.layout.sweep(cache, stamp);
        let shared = shared(cache);
        let mut cursor = start();
        loop {
            let (next, keys) = self
                .scan(&session, cache, &cursor, Operation::Clear)
                .await?;
            let mut batch = Batch::new(Operation::Clear, Effect::Write);
            for keys in keys.chunks(MOST_READ) {
                let keys = [std::slice::from_ref(&stamp_key), keys].concat();
                let call = (keys, vec![new_stamp(), shared.clone()]);
                let place = (&self.layout, cache);
                Declared::default().call(&mut batch, &self.scripts.sweep, call, place);
            }
            batch.command("PEXPIRE", &[&lock, LOCK_MS]);
            for reply in session.execute(batch).await? {
                count(vec![reply])?;
            }
            if next == start() {
                break;
            }
            cursor = next;
            tokio::time::sleep(PAUSE).await;
        }
        let mut batch = Batch::new(Operation::Clear, Effect::Write);
        batch.script(
            &self.scripts.swept,
            &[stamp_key],
            std::slice::from_ref(stamp),
        );
        count(session.execute(batch).await?).map(|_| ())
    }

    /// Whether the sweep after this clear is ours. Each clear has a lock of its own, so that a later one is swept
    /// too.
    async fn lock(&self, cache: &CacheId, stamp: &Bytes) -> Result<bool, Fault> {
        let session = self.lane.session()?;
        let mut batch = Batch::new(Operation::Clear, Effect::Write);
        let lock = self.layout.sweep(cache, stamp);
        batch.command("SET", &[&lock, b"", b"NX", b"PX", LOCK_MS]);
        match session.execute(batch).await?.into_iter().next() {
            Some(Reply::Bytes(_)) => Ok(true),
            Some(Reply::Nil) => Ok(false),
            reply => Err(reply.map_or_else(missing, strange)),
        }
    }

    /// A step of a scan: where it goes on, and keys that have the name of the cache.
    pub(super) async fn scan(
        &self,
        session: &Arc<Session>,
        cache: &CacheId,
        cursor: &Bytes,
        operation: Operation,
    ) -> Result<(Bytes, Vec<Bytes>), Fault> {
        let mut batch = Batch::new(operation, Effect::Read);
        let pattern = self.layout.pattern(cache);
        batch.command(
            "SCAN",
            &[cursor, b"MATCH", pattern.as_bytes(), b"COUNT", STEP],
        );
        let reply = session.execute(batch).await?.into_iter().next();
        let Some(Reply::Array(fields)) = reply else {
            return Err(reply.map_or_else(missing, strange));
        };
        let [Reply::Bytes(next), Reply::Array(keys)] = fields.as_slice() else {
            return Err(missing());
        };
        let keys = keys
            .iter()
            .filter_map(|key| match key {
                Reply::Bytes(key) => Some(key.clone()),
                _ => None,
            })
            .collect();
        Ok((next.clone(), keys))
    }
}

/// Whether the name may be read as another tenant's or application's, whose entries have another stamp.
pub(super) fn shared(cache: &CacheId) -> Bytes {
    let shared = !cache.tenant.is_primary() || cache.name.as_str().contains(['_', ':']);
    Bytes::from_static(if shared { b"1" } else { b"0" })
}

/// The cursor with which a scan begins, and with which it says that it is complete.
pub(super) const fn start() -> Bytes {
    Bytes::from_static(b"0")
}

pub(super) fn count(replies: Vec<Reply>) -> Result<u64, Fault> {
    match replies.into_iter().next() {
        Some(Reply::Int(number)) => Ok(u64::try_from(number).unwrap_or(0)),
        reply => Err(reply.map_or_else(missing, strange)),
    }
}

fn missing() -> Fault {
    Fault::unknown(
        Cause::Internal,
        "Redis answered a step of a sweep with an unexpected shape",
    )
}
