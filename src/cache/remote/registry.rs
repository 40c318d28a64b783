//! Which caches this process has told Redis about.
//!
//! Invariants: bounded; a cache is told again with every session and every [`AGAIN`], because Redis may have lost
//! it (eviction, FLUSHALL, a failover) without telling us.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::model::{CacheId, CacheName, Cause, Fault, Tenant};
use crate::upstream::{Batch, Effect, Operation, Reply, Session};

use super::{Core, strange};

/// How long Redis is trusted to remember.
const AGAIN: Duration = Duration::from_secs(60);

/// How many caches are remembered here. Further ones are told at each use, which is correct and slower.
const MOST_CACHES: usize = 10_000;

/// When each cache was last told, and in which session.
#[derive(Debug, Default)]
pub(super) struct Registry {
    told: Mutex<HashMap<CacheId, (u64, Instant)>>,
}

impl Registry {
    /// Telling it failed.
    pub(super) fn forget(&self, cache: &CacheId) {
        self.told.lock().remove(cache);
    }

    /// The caches that this process has written to.
    pub(super) fn caches(&self) -> Vec<CacheId> {
        self.told.lock().keys().cloned().collect()
    }

    /// Whether the cache should be told now; if so it counts as told.
    pub(super) fn is_due(&self, cache: &CacheId, generation: u64) -> bool {
        let now = Instant::now();
        let mut told = self.told.lock();
        match told.get_mut(cache) {
            Some((known, at)) if *known == generation && now.duration_since(*at) < AGAIN => false,
            Some(entry) => {
                *entry = (generation, now);
                true
            }
            None => {
                if told.len() < MOST_CACHES {
                    told.insert(cache.clone(), (generation, now));
                }
                true
            }
        }
    }
}

impl Core {
    /// The registered caches of a tenant.
    pub(super) async fn list(
        &self,
        tenant: &Tenant,
        deadline: Option<Instant>,
    ) -> Result<Vec<CacheId>, Fault> {
        let registry = &self.layout.registry(tenant);
        let attempt = |session: Arc<Session>| async move {
            let mut batch = Batch::new(Operation::List, Effect::Read);
            batch.command("SMEMBERS", &[registry]);
            self.send(&session, batch).await
        };
        let replies = self
            .passage
            .retrieve(self.passage.patience(deadline, 0), attempt)
            .await?;
        let members = match replies.into_iter().next() {
            Some(Reply::Array(members)) => members,
            reply => return Err(reply.map_or_else(no_reply, strange)),
        };
        Ok(members
            .iter()
            .filter_map(|member| match member {
                // A member that is not a name of ours is somebody else's.
                Reply::Bytes(name) => CacheName::new(std::str::from_utf8(name).ok()?).ok(),
                _ => None,
            })
            .map(|name| CacheId {
                tenant: tenant.clone(),
                name,
            })
            .collect())
    }
}

fn no_reply() -> Fault {
    Fault::not_applied(Cause::Internal, "SMEMBERS without a reply")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_cache_is_told_once_per_session_and_minute() {
        let registry = Registry::default();
        let cache = CacheId {
            tenant: Tenant::primary(),
            name: CacheName::new("c").expect("cache"),
        };
        assert!(registry.is_due(&cache, 1));
        assert!(!registry.is_due(&cache, 1));
        assert!(registry.is_due(&cache, 2));
        registry.forget(&cache);
        assert!(registry.is_due(&cache, 2));
        tokio::time::advance(AGAIN).await;
        assert!(registry.is_due(&cache, 2));
        assert!(!registry.is_due(&cache, 2));
    }
}
