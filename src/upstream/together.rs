//! Batches of several callers in one write.
//!
//! To hand a batch to the driver, in another thread, and to be woken by its answer costs more than what most batches do,
//! so writes that are handed over at one time leave together.
//!
//! Invariants: every batch has an answer of its own, with the fault that its effect makes of an error of the link; the point
//! of history is asked for once, behind all of them; a batch whose answer may be large leaves alone, because others would wait
//! for it.
//!
//! Not here: the link (`session`).

use std::sync::Arc;

use redis::aio::ConnectionLike;
use redis::{RedisResult, Value};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::drain::{Gathered, Turn};
use crate::model::{Cause, Fault};

use super::batch::{Batch, Effect, Sources};
use super::reply::Reply;
use super::session::Session;

/// Batches that leave together.
const TOGETHER: usize = 32;

/// What they hold, in bytes; one that is larger leaves alone.
const TOGETHER_BYTES: usize = 64 * 1024;

pub(super) type Answer = Result<Vec<Reply>, Fault>;

/// A batch that nobody has sent yet.
#[derive(Debug)]
pub(super) struct Waiting {
    batch: Batch,
    answer: oneshot::Sender<Answer>,
    /// Kept until it is answered.
    _slot: OwnedSemaphorePermit,
}

/// What waits to be sent.
pub(super) type Outbox = Gathered<Waiting>;

/// What leaves together next, and the turn of the rest.
fn next(turn: Turn<Waiting>) -> (Vec<Waiting>, Option<Turn<Waiting>>) {
    turn.take(|taken, next| {
        let bytes = |waiting: &Waiting| waiting.batch.bytes();
        taken.len() < TOGETHER
            && taken.iter().map(bytes).sum::<usize>() + bytes(next) <= TOGETHER_BYTES
            && taken
                .iter()
                .chain([next])
                .all(|waiting| is_short(&waiting.batch))
    })
}

/// Whether nobody would wait for its answer.
fn is_short(batch: &Batch) -> bool {
    batch.effect == Effect::Write && !batch.is_answered_at_length()
}

impl Session {
    /// Sends a batch and returns a reply for each of its commands, in order.
    ///
    /// In a task of its own, with a slot of its own: a command that was sent is executed and answered also when its
    /// caller is gone, so the work on its way is bounded by slots and not by callers.
    ///
    /// # Errors
    /// The link failed: for a write it is unknown whether it was applied.
    pub async fn execute(self: &Arc<Self>, batch: Batch) -> Answer {
        let (answer, answered) = oneshot::channel();
        let effect = batch.effect;
        let slot = self.slot()?;
        let turn = self.outbox.put(Waiting {
            batch,
            answer,
            _slot: slot,
        });
        if let Some(turn) = turn {
            self.take(turn);
        }
        answered.await.unwrap_or_else(|_| {
            Err(match effect {
                Effect::Read => Fault::not_applied(Cause::ShuttingDown, "this vedetta is stopping"),
                Effect::Write => Fault::unknown(
                    Cause::ShuttingDown,
                    "this vedetta is stopping with the write in flight",
                ),
            })
        })
    }

    fn take(self: &Arc<Self>, turn: Turn<Waiting>) {
        let session = self.clone();
        self.tasks.spawn("redis batch", async move {
            let (taken, rest) = next(turn);
            if let Some(rest) = rest {
                session.take(rest);
            }
            let batches: Vec<&Batch> = taken.iter().map(|waiting| &waiting.batch).collect();
            let answers = session.run_all(&batches).await;
            for (waiting, answer) in taken.into_iter().zip(answers) {
                // A caller that is gone does not read it.
                let _ = waiting.answer.send(answer);
            }
        });
    }

    /// The values of each batch, and behind those of one that asks for it, that of ROLE.
    pub(super) async fn send(
        &self,
        batches: &[&Batch],
        sources: Sources,
    ) -> RedisResult<Vec<Vec<Value>>> {
        let mut pipeline = redis::pipe();
        for batch in batches {
            batch.add_to(&mut pipeline, sources);
        }
        let asks = batches.iter().any(|batch| batch.asks_for_offset());
        if asks {
            pipeline.add_command(redis::cmd("ROLE"));
        }
        let count = batches.iter().map(|batch| batch.values()).sum::<usize>() + usize::from(asks);
        let mut connection = self.connection.clone();
        let mut values = connection
            .req_packed_commands(&pipeline, 0, count)
            .await?
            .into_iter();
        let parts: Vec<Vec<Value>> = batches
            .iter()
            .map(|batch| values.by_ref().take(batch.values()).collect())
            .collect();
        let role = values.next();
        let with_role = |(batch, mut part): (&&Batch, Vec<Value>)| {
            part.extend(role.clone().filter(|_| batch.asks_for_offset()));
            part
        };
        Ok(batches.iter().zip(parts).map(with_role).collect())
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::super::batch::Operation;
    use super::*;

    fn waiting(effect: Effect, bytes: usize) -> Waiting {
        let mut batch = Batch::new(Operation::Put, effect);
        batch.command("SET", &[&vec![b'x'; bytes]]);
        let slots = Arc::new(Semaphore::new(1));
        Waiting {
            batch,
            answer: oneshot::channel().0,
            _slot: slots.try_acquire_owned().expect("a slot"),
        }
    }

    /// How many leave together each time.
    fn departures(waiting: impl IntoIterator<Item = Waiting>) -> Vec<usize> {
        let outbox = Outbox::default();
        let turns: Vec<_> = waiting
            .into_iter()
            .map(|waiting| outbox.put(waiting))
            .collect();
        let mut turn = turns.into_iter().next().flatten();
        let mut departures = Vec::new();
        while let Some(due) = turn {
            let (taken, rest) = next(due);
            departures.push(taken.len());
            turn = rest;
        }
        departures
    }

    #[test]
    fn writes_leave_together_as_far_as_they_are_few_and_small() {
        let write = |bytes| waiting(Effect::Write, bytes);
        let many = (0..TOGETHER + 3).map(|_| write(10));
        assert_eq!(departures(many), [TOGETHER, 3]);
        let half = TOGETHER_BYTES / 2;
        let large = [half, half, 1, 2 * half + 1, 1, 1].map(write);
        assert_eq!(departures(large), [2, 1, 1, 2]);
    }

    #[test]
    fn nobody_waits_for_the_answer_of_a_read() {
        use Effect::{Read, Write};
        let order = [Write, Write, Read, Read, Write, Write];
        let order = order.map(|effect| waiting(effect, 1));
        assert_eq!(departures(order), [2, 1, 1, 2]);
    }
}
