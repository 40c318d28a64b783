//! Takes the notes of which reports are made, and publishes the reports.
//!
//! Invariants: nobody waits for it; while nothing is wrong it does nothing.
//!
//! Not here: what follows from the notes (`report`).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use metrics::{Counter, Histogram, counter, describe_counter, describe_histogram, histogram};

use crate::clock;
use crate::model::{Detector, HistoryId, Master, Moment, Signal};
use crate::sentinel::Election;
use crate::upstream::Session;

use super::meanwhile::Meanwhile;
use super::reconcile::Reconciled;
use super::report::{Kind, Now, Recorder, Report};

/// While a report is open, what cannot be waited for is looked at so often.
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// Whether the near cache is proven at that time.
pub type Proven = Arc<dyn Fn(Moment) -> bool + Send + Sync>;

/// The recorder, and where its notes come from.
pub(super) struct Chronicle {
    recorder: Recorder,
    meanwhile: Arc<Meanwhile>,
    proven: Proven,
    history: Option<HistoryId>,
    metrics: Metrics,
}

struct Metrics {
    kinds: Vec<(Kind, Counter)>,
    serving: Histogram,
    wrote: Histogram,
    proven: Histogram,
    lost: Counter,
    removed: Counter,
}

impl Chronicle {
    pub(super) fn new(meanwhile: Arc<Meanwhile>, proven: Proven) -> Self {
        Self {
            recorder: Recorder::default(),
            meanwhile,
            proven,
            history: None,
            metrics: Metrics::register(),
        }
    }

    /// The node in use, or the link to it, gave a sign.
    pub(super) fn noticed(&mut self, signal: Signal) {
        let calls = self.meanwhile.calls();
        self.recorder
            .suspected(Detector::Signal(signal), calls, now());
    }

    /// What the Sentinels say.
    pub(super) fn heard(&mut self, election: &Election) {
        let (by, calls) = (election.detector, self.meanwhile.calls());
        if election.hold.is_some() {
            self.recorder.held(by, calls, now());
        }
        if let Ok(master) = &election.master {
            self.recorder.decided(master, by, calls, now());
        }
    }

    /// A session is in use. `renewed`: with newer secrets, which is no trouble.
    pub(super) fn serving(&mut self, session: &Session, found: &Reconciled) {
        let history = session.history().id;
        let same = self.history.replace(history) == Some(history);
        let (master, generation) = (session.master(), session.generation());
        self.recorder
            .serving(master, generation, same, found, now());
    }

    /// Looks at what is open; the reports, if they are worth showing again.
    pub(super) fn look(
        &mut self,
        election: &Election,
        session: Option<&Session>,
    ) -> Option<Arc<[Report]>> {
        if !self.recorder.is_open() {
            return None;
        }
        let named = |master: &Master| election.master.as_ref() == Ok(master);
        let stands = session.filter(|session| session.ended().is_none() && named(session.master()));
        let quiet = stands.is_some() && election.hold.is_none();
        let wrote = session.and_then(|session| self.meanwhile.first_write(session.generation()));
        let (now, calls) = (now(), self.meanwhile.calls());
        let proven = quiet && (self.proven)(now.moment);
        if let Some(report) = self.recorder.look(quiet, wrote, proven, calls, now) {
            tracing::warn!(
                number = report.number,
                kind = report.kind.name(),
                "what happened:\n{report}"
            );
            self.metrics.closed(report);
        }
        Some(self.recorder.reports())
    }

    /// Whether there is anything to look at.
    pub(super) fn is_open(&self) -> bool {
        self.recorder.is_open()
    }
}

impl Metrics {
    fn register() -> Self {
        describe_counter!(
            "vedetta_failovers_total",
            "Times that the master was lost or in doubt, by what it turned out to be"
        );
        describe_histogram!(
            "vedetta_failover_phase_seconds",
            metrics::Unit::Seconds,
            "From the first sign of trouble until calls could use the new session (serving), the first write was \
             acknowledged on it (wrote), and answers of the near cache could be called FRESH again (proven)"
        );
        describe_counter!(
            "vedetta_lost_writes_total",
            "Acknowledged writes of this process that a new master did not have"
        );
        describe_counter!(
            "vedetta_resurrected_values_removed_total",
            "Old values that the loss of newer ones had brought back, and that were removed"
        );
        let phase =
            |name: &'static str| histogram!("vedetta_failover_phase_seconds", "phase" => name);
        let kind = |kind: Kind| {
            (
                kind,
                counter!("vedetta_failovers_total", "kind" => kind.name()),
            )
        };
        Self {
            kinds: Kind::ALL.into_iter().map(kind).collect(),
            serving: phase("serving"),
            wrote: phase("wrote"),
            proven: phase("proven"),
            lost: counter!("vedetta_lost_writes_total"),
            removed: counter!("vedetta_resurrected_values_removed_total"),
        }
    }

    fn closed(&self, report: &Report) {
        let ours = self.kinds.iter().filter(|(kind, _)| *kind == report.kind);
        ours.for_each(|(_, counter)| counter.increment(1));
        let phases = [
            (report.serving, &self.serving),
            (report.wrote, &self.wrote),
            (report.proven, &self.proven),
        ];
        for (at, histogram) in phases {
            if let Some(at) = at {
                histogram.record(at.as_secs_f64());
            }
        }
        self.lost.increment(report.reconciled.lost as u64);
        self.removed.increment(report.reconciled.removed as u64);
    }
}

fn now() -> Now {
    Now {
        moment: clock::now(),
        wall: SystemTime::now(),
    }
}
