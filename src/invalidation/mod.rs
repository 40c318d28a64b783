//! Who is told that something changed: from the pushes of a session to the near cache and to every subscriber.
//!
//! `intake` hears of sessions and pushes, inline, and tells a `listener` of the keys that are other rooms', whose waiters
//! a `bell` wakes; `directory` turns Redis keys into caches and keys; `ring` keeps what happened, numbered; `hub` hands
//! it to `subscription`s, each with a cursor of its own. A push is decoded and recorded once, whoever watches:
//! subscribers read the same records.
//!
//! Invariants (G6): a subscriber sees every record inside its scope in order, or a Discontinuity, or the end of its
//! stream; nobody waits for it. The near cache is told before anything is recorded, so that whoever hears of a change
//! and asks again does not get what was before it.
//!
//! Not here: protobuf (`grpc`).

mod bell;
mod directory;
mod event;
mod hub;
mod intake;
mod listener;
mod metrics;
mod ring;
mod subscription;

pub use bell::Bell;
pub use directory::Directory;
pub use event::{Event, Position, Reason, Scope};
pub use hub::{Hub, HubLimits, Proof};
pub use intake::Intake;
pub use listener::Listener;
pub use metrics::Metrics;
pub use ring::Recorded;
pub use subscription::{Delivery, Subscription};
