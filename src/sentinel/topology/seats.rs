//! Which Sentinels there are to ask: those that are listed, and those that they know of.
//!
//! Invariants: who is listed keeps its seat for ever. Who is discovered gets one if no Sentinel of its id answers and
//! nobody has that address, at most [`MOST_DISCOVERED`] at a time. It loses the seat when it neither answered nor was
//! named for [`FORGOTTEN_AFTER`], when it turns out to be one that is asked already, or to another when all seats are
//! taken and it has been silent for [`TRIAL`]. A number of a seat is never used again.
//!
//! Not here: whose voice counts. A seat alone gives none: the Sentinel that answers from it does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::{Cause, Endpoint, Fault};

use super::super::aside::Known;
use super::{ANSWER_LIFETIME, SentinelView, Topology};

/// The most Sentinels that are asked without being listed.
pub const MOST_DISCOVERED: usize = 16;

/// One that left without a goodbye is asked for that long. A Sentinel that is only down is named by the others.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(300);

/// For so long a seat cannot be lost to another Sentinel: several attempts to connect.
pub const TRIAL: Duration = Duration::from_secs(10);

/// What the owner of the watchers must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeatChange {
    /// Ask this Sentinel from now on.
    Taken(usize, Endpoint),
    /// Ask it no more.
    Left(usize),
}

/// What is remembered about a seat.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Times {
    /// Whether it has reported at all, if only that there is no answer.
    pub(super) heard: bool,
    /// Since when it has the seat; `None` for those that are listed.
    taken: Option<Instant>,
    /// When an answer last named it.
    named: Option<Instant>,
    /// Since when it alone finds the master objectively down.
    pub(super) down: Option<Instant>,
}

impl SentinelView {
    pub(super) fn new(seat: usize, sentinel: &Endpoint, taken: Option<Instant>) -> Self {
        Self {
            seat,
            sentinel: sentinel.clone(),
            discovered: taken.is_some(),
            id: None,
            answer: Err(Fault::not_applied(
                Cause::SentinelsUnreachable,
                "not asked yet",
            )),
            answered: None,
            agrees: false,
            overruled: false,
            disputed: None,
            times: Times {
                taken,
                named: taken,
                ..Times::default()
            },
        }
    }

    fn answered_within(&self, time: Duration, now: Instant) -> bool {
        self.answered
            .is_some_and(|at| now.saturating_duration_since(at) <= time)
    }

    /// When there was last a reason to ask it; `None` for those that are listed.
    fn needed(&self) -> Option<Instant> {
        self.times.taken?;
        self.times.named.max(self.answered)
    }
}

impl Topology {
    /// Seats whom the answers name, and forgets whom nobody knows any more. Called after a report.
    pub fn reseat(&mut self, now: Instant) -> Vec<SeatChange> {
        // Who is listed under a name may be known by an address: that shows only when it has had its turn.
        let waiting = |view: &SentinelView| !view.discovered && !view.times.heard;
        if self.views.iter().any(waiting) {
            return Vec::new();
        }
        let known = self.known_to_answers();
        for view in &mut self.views {
            if known.iter().any(|known| known.endpoint == view.sentinel) {
                view.times.named = Some(now);
            }
        }
        let mut changes = self.clear_seats(now);
        for known in known {
            changes.extend(self.seat(&known, now));
        }
        changes
    }

    /// Whom the answers name, those first who can be reached.
    fn known_to_answers(&self) -> Vec<Known> {
        let others = |answer: &super::Answer| answer.aside.others.clone();
        let all: Vec<Arc<[Known]>> = self.answers().map(others).collect();
        let mut known: Vec<Known> = all
            .iter()
            .flat_map(|others| others.iter().cloned())
            .collect();
        known.sort_by_key(|known| known.down);
        known
    }

    fn clear_seats(&mut self, now: Instant) -> Vec<SeatChange> {
        let asked_twice = |view: &SentinelView| {
            let answers = |view: &SentinelView| view.answered_within(ANSWER_LIFETIME, now);
            self.views.iter().any(|other| {
                let same = other.seat != view.seat && other.id.is_some() && other.id == view.id;
                same && answers(other) && (other.seat < view.seat || !answers(view))
            })
        };
        let leaves = |view: &&SentinelView| {
            let needed = view.needed();
            let forgotten = needed
                .is_some_and(|needed| now.saturating_duration_since(needed) >= FORGOTTEN_AFTER);
            forgotten || view.discovered && asked_twice(view)
        };
        let left: Vec<usize> = self.views.iter().filter(leaves).map(|v| v.seat).collect();
        self.views.retain(|view| !left.contains(&view.seat));
        left.into_iter().map(SeatChange::Left).collect()
    }

    fn seat(&mut self, known: &Known, now: Instant) -> Vec<SeatChange> {
        let asked = self.views.iter().any(|view| {
            let answers = view.id.as_ref() == Some(&known.id);
            view.sentinel == known.endpoint || answers && view.answered_within(ANSWER_LIFETIME, now)
        });
        if asked {
            return Vec::new();
        }
        let mut changes = Vec::new();
        let discovered = self.views.iter().filter(|view| view.discovered).count();
        if discovered >= MOST_DISCOVERED {
            let Some(silent) = self.longest_silent(now) else {
                return changes;
            };
            self.views.retain(|view| view.seat != silent);
            changes.push(SeatChange::Left(silent));
        }
        let seat = self.next_seat;
        self.next_seat += 1;
        let mut view = SentinelView::new(seat, &known.endpoint, Some(now));
        // Until it says another one.
        view.id = Some(known.id.clone());
        self.views.push(view);
        changes.push(SeatChange::Taken(seat, known.endpoint.clone()));
        changes
    }

    /// The discovered one that was given its time and has been silent for the longest.
    fn longest_silent(&self, now: Instant) -> Option<usize> {
        let last = |view: &&SentinelView| view.times.taken.max(view.answered);
        let silent = self.views.iter().filter(|view| {
            let quiet = last(view).is_none_or(|at| now.saturating_duration_since(at) >= TRIAL);
            view.discovered && quiet
        });
        silent.min_by_key(last).map(|view| view.seat)
    }
}
