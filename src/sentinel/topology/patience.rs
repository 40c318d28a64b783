//! What takes time to be believed, or to be ignored.
//!
//! Invariants: everything here takes [`DOUBT_GRACE`] of an unbroken state; whatever interrupts it starts it again. A
//! failover in progress and a later epoch are never ignored.
//!
//! Not here: the choice itself.

use std::time::{Duration, Instant};

use crate::model::{Cause, Endpoint, Fault, Master};

use super::{ANSWER_LIFETIME, Dispute, Topology};

/// How long a majority must agree on a doubtful choice before it is followed, and how long it must contradict a single
/// Sentinel before that one is overruled. Longer than any failover takes, short enough to recover without a restart from
/// Sentinels that were rebuilt (their epochs start at 0) or from one that was cut off with a view of its own.
pub const DOUBT_GRACE: Duration = Duration::from_secs(30);

/// A Sentinel that stays alone with a later epoch: it is cut off with a master of its own, or was told nonsense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// Who says it.
    pub sentinel: Endpoint,
    /// Whom it names, and since which epoch.
    pub master: Master,
}

fn over(since: Option<Instant>, now: Instant) -> bool {
    since.is_some_and(|since| now.saturating_duration_since(since) >= DOUBT_GRACE)
}

/// So long a Sentinel that fell silent is believed to go on with what it said about the master: longer than it takes from
/// a promotion until the others know of it.
const DISPUTE_REMEMBERED: Duration = Duration::from_secs(5);

impl Topology {
    pub(super) fn expire(&mut self, now: Instant) {
        for view in &mut self.views {
            let age = view.answered.map(|at| now.saturating_duration_since(at));
            if view.answer.is_ok() && age.is_none_or(|age| age > ANSWER_LIFETIME) {
                view.answer = Err(Fault::not_applied(
                    Cause::SentinelsUnreachable,
                    "its last answer is too old",
                ));
            }
        }
    }

    /// How many Sentinels those that answer know of. More are believed at once. Fewer only after a while: one that was
    /// reset or rebuilt knows nobody for some seconds, and must not be a majority of itself.
    pub(super) fn count(&mut self, now: Instant) {
        let knows = self.answers().map(|answer| answer.sentinels).max();
        let Some(knows) = knows.map(|knows| knows.max(self.voices(|_| true))) else {
            // From silence nothing follows.
            self.known = self.known.map(|(known, _)| (known, now));
            return;
        };
        let fewer = self
            .known
            .is_some_and(|(known, at)| knows < known && !over(Some(at), now));
        if !fewer {
            self.known = Some((knows, now));
        }
    }

    pub(super) fn doubt_about(&self, candidate: &Master) -> Option<String> {
        let later = self.answers().map(|answer| answer.master.epoch).max();
        if let Some(later) = later.filter(|later| *later > candidate.epoch) {
            return Some(format!("one of them knows of epoch {later}"));
        }
        let elected = self.elected.as_ref()?;
        if candidate.epoch < elected.epoch {
            return Some(format!("epoch {} was seen before", elected.epoch));
        }
        let moved = candidate.epoch == elected.epoch && candidate.endpoint != elected.endpoint;
        moved.then(|| format!("the same epoch belonged to {}", elected.endpoint))
    }

    pub(super) fn doubt_is_over(&mut self, candidate: &Master, now: Instant) -> bool {
        match &self.doubt {
            Some((master, since)) if master == candidate => over(Some(*since), now),
            _ => {
                self.doubt = Some((candidate.clone(), now));
                false
            }
        }
    }

    /// Another master is elected: what was said of the one before says nothing about it.
    pub(super) fn begin_again(&mut self) {
        self.ahead = None;
        for view in &mut self.views {
            view.times.down = None;
            view.disputed = None;
        }
    }

    /// What must not be forgotten with the Sentinel that said it: that it disputes the master, for a while, and how many
    /// replicas there are.
    pub(super) fn remember(&mut self, now: Instant) {
        if let Some(replicas) = self.describing().map(|answer| answer.replicas).max() {
            self.replicas = replicas;
        }
        let Some(elected) = &self.elected else {
            return;
        };
        for view in &mut self.views {
            match &view.answer {
                Ok(answer) => {
                    view.disputed = answer.dispute(elected).map(|dispute| (dispute, now));
                }
                Err(_) => {
                    let recent =
                        |at: Instant| now.saturating_duration_since(at) < DISPUTE_REMEMBERED;
                    view.disputed = view.disputed.filter(|(_, at)| recent(*at));
                }
            }
        }
    }

    /// One broken Sentinel must not hold writes for ever: that it finds the master objectively down is ignored when a
    /// majority has found it well all the while.
    pub(super) fn overrule(&mut self, now: Instant) {
        let Some(elected) = self.elected.clone() else {
            return;
        };
        let vouched = self.voices(|answer| answer.vouches_for(&elected)) >= self.majority();
        for view in &mut self.views {
            let dispute = view.answer.as_ref().ok().and_then(|a| a.dispute(&elected));
            let down = vouched && dispute == Some(Dispute::ObjectivelyDown);
            view.times.down = down.then(|| view.times.down.unwrap_or(now));
            view.overruled = over(view.times.down, now);
        }
    }

    /// Notices a later epoch that no majority follows.
    pub(super) fn look_ahead(&mut self, now: Instant) {
        let later = self.elected.as_ref().and_then(|elected| {
            self.views.iter().find_map(|view| {
                let answer = view.answer.as_ref().ok()?;
                (answer.master.epoch > elected.epoch).then(|| Conflict {
                    sentinel: view.sentinel.clone(),
                    master: answer.master.clone(),
                })
            })
        });
        self.ahead = later.as_ref().map(|_| self.ahead.unwrap_or(now));
        self.conflict = later.filter(|_| over(self.ahead, now));
    }
}
