//! The paths of calls: quota of calls, deadline, then store.
//!
//! Not here: what a deadline does to a call (`call`); how calls are counted (`quota`); the near cache, which is in front of Redis only (`remote::reader`).

use std::sync::Arc;
use std::time::SystemTime;

use crate::call::Call;
use crate::config::{CachePolicy, CacheRules, Limits};
use crate::invalidation::Bell;
use crate::model::{
    Address, CacheId, Cause, Consistency, Expiry, Fault, GroupName, Groups, Key, Lookup,
    PutOutcome, Tenant, TtlLookup,
};

use super::layout;
use super::lease::Waiting;
use super::quota::Allowance;
use super::store::{
    Edited, IfAbsent, Increment, Items, ListEdit, Put, Read, Store, Write, Written,
};

/// How much at once.
#[derive(Debug, Clone, Copy)]
pub struct CacheBounds {
    /// The most that the values of one answer may hold, in bytes.
    pub budget: u64,
    /// The most calls that wait for leases.
    pub waiting: usize,
}

impl From<&Limits> for CacheBounds {
    fn from(limits: &Limits) -> Self {
        Self {
            budget: limits.batch_bytes,
            // The others are for those who fill.
            waiting: limits.inflight_calls / 2,
        }
    }
}

/// The cache as the API offers it, over some store.
#[derive(Debug)]
pub struct Cache<S> {
    pub(super) store: S,
    rules: CacheRules,
    budget: u64,
    pub(super) allowance: Arc<Allowance>,
    pub(super) waiting: Waiting,
}

impl<S: Store> Cache<S> {
    /// Over this store, with these rules about caches. The bell is rung when a lease has gone.
    pub fn new(store: S, rules: CacheRules, bounds: CacheBounds, bell: Arc<Bell>) -> Self {
        Self {
            store,
            rules,
            budget: bounds.budget,
            allowance: Arc::default(),
            waiting: Waiting::new(bell, bounds.waiting),
        }
    }

    /// The same, which lets calls in as far as this allows.
    pub fn allowing(self, allowance: Arc<Allowance>) -> Self {
        Self { allowance, ..self }
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
        match self.at_hand(call, address, consistency)? {
            Some(found) => Ok(found),
            None => self.look(call, address, consistency).await,
        }
    }

    /// Lets in a call that reads one entry, and answers it where that needs no waiting.
    ///
    /// # Errors
    /// See [`Fault`].
    pub fn at_hand(
        &self,
        call: Call,
        address: &Address,
        consistency: Consistency,
    ) -> Result<Option<Lookup>, Fault> {
        self.allowance.call(&address.cache, 1)?;
        if call.is_late() {
            return Ok(None);
        }
        let read = self.reading(call, consistency);
        Ok(self.store.at_hand(&address.cache, &address.key, &read))
    }

    /// Reads one entry for a call that was let in already.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn look(
        &self,
        call: Call,
        address: &Address,
        consistency: Consistency,
    ) -> Result<Lookup, Fault> {
        let keys = std::slice::from_ref(&address.key);
        only(self.read(call, &address.cache, keys, consistency).await?)
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
        self.allowance.call(cache, keys.len())?;
        self.read(call, cache, keys, consistency).await
    }

    pub(super) async fn read(
        &self,
        call: Call,
        cache: &CacheId,
        keys: &[Key],
        consistency: Consistency,
    ) -> Result<Items<Lookup>, Fault> {
        let read = self.reading(call, consistency);
        call.read(self.store.get(cache, keys, read)).await
    }

    fn reading(&self, call: Call, consistency: Consistency) -> Read {
        Read {
            consistency,
            deadline: call.deadline(),
            budget: self.budget,
        }
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
        self.allowance.call(cache, puts.len())?;
        call.write(self.store.put(cache, puts, terms(call))).await
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
        self.allowance.call(cache, 1)?;
        call.write(self.store.put_if_absent(cache, put, terms(call)))
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
        self.allowance.debit(cache, keys.len());
        call.write(self.store.evict(cache, keys, terms(call))).await
    }

    /// Changes the expiry of an entry.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn touch(&self, call: Call, at: &Address, expiry: Expiry) -> Result<bool, Fault> {
        self.allowance.call(&at.cache, 1)?;
        call.write(self.store.touch(&at.cache, &at.key, expiry, terms(call)))
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
        self.allowance.call(cache, 1)?;
        call.write(self.store.increment(cache, increment, terms(call)))
            .await
    }

    /// Changes a list.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn edit_list(
        &self,
        call: Call,
        cache: &CacheId,
        edit: ListEdit,
    ) -> Result<Written<Edited>, Fault> {
        self.allowance.call(cache, 1)?;
        call.write(self.store.edit_list(cache, edit, terms(call)))
            .await
    }

    /// Gives a key a deadline.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn set_deadline(
        &self,
        call: Call,
        at: &Address,
        deadline: SystemTime,
    ) -> Result<bool, Fault> {
        self.allowance.call(&at.cache, 1)?;
        let terms = terms(call);
        call.write(self.store.set_deadline(&at.cache, &at.key, deadline, terms))
            .await
    }

    /// Reads the expiry of an entry.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn ttl(&self, call: Call, at: &Address) -> Result<TtlLookup, Fault> {
        self.allowance.call(&at.cache, 1)?;
        call.read(self.store.ttl(&at.cache, &at.key, call.deadline()))
            .await
    }

    /// Clears a cache.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn clear(&self, call: Call, cache: &CacheId) -> Result<Written<Option<u64>>, Fault> {
        self.allowance.debit(cache, 1);
        call.write(self.store.clear(cache, terms(call))).await
    }

    /// Makes an entry a member of groups, also before it exists.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn add_to_groups(
        &self,
        call: Call,
        at: &Address,
        groups: &Groups,
    ) -> Result<bool, Fault> {
        self.allowance.call(&at.cache, 1)?;
        let added = self
            .store
            .add_to_groups(&at.cache, &at.key, groups, terms(call));
        call.write(added).await
    }

    /// Flushes groups.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn flush_groups(
        &self,
        call: Call,
        cache: &CacheId,
        groups: &[GroupName],
    ) -> Result<Written<()>, Fault> {
        self.allowance.debit(cache, groups.len());
        let flushed = self.store.flush_groups(cache, groups, terms(call));
        call.write(flushed).await
    }

    /// The caches of a tenant, sorted by name.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn caches(&self, call: Call, tenant: &Tenant) -> Result<Vec<CacheId>, Fault> {
        let mut caches = call
            .read(self.store.caches(tenant, call.deadline()))
            .await?;
        caches.sort();
        Ok(caches)
    }
}

fn terms(call: Call) -> Write {
    Write {
        deadline: call.deadline(),
        durability: call.durability(),
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
