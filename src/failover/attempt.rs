//! Sending a call until it is answered, as often as that is safe.
//!
//! Invariants: what was provably not applied is sent again on the next session; what was in flight when its session
//! ended is sent again only if doing it twice is the same as doing it once, and is reported as unknown otherwise; a
//! call that may have been applied once is never reported as not applied. Nobody is kept beyond the end of its patience.
//!
//! A write that is repeated may come after a foreign write that it was concurrent with. Both were unanswered at that
//! time, so either order is a right one. The bytes of the first attempt cannot arrive after the second one was
//! answered: the link that carried them is closed with what it had not sent (`dial`).
//!
//! Not here: how a call waits for a session (`passage`); what it sends (`cache`).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::clock;
use crate::model::{Applied, Cause, Fault};
use crate::upstream::{Lane, Session};

use super::passage::{Passage, Patience};

/// So long before the deadline of a call its wait for a master ends, so that the caller is told why there is none.
const MARGIN: Duration = Duration::from_millis(20);

/// How long an operation that bears an id is remembered, at least: longer than a caller repeats it through the longest
/// failover.
pub const REMEMBERED: Duration = Duration::from_secs(120);

/// Whether a write may be done twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Twice is once.
    Harmless,
    /// Not knowing is better.
    Never,
}

impl Repeat {
    /// `Harmless` if it is.
    pub fn harmless(harmless: bool) -> Self {
        if harmless {
            Self::Harmless
        } else {
            Self::Never
        }
    }
}

impl Passage {
    /// How long a call with that deadline and payload waits.
    pub fn patience(&self, deadline: Option<Instant>, weight: u64) -> Patience {
        Patience {
            until: self.until(deadline.map(before_deadline)),
            weight,
            to_all: false,
        }
    }

    /// How long an operation that bears an id is remembered where calls wait as long as they do here: through the
    /// wait, and then for the answer to their last attempt.
    pub fn remembered(&self) -> Duration {
        remembered(self.longest())
    }

    /// Attempts a read until it is answered.
    ///
    /// # Errors
    /// Of the last attempt. A read applies nothing.
    pub async fn retrieve<T, F>(
        &self,
        patience: Patience,
        attempt: impl Fn(Arc<Session>) -> F + Send,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>> + Send,
    {
        let mut backoff = Backoff::new();
        loop {
            let session = self.readable(patience).await?;
            let fault = match attempt(session).await {
                Ok(found) => return Ok(found),
                Err(fault) => fault,
            };
            let again = Instant::now() + backoff.next_delay();
            if !is_read_again(&fault) || again >= patience.until {
                return Err(fault);
            }
            tokio::time::sleep_until(again).await;
        }
    }

    /// Attempts a write until it is answered.
    ///
    /// # Errors
    /// Of the last attempt, and whether any of them may have been applied.
    pub async fn persist<T, F>(
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
            let session = match self.writable(patience).await {
                Ok(session) => session,
                Err(fault) => return Err(self.given_up(fault, doubt)),
            };
            let fault = match attempt(session.clone()).await {
                Ok(answer) => {
                    let meanwhile = self.meanwhile();
                    meanwhile.wrote(session.generation(), clock::now);
                    return Ok(answer);
                }
                Err(fault) => fault,
            };
            let again = match fault.applied {
                Applied::No => is_written_again(fault.cause),
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
            self.meanwhile().repeats();
            // The end of a session is waited for anyway; a node that refuses is not asked in a loop.
            if session.ended().is_none() {
                tokio::time::sleep_until(next).await;
            }
        }
    }

    /// The fault of a write whose time is over.
    fn given_up(&self, fault: Fault, doubt: bool) -> Fault {
        let fault = doubted(fault, doubt);
        self.meanwhile().failed(&fault);
        fault
    }
}

/// Whether a read that failed so may be tried again: its session is gone, or its node is not what it was.
pub fn is_read_again(fault: &Fault) -> bool {
    matches!(
        fault.cause,
        Cause::NoSession
            | Cause::RedisUnreachable
            | Cause::NotAMaster
            | Cause::RedisLoading
            | Cause::PushesStopped
    )
}

/// Whether a write that was refused so may be accepted later.
pub fn is_written_again(cause: Cause) -> bool {
    Lane::passes(cause) || matches!(cause, Cause::TooFewReplicas | Cause::Fenced)
}

fn remembered(longest: Duration) -> Duration {
    REMEMBERED.max(longest * 2)
}

fn before_deadline(deadline: Instant) -> Instant {
    deadline.checked_sub(MARGIN).unwrap_or(deadline)
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
    fn an_operation_is_remembered_for_longer_than_its_call_waits() {
        let kept = |seconds| remembered(Duration::from_secs(seconds)).as_secs();
        assert_eq!([kept(0), kept(15), kept(600)], [120, 120, 1200]);
    }

    #[test]
    fn what_may_have_been_applied_stays_in_doubt() {
        let waited = Fault::not_applied(Cause::NoSession, "no master in time");
        assert_eq!(doubted(waited.clone(), false), waited);
        assert_eq!(doubted(waited, true).applied, Applied::Unknown);
    }
}
