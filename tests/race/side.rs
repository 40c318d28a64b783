//! What the race program runs on: something that answers reads from copies of its own, and writes.
//!
//! Not here: the implementations (`sidecar`, `control`).

use std::time::Duration;

use bytes::Bytes;
use vedetta::model::Moment;

use crate::field::Spot;

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// A copy in this process, proven that long ago.
    Near(Duration),
    /// The server.
    Server,
    /// It does not say.
    Unknown,
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) value: Option<Bytes>,
    pub(crate) from: From,
    /// Remaining time to live, where the answer tells one.
    pub(crate) ttl: Option<Duration>,
}

/// One contestant. Errors are words for a person.
pub(crate) trait Side: Send + Sync + 'static {
    /// Reads, from a copy where there is one that may be served.
    fn get(&self, spot: &Spot) -> impl Future<Output = Result<Seen, String>> + Send;

    /// What the server says, past all copies.
    fn master(&self, spot: &Spot) -> impl Future<Output = Result<Option<Bytes>, String>> + Send;

    /// Writes.
    fn put(
        &self,
        spot: &Spot,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> impl Future<Output = Result<(), String>> + Send;

    /// Removes.
    fn evict(&self, spot: &Spot) -> impl Future<Output = Result<(), String>> + Send;

    /// Removes every entry of the cache of the spot.
    fn clear(&self, spot: &Spot) -> impl Future<Output = Result<(), String>> + Send;

    /// Waits until every write acknowledged before that moment has provably been applied to the copies.
    fn settle(&self, after: Moment) -> impl Future<Output = ()> + Send;

    /// Fills that were not kept because something overtook them.
    fn rejected(&self) -> u64;
}
