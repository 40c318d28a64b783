//! The heartbeat of a session: ROLE, again and again, each only after the one before it was answered.
//!
//! Invariants: a session from which nothing is heard is ended after [`SILENCE_LIMIT`]. A heartbeat that
//! was not answered in time proves nothing and is not told.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock;
use crate::model::{Cause, Fault, Signal};

use super::batch::{Batch, Effect, Operation};
use super::greeting;
use super::session::Session;

/// Time between the answer to a heartbeat and the next one, at most. The proof of the link is one to two of them old.
const HEARTBEAT: Duration = Duration::from_millis(100);

/// So many heartbeats fit into the staleness bound, if that makes them more frequent.
const HEARTBEATS_PER_BOUND: u32 = 6;

/// A session from which nothing is heard for that long, neither the answer to a heartbeat nor any byte, is ended.
const SILENCE_LIMIT: Duration = Duration::from_secs(2);

/// A heartbeat that is not answered for that long is missed: maybe the Sentinels know more.
const MISSED: Duration = Duration::from_millis(300);

/// A session whose heartbeat is not answered for that long is ended, whatever else it sends.
const HEARTBEAT_LIMIT: Duration = Duration::from_secs(30);

/// Time between two heartbeats, for that staleness bound.
pub(super) fn interval(bound: Duration) -> Duration {
    HEARTBEAT.min(bound / HEARTBEATS_PER_BOUND)
}

impl Session {
    /// Heartbeats until the session ends.
    pub async fn keep_alive(&self) {
        let mut answered = Instant::now();
        while self.ended().is_none() {
            tokio::select! {
                () = tokio::time::sleep(self.interval) => {}
                _ = self.wait_ended() => return,
            }
            match self.beat_or_silence().await {
                Some(Err(fault))
                    if matches!(fault.cause, Cause::NotAMaster | Cause::LineageChanged) =>
                {
                    self.end(fault.cause, fault.detail);
                }
                Some(Ok(())) => answered = Instant::now(),
                // A busy or loading node answers too.
                Some(Err(fault))
                    if matches!(fault.cause, Cause::RedisBusy | Cause::RedisLoading) =>
                {
                    answered = Instant::now();
                }
                Some(Err(_)) => {}
                None => self.end_silent(SILENCE_LIMIT),
            }
            if answered.elapsed() >= HEARTBEAT_LIMIT {
                self.end_silent(HEARTBEAT_LIMIT);
            }
        }
    }

    fn end_silent(&self, limit: Duration) {
        let node = &self.master.endpoint;
        let detail = format!("{node} has not answered for {limit:?}");
        self.end(Cause::RedisUnreachable, detail);
    }

    /// One heartbeat; `None` when nothing at all has been heard for too long. Behind a reply that takes long to arrive,
    /// it waits for its turn.
    async fn beat_or_silence(&self) -> Option<Result<(), Fault>> {
        let mut beat = std::pin::pin!(self.beat_or_alarm());
        loop {
            let heard = self.received.last();
            tokio::select! {
                beaten = beat.as_mut() => return Some(beaten),
                () = tokio::time::sleep_until(heard + SILENCE_LIMIT) => {
                    if self.received.last() == heard {
                        return None;
                    }
                }
            }
        }
    }

    async fn beat_or_alarm(&self) -> Result<(), Fault> {
        let mut beat = std::pin::pin!(self.beat());
        if let Ok(beaten) = tokio::time::timeout(MISSED, beat.as_mut()).await {
            return beaten;
        }
        self.alarm.raise(Signal::MissedHeartbeat);
        beat.await
    }

    /// One heartbeat: ROLE. Its time is taken before it is queued; it is told before the next one is sent.
    async fn beat(&self) -> Result<(), Fault> {
        let mut batch = Batch::new(Operation::Heartbeat, Effect::Read);
        batch.command("ROLE", &[]);
        let sent = clock::now();
        let reply = self.run(&batch).await?.into_iter().next();
        let offset = greeting::master_offset(reply.as_ref(), &self.master)?;
        if self.ending.tracker.beat(self.generation, sent, offset) {
            return Ok(());
        }
        Err(Fault::not_applied(
            Cause::LineageChanged,
            format!(
                "the replication offset of {} went back",
                self.master.endpoint
            ),
        ))
    }
}
