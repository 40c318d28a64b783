//! Sending batches on a session, and waiting for their copies.
//!
//! Invariants: a batch has exactly one reply for each of its commands; the point of history behind a write is asked for in
//! the same round trip.
//!
//! Not here: on which session, and how often (`failover::attempt`).

use std::sync::Arc;

use crate::model::{CacheId, Cause, Durability, Fault, Token};
use crate::upstream::{Batch, Reply, Session};

use super::Core;

/// What came of a write.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) replies: Vec<Reply>,
    pub(super) token: Option<Token>,
    /// Replicas that were attached to the master.
    pub(super) attached: usize,
}

/// The replies, if there are as many as there were commands.
fn exactly(expected: usize, replies: Vec<Reply>) -> Result<Vec<Reply>, Fault> {
    if replies.len() == expected {
        return Ok(replies);
    }
    Err(Fault::unknown(
        Cause::Internal,
        format!("{} replies to {expected} commands", replies.len()),
    ))
}

impl Core {
    /// Sends a batch and returns exactly one reply for each of its commands.
    pub(super) async fn send(
        &self,
        session: &Arc<Session>,
        batch: Batch,
    ) -> Result<Vec<Reply>, Fault> {
        let expected = batch.len();
        exactly(expected, session.execute(batch).await?)
    }

    /// As [`Self::send`], for a write, and with the point of history behind it.
    pub(super) async fn send_write(
        &self,
        session: &Arc<Session>,
        mut batch: Batch,
    ) -> Result<Sent, Fault> {
        let expected = batch.len();
        batch.with_offset();
        let mut replies = session.execute(batch).await?;
        let role = replies.pop();
        Ok(Sent {
            token: role.as_ref().and_then(|role| session.token(role)),
            attached: role.as_ref().map_or(0, Reply::replicas_of_role),
            replies: exactly(expected, replies)?,
        })
    }

    /// Waits until as many replicas have what was sent as the caller asks for.
    pub(super) async fn secure(
        &self,
        session: &Arc<Session>,
        sent: &Sent,
        durability: Durability,
    ) -> Result<(), Fault> {
        // A replica that is attached counts, known to a Sentinel or not.
        let known = self.passage.replicas().unwrap_or(0).max(sent.attached);
        self.witnesses.secure(session, durability, known).await
    }

    /// Sends a batch of puts, and has Redis remember the cache in the same write where that is due.
    pub(super) async fn send_puts(
        &self,
        session: &Arc<Session>,
        cache: &CacheId,
        mut batch: Batch,
    ) -> Result<Sent, Fault> {
        let expected = batch.len();
        let told = self.registry.is_due(cache, session.generation());
        if told {
            let name = cache.name.as_str().as_bytes();
            batch.command("SADD", &[&self.layout.registry(&cache.tenant), name]);
        }
        let mut sent = self.send_write(session, batch).await.inspect_err(|_| {
            if told {
                self.registry.forget(cache);
            }
        })?;
        // The reply about the registry does not matter.
        sent.replies.truncate(expected);
        Ok(sent)
    }
}
