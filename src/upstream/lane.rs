//! The current session: one writer, many readers.
//!
//! Invariants: readers see either a session or the reason why there is none. Only `failover` holds the writer,
//! so nothing else can swap a connection even by mistake.
//!
//! Not here: how long to wait (`cache`).

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

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
    /// Whether time alone may bring a session back: what a person must mend is not waited for.
    ///
    /// A name that does not resolve while its pod is replaced, and a node that is frozen, so that its kernel accepts
    /// links on which nobody speaks TLS, look like mistakes of a person and pass by themselves.
    pub const fn passes(cause: Cause) -> bool {
        matches!(
            cause,
            Cause::NoSession
                | Cause::RedisUnreachable
                | Cause::NotAMaster
                | Cause::RedisLoading
                | Cause::PushesStopped
                | Cause::LineageChanged
                | Cause::SentinelsUnreachable
                | Cause::NoMajority
                | Cause::AddressNotResolvable
                | Cause::TlsFailed
        )
    }

    /// Only what happens from now on is a change.
    pub fn mark_seen(&mut self) {
        self.0.mark_unchanged();
    }

    /// Completes when a session was installed or removed.
    ///
    /// # Errors
    /// Nobody will do either any more.
    pub async fn changed(&mut self) -> Result<(), watch::error::RecvError> {
        self.0.changed().await
    }

    /// The session, if there is one that has not ended.
    ///
    /// # Errors
    /// Why there is none; nothing was applied.
    pub fn session(&self) -> Result<Arc<Session>, Fault> {
        let session = self.0.borrow().clone()?;
        let next = session.handed_to()?.cloned();
        Ok(next.unwrap_or(session))
    }

    /// The session, once there is one, but no later than `until`.
    ///
    /// # Errors
    /// Why there is none: at `until`, or at once where waiting does not help. Nothing was applied.
    pub async fn ready(&self, until: Instant) -> Result<Arc<Session>, Fault> {
        let mut changes = self.0.clone();
        loop {
            changes.mark_unchanged();
            let fault = match self.session() {
                Ok(session) => return Ok(session),
                Err(fault) if !Self::passes(fault.cause) => return Err(fault),
                Err(fault) => fault,
            };
            match tokio::time::timeout_at(until, changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(fault),
            }
        }
    }
}
