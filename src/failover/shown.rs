//! What others see of the follower, and what it writes to the log.
//!
//! Invariants: a change of the phase is logged once.

use std::sync::Arc;
use std::time::SystemTime;

use crate::clock;
use crate::model::Cause;

use super::machine::Phase;
use super::report::Report;
use super::task::Follower;

impl Follower {
    pub(super) fn publish(&mut self, before: &Phase, settled: bool) {
        let phase = self.machine.phase().clone();
        let shut = {
            let master = self.serving.as_ref().map(|(session, _)| session.master());
            let election = self.elections.borrow();
            self.porter.shut(&election, master, clock::now())
        };
        self.status.send_if_modified(|status| {
            let first = settled && !status.settled;
            status.settled |= settled;
            let held = |shut: &Option<(super::Shut, SystemTime)>| {
                shut.as_ref().map(|(shut, _)| shut.name())
            };
            let turned = held(&status.shut) != shut.as_ref().map(super::Shut::name);
            if turned {
                status.shut = shut.map(|shut| (shut, SystemTime::now()));
            }
            if phase == *before {
                return first || turned;
            }
            status.phase = phase.clone();
            status.since = SystemTime::now();
            true
        });
        self.tell(&phase);
    }

    pub(super) fn show(&mut self, reports: Arc<[Report]>) {
        self.status.send_modify(|status| status.reports = reports);
    }

    /// One line for each change that an operator can act on, not one for each attempt.
    fn tell(&mut self, phase: &Phase) {
        let news = match phase {
            Phase::Serving { generation, .. } => Told::Serving(*generation),
            // That nobody is elected is told by the `sentinel` room, which knows more about it.
            Phase::Seeking { .. } if self.elections.borrow().master.is_err() => return,
            Phase::Seeking { fault } => Told::Lost(fault.cause),
            Phase::Dialing { .. } => return,
        };
        if self.told.as_ref() == Some(&news) {
            return;
        }
        self.told = Some(news);
        match phase {
            Phase::Serving { master, generation } => tracing::info!(
                master = %master.endpoint,
                config_epoch = master.epoch,
                generation,
                "serving from the master"
            ),
            Phase::Seeking { fault } | Phase::Dialing { fault, .. } => tracing::warn!(
                reason = fault.cause.reason(),
                "not connected to a master: {}",
                fault.detail
            ),
        }
    }
}

/// What was last logged.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    Serving(u64),
    Lost(Cause),
}
