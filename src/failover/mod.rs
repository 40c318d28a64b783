//! Follows the elected master: one session at a time, to whom the Sentinels name.
//!
//! `machine` decides and `task` performs. Invariants: the generation rises with every session; a session to a node
//! that is no longer elected is retired before another is dialled; calls are refused with the reason meanwhile.
//!
//! Not here: holding writes, waiting calls and the report of past failovers, which come with their own issue.

mod machine;
mod metrics;
mod task;

pub use machine::Phase;
#[cfg(test)]
pub(crate) use machine::{Action, Event, Machine};
pub use metrics::Metrics;
pub use task::{Follower, Status, start};
