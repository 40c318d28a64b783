//! The bound on calls in flight, for all connections together.
//!
//! Invariants: a call over the bound is refused at once and not applied; it never queues.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::{Cause, Fault};

use super::stream::stopping;

/// Admits calls.
#[derive(Debug, Clone)]
pub struct Inflight {
    free: Arc<Semaphore>,
    limit: usize,
    closed: Arc<AtomicBool>,
    gauge: Gauge,
    refused: Counter,
}

impl Inflight {
    /// At most that many at a time.
    pub fn new(limit: usize) -> Self {
        describe_gauge!(
            "vedetta_inflight_requests",
            "Calls to the cache from their headers to the end of their answer"
        );
        describe_counter!(
            "vedetta_requests_refused_total",
            "Calls refused because limits.inflight_calls were in flight"
        );
        Self {
            free: Arc::new(Semaphore::new(limit)),
            limit,
            closed: Arc::default(),
            gauge: gauge!("vedetta_inflight_requests"),
            refused: counter!("vedetta_requests_refused_total"),
        }
    }

    /// The bound.
    pub(super) fn most(&self) -> usize {
        self.limit
    }

    /// From now on calls are refused, because the process stops.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Completes when no call is in flight. To be waited for after [`Inflight::close`].
    pub(super) async fn idle(&self) {
        // All places at once are free only when nobody holds one. The semaphore is never closed.
        let all = u32::try_from(self.limit).unwrap_or(u32::MAX);
        drop(self.free.acquire_many(all).await);
    }

    /// Takes a place until the returned value is dropped.
    ///
    /// # Errors
    /// `Overloaded` or `ShuttingDown`.
    pub(super) fn enter(&self) -> Result<Place, Fault> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(stopping());
        }
        self.try_enter().ok_or_else(|| {
            self.refused.increment(1);
            Fault::not_applied(
                Cause::Overloaded,
                format!(
                    "{} calls are in flight, which is limits.inflight_calls",
                    self.limit
                ),
            )
        })
    }

    /// The same for what can wait: `None` if there is no place.
    pub(super) fn try_enter(&self) -> Option<Place> {
        let permit = self.free.clone().try_acquire_owned().ok()?;
        self.gauge.increment(1.0);
        Some(Place {
            _permit: permit,
            gauge: self.gauge.clone(),
        })
    }
}

/// A call's place among those in flight.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    gauge: Gauge,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gauge.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_over_the_bound_is_refused_until_one_ends() {
        let inflight = Inflight::new(1);
        let place = inflight.enter().expect("the first");
        assert_eq!(
            inflight.enter().expect_err("the second").cause,
            Cause::Overloaded
        );
        drop(place);
        assert!(inflight.enter().is_ok());
    }

    #[tokio::test]
    async fn a_process_that_stops_waits_for_calls_and_takes_no_new_ones() {
        let inflight = Inflight::new(2);
        let place = inflight.enter().expect("before the stop");
        inflight.close();
        let refused = inflight.enter().expect_err("after the stop");
        assert_eq!(refused.cause, Cause::ShuttingDown);
        let mut idle = std::pin::pin!(inflight.idle());
        assert!(futures_util::poll!(&mut idle).is_pending());
        drop(place);
        idle.await;
    }
}
