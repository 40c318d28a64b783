//! What subscribers cost and miss.
//!
//! Invariants: every series exists from the start at 0; labels are closed enums.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

use super::event::Reason;

/// Handles, resolved once.
#[derive(Debug)]
pub struct Metrics {
    subscribers: Gauge,
    dropped: Counter,
    delivered: Counter,
    discontinuities: Vec<Counter>,
}

impl Metrics {
    /// Registers with the recorder of the moment.
    pub fn register() -> Self {
        describe_gauge!(
            "vedetta_watch_subscribers",
            "Streams of Watch that are open"
        );
        describe_counter!(
            "vedetta_watch_dropped_total",
            "Subscribers that were ended because they did not take their events in time"
        );
        describe_counter!(
            "vedetta_watch_events_total",
            "Events handed to subscribers, proofs not counted"
        );
        describe_counter!(
            "vedetta_watch_discontinuities_total",
            "Times that subscribers were told to drop every copy, by reason; started and resume_too_old concern one \
             subscriber each, the others all of them"
        );
        Self {
            subscribers: gauge!("vedetta_watch_subscribers"),
            dropped: counter!("vedetta_watch_dropped_total"),
            delivered: counter!("vedetta_watch_events_total"),
            discontinuities: Reason::ALL
                .iter()
                .map(|reason| {
                    counter!("vedetta_watch_discontinuities_total", "reason" => reason.name())
                })
                .collect(),
        }
    }

    pub(super) fn subscribers(&self, count: usize) {
        self.subscribers.set(count as f64);
    }

    pub(super) fn dropped(&self) {
        self.dropped.increment(1);
    }

    pub(super) fn delivered(&self) {
        self.delivered.increment(1);
    }

    pub(super) fn discontinuity(&self, reason: Reason) {
        self.discontinuities[reason as usize].increment(1);
    }
}
