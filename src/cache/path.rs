//! The paths of calls: deadline, then store.
//!
//! Invariants: a call whose deadline has passed is not begun; one that passes it is answered at once, and a write
//! says that nobody knows whether it was applied.
//!
//! Not here: the near cache, which is in front of Redis only (`remote::reader`).

use tokio::time::Instant;

use crate::config::{CachePolicy, CacheRules};
use crate::model::{
    Address, CacheId, Cause, Consistency, Durability, Expiry, Fault, Key, Lookup, PutOutcome,
    Tenant, TtlLookup,
};

use super::layout;
use super::store::{IfAbsent, Increment, Items, Put, Read, Store, Write, Written};

/// What travels with every call.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    deadline: Option<Instant>,
    durability: Durability,
}

impl Call {
    /// A call whose caller waits until then, or for ever.
    pub fn until(deadline: Option<Instant>) -> Self {
        Self {
            deadline,
            durability: Durability::Async,
        }
    }

    /// The same, acknowledged when so many copies exist.
    pub fn durable(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    fn terms(self) -> Write {
        Write {
            deadline: self.deadline,
            durability: self.durability,
        }
    }

    /// Until when the caller waits.
    pub fn deadline(self) -> Option<Instant> {
        self.deadline
    }

    pub(super) async fn read<T>(
        self,
        work: impl Future<Output = Result<T, Fault>> + Send,
    ) -> Result<T, Fault> {
        self.bounded(work, too_late).await
    }

    pub(super) async fn write<T>(
        self,
        work: impl Future<Output = Result<T, Fault>> + Send,
    ) -> Result<T, Fault> {
        self.bounded(work, late_in_flight).await
    }

    async fn bounded<T>(
        self,
        work: impl Future<Output = Result<T, Fault>> + Send,
        late: fn() -> Fault,
    ) -> Result<T, Fault> {
        let Some(deadline) = self.deadline else {
            return work.await;
        };
        if deadline <= Instant::now() {
            return Err(too_late());
        }
        tokio::time::timeout_at(deadline, work)
            .await
            .unwrap_or_else(|_| Err(late()))
    }
}

fn too_late() -> Fault {
    Fault::not_applied(Cause::Deadline, "the deadline of the call has passed")
}

fn late_in_flight() -> Fault {
    Fault::unknown(
        Cause::Deadline,
        "the deadline of the call has passed with the write in flight",
    )
}

/// The cache as the API offers it, over some store.
#[derive(Debug)]
pub struct Cache<S> {
    store: S,
    rules: CacheRules,
    budget: u64,
}

impl<S: Store> Cache<S> {
    /// Over this store, with these rules about caches; the values of one answer have at most `budget` bytes.
    pub fn new(store: S, rules: CacheRules, budget: u64) -> Self {
        Self {
            store,
            rules,
            budget,
        }
    }

    /// The store below.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// How a cache is configured.
    pub fn policy(&self, cache: &CacheId) -> CachePolicy {
        self.rules.policy(&cache.name)
    }

    /// Whether a cache of that name can be kept apart from the others.
    ///
    /// # Errors
    /// One sentence that names the cache it would share its Redis keys with.
    pub fn admit(&self, cache: &CacheId) -> Result<(), String> {
        layout::check(cache, &self.rules).map_err(|(tenant, name)| {
            let owner = if tenant.is_empty() {
                "the primary tenant".to_owned()
            } else {
                format!("tenant `{tenant}`")
            };
            format!(
                "would share its Redis keys with cache `{name}` of {owner}; choose another name"
            )
        })
    }

    /// Reads one entry.
    ///
    /// # Errors
    /// See [`Fault`]; as for every method here.
    pub async fn get(
        &self,
        call: Call,
        address: &Address,
        consistency: Consistency,
    ) -> Result<Lookup, Fault> {
        let keys = std::slice::from_ref(&address.key);
        only(
            self.get_many(call, &address.cache, keys, consistency)
                .await?,
        )
    }

    /// Reads entries, in order.
    ///
    /// # Errors
    /// The fault of all items.
    pub async fn get_many(
        &self,
        call: Call,
        cache: &CacheId,
        keys: &[Key],
        consistency: Consistency,
    ) -> Result<Items<Lookup>, Fault> {
        let read = Read {
            consistency,
            deadline: call.deadline,
            budget: self.budget,
        };
        call.read(self.store.get(cache, keys, read)).await
    }

    /// Writes one entry.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn put(
        &self,
        call: Call,
        cache: &CacheId,
        put: Put,
    ) -> Result<Written<PutOutcome>, Fault> {
        only_written(self.put_many(call, cache, vec![put]).await?)
    }

    /// Writes entries, in order.
    ///
    /// # Errors
    /// The fault of all items.
    pub async fn put_many(
        &self,
        call: Call,
        cache: &CacheId,
        puts: Vec<Put>,
    ) -> Result<Written<Items<PutOutcome>>, Fault> {
        call.write(self.store.put(cache, puts, call.terms())).await
    }

    /// Writes an entry unless there is one.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn put_if_absent(
        &self,
        call: Call,
        cache: &CacheId,
        put: Put,
    ) -> Result<Written<IfAbsent>, Fault> {
        call.write(self.store.put_if_absent(cache, put, call.terms()))
            .await
    }

    /// Removes one entry.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn evict(&self, call: Call, address: &Address) -> Result<Written<bool>, Fault> {
        let keys = std::slice::from_ref(&address.key);
        only_written(self.evict_many(call, &address.cache, keys).await?)
    }

    /// Removes entries, in order.
    ///
    /// # Errors
    /// The fault of all items.
    pub async fn evict_many(
        &self,
        call: Call,
        cache: &CacheId,
        keys: &[Key],
    ) -> Result<Written<Items<bool>>, Fault> {
        call.write(self.store.evict(cache, keys, call.terms()))
            .await
    }

    /// Changes the expiry of an entry.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn touch(&self, call: Call, at: &Address, expiry: Expiry) -> Result<bool, Fault> {
        call.write(self.store.touch(&at.cache, &at.key, expiry, call.terms()))
            .await
    }

    /// Changes a counter.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn increment(
        &self,
        call: Call,
        cache: &CacheId,
        increment: Increment,
    ) -> Result<Written<i64>, Fault> {
        call.write(self.store.increment(cache, increment, call.terms()))
            .await
    }

    /// Reads the expiry of an entry.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn ttl(&self, call: Call, at: &Address) -> Result<TtlLookup, Fault> {
        call.read(self.store.ttl(&at.cache, &at.key, call.deadline))
            .await
    }

    /// Clears a cache.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn clear(&self, call: Call, cache: &CacheId) -> Result<Written<Option<u64>>, Fault> {
        call.write(self.store.clear(cache, call.terms())).await
    }

    /// The caches of a tenant, sorted by name.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn caches(&self, call: Call, tenant: &Tenant) -> Result<Vec<CacheId>, Fault> {
        let mut caches = call.read(self.store.caches(tenant, call.deadline)).await?;
        caches.sort();
        Ok(caches)
    }
}

fn only_written<T>(items: Written<Items<T>>) -> Result<Written<T>, Fault> {
    Ok(Written {
        answer: only(items.answer)?,
        token: items.token,
    })
}

/// The answer for the only item of a batch.
fn only<T>(items: Items<T>) -> Result<T, Fault> {
    items.into_iter().next().unwrap_or_else(|| {
        Err(Fault::unknown(
            Cause::Internal,
            "a store answered a batch of one with nothing",
        ))
    })
}
