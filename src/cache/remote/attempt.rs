//! Sending a write until it is answered, as often as that is safe.
//!
//! Invariants: what was provably not applied is sent again on the next session; what was in flight when its session
//! ended is sent again only if doing it twice is the same as doing it once, and is reported as unknown otherwise; a
//! call that may have been applied once is never reported as not applied.
//!
//! A write that is repeated may come after a foreign write that it was concurrent with. Both were unanswered at that
//! time, so either order is a right one. The bytes of the first attempt cannot arrive after the second one was
//! answered: the link that carried them is closed with what it had not sent (`dial`).

use std::sync::Arc;

use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::clock;
use crate::failover::Patience;
use crate::model::{Applied, Cause, Fault};
use crate::upstream::{Lane, Session};

use super::super::store::{Items, Write, Written};
use super::Core;
use super::terms::before_deadline;

/// Whether a write may be done twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Twice is once.
    Harmless,
    /// Not knowing is better.
    Never,
}

impl Repeat {
    pub(super) fn harmless(harmless: bool) -> Self {
        if harmless {
            Self::Harmless
        } else {
            Self::Never
        }
    }
}

impl Core {
    /// How long a write waits for a session that it may be sent on.
    pub(super) fn patience(&self, write: &Write, weight: u64) -> Patience {
        Patience {
            until: self.passage.until(write.deadline.map(before_deadline)),
            weight,
            to_all: write.durability.is_all(),
        }
    }

    /// Attempts a write until it is answered.
    ///
    /// # Errors
    /// Of the last attempt, and whether any of them may have been applied.
    pub(super) async fn persist<T, F>(
        &self,
        patience: Patience,
        repeat: Repeat,
        attempt: impl Fn(Arc<Session>) -> F + Send,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>> + Send,
    {
        let mut backoff = Backoff::new();
        let mut doubt = false;
        loop {
            let session = match self.passage.writable(patience).await {
                Ok(session) => session,
                Err(fault) => return Err(self.given_up(fault, doubt)),
            };
            let fault = match attempt(session.clone()).await {
                Ok(answer) => {
                    let meanwhile = self.passage.meanwhile();
                    meanwhile.wrote(session.generation(), clock::now);
                    return Ok(answer);
                }
                Err(fault) => fault,
            };
            let again = match fault.applied {
                Applied::No => passes(fault.cause),
                Applied::Unknown => {
                    repeat == Repeat::Harmless && fault.cause == Cause::OutcomeUnknown
                }
                // It was applied on a master that is gone.
                Applied::Yes => repeat == Repeat::Harmless && session.ended().is_some(),
            };
            doubt |= fault.applied != Applied::No;
            let next = Instant::now() + backoff.next_delay();
            if !again || next >= patience.until {
                return Err(if again || fault.applied == Applied::Unknown {
                    self.given_up(fault, doubt)
                } else {
                    doubted(fault, doubt)
                });
            }
            self.passage.meanwhile().repeats();
            // The end of a session is waited for anyway; a node that refuses is not asked in a loop.
            if session.ended().is_none() {
                tokio::time::sleep_until(next).await;
            }
        }
    }

    /// The fault of a write whose time is over.
    fn given_up(&self, fault: Fault, doubt: bool) -> Fault {
        let fault = doubted(fault, doubt);
        self.passage.meanwhile().failed(&fault);
        fault
    }
}

/// Items that all failed for one reason which may pass, as one fault; a batch is sent again as a whole, so that its
/// order stays.
pub(super) fn together<T>(written: Written<Items<T>>) -> Result<Written<Items<T>>, Fault> {
    let passing = |item: &Result<T, Fault>| matches!(item, Err(fault) if passes(fault.cause) && fault.applied == Applied::No);
    if written.answer.iter().all(passing)
        && let Some(Err(fault)) = written.answer.first()
    {
        return Err(fault.clone());
    }
    Ok(written)
}

/// Whether a write that was refused so may be accepted later.
fn passes(cause: Cause) -> bool {
    Lane::passes(cause) || matches!(cause, Cause::TooFewReplicas | Cause::Fenced)
}

fn doubted(fault: Fault, doubt: bool) -> Fault {
    if doubt && fault.applied == Applied::No {
        let detail = format!("an earlier attempt may have been applied: {}", fault.detail);
        return Fault::unknown(Cause::OutcomeUnknown, detail);
    }
    fault
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_sent_again_only_as_a_whole() {
        let refused = || Err(Fault::not_applied(Cause::NotAMaster, "READONLY"));
        let with = |answer: Items<u8>| {
            together(Written {
                answer,
                token: None,
            })
        };
        assert!(with(vec![refused(), refused()]).is_err());
        assert!(with(vec![refused(), Ok(1)]).is_ok());
        let full = Err(Fault::not_applied(Cause::RedisOutOfMemory, "OOM"));
        assert!(with(vec![full]).is_ok());
    }

    #[test]
    fn what_may_have_been_applied_stays_in_doubt() {
        let waited = Fault::not_applied(Cause::NoSession, "no master in time");
        assert_eq!(doubted(waited.clone(), false), waited);
        assert_eq!(doubted(waited, true).applied, Applied::Unknown);
    }
}
