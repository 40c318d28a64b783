//! What happened, in the order in which it did: one report for each time that the master was lost or in doubt.
//!
//! Invariants: at most one report is open; the last [`REPORTS`] are kept, newest first. A report is closed when the
//! near cache is proven on the new session, or when the doubt is over without one. A doubt that nobody had to wait for
//! leaves no report.
//!
//! Not here: clocks, which the caller reads; showing it (`grpc`, `cli`).

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::model::{Detector, Master, Moment};

use super::meanwhile::Calls;
use super::reconcile::Reconciled;

/// How many are kept.
const REPORTS: usize = 16;

/// A doubt that is over without another session is worth a report if writes were held for that long.
const WORTH: Duration = Duration::from_millis(100);

/// Without a proof for that long a report is closed without it.
const PROVEN_WITHIN: Duration = Duration::from_secs(30);

/// A sign of trouble that nothing followed from is forgotten after that long.
const FORGOTTEN: Duration = Duration::from_secs(5);

/// What it turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Another node is master, or the same one by another election.
    Failover,
    /// The same node began another history: it was restarted.
    Restart,
    /// Only the link was lost.
    LinkLoss,
    /// Nothing: the Sentinels doubted the master and kept it.
    FalseAlarm,
}

/// A moment on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// For durations.
    pub moment: Moment,
    /// For people.
    pub wall: SystemTime,
}

/// One time that the master was lost or in doubt. Steps are times since its beginning; `None`: it did not happen, or
/// not yet.
#[derive(Debug, Clone)]
pub struct Report {
    /// Counted from 1 in this process.
    pub number: u64,
    /// What it was; while it lasts, what it is so far.
    pub kind: Kind,
    /// When it began.
    pub began: SystemTime,
    /// Who noticed first.
    pub detected_by: Detector,
    /// Who had been master.
    pub from: Option<Master>,
    /// Who is now.
    pub to: Option<Master>,
    /// The generation of the new session.
    pub generation: Option<u64>,
    /// A majority of the Sentinels named another master, and what made us ask.
    pub decided: Option<(Duration, Detector)>,
    /// That node answered ROLE = master, and was compared with what we had written.
    pub confirmed: Option<Duration>,
    /// Calls could use the session.
    pub serving: Option<Duration>,
    /// The first write was acknowledged on it.
    pub wrote: Option<Duration>,
    /// Answers of the near cache could be called FRESH.
    pub proven: Option<Duration>,
    /// When it was over.
    pub over: Option<Duration>,
    /// What was found out about the new master, and about those that were lost again before it.
    pub reconciled: Reconciled,
    /// What became of calls.
    pub calls: Calls,
}

#[derive(Debug)]
struct Open {
    report: Report,
    began: Moment,
    before: Calls,
    held: bool,
}

/// Takes notes.
#[derive(Debug, Default)]
pub struct Recorder {
    open: Option<Open>,
    closed: VecDeque<Report>,
    count: u64,
    serving: Option<Master>,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self::Failover,
        Self::Restart,
        Self::LinkLoss,
        Self::FalseAlarm,
    ];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Failover => "failover",
            Self::Restart => "restart",
            Self::LinkLoss => "link_loss",
            Self::FalseAlarm => "false_alarm",
        }
    }
}

impl Recorder {
    /// The first sign of trouble.
    pub fn suspected(&mut self, by: Detector, calls: Calls, now: Now) {
        if self.open.is_some() || self.serving.is_none() {
            return;
        }
        self.open = Some(Open {
            report: Report {
                number: self.count + 1,
                kind: Kind::FalseAlarm,
                began: now.wall,
                detected_by: by,
                from: self.serving.clone(),
                to: None,
                generation: None,
                decided: None,
                confirmed: None,
                serving: None,
                wrote: None,
                proven: None,
                over: None,
                reconciled: Reconciled::default(),
                calls: Calls::default(),
            },
            began: now.moment,
            before: calls,
            held: false,
        });
    }

    /// Writes are held.
    pub fn held(&mut self, by: Detector, calls: Calls, now: Now) {
        self.suspected(by, calls, now);
        if let Some(open) = &mut self.open {
            open.held = true;
        }
    }

    /// A majority names this master.
    pub fn decided(&mut self, master: &Master, by: Detector, calls: Calls, now: Now) {
        if self.serving.as_ref() == Some(master) {
            return;
        }
        self.suspected(by, calls, now);
        if let Some(open) = &mut self.open
            && open.report.to.as_ref() != Some(master)
        {
            let since = now.moment.since(open.began);
            open.report.to = Some(master.clone());
            open.report.decided = Some((since, by));
            // A second failover during the first.
            open.report.confirmed = None;
            open.report.serving = None;
        }
    }

    /// A session to that master is in use; `same` tells whether it is of the history of the one before.
    pub fn serving(
        &mut self,
        master: &Master,
        generation: u64,
        same: bool,
        found: &Reconciled,
        now: Now,
    ) {
        self.serving = Some(master.clone());
        let Some(open) = &mut self.open else {
            return;
        };
        let since = now.moment.since(open.began);
        let report = &mut open.report;
        report.kind = match &report.from {
            Some(from) if from != master => Kind::Failover,
            _ if same => Kind::LinkLoss,
            _ => Kind::Restart,
        };
        report.to = Some(master.clone());
        report.generation = Some(generation);
        report.confirmed = Some(since);
        report.serving = Some(since);
        report.wrote = None;
        report.reconciled.add(found);
    }

    /// Looks at what can be seen from time to time; tells the report that is closed by that.
    ///
    /// `quiet` tells that the session stands and nobody disputes its master; `wrote` when its first write was
    /// acknowledged; `proven` whether the near cache is.
    pub fn look(
        &mut self,
        quiet: bool,
        wrote: Option<Moment>,
        proven: bool,
        calls: Calls,
        now: Now,
    ) -> Option<&Report> {
        let open = self.open.as_mut()?;
        let since = now.moment.since(open.began);
        open.report.calls = calls.since(open.before);
        if open.report.serving.is_none() {
            // Nothing came of it.
            let over = quiet && open.report.to.is_none();
            if over && (open.held || since >= FORGOTTEN) {
                let worth = open.held && since >= WORTH;
                return self.close(since, worth);
            }
            return None;
        }
        if open.report.wrote.is_none() {
            open.report.wrote = wrote.map(|at| at.since(open.began));
        }
        if !quiet {
            return None;
        }
        if proven {
            open.report.proven = Some(since);
        }
        let late = open
            .report
            .serving
            .is_some_and(|at| since >= at + PROVEN_WITHIN);
        if proven || late {
            return self.close(since, true);
        }
        None
    }

    fn close(&mut self, over: Duration, worth: bool) -> Option<&Report> {
        let mut report = self.open.take()?.report;
        if !worth {
            return None;
        }
        report.over = Some(over);
        self.count += 1;
        self.closed.push_front(report);
        self.closed.truncate(REPORTS);
        self.closed.front()
    }

    /// Whether one is open, so that it is worth looking often.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The open one and those that were closed, newest first.
    pub fn reports(&self) -> Arc<[Report]> {
        let open = self.open.iter().map(|open| &open.report);
        // A mere sign is not shown yet.
        let open = open.filter(|report| {
            report.to.is_some() || self.open.as_ref().is_some_and(|open| open.held)
        });
        open.chain(&self.closed).cloned().collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = |master: &Option<Master>| match master {
            Some(master) => format!("{} at epoch {}", master.endpoint, master.epoch),
            None => "-".to_owned(),
        };
        writeln!(
            f,
            "{} #{}: {} -> {}",
            self.kind.name(),
            self.number,
            node(&self.from),
            node(&self.to)
        )?;
        let mut step = |at: Option<Duration>, what: String| match at {
            Some(at) => writeln!(f, "  +{:.3} s  {what}", at.as_secs_f64()),
            None => Ok(()),
        };
        step(
            Some(Duration::ZERO),
            format!("suspected, by {}", self.detected_by.name()),
        )?;
        if let Some((at, by)) = self.decided {
            step(
                Some(at),
                format!(
                    "decided by a majority of the Sentinels, asked because of {}",
                    by.name()
                ),
            )?;
        }
        step(self.confirmed, "confirmed by the node itself".to_owned())?;
        let generation = self.generation.unwrap_or_default();
        step(self.serving, format!("serving, generation {generation}"))?;
        step(self.wrote, "first write acknowledged".to_owned())?;
        step(self.proven, "near cache proven".to_owned())?;
        step(self.over, "over".to_owned())?;
        let Reconciled {
            checked,
            removed,
            lost,
            caches,
            since: _,
        } = &self.reconciled;
        writeln!(
            f,
            "  recent writes: {checked} looked for, {removed} old values removed, {lost} lost in {} caches",
            caches.len()
        )?;
        let Calls {
            waited,
            failed,
            unknown,
            repeated,
        } = self.calls;
        write!(
            f,
            "  calls: {waited} waited, {repeated} attempts repeated, {failed} failed, {unknown} in doubt"
        )
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
