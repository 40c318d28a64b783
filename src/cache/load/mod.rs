//! Loading a whole cache from where its data come from, so that old data never overwrite newer ones.
//!
//! A load is registered on the master before its data are read. From then on every write and removal of an entry is
//! noted there, in the same atomic step, and the load passes over what was noted: by construction, and without
//! comparing clocks, nothing newer than the data is overwritten. The record of a load is also its lease: of one cache
//! one load runs at a time in the fleet, and a batch of one that is over stores nothing.
//!
//! Invariants: a load ends with the history that it began in, because another one may lack notes; old entries go after
//! the last new one is in place; a load in any state leaves entries that are each valid by themselves.
//!
//! `course` is the path of one load; `progress` shows all of them; the stores hold what [`Bulk`] says.
//!
//! Not here: the stream that entries come in (`grpc`).

mod course;
mod progress;

use bytes::Bytes;
use tokio::time::Instant;

use crate::model::{CacheId, Cause, Fault, Key, Lineage};

use super::store::{Items, Put};
pub use course::{Loaded, Loading, Start};
pub use progress::{Figures as LoadFigures, Loads};

/// What becomes of entries that are not in the load, and of those that may be newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The load is the whole cache afterwards.
    Replace,
    /// Entries are stored where there is none, or one of a load that is not newer.
    IfOlder,
}

/// A load that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Rises with the data; 0 if unknown.
    pub snapshot: u64,
    /// How.
    pub mode: Mode,
    /// Also if this very snapshot was loaded last.
    pub again: bool,
}

/// A load that is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Its name: random, in hexadecimal digits.
    pub id: Bytes,
    /// What was asked for.
    pub load: Load,
    /// The history that it began in, and ends with.
    pub lineage: Lineage,
}

/// What came of the wish to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It may.
    Running(Running),
    /// Another one is running.
    Busy,
    /// One of this snapshot, or a newer one, is complete.
    Loaded(u64),
}

/// Where a listing of keys goes on. Good on the node that it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// As the store has it.
    pub at: Bytes,
    /// The history of the node.
    pub lineage: Lineage,
}

/// What a store does for loads. Every method may be repeated.
pub trait Bulk: Send + Sync + 'static {
    /// Registers a load of that name.
    fn begin_load(
        &self,
        cache: &CacheId,
        id: Bytes,
        load: Load,
        deadline: Option<Instant>,
    ) -> impl Future<Output = Result<Begun, Fault>> + Send;

    /// Stores entries of a load; tells which were stored and which passed over. Conditions are not looked at.
    fn load(
        &self,
        cache: &CacheId,
        running: &Running,
        puts: &[Put],
        deadline: Option<Instant>,
    ) -> impl Future<Output = Result<Items<bool>, Fault>> + Send;

    /// Keeps a load from being taken for dead.
    fn renew_load(
        &self,
        cache: &CacheId,
        running: &Running,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Removes entries that are not in a load, unless they were written since it began; tells which it removed.
    fn remove_others(
        &self,
        cache: &CacheId,
        running: &Running,
        keys: &[Key],
        deadline: Option<Instant>,
    ) -> impl Future<Output = Result<Vec<bool>, Fault>> + Send;

    /// Completes a load.
    fn finish_load(
        &self,
        cache: &CacheId,
        running: &Running,
        deadline: Option<Instant>,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Ends a load that will not be completed; soon, and nobody waits for it.
    fn abandon_load(&self, cache: &CacheId, running: &Running);

    /// Some keys that have the name of the cache, and where to go on; keys of dead and of foreign entries may be among
    /// them, and one may come twice.
    fn keys(
        &self,
        cache: &CacheId,
        cursor: Option<Cursor>,
        deadline: Option<Instant>,
    ) -> impl Future<Output = Result<(Vec<Key>, Option<Cursor>), Fault>> + Send;
}

/// The fault of a load that is over although nobody completed it.
pub(super) fn lost() -> Fault {
    Fault::unknown(
        Cause::LoadLost,
        "the load is over: the cache was cleared, the master changed or was restarted, this vedetta did not get through for \
         10 s, Redis evicted the record of the load, or there were more than 100,000 edits meanwhile; what was stored stays, nothing else was removed; \
         read the data anew and load again",
    )
}
