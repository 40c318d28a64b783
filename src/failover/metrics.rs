//! Whether there is a master, and how often it changed.

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};

/// Handles, resolved once.
#[derive(Debug)]
pub struct Metrics {
    known: Gauge,
    changes: Counter,
    sessions: Counter,
    generation: Gauge,
    renewed: Counter,
    kept: Counter,
}

impl Metrics {
    /// Registers with the recorder of the moment.
    pub fn register() -> Self {
        describe_gauge!(
            "vedetta_master_known",
            "Whether vedetta is connected to a master (1) or not (0)"
        );
        describe_counter!(
            "vedetta_master_changes_total",
            "How often the master became another node or was elected anew, the first time not counted"
        );
        describe_counter!(
            "vedetta_redis_sessions_total",
            "Sessions opened to a master; each loss of the link and each change of secrets costs one"
        );
        describe_gauge!(
            "vedetta_generation",
            "The generation of the current session"
        );
        describe_counter!(
            "vedetta_redis_renewals_total",
            "Attempts to replace a session that works by one with newer secrets, by result"
        );
        Self {
            renewed: counter!("vedetta_redis_renewals_total", "result" => "done"),
            kept: counter!("vedetta_redis_renewals_total", "result" => "failed"),
            known: gauge!("vedetta_master_known"),
            changes: counter!("vedetta_master_changes_total"),
            sessions: counter!("vedetta_redis_sessions_total"),
            generation: gauge!("vedetta_generation"),
        }
    }

    /// A session serves.
    pub(super) fn serving(&self, generation: u64, changed: bool) {
        self.known.set(1.0);
        self.generation.set(generation as f64);
        self.sessions.increment(1);
        if changed {
            self.changes.increment(1);
        }
    }

    /// A session took over from one with older secrets.
    pub(super) fn renewed(&self) {
        self.renewed.increment(1);
    }

    /// A session is kept, because newer secrets do not work.
    pub(super) fn kept(&self) {
        self.kept.increment(1);
    }

    /// No session serves.
    pub(super) fn lost(&self) {
        self.known.set(0.0);
    }
}
