//! The bound on calls in flight, for all connections together.
//!
//! Invariants: a call over the bound is refused at once and not applied; it never queues.

use std::sync::Arc;

use metrics::{Gauge, describe_gauge, gauge};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::model::{Cause, Fault};

/// Admits calls.
#[derive(Debug, Clone)]
pub struct Inflight {
    free: Arc<Semaphore>,
    limit: usize,
    gauge: Gauge,
}

impl Inflight {
    /// At most that many at a time.
    pub fn new(limit: usize) -> Self {
        describe_gauge!("vedetta_inflight_requests", "Calls being served");
        Self {
            free: Arc::new(Semaphore::new(limit)),
            limit,
            gauge: gauge!("vedetta_inflight_requests"),
        }
    }

    /// Completes when no call is in flight.
    pub(super) async fn idle(&self) {
        // All places at once are free only when nobody holds one. The semaphore is never closed.
        let all = u32::try_from(self.limit).unwrap_or(u32::MAX);
        drop(self.free.acquire_many(all).await);
    }

    /// Takes a place until the returned value is dropped.
    ///
    /// # Errors
    /// `Overloaded`.
    pub(super) fn enter(&self) -> Result<Place, Fault> {
        let permit = self.free.clone().try_acquire_owned().map_err(|_| {
            Fault::not_applied(
                Cause::Overloaded,
                format!(
                    "{} calls are in flight, which is limits.inflight_calls",
                    self.limit
                ),
            )
        })?;
        self.gauge.increment(1.0);
        Ok(Place {
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
}
