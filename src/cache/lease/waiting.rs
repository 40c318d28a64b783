//! Who waits in this process for leases, and who is woken.
//!
//! Invariants: of the callers that wait for one entry, one asks the store at a time, and the others hear from it; those
//! who wait are bounded in number; what is kept for an entry goes with the last of its callers.
//!
//! Not here: what is asked and answered (`lease`).

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use metrics::{Counter, counter, describe_counter};
use parking_lot::Mutex;
use quick_cache::sync::Cache as Recent;
use tokio::sync::futures::Notified;
use tokio::sync::{MutexGuard, Notify, Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::invalidation::Bell;

/// The most entries of which is remembered when they were asked about.
const REMEMBERED: usize = 4096;

/// Who waits in this process.
#[derive(Debug)]
pub(in super::super) struct Waiting {
    bell: Arc<Bell>,
    turns: Arc<Turns>,
    seats: Semaphore,
    overflows: Counter,
    /// Until when nobody asks about refreshing an entry.
    quiet: Recent<Bytes, Instant>,
}

type Turns = Mutex<HashMap<Bytes, Weak<Turn>>>;

/// The callers that wait for one lease.
#[derive(Debug)]
pub(super) struct Turn {
    bell: Arc<Bell>,
    turns: Arc<Turns>,
    key: Bytes,
    /// For the one that asks.
    rope: Arc<Notify>,
    asking: tokio::sync::Mutex<()>,
    /// For the others.
    news: Notify,
}

impl Waiting {
    /// So many callers at most wait at a time.
    pub(in super::super) fn new(bell: Arc<Bell>, most: usize) -> Self {
        describe_counter!(
            "vedetta_lease_wait_overflows_total",
            "Calls that did not wait for a lease because half of limits.inflight_calls did"
        );
        Self {
            bell,
            turns: Arc::default(),
            seats: Semaphore::new(most),
            overflows: counter!("vedetta_lease_wait_overflows_total"),
            quiet: Recent::new(REMEMBERED),
        }
    }

    pub(super) fn turn(&self, key: Bytes) -> Arc<Turn> {
        let mut turns = self.turns.lock();
        if let Some(turn) = turns.get(&key).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(Turn {
            bell: self.bell.clone(),
            turns: self.turns.clone(),
            rope: self.bell.hang(key.clone()),
            key: key.clone(),
            asking: tokio::sync::Mutex::default(),
            news: Notify::new(),
        });
        turns.insert(key, Arc::downgrade(&turn));
        turn
    }

    pub(super) fn keep_quiet(&self, key: Bytes, until: Instant) {
        self.quiet.insert(key, until);
    }

    pub(super) fn is_quiet(&self, key: &Bytes) -> bool {
        self.quiet
            .get(key)
            .is_some_and(|until| Instant::now() < until)
    }
}

impl Turn {
    pub(super) fn news(&self) -> Notified<'_> {
        self.news.notified()
    }

    pub(super) fn tell(&self) {
        self.news.notify_waiters();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.bell.take_down(&self.key, &self.rope);
        let mut turns = self.turns.lock();
        // Another one may have taken its place.
        let over = |turn: &Weak<Self>| turn.strong_count() == 0;
        if turns.get(&self.key).is_some_and(over) {
            turns.remove(&self.key);
        }
    }
}

/// The wait of one caller, which begins when it has to.
pub(super) struct Wait<'a> {
    waiting: &'a Waiting,
    turn: &'a Turn,
    until: Instant,
    seat: Option<SemaphorePermit<'a>>,
}

/// What a caller does after it has waited.
pub(super) enum Next<'a> {
    /// It asks the store.
    Ask(MutexGuard<'a, ()>),
    /// It looks again.
    Look,
    /// Its time is over, or too many wait.
    Over,
}

impl<'a> Wait<'a> {
    pub(super) fn new(waiting: &'a Waiting, turn: &'a Turn, until: Instant) -> Self {
        Self {
            waiting,
            turn,
            until,
            seat: None,
        }
    }

    /// Until when anything may last, once it has begun to wait. Before that the deadline of the call says so: whoever
    /// does not want to wait wants to be answered.
    pub(super) fn limit(&self) -> Option<Instant> {
        self.seat.is_some().then_some(self.until)
    }

    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    fn begin(&mut self) -> bool {
        if self.seat.is_none() {
            self.seat = self.waiting.seats.try_acquire().ok();
            if self.seat.is_none() {
                self.waiting.overflows.increment(1);
            }
        }
        self.seat.is_some()
    }

    /// Waits until this caller is the one that asks, or has news.
    pub(super) async fn for_turn(&mut self, news: Pin<&mut Notified<'_>>) -> Next<'a> {
        if let Ok(asking) = self.turn.asking.try_lock() {
            return Next::Ask(asking);
        }
        if !self.begin() {
            return Next::Over;
        }
        tokio::select! {
            biased;
            asking = self.turn.asking.lock() => Next::Ask(asking),
            () = news => Next::Look,
            () = tokio::time::sleep_until(self.until) => Next::Over,
        }
    }

    /// Waits for the end of a lease that holds for so long at most; whether there is time left then.
    pub(super) async fn for_end(&mut self, left: Duration) -> bool {
        if self.is_over() || !self.begin() {
            return false;
        }
        let ends = self.until.min(Instant::now() + left);
        let _ = tokio::time::timeout_at(ends, self.turn.rope.notified()).await;
        !self.is_over()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn key() -> Bytes {
        Bytes::from_static(b"key")
    }

    #[test]
    fn what_is_kept_for_an_entry_goes_with_its_last_caller() {
        let waiting = Waiting::new(Arc::default(), 1);
        let (first, second) = (waiting.turn(key()), waiting.turn(key()));
        assert!(Arc::ptr_eq(&first, &second));
        drop(first);
        assert_eq!(waiting.turns.lock().len(), 1);
        drop(second);
        assert!(waiting.turns.lock().is_empty());
    }

    #[tokio::test]
    async fn one_asks_and_so_many_wait() {
        let waiting = Waiting::new(Arc::default(), 1);
        let turn = waiting.turn(key());
        let until = Instant::now() + Duration::from_secs(9);
        let [mut asks, mut waits, mut is_one_too_many] =
            [(); 3].map(|()| Wait::new(&waiting, &turn, until));
        let first = asks.for_turn(std::pin::pin!(turn.news())).await;
        assert!(matches!(first, Next::Ask(_)));
        let news = std::pin::pin!(turn.news());
        let mut second = Box::pin(waits.for_turn(news));
        assert!((&mut second).now_or_never().is_none());
        let third = is_one_too_many.for_turn(std::pin::pin!(turn.news())).await;
        assert!(matches!(third, Next::Over));
        drop(first);
        assert!(matches!(second.await, Next::Ask(_)));
    }
}
