//! Who is master, as the Sentinels see it.
//!
//! Every configured Sentinel is asked and listened to; none is believed alone. `reply` reads what they say,
//! `topology` decides, `watcher` talks to one Sentinel, `task` owns the topology and publishes.
//!
//! Invariants: a master is elected only by a majority of the configured Sentinels at one address and config epoch;
//! an event is a hint that triggers a poll, never a fact; events of other masters are ignored.
//!
//! Not here: whether the elected node really is a master (`upstream::session` asks it) and what to do with it
//! (`failover`). Discovery of Sentinels that are not configured comes later.

mod metrics;
mod reply;
mod task;
mod topology;
mod watcher;

pub use metrics::Metrics;
pub use reply::{Dispute, WatchRules};
pub use task::{Election, start};
pub use topology::{Hold, SentinelView};
pub use watcher::WatchSettings;
#[cfg(test)]
pub(crate) use {
    reply::{Answer, Flags},
    topology::Topology,
};
