//! A read of the master that several callers may wait for.
//!
//! Invariants: a flight goes on when its callers are gone; it always ends, with a result or by being given up, and
//! whoever waits wakes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock;
use crate::model::{Fault, Lineage, Moment, Token};
use crate::near::Found;

/// What a read of the master found, and when.
#[derive(Debug)]
pub(super) struct Landed {
    pub(super) found: Found,
    pub(super) ttl: Option<Duration>,
    /// A moment before the read was sent.
    pub(super) sent: Moment,
    pub(super) generation: u64,
    /// Of the session that read.
    pub(super) lineage: Lineage,
}

impl Landed {
    /// Whether it was asked for longer ago than that.
    pub(super) fn is_older_than(&self, bound: Duration) -> bool {
        clock::now().since(self.sent) > bound
    }

    /// Whether it is of the history that a token, if there is one, belongs to.
    pub(super) fn belongs_to(&self, token: Option<Token>) -> bool {
        token.is_none_or(|token| token.lineage == self.lineage)
    }
}

pub(super) type Landing = Result<Arc<Landed>, Fault>;

/// Waits for a read.
#[derive(Debug, Clone)]
pub struct Flight(watch::Receiver<Option<Landing>>);

/// Ends a flight; dropped without a result, it is given up.
#[derive(Debug)]
pub(super) struct Pilot(watch::Sender<Option<Landing>>);

pub(super) fn flight() -> (Pilot, Flight) {
    let (sender, receiver) = watch::channel(None);
    (Pilot(sender), Flight(receiver))
}

impl Pilot {
    pub(super) fn land(self, landing: Landing) {
        self.0.send_replace(Some(landing));
    }
}

impl Flight {
    /// The result; `None` if the flight was given up.
    pub(super) async fn landing(mut self) -> Option<Landing> {
        let landed = self.0.wait_for(Option::is_some).await.ok()?;
        landed.clone()
    }
}

#[cfg(test)]
mod tests {
    use crate::model::Cause;

    use super::*;

    #[tokio::test]
    async fn everybody_on_board_lands() {
        let (pilot, flight) = flight();
        let joined = flight.clone();
        let fault = Fault::not_applied(Cause::NoSession, "as in the test");
        pilot.land(Err(fault.clone()));
        for waiting in [flight, joined] {
            let landing = waiting.landing().await.expect("it landed");
            assert_eq!(landing.err(), Some(fault.clone()));
        }
    }

    #[tokio::test]
    async fn a_flight_that_is_given_up_wakes_whoever_waits() {
        let (pilot, flight) = flight();
        drop(pilot);
        assert!(flight.landing().await.is_none());
    }
}
