//! A session gives way to one that was opened with newer secrets, or to nobody.
//!
//! Invariants: whoever uses a session finds no moment without one, and no call fails because of the change. The end of
//! the old one is told before the beginning of the new one, since what was read on the old one is not tracked any more
//! once its connection closes, which is when the last call on it was answered.
//!
//! Not here: when to do so (`failover::renewal`).

use std::sync::Arc;
use std::time::Duration;

use crate::dial::Secrets;
use crate::model::{Cause, Fault};

use super::batch::Effect;
use super::session::Session;

/// How long answers are still waited for on a link that works when its session has ended.
const LAST_WORDS: Duration = Duration::from_millis(20);

impl Session {
    /// Whether it would be opened with the same secrets again.
    pub fn has_newest(&self, secrets: &Secrets) -> bool {
        secrets.are_still(&self.access)
    }

    /// Ends it for another one to the same node, whose beginning `begin` tells. Nobody finds a moment without a
    /// session: calls in flight receive their replies on this one, those that come later are handed on.
    pub fn hand_over(&self, next: &Arc<Self>, begin: impl FnOnce()) {
        let detail = format!("the link to {} has newer secrets", self.master.endpoint);
        self.ending.end_with(Cause::NoSession, detail, || {
            begin();
            // In another history, a call could not be what its caller made it for.
            if next.lineage == self.lineage {
                let _ = self.successor.set(next.clone());
            }
        });
    }

    /// Whether it stands, or somebody took over who does.
    ///
    /// # Errors
    /// Why it ended.
    pub fn goes_on(&self) -> Result<(), Fault> {
        self.handed_to().map(|_| ())
    }

    /// Who took over; `None` while this one stands.
    ///
    /// # Errors
    /// It has ended and nobody took over.
    pub(super) fn handed_to(&self) -> Result<Option<&Arc<Self>>, Fault> {
        let (mut session, mut found) = (self, None);
        // The end first: whoever took over is known by then.
        while let Some(fault) = session.ended() {
            let next = session.successor.get();
            let next = next.ok_or_else(|| Fault::not_applied(Cause::NoSession, fault.detail))?;
            (session, found) = (next, Some(next));
        }
        Ok(found)
    }

    /// Completes, with the reason, when no answer is waited for any more: a node that is no longer the master is waited
    /// for in vain, or acknowledges what will be lost. Where only the session is at fault, answers on their way are
    /// still read; where another one took over, they are waited for as long as that stands.
    pub(super) async fn given_up(&self) -> Fault {
        let mut session = self;
        loop {
            let fault = session.wait_ended().await;
            match session.successor.get() {
                Some(next) => session = next,
                None => {
                    if answers_still(fault.cause) {
                        tokio::time::sleep(LAST_WORDS).await;
                    }
                    return fault;
                }
            }
        }
    }
}

/// Whether a link that was ended for that reason still brings answers that are worth something.
pub(super) fn answers_still(cause: Cause) -> bool {
    !matches!(cause, Cause::NoSession | Cause::RedisUnreachable)
}

/// The fault of a batch that was in flight when its session ended for that reason.
pub(super) fn unanswered(ended: Fault, effect: Effect) -> Fault {
    match effect {
        Effect::Read => Fault::not_applied(Cause::NoSession, ended.detail),
        Effect::Write => Fault::unknown(
            Cause::OutcomeUnknown,
            format!(
                "the link to Redis ended with the write in flight: {}",
                ended.detail
            ),
        ),
    }
}
