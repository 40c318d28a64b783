//! The vocabulary: what an entry is called, what it holds, when it ends, and what can go wrong.
//!
//! Invariants: a value of a type in this room is valid; text and bytes from outside enter through a
//! fallible constructor once and are never checked again.
//!
//! Not here: how any of it is stored (`cache::frame`), sent (`grpc::convert`) or configured (`config`).

mod address;
mod allocation;
mod channel;
mod detector;
mod durability;
mod endpoint;
mod entry;
mod fault;
mod group;
mod history;
mod lease;
mod lineage;
mod moment;
mod own_key;
mod version;

pub use address::{Address, CacheId, CacheName, Key, NameError, Tenant};
pub use allocation::allocated;
pub use channel::{ChannelId, ChannelName};
pub use detector::{Detector, Signal};
pub use durability::{COPIES_WITHIN, Copies, Durability};
pub use endpoint::{Endpoint, EndpointError, Master};
pub use entry::{
    Condition, Consistency, Evidence, Expiry, Freshness, Hit, Lookup, PutOutcome, Source,
    TtlLookup, Value,
};
pub use fault::{Applied, Cause, Fault, Owner};
pub use group::{GroupName, Groups, TooManyGroups};
pub use history::{History, HistoryId, Place, Point};
pub use lease::Lease;
pub use lineage::{Lineage, Token};
pub use moment::Moment;
pub use own_key::{hex, own_key};
pub use version::Version;
