//! The store on the current Redis master.
//!
//! `read` and `write` turn calls into batches and replies into answers; `scripts` holds what must be atomic;
//! `sweep` gives back what a clear made dead; `registry` remembers which caches exist.
//!
//! Invariants: a batch is one round trip; an entry of a framed cache counts only under the current stamp; the
//! commands KEYS, FLUSHALL, FLUSHDB, SWAPDB and CONFIG SET are never sent.
//!
//! Not here: which node is the master (`failover`), and waiting for one.

mod expiry;
mod read;
mod registry;
mod scripts;
mod sweep;
mod write;

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use crate::config::{CacheRules, Encoding};
use crate::drain::Tasks;
use crate::model::{
    CacheId, Cause, Expiry, Fault, Key, Lookup, PutOutcome, Tenant, TtlLookup, Version,
};
use crate::upstream::{Batch, Lane, Reply, Session};

use super::frame::STAMP_BYTES;
use super::layout::Layout;
use super::store::{IfAbsent, Items, Put, Store};
use registry::Registry;
use scripts::Scripts;
use sweep::Sweeper;

/// Keeps entries in Redis.
#[derive(Debug)]
pub struct Remote {
    lane: Lane,
    rules: CacheRules,
    layout: Layout,
    scripts: Arc<Scripts>,
    registry: Registry,
    sweeper: Sweeper,
}

impl Remote {
    /// On whatever master the lane leads to.
    pub fn new(lane: Lane, prefix: &str, rules: CacheRules, tasks: Tasks) -> Self {
        let layout = Layout::new(prefix);
        let scripts = Arc::new(Scripts::new());
        Self {
            sweeper: Sweeper::new(lane.clone(), layout.clone(), scripts.clone(), tasks),
            lane,
            rules,
            layout,
            scripts,
            registry: Registry::default(),
        }
    }

    fn encoding(&self, cache: &CacheId) -> Encoding {
        self.rules.policy(&cache.name).encoding
    }

    /// Sends a batch and returns exactly one reply for each of its commands.
    async fn send(&self, session: &Session, batch: Batch) -> Result<Vec<Reply>, Fault> {
        let expected = batch.len();
        let replies = session.execute(&batch).await?;
        if replies.len() == expected {
            return Ok(replies);
        }
        Err(Fault::unknown(
            Cause::Internal,
            format!("{} replies to {expected} commands", replies.len()),
        ))
    }

    /// Sends a batch of puts, and has Redis remember the cache in the same write where that is due.
    async fn send_puts(
        &self,
        session: &Session,
        cache: &CacheId,
        mut batch: Batch,
    ) -> Result<Vec<Reply>, Fault> {
        let expected = batch.len();
        let told = self.registry.is_due(cache, session.generation());
        if told {
            let name = cache.name.as_str().as_bytes();
            batch.command("SADD", &[&self.layout.registry(&cache.tenant), name]);
        }
        let mut replies = self.send(session, batch).await.inspect_err(|_| {
            if told {
                self.registry.forget(cache);
            }
        })?;
        // The reply about the registry does not matter.
        replies.truncate(expected);
        Ok(replies)
    }
}

impl Store for Remote {
    async fn get(
        &self,
        cache: &CacheId,
        keys: &[Key],
        budget: u64,
    ) -> Result<Items<Lookup>, Fault> {
        match keys {
            [] => Ok(Vec::new()),
            [key] => Ok(vec![self.read(cache, key).await]),
            keys => self.read_many(cache, keys, budget).await,
        }
    }

    async fn put(&self, cache: &CacheId, puts: Vec<Put>) -> Result<Items<PutOutcome>, Fault> {
        self.write(cache, puts).await
    }

    async fn put_if_absent(&self, cache: &CacheId, put: Put) -> Result<IfAbsent, Fault> {
        self.write_if_absent(cache, put).await
    }

    async fn evict(&self, cache: &CacheId, keys: &[Key]) -> Result<Items<bool>, Fault> {
        self.remove(cache, keys).await
    }

    async fn touch(&self, cache: &CacheId, key: &Key, expiry: Expiry) -> Result<bool, Fault> {
        self.change_expiry(cache, key, expiry).await
    }

    async fn ttl(&self, cache: &CacheId, key: &Key) -> Result<TtlLookup, Fault> {
        self.read_expiry(cache, key).await
    }

    async fn clear(&self, cache: &CacheId) -> Result<Option<u64>, Fault> {
        match self.encoding(cache) {
            Encoding::Framed => self.replace_stamp(cache).await.map(|()| None),
            Encoding::Raw => self.sweeper.remove_all(cache).await.map(Some),
        }
    }

    async fn caches(&self, tenant: &Tenant) -> Result<Vec<CacheId>, Fault> {
        self.list(tenant).await
    }
}

/// 16 random bytes: a new stamp.
fn new_stamp() -> Bytes {
    Bytes::copy_from_slice(&rand::random::<[u8; STAMP_BYTES]>())
}

/// A version that no other write has.
fn new_version(session: &Session) -> Version {
    Version::made_at(session.master().epoch, SystemTime::now(), rand::random())
}

/// The fault of a reply of the wrong shape.
fn strange(reply: Reply) -> Fault {
    match reply {
        Reply::Failed(fault) => fault,
        _ => Fault::unknown(
            Cause::Internal,
            "Redis answered a command with an unexpected shape",
        ),
    }
}
