//! Who is master, as the Sentinels see it.
//!
//! Every Sentinel that is configured, or that one of them knows of, is asked and listened to; none is believed alone.
//! `reply` and `aside` read what they say, `topology` decides, `watcher` talks to one Sentinel over a `link`, `hints` makes all of them
//! ask at once, `task` owns the topology and publishes, `told` logs what changed.
//!
//! Invariants: a master is elected only by a majority of the Sentinels at one address and config epoch (with the policy
//! `first+role` by one of them); an event or a signal is a hint that triggers a poll, never a fact; events of other
//! masters are ignored.
//!
//! Not here: whether the elected node really is a master (`upstream::session` asks it) and what to do with it
//! (`failover`).

mod aside;
mod hints;
mod link;
mod metrics;
mod reply;
mod task;
mod told;
mod topology;
mod watcher;

pub use aside::{Aside, Known};
pub use hints::Hints;
pub use metrics::Metrics;
pub use reply::{Answer, Dispute, Flags, WatchRules};
pub use task::{Election, start};
pub use topology::{Conflict, Hold, SentinelView, Topology};
pub use watcher::WatchSettings;
