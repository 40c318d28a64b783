//! From what several Sentinels say, who is master.
//!
//! Invariants: elected is only who a majority of the Sentinels names, at the same address and the same config epoch
//! (`first+role`: who one of them names at the highest epoch). A majority is one of all Sentinels that are listed or
//! that any that answers knows of, whichever are more. One Sentinel under two names counts once, and an answer older than
//! [`ANSWER_LIFETIME`] not at all. A choice is *doubtful* if it would lower the epoch, move to another address without
//! raising it, or if some Sentinel knows of a later epoch; it is followed only after `DOUBT_GRACE` of unbroken
//! agreement. Two majorities share a Sentinel and its config epoch only grows, so two masters are not elected at one
//! time, up to the lifetime of an answer.
//!
//! Not here: time and sockets: `now` is an argument. Which Sentinels there are (`seats`), what takes time to be believed
//! or to be ignored (`patience`), and words for a person (`trouble`) have files of their own.

mod patience;
mod seats;
#[cfg(test)]
mod tests;
mod trouble;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::SentinelPolicy;
use crate::model::{Endpoint, Fault, Master, Moment};

use super::reply::{Answer, Dispute, WatchRules};

pub use patience::Conflict;
pub use seats::SeatChange;

/// How long an answer counts. The longest poll interval and the longest answer together, twice.
pub const ANSWER_LIFETIME: Duration = Duration::from_secs(3);

/// What one Sentinel last said.
#[derive(Debug, Clone)]
pub struct SentinelView {
    /// Its number, which nobody else gets.
    pub seat: usize,
    /// As configured, or as another Sentinel named it.
    pub sentinel: Endpoint,
    /// Whether another Sentinel named it; those that are configured are never forgotten.
    pub discovered: bool,
    /// Its run id, as it last answered or as another Sentinel told.
    pub id: Option<Arc<str>>,
    /// Its opinion, or why there is none.
    pub answer: Result<Answer, Fault>,
    /// When it last said anything useful.
    pub answered: Option<Instant>,
    /// Whether it names the elected master.
    pub agrees: bool,
    /// Whether it alone finds the master objectively down, for so long that this is ignored.
    pub overruled: bool,
    /// Why it disputed the elected master when it last answered, and when that was.
    disputed: Option<(Dispute, Instant)>,
    times: seats::Times,
}

impl SentinelView {
    /// Whether it says that it does nothing because its clock jumped.
    pub fn in_tilt(&self) -> bool {
        self.answer.as_ref().is_ok_and(|answer| answer.aside.tilt)
    }
}

/// Why writes must wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Who says so.
    pub sentinel: Endpoint,
    /// What it says.
    pub reason: Dispute,
}

/// The views of all Sentinels and what follows from them.
#[derive(Debug)]
pub struct Topology {
    policy: SentinelPolicy,
    listed: usize,
    views: Vec<SentinelView>,
    next_seat: usize,
    elected: Option<Master>,
    doubt: Option<(Master, Instant)>,
    /// How many Sentinels there are as those that answer know, and when that was last so.
    known: Option<(usize, Instant)>,
    /// Since when some Sentinel knows of a later epoch than the elected one.
    ahead: Option<Instant>,
    conflict: Option<Conflict>,
    replicas: usize,
}

impl Topology {
    /// Nobody has answered yet.
    pub fn new(sentinels: &[Endpoint], policy: SentinelPolicy) -> Self {
        let views = sentinels.iter().enumerate();
        Self {
            policy,
            listed: sentinels.len(),
            views: views
                .map(|(seat, sentinel)| SentinelView::new(seat, sentinel, None))
                .collect(),
            next_seat: sentinels.len(),
            elected: None,
            doubt: None,
            known: None,
            ahead: None,
            conflict: None,
            replicas: 0,
        }
    }

    /// Takes note of what a Sentinel said, or that it did not answer. Unknown seats are ignored.
    pub fn report(&mut self, seat: usize, answer: Result<Answer, Fault>, now: Instant) {
        if let Some(view) = self.views.iter_mut().find(|view| view.seat == seat) {
            if let Ok(answer) = &answer {
                view.answered = Some(now);
                view.id = Some(answer.id.clone());
            }
            view.answer = answer;
            view.times.heard = true;
        }
    }

    /// Who is master now.
    ///
    /// # Errors
    /// Why nobody is: the most telling of the Sentinels' troubles, or `NoMajority`.
    pub fn elect(&mut self, now: Instant) -> Result<Master, Fault> {
        self.expire(now);
        self.count(now);
        let before = self.elected.clone();
        let result = self.decide(now);
        if self.elected != before {
            self.begin_again();
        }
        self.overrule(now);
        self.remember(now);
        self.look_ahead(now);
        let agreed = result.as_ref().ok().or(self.elected.as_ref()).cloned();
        for view in &mut self.views {
            view.agrees = match (&view.answer, &agreed) {
                (Ok(answer), Some(master)) => answer.master == *master,
                _ => false,
            };
        }
        result
    }

    /// When a majority was last polled that names the elected master, each of them without a doubt: the base of the
    /// majority lease. That is the oldest of the newest polls of as many distinct Sentinels as must agree.
    ///
    /// `None` while any Sentinel is replacing that master, has found a quorum that cannot reach it, or knows of a later
    /// epoch: between promotion and the word of a majority somebody else may be master already.
    ///
    /// A Sentinel in TILT counts: what makes the lease sound is that its epoch is true and never falls.
    pub fn named(&self) -> Option<Moment> {
        let elected = self.elected.as_ref()?;
        if self.hold().is_some() {
            return None;
        }
        let mut polls: BTreeMap<&str, Moment> = BTreeMap::new();
        for answer in self.answers().filter(|answer| answer.names(elected)) {
            let newest = polls.entry(&*answer.id).or_insert(answer.asked);
            *newest = answer.asked.max(*newest);
        }
        let mut polls: Vec<Moment> = polls.into_values().collect();
        polls.sort_unstable_by(|a, b| b.cmp(a));
        polls.get(self.needed() - 1).copied()
    }

    /// Why writes to the elected master must wait: what one Sentinel says about it. `None` while nobody disputes it, or
    /// only who was overruled.
    pub fn hold(&self) -> Option<Hold> {
        let elected = self.elected.as_ref()?;
        self.views.iter().find_map(|view| {
            let reason = match &view.answer {
                Ok(answer) => answer.dispute(elected)?,
                // It may go on replacing the master although we do not hear it any more.
                Err(_) => view.disputed?.0,
            };
            (!view.overruled).then(|| Hold {
                sentinel: view.sentinel.clone(),
                reason,
            })
        })
    }

    /// Which Sentinel has known of a later epoch for longer than any failover takes, while the others go on with the
    /// elected master. Writes are held for as long as that lasts.
    pub fn conflict(&self) -> Option<&Conflict> {
        self.conflict.as_ref()
    }

    /// The most replicas of the elected master that any Sentinel knows of, or knew of when one last answered.
    pub fn replicas(&self) -> usize {
        self.replicas
    }

    /// `replica-priority` of each replica of the elected master, as one Sentinel knows them.
    pub fn priorities(&self) -> Arc<[u32]> {
        let mut known = self.describing().map(|answer| &answer.aside.priorities);
        known
            .find(|priorities| !priorities.is_empty())
            .cloned()
            .unwrap_or_default()
    }

    /// The run id of the elected master, as one Sentinel read it from that node.
    pub fn run_id(&self) -> Option<Arc<str>> {
        self.describing().find_map(|answer| answer.run_id.clone())
    }

    /// How the Sentinels watch the master, as the one tells it that finds it down the soonest: `SENTINEL SET` reaches
    /// only whom it is sent to.
    pub fn watch_rules(&self) -> Option<WatchRules> {
        let rules = self.answers().filter_map(|answer| answer.rules);
        rules.min_by_key(|rules| rules.down_after)
    }

    /// Every Sentinel's view: those that are configured, in that order, and then those that were discovered.
    pub fn views(&self) -> &[SentinelView] {
        &self.views
    }

    /// How many Sentinels there are: listed, or known to those that answer, whichever are more.
    pub fn sentinels(&self) -> usize {
        let known = self.known.map_or(0, |(known, _)| known);
        known.max(self.listed).max(1)
    }

    /// How many Sentinels must agree.
    fn needed(&self) -> usize {
        match self.policy {
            SentinelPolicy::Majority => self.majority(),
            SentinelPolicy::FirstAndRole => 1,
        }
    }

    fn majority(&self) -> usize {
        self.sentinels() / 2 + 1
    }

    fn decide(&mut self, now: Instant) -> Result<Master, Fault> {
        let candidate = match self.policy {
            SentinelPolicy::Majority => self.majority_choice(),
            SentinelPolicy::FirstAndRole => self.latest_choice(),
        };
        let Some(candidate) = candidate else {
            self.doubt = None;
            return Err(self.trouble());
        };
        if self.elected.as_ref() != Some(&candidate)
            && let Some(reason) = self.doubt_about(&candidate)
            && !self.doubt_is_over(&candidate, now)
        {
            return Err(trouble::doubted(&candidate, &reason));
        }
        self.doubt = None;
        self.elected = Some(candidate.clone());
        Ok(candidate)
    }

    fn answers(&self) -> impl Iterator<Item = &Answer> {
        self.views
            .iter()
            .filter_map(|view| view.answer.as_ref().ok())
    }

    /// The answers that describe the elected master, and not the one before it.
    fn describing(&self) -> impl Iterator<Item = &Answer> {
        let elected = self.elected.as_ref();
        self.answers()
            .filter(move |answer| answer.described && Some(&answer.master) == elected)
    }

    /// How many distinct Sentinels give such an answer.
    fn voices(&self, such: impl Fn(&Answer) -> bool) -> usize {
        let ids: BTreeSet<&str> = self
            .answers()
            .filter(|answer| such(answer))
            .map(|answer| &*answer.id)
            .collect();
        ids.len()
    }

    fn majority_choice(&self) -> Option<Master> {
        self.answers()
            .map(|answer| &answer.master)
            .find(|master| self.voices(|answer| answer.master == **master) >= self.majority())
            .cloned()
    }

    /// The master of the highest epoch that anybody tells. If several are told for it, the one that is elected already,
    /// else the one with the most voices.
    fn latest_choice(&self) -> Option<Master> {
        let masters = || self.answers().map(|answer| &answer.master);
        let epoch = masters().map(|master| master.epoch).max()?;
        let rank = |master: &&Master| {
            let elected = self.elected.as_ref() == Some(*master);
            (elected, self.voices(|answer| answer.master == **master))
        };
        masters()
            .filter(|master| master.epoch == epoch)
            .max_by_key(rank)
            .cloned()
    }
}
