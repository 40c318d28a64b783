//! What messages are published and delivered.
//!
//! Invariants: every series exists from the start at 0; labels are closed enums.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

use super::chain::Gap;
use super::subscription::Delivery;

/// Handles, resolved once.
#[derive(Debug)]
pub struct Metrics {
    published: Counter,
    delivered: Counter,
    dropped: Counter,
    subscribers: Gauge,
    gaps: Vec<Counter>,
}

/// One subscriber more, until it is dropped.
#[derive(Debug)]
pub(super) struct Counted(Gauge);

impl Metrics {
    /// Registers with the recorder of the moment.
    pub fn register() -> Self {
        describe_counter!(
            "vedetta_events_published_total",
            "Messages that were published through this vedetta and acknowledged"
        );
        describe_counter!(
            "vedetta_events_delivered_total",
            "Messages handed to subscribers"
        );
        describe_counter!(
            "vedetta_events_dropped_total",
            "Subscribers that were ended because they did not take their messages in time"
        );
        describe_gauge!(
            "vedetta_events_subscribers",
            "Streams of Subscribe that are open"
        );
        describe_counter!(
            "vedetta_events_gaps_total",
            "Times that a subscriber was told that messages may be missing, by reason"
        );
        Self {
            published: counter!("vedetta_events_published_total"),
            delivered: counter!("vedetta_events_delivered_total"),
            dropped: counter!("vedetta_events_dropped_total"),
            subscribers: gauge!("vedetta_events_subscribers"),
            gaps: Gap::ALL
                .iter()
                .map(|gap| counter!("vedetta_events_gaps_total", "reason" => gap.name()))
                .collect(),
        }
    }

    pub(super) fn published(&self) {
        self.published.increment(1);
    }

    pub(super) fn delivered(&self, delivery: &Delivery) {
        match delivery {
            Delivery::Started(..) => {}
            Delivery::Message(..) => self.delivered.increment(1),
            Delivery::Gap(_, _, gap) => self.gaps[*gap as usize].increment(1),
        }
    }

    pub(super) fn dropped(&self) {
        self.dropped.increment(1);
    }

    pub(super) fn subscribed(&self) -> Counted {
        self.subscribers.increment(1.0);
        Counted(self.subscribers.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
