//! The current session: one writer, many readers.
//!
//! Invariants: readers see either a session or the reason why there is none. Only `failover` holds the writer,
//! so nothing else can swap a connection even by mistake.
//!
//! Not here: waiting for a session inside a deadline; calls are refused with a retry hint for now.

use std::sync::Arc;

use tokio::sync::watch;

use crate::model::{Cause, Fault};

use super::Session;

type State = Result<Arc<Session>, Fault>;

/// Makes an empty lane.
pub fn lane() -> (LaneWriter, Lane) {
    let (sender, receiver) = watch::channel(Err(Fault::not_applied(
        Cause::NoSession,
        "vedetta is starting and has not connected to a master yet",
    )));
    (LaneWriter(sender), Lane(receiver))
}

/// Installs and removes sessions.
#[derive(Debug)]
pub struct LaneWriter(watch::Sender<State>);

impl LaneWriter {
    /// From now on calls use this session.
    pub fn install(&self, session: Arc<Session>) {
        self.set(Ok(session));
    }

    /// From now on calls are refused with this fault.
    pub fn remove(&self, fault: Fault) {
        self.set(Err(fault));
    }

    fn set(&self, state: State) {
        // The state before is a session or a fault that nobody needs any more.
        drop(self.0.send_replace(state));
    }
}

/// Reads the current session.
#[derive(Debug, Clone)]
pub struct Lane(watch::Receiver<State>);

impl Lane {
    /// The session, if there is one that has not ended.
    ///
    /// # Errors
    /// Why there is none; nothing was applied.
    pub fn session(&self) -> Result<Arc<Session>, Fault> {
        let session = self.0.borrow().clone()?;
        match session.ended() {
            None => Ok(session),
            Some(fault) => Err(Fault::not_applied(Cause::NoSession, fault.detail)),
        }
    }
}
