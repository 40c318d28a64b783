//! One session to one master: batches of commands out, typed replies back, errors classified once.
//!
//! Invariants: a session is one socket, has one generation and is never reconnected behind anybody's back; when
//! it ends it stays ended and says why. Nothing is sent twice, except commands that provably did not execute
//! (NOSCRIPT).
//!
//! Not here: which node to dial and when (`failover`), what the commands mean (`cache::remote`).

mod alarm;
mod batch;
mod copies;
mod ending;
mod error;
mod greeting;
mod heartbeat;
mod introduction;
mod lane;
mod metrics;
mod reply;
mod session;
mod succession;
mod survey;
mod together;
mod tracker;
mod traffic;

pub use alarm::Alarm;
pub use batch::{Batch, Effect, Operation, Script};
pub use copies::Witnesses;
pub use lane::{Lane, LaneWriter, lane};
pub use metrics::Metrics;
pub use reply::Reply;
pub use session::{Ended, Session, SessionSettings};
pub use survey::NodeConfig;
pub use tracker::{Tracker, Untracked};
