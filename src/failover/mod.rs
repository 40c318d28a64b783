//! Follows the elected master: one session at a time, to whom the Sentinels name.
//!
//! `machine` decides and `task` performs. Invariants: the generation rises with every session; a session to a node
//! that is no longer elected is retired before another is dialled; calls are refused with the reason meanwhile. A
//! session with old secrets is retired after its successor was opened.
//!
//! `fence` decides whether writes may go to the master, `passage` lets calls wait until they may, and `reconcile` names
//! what is done on a new master before anybody uses it. `attempt` sends a call until it is answered.
//!
//! Not here: what a call sends on its session (`cache`).

mod attempt;
mod chronicle;
mod examiner;
mod fence;
mod machine;
mod meanwhile;
mod metrics;
mod passage;
mod reconcile;
mod renewal;
mod report;
mod shown;
mod task;
mod weakness;

pub use attempt::{REMEMBERED, Repeat, is_read_again, is_written_again};
pub use chronicle::Proven;
pub use examiner::Examiner;
pub use fence::Shut;
pub use machine::Phase;
#[cfg(test)]
pub(crate) use machine::{Action, Event, Machine};
pub use meanwhile::{Calls, Meanwhile};
pub use metrics::Metrics;
pub use passage::{Bounds, Passage, Patience};
pub use reconcile::{Nothing, Reconcile, Reconciled, Reconciling};
pub use report::{Kind, Report};
pub use task::{Follower, Following, Status, start};
pub use weakness::Weakness;
