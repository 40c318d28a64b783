//! How many Sentinels answer and agree.
//!
//! Invariants: one series per configured Sentinel, from the start.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

use crate::model::Endpoint;

use super::topology::SentinelView;

/// Handles, resolved once.
#[derive(Debug)]
pub struct Metrics {
    up: Vec<Gauge>,
    agreeing: Gauge,
    /// Events that concern our master.
    pub(super) events: Counter,
    /// Links that could not be made, or broke.
    pub(super) failures: Counter,
}

impl Metrics {
    /// Registers with the recorder of the moment.
    pub fn register(sentinels: &[Endpoint]) -> Self {
        describe_gauge!(
            "vedetta_sentinel_up",
            "Whether the Sentinel answers (1) or not (0)"
        );
        describe_gauge!(
            "vedetta_sentinels_agreeing",
            "How many Sentinels name the elected master at its config epoch"
        );
        describe_counter!(
            "vedetta_sentinel_events_total",
            "Events of the Sentinels about the master, each of which causes a poll"
        );
        describe_counter!(
            "vedetta_sentinel_failures_total",
            "Links to Sentinels that could not be made or broke"
        );
        Self {
            failures: counter!("vedetta_sentinel_failures_total"),
            events: counter!("vedetta_sentinel_events_total"),
            up: sentinels
                .iter()
                .map(|sentinel| gauge!("vedetta_sentinel_up", "sentinel" => sentinel.to_string()))
                .collect(),
            agreeing: gauge!("vedetta_sentinels_agreeing"),
        }
    }

    /// Shows the views of the moment.
    pub fn show(&self, views: &[SentinelView]) {
        for (gauge, view) in self.up.iter().zip(views) {
            gauge.set(f64::from(u8::from(view.answer.is_ok())));
        }
        let agreeing = views.iter().filter(|view| view.agrees).count();
        self.agreeing.set(agreeing as f64);
    }
}
