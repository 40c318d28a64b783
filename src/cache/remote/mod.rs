//! The store on the current Redis master.
//!
//! `reader` answers from the near cache, or has one caller ask the master for all who want the same, and `fills` sends what
//! is asked at one time together; `read`, `write` with `put`, and `counter` turn calls into batches and replies into
//! answers; `journal` undoes on a new master what the loss of writes brought back; `lease` gives leases; `groups` joins and
//! flushes groups, `judged` sends what must know an entry's groups first, and `membership` judges what a read found by its
//! groups; `own_write` takes what is written out of the near cache; `canary` and `audit` watch over the coherence of all of
//! it; `scripts` holds what must be atomic; `send` sends batches; `sweep` and `sweep_groups` give back what a clear or a
//! flush made dead; `registry` remembers which caches exist.
//!
//! Invariants: a batch is one round trip, or a few where entries have groups that have to be asked for; an entry of a
//! framed cache counts only under the current stamps of the cache and of its groups; the commands KEYS, FLUSHALL, FLUSHDB,
//! SWAPDB and CONFIG SET are never sent.
//!
//! Not here: which node is the master, and sending a call until it is answered (`failover`); what may be served from the
//! near cache (`near`).

mod answer;
mod audit;
mod batch_reader;
mod canary;
mod counter;
mod deadline;
mod expiry;
mod fills;
mod flight;
mod groups;
mod journal;
mod judged;
mod lease;
mod list;
mod listing;
mod load;
mod load_end;
mod membership;
mod metrics;
mod own_write;
mod put;
mod read;
mod reader;
mod registry;
mod remove;
mod scripts;
mod send;
mod sweep;
mod sweep_groups;
mod terms;
mod write;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::Instant;

use crate::clock;
use crate::config::{CacheRules, Encoding};
use crate::drain::Tasks;
use crate::failover::Passage;
use crate::invalidation::{Directory, Hub};
use crate::model::{
    CacheId, Cause, Expiry, Fault, GroupName, Groups, Key, Lease, Lookup, PutOutcome, Tenant,
    TtlLookup, Version,
};
use crate::near::Near;
use crate::upstream::{Lane, Reply, Session, Witnesses};

use super::frame::STAMP_BYTES;
use super::layout::{LEASES, Layout};
use super::quota::Allowance;
use super::store::{
    Edited, Granting, IfAbsent, Increment, Items, LeaseRequest, ListEdit, Put, Read, Store, Write,
    Written,
};
pub use canary::{Canary, canary_key};
pub(super) use counter::{floor_required, not_a_number};
pub(super) use deadline::PASSED_FOR;
use fills::Fills;
pub use flight::Flight;
pub use journal::{ClearsAgain, Journal};
use metrics::Metrics;
use registry::Registry;
use scripts::Scripts;
use send::Sent;
use sweep::Sweeper;

/// What the near cache and its subscribers need.
#[derive(Debug, Clone)]
pub struct Coherence {
    /// The near cache.
    pub near: Arc<Near<Flight>>,
    /// Who is told.
    pub hub: Arc<Hub>,
    /// Which caches are read here.
    pub directory: Arc<Directory>,
    /// The staleness bound L.
    pub bound: Duration,
    /// Of so many answers from the near cache one is compared with the master; 0: none.
    pub audit_every: u64,
}

/// Keeps entries in Redis.
#[derive(Debug, Clone)]
pub struct Remote(Arc<Core>);

#[derive(Debug)]
struct Core {
    lane: Lane,
    rules: CacheRules,
    layout: Layout,
    scripts: Arc<Scripts>,
    registry: Registry,
    sweeper: Sweeper,
    coherence: Coherence,
    metrics: Metrics,
    audits: audit::Sample,
    tasks: Tasks,
    passage: Passage,
    journal: Arc<Journal>,
    allowance: Arc<Allowance>,
    witnesses: Witnesses,
    fills: Fills,
}

/// What writes need.
#[derive(Debug)]
pub struct Writing {
    /// How they get to the master.
    pub passage: Passage,
    /// Where they are remembered.
    pub journal: (Arc<Journal>, ClearsAgain),
    /// Who waits for replicas.
    pub witnesses: Witnesses,
    /// Stands before every key.
    pub prefix: String,
    /// What quotas leave.
    pub allowance: Arc<Allowance>,
}

impl Remote {
    /// How the keys of leases begin, for whoever listens for pushes.
    pub const LEASES: &'static [u8] = LEASES;

    /// On whatever master the passage leads to.
    pub fn new(writing: Writing, rules: CacheRules, coherence: Coherence, tasks: Tasks) -> Self {
        let layout = Layout::new(&writing.prefix).counting(writing.allowance.quotas());
        let lane = writing.passage.lane().clone();
        let (journal, ClearsAgain(clears)) = writing.journal;
        let scripts = Arc::new(Scripts::new());
        let near = coherence.near.clone();
        let core = Arc::new(Core {
            sweeper: Sweeper::new(
                lane.clone(),
                layout.clone(),
                scripts.clone(),
                near,
                tasks.clone(),
            ),
            lane,
            rules,
            layout,
            scripts,
            registry: Registry::default(),
            metrics: Metrics::register(),
            audits: audit::Sample::new(coherence.audit_every),
            coherence,
            tasks,
            passage: writing.passage,
            journal,
            allowance: writing.allowance,
            witnesses: writing.witnesses,
            fills: Fills::new(),
        });
        let clearing = core.clone();
        core.tasks.spawn("raw clears", async move {
            clearing.clear_raw_again(clears).await
        });
        Self(core)
    }

    /// Shows the figures of the near cache.
    pub fn show(&self) {
        self.0.metrics.show(&self.0.coherence);
    }
}

impl Core {
    fn encoding(&self, cache: &CacheId) -> Encoding {
        self.rules.policy(&cache.name).encoding
    }
}

impl Store for Remote {
    fn at_hand(&self, cache: &CacheId, key: &Key, read: &Read) -> Option<Lookup> {
        let Self(core) = self;
        let aim = core.aim(read)?;
        let (entry, figures) = (core.layout.entry(cache, key), core.metrics.of(cache));
        core.near_answer((cache, &figures), &entry, &aim, clock::now())
    }

    async fn get(&self, cache: &CacheId, keys: &[Key], read: Read) -> Result<Items<Lookup>, Fault> {
        match keys {
            [] => Ok(Vec::new()),
            // The fault of the only item is that of all.
            [key] => Ok(vec![Ok(self.0.get(cache, key, read).await?)]),
            // Apart, so that a read of one entry does not carry room for it.
            keys => Box::pin(self.0.get_many(cache, keys, read)).await,
        }
    }

    async fn put(
        &self,
        cache: &CacheId,
        puts: Vec<Put>,
        write: Write,
    ) -> Result<Written<Items<PutOutcome>>, Fault> {
        self.0.write(cache, puts, write).await
    }

    async fn put_if_absent(
        &self,
        cache: &CacheId,
        put: Put,
        write: Write,
    ) -> Result<Written<IfAbsent>, Fault> {
        self.0.write_if_absent(cache, put, write).await
    }

    async fn evict(
        &self,
        cache: &CacheId,
        keys: &[Key],
        write: Write,
    ) -> Result<Written<Items<bool>>, Fault> {
        self.0.remove(cache, keys, write).await
    }

    async fn touch(
        &self,
        cache: &CacheId,
        key: &Key,
        expiry: Expiry,
        write: Write,
    ) -> Result<bool, Fault> {
        self.0.change_expiry(cache, key, expiry, write).await
    }

    async fn increment(
        &self,
        cache: &CacheId,
        increment: Increment,
        write: Write,
    ) -> Result<Written<i64>, Fault> {
        self.0.add(cache, &increment, write).await
    }

    async fn edit_list(
        &self,
        cache: &CacheId,
        edit: ListEdit,
        write: Write,
    ) -> Result<Written<Edited>, Fault> {
        self.0.edit(cache, &edit, write).await
    }

    async fn set_deadline(
        &self,
        cache: &CacheId,
        key: &Key,
        deadline: SystemTime,
        write: Write,
    ) -> Result<bool, Fault> {
        self.0.put_deadline(cache, key, deadline, write).await
    }

    async fn ttl(
        &self,
        cache: &CacheId,
        key: &Key,
        deadline: Option<Instant>,
    ) -> Result<TtlLookup, Fault> {
        self.0.read_expiry(cache, key, deadline).await
    }

    async fn clear(&self, cache: &CacheId, write: Write) -> Result<Written<Option<u64>>, Fault> {
        self.0.clear(cache, write).await
    }

    async fn lease(
        &self,
        cache: &CacheId,
        key: &Key,
        request: &LeaseRequest,
    ) -> Result<Granting, Fault> {
        self.0.grant(cache, key, request).await
    }

    async fn release(
        &self,
        cache: &CacheId,
        key: &Key,
        lease: &Lease,
        write: Write,
    ) -> Result<bool, Fault> {
        self.0.give_back(cache, key, lease, write).await
    }

    fn lease_key(&self, cache: &CacheId, key: &Key) -> Bytes {
        self.0.layout.lease(cache, key)
    }

    async fn add_to_groups(
        &self,
        cache: &CacheId,
        key: &Key,
        groups: &Groups,
        write: Write,
    ) -> Result<bool, Fault> {
        self.0.add_to_groups(cache, key, groups, write).await
    }

    async fn flush_groups(
        &self,
        cache: &CacheId,
        groups: &[GroupName],
        write: Write,
    ) -> Result<Written<()>, Fault> {
        self.0.flush_groups(cache, groups, write).await
    }

    async fn caches(
        &self,
        tenant: &Tenant,
        deadline: Option<Instant>,
    ) -> Result<Vec<CacheId>, Fault> {
        self.0.list(tenant, deadline).await
    }
}

/// 16 random bytes: a new stamp.
fn new_stamp() -> Bytes {
    Bytes::copy_from_slice(&rand::random::<[u8; STAMP_BYTES]>())
}

/// The history, as scripts have it.
fn history(session: &Session) -> Bytes {
    Bytes::copy_from_slice(session.lineage().as_bytes())
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
