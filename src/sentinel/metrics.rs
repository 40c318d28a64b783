//! How many Sentinels answer and agree, and what noticed a change.
//!
//! Invariants: one series per configured Sentinel and per detector, from the start; those that are discovered are only
//! counted, since nobody knows how many addresses they will have.

use std::collections::HashMap;

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

use crate::model::{Detector, Endpoint};

use super::task::Election;
use super::topology::SentinelView;

/// Handles, resolved once.
#[derive(Debug)]
pub struct Metrics {
    up: Vec<Gauge>,
    known: Gauge,
    discovered: Gauge,
    agreeing: Gauge,
    disagreeing: Gauge,
    tilted: Gauge,
    overruled: Gauge,
    conflict: Gauge,
    changes: HashMap<Detector, Counter>,
    /// Events that concern our master.
    pub(super) events: Counter,
    /// Links that could not be made, or broke.
    pub(super) failures: Counter,
}

impl Metrics {
    /// Registers with the recorder of the moment.
    pub fn register(sentinels: &[Endpoint]) -> Self {
        describe();
        let changes = Detector::all().map(|detector| {
            let name = "vedetta_master_changes_detected_total";
            (detector, counter!(name, "by" => detector.name()))
        });
        Self {
            failures: counter!("vedetta_sentinel_failures_total"),
            events: counter!("vedetta_sentinel_events_total"),
            up: sentinels
                .iter()
                .map(|sentinel| gauge!("vedetta_sentinel_up", "sentinel" => sentinel.to_string()))
                .collect(),
            known: gauge!("vedetta_sentinels_known"),
            discovered: gauge!("vedetta_sentinels_discovered"),
            agreeing: gauge!("vedetta_sentinels_agreeing"),
            disagreeing: gauge!("vedetta_sentinels_disagreeing"),
            tilted: gauge!("vedetta_sentinels_in_tilt"),
            overruled: gauge!("vedetta_sentinels_overruled"),
            conflict: gauge!("vedetta_sentinel_epoch_conflict"),
            changes: changes.collect(),
        }
    }

    /// Shows the views of the moment.
    pub(super) fn show(&self, election: &Election) {
        let views = &election.views;
        // The configured ones come first and are never missing.
        for (gauge, view) in self.up.iter().zip(views.iter()) {
            gauge.set(f64::from(u8::from(view.answer.is_ok())));
        }
        let count = |such: &dyn Fn(&&SentinelView) -> bool| views.iter().filter(such).count();
        self.known.set(election.sentinels as f64);
        self.discovered.set(count(&|view| view.discovered) as f64);
        self.agreeing.set(count(&|view| view.agrees) as f64);
        let disagreeing = count(&|view| view.answer.is_ok() && !view.agrees);
        self.disagreeing.set(disagreeing as f64);
        self.tilted.set(count(&|view| view.in_tilt()) as f64);
        self.overruled.set(count(&|view| view.overruled) as f64);
        let conflict = u8::from(election.conflict.is_some());
        self.conflict.set(f64::from(conflict));
    }

    /// Another master is elected.
    pub(super) fn changed(&self, by: Detector) {
        if let Some(counter) = self.changes.get(&by) {
            counter.increment(1);
        }
    }
}

fn describe() {
    for (name, help) in [
        (
            "vedetta_sentinel_up",
            "Whether the Sentinel answers (1) or not (0)",
        ),
        (
            "vedetta_sentinels_known",
            "How many Sentinels there are, listed or known to others; a majority is one of these",
        ),
        (
            "vedetta_sentinels_discovered",
            "How many Sentinels are asked without being listed",
        ),
        (
            "vedetta_sentinels_agreeing",
            "How many Sentinels name the elected master at its config epoch",
        ),
        (
            "vedetta_sentinels_disagreeing",
            "How many Sentinels answer and name another master or epoch than the elected one",
        ),
        (
            "vedetta_sentinels_in_tilt",
            "How many Sentinels do nothing because their clock jumped",
        ),
        (
            "vedetta_sentinels_overruled",
            "How many Sentinels alone find the master objectively down, for so long that it is ignored",
        ),
        (
            "vedetta_sentinel_epoch_conflict",
            "Whether a minority has known of a later master for longer than a failover takes (1) or not (0)",
        ),
    ] {
        describe_gauge!(name, help);
    }
    describe_counter!(
        "vedetta_sentinel_events_total",
        "Events of the Sentinels about the master, each of which causes a poll"
    );
    describe_counter!(
        "vedetta_sentinel_failures_total",
        "Links to Sentinels that could not be made or broke"
    );
    describe_counter!(
        "vedetta_master_changes_detected_total",
        "Changes of the elected master, by what made vedetta ask the Sentinel that completed it"
    );
}
