//! The read and write paths, and the one seam below them: [`Store`], with two implementations.
//!
//! `embedded` keeps entries in this process; `remote` keeps them on the current master. Both give the same answers,
//! which the behaviour table of `tests/behaviour` holds them to.
//!
//! Invariants: a call ends within its deadline; a failed call says whether it was applied; a cache is framed or raw
//! by configuration, in both stores alike.
//!
//! Not here: protobuf (`grpc`).

mod embedded;
mod frame;
mod layout;
mod lease;
mod list;
mod load;
mod path;
mod quota;
mod rate;
mod remote;
mod scan;
mod store;

pub use crate::call::Call;
pub use embedded::{Embedded, Figures};
pub use lease::{Filling, Wish};
pub use list::{MOST_MEMBERS, encode as encode_list};
pub use load::{Load, LoadFigures, Loaded, Loading, Loads, Mode, Start};
pub use path::{Cache, CacheBounds};
pub use quota::Allowance;
pub use remote::{Canary, ClearsAgain, Coherence, Flight, Journal, Remote, Writing, canary_key};
pub use store::{
    Edited, Granting, IfAbsent, Increment, Items, LeaseRequest, ListEdit, Put, Read, Store, Write,
    Written,
};
