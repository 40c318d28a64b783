//! Removing members of flushed groups in small steps, to give their memory back before their time to live is over.
//!
//! Nothing depends on it: a member is dead from the flush on. So a cache is swept at most once in [`REST`], for whatever
//! was flushed meanwhile, by one vedetta of the fleet at a time; what it does not get to leaves by its time to live or by
//! eviction. A step looks only at the stamps of the groups that were flushed, which it declares.
//!
//! Not here: the sweep after a clear, on which the visibility of foreign entries depends (`sweep`).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::{CacheId, Fault, GroupName};
use crate::upstream::{Batch, Effect, Operation, Reply};

use super::judged::Declared;
use super::new_stamp;
use super::scripts::MOST_READ;
use super::sweep::{LOCK_MS, PAUSE, Sweeper, count, start};

/// Between two sweeps of one cache.
const REST: Duration = Duration::from_secs(30);

/// Groups that are swept at a time, of one cache. Each step names them all; members of further ones wait for their end.
const MOST: usize = 64;

/// Groups that wait to be swept, by cache. Bounded by the caches that are written to; gone after a sweep without more.
pub(super) type Flushed = Arc<Mutex<HashMap<CacheId, BTreeSet<GroupName>>>>;

impl Sweeper {
    /// Has members of these groups removed, now or with the next sweep of their cache.
    pub(super) fn sweep_groups(&self, cache: &CacheId, groups: &[GroupName]) {
        let begins = {
            let mut flushed = self.flushed.lock();
            let begins = !flushed.contains_key(cache);
            let waiting = flushed.entry(cache.clone()).or_default();
            let room = MOST.saturating_sub(waiting.len());
            waiting.extend(groups.iter().take(room).cloned());
            begins
        };
        if begins {
            let (sweeper, cache) = (self.clone(), cache.clone());
            self.tasks.spawn("sweep of groups", async move {
                sweeper.run_groups(&cache).await;
            });
        }
    }

    async fn run_groups(&self, cache: &CacheId) {
        while let Some(groups) = self.take_flushed(cache) {
            {
                // The semaphore is never closed.
                let _turn = self.turn.acquire().await;
                if let Err(fault) = self.sweep_flushed(cache, groups).await {
                    let reason = fault.cause.reason();
                    tracing::debug!(%cache, reason, "sweep of groups given up: {}", fault.detail);
                }
            }
            tokio::time::sleep(REST).await;
        }
    }

    /// What was flushed since the last sweep; if nothing was, the next flush begins anew.
    fn take_flushed(&self, cache: &CacheId) -> Option<Vec<GroupName>> {
        let mut flushed = self.flushed.lock();
        let waiting = flushed.get_mut(cache).map(std::mem::take);
        let waiting = waiting.filter(|waiting| !waiting.is_empty());
        if waiting.is_none() {
            flushed.remove(cache);
        }
        waiting.map(|waiting| waiting.into_iter().collect())
    }

    async fn sweep_flushed(&self, cache: &CacheId, groups: Vec<GroupName>) -> Result<(), Fault> {
        let session = self.lane.session()?;
        let lock = self.layout.sweep_of_groups(cache);
        let mut batch = Batch::new(Operation::Group, Effect::Write);
        batch.command("SET", &[&lock, b"", b"NX", b"PX", LOCK_MS]);
        if !matches!(session.execute(batch).await?.first(), Some(Reply::Bytes(_))) {
            // Somebody else sweeps this cache.
            return Ok(());
        }
        let declared = Declared::these(groups);
        let stamp = self.layout.stamp(cache);
        let mut cursor = start();
        loop {
            let (next, entries) = self
                .scan(&session, cache, &cursor, Operation::Clear)
                .await?;
            let mut batch = Batch::new(Operation::Group, Effect::Write);
            for entries in entries.chunks(MOST_READ) {
                let keys = [std::slice::from_ref(&stamp), entries].concat();
                let script = &self.scripts.sweep_groups;
                let call = (keys, vec![new_stamp()]);
                declared.change(&mut batch, script, call, (&self.layout, cache));
            }
            batch.command("PEXPIRE", &[&lock, LOCK_MS]);
            for reply in session.execute(batch).await? {
                count(vec![reply])?;
            }
            if next == start() {
                return Ok(());
            }
            cursor = next;
            tokio::time::sleep(PAUSE).await;
        }
    }
}
