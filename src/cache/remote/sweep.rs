//! Removing many entries in small steps: a raw cache at its clear, foreign entries of a framed one after it.
//!
//! SCAN and UNLINK, a few hundred keys a step, so that no step blocks Redis for long. A sweep that outlives its
//! session starts again on the next one, because a cursor is only good on the node that gave it.
//!
//! Invariants: at most one sweep of a cache at a time in this process; a clear during a sweep makes it start again.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::backoff::Backoff;
use crate::drain::Tasks;
use crate::model::{CacheId, Cause, Fault};
use crate::upstream::{Batch, Effect, Lane, Operation, Reply, Session};

use super::super::layout::Layout;
use super::scripts::Scripts;
use super::{new_stamp, strange};

/// Keys that SCAN looks at in one step. 500 take well below a millisecond on an ordinary machine.
const STEP: &[u8] = b"500";

/// Attempts to complete a sweep. One that is given up is taken up by the next reader that meets a foreign entry.
const ATTEMPTS: usize = 10;

/// Sweeps caches.
#[derive(Debug, Clone)]
pub(super) struct Sweeper {
    lane: Lane,
    layout: Layout,
    scripts: Arc<Scripts>,
    tasks: Tasks,
    /// Caches being swept, with the stamp of the latest clear.
    running: Arc<Mutex<HashMap<CacheId, Bytes>>>,
}

impl Sweeper {
    pub(super) fn new(lane: Lane, layout: Layout, scripts: Arc<Scripts>, tasks: Tasks) -> Self {
        Self {
            lane,
            layout,
            scripts,
            tasks,
            running: Arc::default(),
        }
    }

    /// Removes every entry of a raw cache; tells how many.
    ///
    /// # Errors
    /// The fault that stopped it. Some entries may be gone.
    pub(super) async fn remove_all(&self, cache: &CacheId) -> Result<u64, Fault> {
        let session = self.lane.session()?;
        let mut removed = 0;
        let mut cursor = Bytes::from_static(b"0");
        loop {
            let (next, keys) = self.scan(&session, cache, &cursor).await?;
            if !keys.is_empty() {
                let mut batch = Batch::new(Operation::Clear, Effect::Write);
                let keys: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).collect();
                batch.command("UNLINK", &keys);
                removed += count(session.execute(&batch).await?)?;
            }
            if next.as_ref() == b"0" {
                return Ok(removed);
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
        let mut backoff = Backoff::new();
        for _ in 0..ATTEMPTS {
            let Some(stamp) = self.running.lock().get(&cache).cloned() else {
                return;
            };
            match self.sweep_once(&cache, &stamp).await {
                Ok(()) if self.is_last(&cache, &stamp) => return,
                Ok(()) => {}
                Err(fault) => {
                    let reason = fault.cause.reason();
                    tracing::debug!(%cache, reason, "sweep interrupted: {}", fault.detail);
                }
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
        self.running.lock().remove(&cache);
    }

    /// Takes the cache off the list, unless there was another clear since.
    fn is_last(&self, cache: &CacheId, stamp: &Bytes) -> bool {
        let mut running = self.running.lock();
        let last = running.get(cache) == Some(stamp);
        if last {
            running.remove(cache);
        }
        last
    }

    async fn sweep_once(&self, cache: &CacheId, stamp: &Bytes) -> Result<(), Fault> {
        let session = self.lane.session()?;
        let stamp_key = self.layout.stamp(cache);
        // A name with an underscore may be read as another tenant and cache, whose entries have another stamp.
        let shared = !cache.tenant.is_primary() || cache.name.as_str().contains('_');
        let shared = Bytes::from_static(if shared { b"1" } else { b"0" });
        let mut cursor = Bytes::from_static(b"0");
        loop {
            let (next, mut keys) = self.scan(&session, cache, &cursor).await?;
            if !keys.is_empty() {
                keys.insert(0, stamp_key.clone());
                let mut batch = Batch::new(Operation::Clear, Effect::Write);
                batch.script(&self.scripts.sweep, &keys, &[new_stamp(), shared.clone()]);
                count(session.execute(&batch).await?)?;
            }
            if next.as_ref() == b"0" {
                break;
            }
            cursor = next;
        }
        let mut batch = Batch::new(Operation::Clear, Effect::Write);
        batch.script(
            &self.scripts.swept,
            &[stamp_key],
            std::slice::from_ref(stamp),
        );
        count(session.execute(&batch).await?).map(|_| ())
    }

    async fn scan(
        &self,
        session: &Session,
        cache: &CacheId,
        cursor: &Bytes,
    ) -> Result<(Bytes, Vec<Bytes>), Fault> {
        let mut batch = Batch::new(Operation::Clear, Effect::Read);
        let pattern = self.layout.pattern(cache);
        batch.command(
            "SCAN",
            &[cursor, b"MATCH", pattern.as_bytes(), b"COUNT", STEP],
        );
        let reply = session.execute(&batch).await?.into_iter().next();
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

fn count(replies: Vec<Reply>) -> Result<u64, Fault> {
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
