//! Where everything that happened goes in, once, and from where every subscriber reads it.
//!
//! Invariants: recording neither waits nor depends on the number of subscribers (the `pump` wakes them); what is proven
//! is set under the same lock as the records, so that a reader that has taken every record knows what a proof covers.
//!
//! Not here: waiting for records (`subscription`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::model::{CacheId, Cause, Fault, Key, Moment};
use crate::near::Mutant;

use super::event::{Event, Position, Reason, Scope};
use super::metrics::Metrics;
use super::ring::{Recorded, Ring};
use super::subscription::Subscription;

/// Sessions of one process that positions tell apart; the bits above are of the process.
const SESSION_BITS: u32 = 20;

/// Bounds of the hub.
#[derive(Debug, Clone, Copy)]
pub struct HubLimits {
    /// Subscribers at a time.
    pub subscribers: usize,
    /// Records that are kept for those who lag or resume.
    pub records: usize,
    /// How long a proof lasts: the staleness bound.
    pub bound: Duration,
}

/// The hub.
#[derive(Debug)]
pub struct Hub {
    state: Mutex<State>,
    recorded: Notify,
    pub(super) heads: watch::Sender<u64>,
    seats: Arc<AtomicUsize>,
    origin: u64,
    pub(super) limits: HubLimits,
    pub(super) metrics: Metrics,
    broken: Option<Mutant>,
}

#[derive(Debug)]
struct State {
    ring: Ring,
    generation: u64,
    /// The session whose heartbeats prove something.
    proving: Option<u64>,
    proven: Proof,
}

impl State {
    fn append(&mut self, event: Event) {
        self.ring.append(self.generation, event);
    }
}

/// Up to when every change has been recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Nothing is proven.
    Nothing,
    /// Every write acknowledged before then.
    Until(Moment),
    /// Every write: nobody else writes.
    Always,
}

/// What a subscriber has not seen yet.
#[derive(Debug)]
pub(super) struct News {
    pub(super) records: Vec<Arc<Recorded>>,
    /// Whether nothing comes after these records yet.
    pub(super) complete: bool,
    pub(super) proven: Proof,
}

impl Hub {
    /// An empty one; `started` tells this process from the one before it.
    pub fn new(limits: HubLimits, started: SystemTime, metrics: Metrics) -> Self {
        let since = started.duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let origin = millis << SESSION_BITS;
        Self {
            state: Mutex::new(State {
                ring: Ring::new(limits.records),
                generation: origin,
                proving: None,
                proven: Proof::Nothing,
            }),
            recorded: Notify::new(),
            heads: watch::Sender::new(0),
            seats: Arc::default(),
            origin,
            limits,
            metrics,
            broken: None,
        }
    }

    /// With one mechanism broken.
    #[cfg(test)]
    pub(crate) fn broken(mut self, mutant: Option<Mutant>) -> Self {
        self.broken = mutant;
        self
    }

    /// Wakes subscribers for ever, apart from whoever records.
    pub async fn pump(&self) {
        loop {
            self.recorded.notified().await;
            let head = self.state.lock().ring.head();
            self.heads.send_replace(head);
        }
    }

    /// Records follow that belong to this session.
    pub fn session(&self, number: u64) {
        let mut state = self.state.lock();
        state.generation = self.origin + number;
        state.proving = Some(number);
    }

    /// Its heartbeats prove nothing any more, not even one that is being told at this moment.
    pub fn session_ended(&self) {
        self.state.lock().proving = None;
    }

    /// Keys changed, or may have.
    pub fn invalidated(&self, cache: CacheId, keys: Vec<Key>) {
        // What came in a message would keep all of it in memory, values too, for as long as the record is kept.
        let keys = keys.into_iter().map(Key::into_owned).collect();
        self.record(Event::Invalidated { cache, keys });
    }

    /// Records what happened.
    pub fn record(&self, event: Event) {
        self.state.lock().append(event);
        self.recorded.notify_one();
    }

    /// Something may have been missed; from here on nothing is proven until it is proven again.
    pub fn interrupted(&self, reason: Reason) {
        self.metrics.discontinuity(reason);
        {
            let mut state = self.state.lock();
            state.proven = Proof::Nothing;
            if !crate::near::breaks(self.broken, Mutant::SilentReconnect) {
                state.append(Event::Discontinuity(reason));
            }
        }
        self.recorded.notify_one();
    }

    /// Every change of a write acknowledged before has been recorded, says that session.
    pub fn prove(&self, session: u64, proven: Proof) {
        let mut state = self.state.lock();
        if state.proving == Some(session) {
            state.proven = proven;
        }
    }

    /// Nobody else writes: whatever is recorded is all there is.
    pub fn prove_always(&self) {
        self.state.lock().proven = Proof::Always;
    }

    /// A new subscriber, from a point on, or from now on.
    ///
    /// # Errors
    /// There are as many as allowed.
    pub fn subscribe(
        self: &Arc<Self>,
        scope: Scope,
        resume: Option<Position>,
    ) -> Result<Subscription, Fault> {
        let seat = Seat::take(self)?;
        let state = self.state.lock();
        let (head, generation) = (state.ring.head(), state.generation);
        let resumable = |from: &Position| {
            from.generation >> SESSION_BITS == self.origin >> SESSION_BITS
                && from.generation <= generation
                && from.sequence <= head
                && state.ring.after(from.sequence, 0).is_ok()
        };
        let (cursor, reason) = match resume {
            None => (head, Some(Reason::Started)),
            Some(from) if resumable(&from) => (from.sequence, None),
            Some(_) => (head, Some(Reason::ResumeTooOld)),
        };
        drop(state);
        let position = Position {
            generation,
            sequence: cursor,
        };
        if let Some(reason) = reason {
            self.metrics.discontinuity(reason);
        }
        Ok(Subscription::new(
            self.clone(),
            seat,
            scope,
            position,
            reason,
        ))
    }

    /// What comes after a point, at most so many records; `None` if some of it is gone.
    pub(super) fn news(&self, cursor: u64, most: usize) -> Option<News> {
        let state = self.state.lock();
        let records = if crate::near::breaks(self.broken, Mutant::GapUntold) {
            state.ring.after_ignoring_gaps(cursor, most)
        } else {
            state.ring.after(cursor, most).ok()?
        };
        let last = records
            .last()
            .map_or(cursor, |record| record.position.sequence);
        Some(News {
            complete: last >= state.ring.head(),
            proven: state.proven,
            records,
        })
    }
}

/// The place of one subscriber.
#[derive(Debug)]
pub(super) struct Seat {
    hub: Arc<Hub>,
}

impl Seat {
    fn take(hub: &Arc<Hub>) -> Result<Self, Fault> {
        let limit = hub.limits.subscribers;
        let taken = hub
            .seats
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
                (taken < limit).then_some(taken + 1)
            });
        match taken {
            Ok(before) => {
                hub.metrics.subscribers(before + 1);
                Ok(Self { hub: hub.clone() })
            }
            Err(_) => Err(Fault::not_applied(
                Cause::TooManySubscribers,
                format!("as many as limits.subscribers ({limit}) are watching"),
            )),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let before = self.hub.seats.fetch_sub(1, Ordering::AcqRel);
        self.hub.metrics.subscribers(before - 1);
    }
}
