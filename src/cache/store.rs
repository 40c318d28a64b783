//! The seam: what a store can do.
//!
//! Invariants of every implementation: each item is one atomic step; a batch answers in request order, each item
//! for itself; an expired entry is absent from the millisecond on in which it expires.
//!
//! Not here: deadlines, which [`super::Cache`] enforces for all stores alike.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::Instant;

use super::load::Bulk;
use crate::model::{
    CacheId, Cause, Condition, Consistency, Durability, Expiry, Fault, GroupName, Groups, Hit, Key,
    Lease, Lineage, Lookup, PutOutcome, Tenant, Token, TtlLookup, Value, Version,
};

/// One entry to be written.
#[derive(Debug, Clone)]
pub struct Put {
    /// Where.
    pub key: Key,
    /// What.
    pub value: Value,
    /// Until when.
    pub expiry: Expiry,
    /// Whether.
    pub condition: Condition,
    /// What it is flushed with.
    pub groups: Groups,
    /// Only while this lease holds.
    pub lease: Option<Lease>,
}

impl Put {
    /// Its payload, in bytes.
    pub fn weight(&self) -> u64 {
        (self.key.as_bytes().len() + self.value.len() + self.groups.bytes()) as u64
    }
}

/// The answer to "store unless there is something".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfAbsent {
    /// There was nothing; the new version.
    Stored(Version),
    /// What there is.
    Existing(Hit),
}

/// How to read.
#[derive(Debug, Clone, Copy)]
pub struct Read {
    /// What may be returned.
    pub consistency: Consistency,
    /// Until when the caller waits.
    pub deadline: Option<Instant>,
    /// The most that the values of one answer may hold, in bytes.
    pub budget: u64,
}

impl Read {
    /// Whether that is the history which the token of the read belongs to, if it has one.
    pub(super) fn knows(&self, lineage: Lineage) -> bool {
        !matches!(self.consistency, Consistency::AtLeast(token) if token.lineage != lineage)
    }
}

/// How to write.
#[derive(Debug, Clone, Copy, Default)]
pub struct Write {
    /// Until when the caller waits.
    pub deadline: Option<Instant>,
    /// When it is acknowledged.
    pub durability: Durability,
}

/// A change of a counter.
#[derive(Debug, Clone)]
pub struct Increment {
    /// Where.
    pub key: Key,
    /// By how much.
    pub delta: i64,
    /// The result is at least that plus `delta`.
    pub floor: Option<i64>,
    /// Until when the counter is kept, if it does not exist yet.
    pub initial_expiry: Expiry,
    /// Names the call, so that it is done once however often it is sent; empty for none.
    pub operation_id: Bytes,
}

/// A change of a list.
#[derive(Debug, Clone)]
pub struct ListEdit {
    /// Where.
    pub key: Key,
    /// Members that go, every equal one.
    pub remove: Vec<Bytes>,
    /// Members that are appended unless they are there.
    pub add: Vec<Bytes>,
    /// Names the call, as that of an [`Increment`] does.
    pub operation_id: Bytes,
    /// The most that the list may weigh as a value, in bytes.
    pub largest: u64,
}

impl ListEdit {
    /// Its payload, in bytes.
    pub fn weight(&self) -> u64 {
        let members = self.remove.iter().chain(&self.add).map(Bytes::len);
        members.sum::<usize>() as u64 + self.key.as_bytes().len() as u64
    }
}

/// A list after it was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// What it holds, in order.
    pub members: Vec<Bytes>,
    /// The version of the entry.
    pub version: Version,
}

/// A wish to fill an entry.
#[derive(Debug, Clone)]
pub struct LeaseRequest {
    /// What the lease is to be named.
    pub lease: Lease,
    /// For how long it is to hold.
    pub hold: Duration,
    /// Also for a live entry that ends so soon.
    pub refresh_within: Option<Duration>,
    /// Until when the caller waits.
    pub deadline: Option<Instant>,
}

/// The answer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granting {
    /// The lease holds.
    Granted,
    /// Another one does, for so long at most.
    Held(Duration),
    /// There is an entry that needs no filling.
    Alive,
}

/// The answer to a write, and the point of history behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written<T> {
    /// The answer.
    pub answer: T,
    /// To be given to a read that must reflect the write. `None` where the store could not tell.
    pub token: Option<Token>,
}

/// The fault of a token of another history.
pub(super) fn other_lineage() -> Fault {
    Fault::not_applied(
        Cause::LineageChanged,
        "the token is of a history that has ended with a failover or a restart of the master, and the write may be \
         lost; read without it",
    )
}

/// The fault of an item that does not fit the answer.
pub(super) fn too_large() -> Fault {
    Fault::not_applied(
        Cause::AnswerTooLarge,
        "the values of this batch are more than limits.batch_bytes; ask for fewer keys at once",
    )
}

/// The fault of an entry of too many groups.
pub(super) fn too_many_groups() -> Fault {
    Fault::not_applied(
        Cause::TooManyGroups,
        format!(
            "the entry would be in more than {} groups, those that wait for it included; name fewer",
            Groups::MOST
        ),
    )
}

/// Per item: its answer, or why it failed alone.
pub type Items<T> = Vec<Result<T, Fault>>;

/// Keeps entries.
///
/// The outer `Result` of a batch is the fault of all its items.
pub trait Store: Bulk + Send + Sync + 'static {
    /// Reads an entry that can be told without waiting for anything. `None` says nothing about it: [`Store::get`] does.
    fn at_hand(&self, cache: &CacheId, key: &Key, read: &Read) -> Option<Lookup>;

    /// Reads entries. Of several, those that do not fit the budget any more fail with `AnswerTooLarge`.
    fn get(
        &self,
        cache: &CacheId,
        keys: &[Key],
        read: Read,
    ) -> impl Future<Output = Result<Items<Lookup>, Fault>> + Send;

    /// Writes entries.
    fn put(
        &self,
        cache: &CacheId,
        puts: Vec<Put>,
        write: Write,
    ) -> impl Future<Output = Result<Written<Items<PutOutcome>>, Fault>> + Send;

    /// Writes an entry unless there is one; its condition is not looked at.
    fn put_if_absent(
        &self,
        cache: &CacheId,
        put: Put,
        write: Write,
    ) -> impl Future<Output = Result<Written<IfAbsent>, Fault>> + Send;

    /// Removes entries; tells which existed.
    fn evict(
        &self,
        cache: &CacheId,
        keys: &[Key],
        write: Write,
    ) -> impl Future<Output = Result<Written<Items<bool>>, Fault>> + Send;

    /// Changes the expiry of an entry; tells whether it existed. `Keep` changes nothing.
    fn touch(
        &self,
        cache: &CacheId,
        key: &Key,
        expiry: Expiry,
        write: Write,
    ) -> impl Future<Output = Result<bool, Fault>> + Send;

    /// Changes a counter; tells its new value. An entry that is not a decimal number of 64 bits, or would leave them, is
    /// left as it is, with the fault `NotANumber`; one that has had a floor and may have lost increments, `FloorRequired`.
    fn increment(
        &self,
        cache: &CacheId,
        increment: Increment,
        write: Write,
    ) -> impl Future<Output = Result<Written<i64>, Fault>> + Send;

    /// Changes a list. An entry that is none is left as it is, with the fault `NotAList`.
    fn edit_list(
        &self,
        cache: &CacheId,
        edit: ListEdit,
        write: Write,
    ) -> impl Future<Output = Result<Written<Edited>, Fault>> + Send;

    /// Gives a key a deadline; tells whether there was a live entry.
    fn set_deadline(
        &self,
        cache: &CacheId,
        key: &Key,
        deadline: SystemTime,
        write: Write,
    ) -> impl Future<Output = Result<bool, Fault>> + Send;

    /// Reads the expiry of an entry.
    fn ttl(
        &self,
        cache: &CacheId,
        key: &Key,
        deadline: Option<Instant>,
    ) -> impl Future<Output = Result<TtlLookup, Fault>> + Send;

    /// Makes every entry of a cache a miss; tells how many, where it counted.
    fn clear(
        &self,
        cache: &CacheId,
        write: Write,
    ) -> impl Future<Output = Result<Written<Option<u64>>, Fault>> + Send;

    /// Gives a lease on an entry, unless there is one already or the entry needs none. Framed caches only.
    fn lease(
        &self,
        cache: &CacheId,
        key: &Key,
        request: &LeaseRequest,
    ) -> impl Future<Output = Result<Granting, Fault>> + Send;

    /// Gives a lease back; whether it held until now.
    fn release(
        &self,
        cache: &CacheId,
        key: &Key,
        lease: &Lease,
        write: Write,
    ) -> impl Future<Output = Result<bool, Fault>> + Send;

    /// The key for which the bell is rung when a lease has gone.
    fn lease_key(&self, cache: &CacheId, key: &Key) -> Bytes;

    /// Makes an entry a member of groups; before there is one, they wait for it, with the stamps of this moment. Tells
    /// whether there was one. In framed caches only.
    fn add_to_groups(
        &self,
        cache: &CacheId,
        key: &Key,
        groups: &Groups,
        write: Write,
    ) -> impl Future<Output = Result<bool, Fault>> + Send;

    /// Makes every member of these groups a miss, in one atomic step.
    fn flush_groups(
        &self,
        cache: &CacheId,
        groups: &[GroupName],
        write: Write,
    ) -> impl Future<Output = Result<Written<()>, Fault>> + Send;

    /// The caches of a tenant that were used, in no order.
    fn caches(
        &self,
        tenant: &Tenant,
        deadline: Option<Instant>,
    ) -> impl Future<Output = Result<Vec<CacheId>, Fault>> + Send;
}
