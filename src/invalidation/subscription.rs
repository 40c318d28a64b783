//! One subscriber: a cursor into the records, a scope, and what it was last told to be proven.
//!
//! Invariants: a proof is handed out only after every record that it covers; a subscriber that fell behind the oldest
//! record is ended, never skipped ahead.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock;
use crate::model::{Cause, Fault, Moment};

use super::event::{Event, Position, Reason, Scope};
use super::hub::{Hub, Proof, Seat};

/// Records that are taken at a time, so that one that catches up holds up nobody.
const CHUNK: usize = 256;

/// A proof is told that many times within its own duration, so that the loss of one does not end it.
const PROOFS_PER_BOUND: u32 = 4;

/// Something for a subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Something happened.
    Event(Position, Event),
    /// Copies made of FRESH answers, and not invalidated since, may be served for that long from now, and until that
    /// moment.
    Proven(Position, Moment),
}

/// A subscriber.
#[derive(Debug)]
pub struct Subscription {
    hub: Arc<Hub>,
    _seat: Seat,
    scope: Scope,
    position: Position,
    waiting: VecDeque<(Position, Event)>,
    /// To be told when nothing waits any more.
    proof: Option<Moment>,
    told: Option<Moment>,
    heads: watch::Receiver<u64>,
}

impl Subscription {
    pub(super) fn new(
        hub: Arc<Hub>,
        seat: Seat,
        scope: Scope,
        position: Position,
        reason: Option<Reason>,
    ) -> Self {
        let first = reason.map(|reason| (position, Event::Discontinuity(reason)));
        Self {
            heads: hub.heads.subscribe(),
            hub,
            _seat: seat,
            scope,
            position,
            waiting: first.into_iter().collect(),
            proof: None,
            told: None,
        }
    }

    /// Waits for the next thing to tell.
    ///
    /// # Errors
    /// The subscriber did not take its events in time: some are gone, and the stream ends here.
    pub async fn next(&mut self) -> Result<Delivery, Fault> {
        let interval = self.interval();
        loop {
            self.heads.mark_unchanged();
            if let Some(delivery) = self.take(clock::now())? {
                return Ok(delivery);
            }
            // The end of the interval is as good a reason to look as a record.
            let _ = tokio::time::timeout(interval, self.heads.changed()).await;
        }
    }

    /// The next thing to tell, if there is one now.
    ///
    /// # Errors
    /// As for [`Self::next`].
    pub(crate) fn take(&mut self, now: Moment) -> Result<Option<Delivery>, Fault> {
        loop {
            if let Some((position, event)) = self.waiting.pop_front() {
                self.hub.metrics.delivered();
                return Ok(Some(Delivery::Event(position, event)));
            }
            if let Some(base) = self.proof.take() {
                let until = base + self.hub.limits.bound;
                self.told = Some(now);
                return Ok(Some(Delivery::Proven(self.position, until)));
            }
            if !self.refill(now)? {
                return Ok(None);
            }
        }
    }

    /// Takes what has come; false if there is nothing to tell.
    fn refill(&mut self, now: Moment) -> Result<bool, Fault> {
        let Some(news) = self.hub.news(self.position.sequence, CHUNK) else {
            self.hub.metrics.dropped();
            return Err(Fault::not_applied(
                Cause::SubscriberTooSlow,
                "events that were not taken yet are no longer kept; drop every copy and watch again",
            ));
        };
        for record in &news.records {
            self.position = record.position;
            if let Some(event) = self.scope.narrow(&record.event) {
                self.waiting.push_back((record.position, event));
            }
        }
        if news.complete && self.is_due(now) {
            self.proof = match news.proven {
                Proof::Nothing => None,
                Proof::Until(base) => Some(base),
                Proof::Always => Some(now),
            };
        }
        Ok(!self.waiting.is_empty() || self.proof.is_some() || !news.complete)
    }

    /// How long a proof lasts.
    pub fn bound(&self) -> Duration {
        self.hub.limits.bound
    }

    fn is_due(&self, now: Moment) -> bool {
        self.told
            .is_none_or(|told| now.since(told) >= self.interval())
    }

    fn interval(&self) -> Duration {
        self.hub.limits.bound / PROOFS_PER_BOUND
    }
}
