//! HTTP sessions, shared by the pods of an application, and the seam below them: [`Store`], with two implementations.
//!
//! `embedded` keeps sessions in this process; `remote` keeps them on the current master. Both give the same answers,
//! which the behaviour table of `tests/behaviour` and a random run against each other hold them to.
//!
//! Invariants: every change of a session is one atomic step; a session is never held in L1, so a Load sees every Save
//! that was acknowledged before it on the same history; nothing brings back a session that has ended; ids are secrets
//! and appear in no log, no metric and no error.
//!
//! Not here: protobuf and the checks of requests (`grpc`).

mod embedded;
mod layout;
mod path;
mod remote;
mod session;
mod store;

pub use embedded::{Embedded, SWEEP_INTERVAL};
pub use path::Sessions;
pub use remote::{Judge, Remote, Serving};
pub use session::{
    Attributes, Bounds, Create, MAX_INACTIVE, MOST_NAME_BYTES, Principal, Save, Session, SessionId,
};
pub use store::{Found, Loaded, Store};
