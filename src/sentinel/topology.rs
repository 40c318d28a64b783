//! From what several Sentinels say, who is master.
//!
//! Invariants: elected is only who a majority of the configured Sentinels names, at the same address and the same
//! config epoch. One Sentinel under two names counts once, and an answer older than [`ANSWER_LIFETIME`] not at all.
//! A choice is *doubtful* if it would lower the epoch, move to another address without raising it, or if some
//! Sentinel knows of a later epoch; it is followed only after [`DOUBT_GRACE`] of unbroken agreement. Two majorities
//! share a Sentinel and its config epoch only grows, so two masters are not elected at one time, up to the lifetime
//! of an answer.
//!
//! Not here: time and sockets. `now` is an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::model::{Cause, Endpoint, Fault, Master, Moment};

use super::reply::{Answer, Dispute, WatchRules};

/// How long a majority must agree on a doubtful choice before it is followed. Longer than any failover takes, short
/// enough to recover without a restart from Sentinels that were rebuilt (their epochs start at 0) or from one that
/// was cut off with a view of its own.
pub const DOUBT_GRACE: Duration = Duration::from_secs(30);

/// How long an answer counts. The longest poll interval and the longest answer together, twice.
pub const ANSWER_LIFETIME: Duration = Duration::from_secs(3);

/// What one Sentinel last said.
#[derive(Debug, Clone)]
pub struct SentinelView {
    /// As configured.
    pub sentinel: Endpoint,
    /// Its opinion, or why there is none.
    pub answer: Result<Answer, Fault>,
    /// When it last said anything useful.
    pub answered: Option<Instant>,
    /// Whether it names the elected master.
    pub agrees: bool,
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
    views: Vec<SentinelView>,
    elected: Option<Master>,
    doubt: Option<(Master, Instant)>,
}

impl Topology {
    /// Nobody has answered yet.
    pub fn new(sentinels: &[Endpoint]) -> Self {
        let views = sentinels
            .iter()
            .map(|sentinel| SentinelView {
                sentinel: sentinel.clone(),
                answer: Err(Fault::not_applied(
                    Cause::SentinelsUnreachable,
                    "not asked yet",
                )),
                answered: None,
                agrees: false,
            })
            .collect();
        Self {
            views,
            elected: None,
            doubt: None,
        }
    }

    /// Takes note of what a Sentinel said, or that it did not answer. Unknown seats are ignored.
    pub fn report(&mut self, seat: usize, answer: Result<Answer, Fault>, now: Instant) {
        if let Some(view) = self.views.get_mut(seat) {
            if answer.is_ok() {
                view.answered = Some(now);
            }
            view.answer = answer;
        }
    }

    /// Who is master now.
    ///
    /// # Errors
    /// Why nobody is: the most telling of the Sentinels' troubles, or `NoMajority`.
    pub fn elect(&mut self, now: Instant) -> Result<Master, Fault> {
        self.expire(now);
        let result = self.decide(now);
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
    /// majority lease. That is the oldest of the newest polls of as many distinct Sentinels as are a majority.
    ///
    /// A majority is one of all Sentinels that are listed or known to those that answer, whichever are more.
    ///
    /// `None` while any Sentinel is replacing that master, has found a quorum that cannot reach it, or knows of a later
    /// epoch: between promotion and the word of a majority somebody else may be master already.
    pub fn named(&self) -> Option<Moment> {
        let elected = self.elected.as_ref()?;
        if self
            .answers()
            .any(|answer| answer.dispute(elected).is_some())
        {
            return None;
        }
        let mut polls: BTreeMap<&str, Moment> = BTreeMap::new();
        for answer in self.answers() {
            if answer.master == *elected && !(answer.described && answer.flags.s_down) {
                let newest = polls.entry(&*answer.id).or_insert(answer.asked);
                *newest = answer.asked.max(*newest);
            }
        }
        let mut polls: Vec<Moment> = polls.into_values().collect();
        polls.sort_unstable_by(|a, b| b.cmp(a));
        // More Sentinels than are listed may have outvoted those that are.
        let known = self.answers().map(|answer| answer.sentinels).max();
        let all = known.unwrap_or(0).max(self.views.len());
        polls.get(all / 2).copied()
    }

    /// Why writes to the elected master must wait: what one Sentinel says about it. `None` while nobody disputes it.
    pub fn hold(&self) -> Option<Hold> {
        let elected = self.elected.as_ref()?;
        self.views.iter().find_map(|view| {
            let answer = view.answer.as_ref().ok()?;
            let reason = answer.dispute(elected)?;
            Some(Hold {
                sentinel: view.sentinel.clone(),
                reason,
            })
        })
    }

    /// The most replicas of the elected master that any Sentinel knows of.
    pub fn replicas(&self) -> usize {
        let elected = self.elected.as_ref();
        let named = self
            .answers()
            .filter(|answer| answer.described && Some(&answer.master) == elected);
        named.map(|answer| answer.replicas).max().unwrap_or(0)
    }

    /// How the Sentinels watch the master, as one of them tells it.
    pub fn watch_rules(&self) -> Option<WatchRules> {
        self.answers().find_map(|answer| answer.rules)
    }

    /// Every Sentinel's view, in configured order.
    pub fn views(&self) -> &[SentinelView] {
        &self.views
    }

    /// How many Sentinels must agree.
    pub fn majority(&self) -> usize {
        self.views.len() / 2 + 1
    }

    fn expire(&mut self, now: Instant) {
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

    fn decide(&mut self, now: Instant) -> Result<Master, Fault> {
        let Some(candidate) = self.majority_choice() else {
            self.doubt = None;
            return Err(self.trouble());
        };
        if self.elected.as_ref() != Some(&candidate)
            && let Some(reason) = self.doubt_about(&candidate)
            && !self.doubt_is_over(&candidate, now)
        {
            return Err(Fault::not_applied(
                Cause::NoMajority,
                format!(
                    "the Sentinels agree on {} at config epoch {}, but {reason}",
                    candidate.endpoint, candidate.epoch
                ),
            ));
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

    fn majority_choice(&self) -> Option<Master> {
        self.answers()
            .map(|answer| &answer.master)
            .find(|master| {
                let voters: BTreeSet<&str> = self
                    .answers()
                    .filter(|answer| answer.master == **master)
                    .map(|answer| &*answer.id)
                    .collect();
                voters.len() >= self.majority()
            })
            .cloned()
    }

    fn doubt_about(&self, candidate: &Master) -> Option<String> {
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

    fn doubt_is_over(&mut self, candidate: &Master, now: Instant) -> bool {
        match &self.doubt {
            Some((master, since)) if master == candidate => {
                now.saturating_duration_since(*since) >= DOUBT_GRACE
            }
            _ => {
                self.doubt = Some((candidate.clone(), now));
                false
            }
        }
    }

    /// Why there is no majority: first what a person must mend, then what time may mend.
    fn trouble(&self) -> Fault {
        let troubles = || {
            self.views
                .iter()
                .filter_map(|view| Some((&view.sentinel, view.answer.as_ref().err()?)))
        };
        let silent = troubles().count();
        if self.views.len() - silent >= self.majority() {
            return Fault::not_applied(
                Cause::NoMajority,
                format!(
                    "{} different Sentinels must agree: {}",
                    self.majority(),
                    self.opinions()
                ),
            );
        }
        let telling = [
            Cause::SentinelAuthFailed,
            Cause::MasterNameUnknown,
            Cause::TlsFailed,
            Cause::AddressNotResolvable,
        ]
        .into_iter()
        .find_map(|cause| troubles().find(|(_, fault)| fault.cause == cause))
        .or_else(|| troubles().next());
        let (cause, example) = match telling {
            Some((sentinel, fault)) => (fault.cause, format!("{sentinel}: {}", fault.detail)),
            None => (Cause::NoMajority, "no Sentinel is configured".to_owned()),
        };
        let cause = if silent < self.views.len() && cause == Cause::SentinelsUnreachable {
            Cause::NoMajority
        } else {
            cause
        };
        Fault::not_applied(
            cause,
            format!(
                "{} of {} Sentinels name a master, {} must agree; {example}",
                self.views.len() - silent,
                self.views.len(),
                self.majority()
            ),
        )
    }

    fn opinions(&self) -> String {
        let opinions: Vec<String> = self
            .views
            .iter()
            .filter_map(|view| {
                let master = &view.answer.as_ref().ok()?.master;
                Some(format!(
                    "{} names {} at epoch {}",
                    view.sentinel, master.endpoint, master.epoch
                ))
            })
            .collect();
        opinions.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::super::reply::Flags;
    use super::*;

    const A: u16 = 1;
    const B: u16 = 2;

    fn opinion(id: &str, port: u16, epoch: u64) -> Answer {
        Answer {
            id: id.into(),
            master: Master {
                endpoint: Endpoint {
                    host: "10.0.0.1".to_owned(),
                    port,
                },
                epoch,
            },
            flags: Flags::default(),
            described: true,
            sentinels: 3,
            replicas: 2,
            rules: None,
            asked: Moment::START,
        }
    }

    /// `None` is a Sentinel that does not answer.
    type Says = Option<(u16, u64)>;

    fn say(topology: &mut Topology, says: [Says; 3], now: Instant) -> Result<(u16, u64), Cause> {
        for (seat, said) in says.into_iter().enumerate() {
            let answer = match said {
                Some((port, epoch)) => Ok(opinion(&format!("id{seat}"), port, epoch)),
                None => Err(Fault::not_applied(Cause::SentinelsUnreachable, "silent")),
            };
            topology.report(seat, answer, now);
        }
        match topology.elect(now) {
            Ok(master) => Ok((master.endpoint.port, master.epoch)),
            Err(fault) => Err(fault.cause),
        }
    }

    fn three() -> Topology {
        let sentinels: Vec<Endpoint> = ["s1:1", "s2:1", "s3:1"]
            .iter()
            .map(|text| text.parse().expect("endpoint"))
            .collect();
        Topology::new(&sentinels)
    }

    #[test]
    fn a_failover_step_by_step() {
        let mut topology = three();
        let now = Instant::now();
        type Step = ([Says; 3], Result<(u16, u64), Cause>);
        let steps: [Step; 8] = [
            ([None, None, None], Err(Cause::SentinelsUnreachable)),
            ([Some((A, 1)), None, None], Err(Cause::NoMajority)),
            ([Some((A, 1)), Some((A, 1)), None], Ok((A, 1))),
            // The leader already names B: one voice is not enough.
            ([Some((B, 2)), Some((A, 1)), Some((A, 1))], Ok((A, 1))),
            ([Some((B, 2)), Some((A, 1)), None], Err(Cause::NoMajority)),
            ([Some((B, 2)), Some((B, 2)), Some((A, 1))], Ok((B, 2))),
            // Two that slept through the failover wake up first: the epoch must not fall.
            ([None, Some((A, 1)), Some((A, 1))], Err(Cause::NoMajority)),
            ([Some((B, 2)), Some((A, 1)), Some((B, 2))], Ok((B, 2))),
        ];
        for (number, (says, expected)) in steps.into_iter().enumerate() {
            assert_eq!(say(&mut topology, says, now), expected, "step {number}");
        }
    }

    #[test]
    fn the_same_address_at_different_epochs_is_no_agreement() {
        let mut topology = three();
        let says = [Some((A, 1)), Some((A, 2)), None];
        assert_eq!(
            say(&mut topology, says, Instant::now()),
            Err(Cause::NoMajority)
        );
    }

    #[test]
    fn a_lower_epoch_is_believed_only_after_the_grace() {
        let mut topology = three();
        let start = Instant::now();
        let rebuilt = [Some((B, 0)); 3];
        assert_eq!(say(&mut topology, [Some((A, 5)); 3], start), Ok((A, 5)));
        assert_eq!(say(&mut topology, rebuilt, start), Err(Cause::NoMajority));
        let almost = start + DOUBT_GRACE - Duration::from_millis(1);
        assert_eq!(say(&mut topology, rebuilt, almost), Err(Cause::NoMajority));
        // An interruption starts the grace again.
        let silence = say(&mut topology, [None; 3], almost);
        assert_eq!(silence, Err(Cause::SentinelsUnreachable));
        let again = start + DOUBT_GRACE;
        assert_eq!(say(&mut topology, rebuilt, again), Err(Cause::NoMajority));
        let over = again + DOUBT_GRACE;
        assert_eq!(say(&mut topology, rebuilt, over), Ok((B, 0)));
    }

    #[test]
    fn a_start_in_the_middle_of_a_failover_waits_for_its_end() {
        let mut topology = three();
        let start = Instant::now();
        let middle = [Some((B, 2)), Some((A, 1)), Some((A, 1))];
        assert_eq!(say(&mut topology, middle, start), Err(Cause::NoMajority));
        let end = [Some((B, 2)), Some((B, 2)), Some((A, 1))];
        assert_eq!(say(&mut topology, end, start), Ok((B, 2)));
        // One that is cut off with a view of its own does not block a start for ever.
        let mut other = three();
        assert_eq!(say(&mut other, middle, start), Err(Cause::NoMajority));
        assert_eq!(say(&mut other, middle, start + DOUBT_GRACE), Ok((A, 1)));
    }

    #[test]
    fn another_address_at_the_same_epoch_is_doubtful() {
        let mut topology = three();
        let start = Instant::now();
        assert_eq!(say(&mut topology, [Some((A, 1)); 3], start), Ok((A, 1)));
        let moved = [Some((B, 1)); 3];
        assert_eq!(say(&mut topology, moved, start), Err(Cause::NoMajority));
        assert_eq!(say(&mut topology, moved, start + DOUBT_GRACE), Ok((B, 1)));
    }

    #[test]
    fn one_sentinel_under_two_names_is_one_voice() {
        let mut topology = three();
        let now = Instant::now();
        for seat in [0, 1] {
            topology.report(seat, Ok(opinion("same", A, 1)), now);
        }
        let fault = topology.elect(now).expect_err("one voice of three");
        assert_eq!(fault.cause, Cause::NoMajority);
        topology.report(2, Ok(opinion("other", A, 1)), now);
        assert!(topology.elect(now).is_ok());
    }

    #[test]
    fn an_old_answer_does_not_count() {
        let mut topology = three();
        let start = Instant::now();
        assert_eq!(say(&mut topology, [Some((A, 1)); 3], start), Ok((A, 1)));
        assert!(topology.elect(start + ANSWER_LIFETIME).is_ok());
        let late = start + ANSWER_LIFETIME + Duration::from_millis(1);
        let fault = topology.elect(late).expect_err("too old");
        assert_eq!(fault.cause, Cause::SentinelsUnreachable);
    }

    #[test]
    fn what_a_person_must_mend_is_told_first() {
        let mut topology = three();
        let now = Instant::now();
        topology.report(
            1,
            Err(Fault::not_applied(Cause::SentinelAuthFailed, "NOAUTH")),
            now,
        );
        let fault = topology.elect(now).expect_err("nobody answers");
        assert_eq!(fault.cause, Cause::SentinelAuthFailed);
        assert!(fault.detail.contains("s2:1: NOAUTH"), "{}", fault.detail);
    }

    #[test]
    fn views_tell_who_agrees() {
        let mut topology = three();
        let now = Instant::now();
        assert_eq!(say(&mut topology, [Some((A, 1)); 3], now), Ok((A, 1)));
        let says = [Some((A, 1)), Some((B, 2)), Some((A, 1))];
        assert_eq!(say(&mut topology, says, now), Ok((A, 1)));
        let agrees: Vec<bool> = topology.views().iter().map(|view| view.agrees).collect();
        assert_eq!(agrees, [true, false, true]);
    }

    #[test]
    fn the_lease_is_as_old_as_the_poll_that_completes_a_majority() {
        let mut topology = three();
        let now = Instant::now();
        let at = |ms| Moment::after_boot(Duration::from_millis(ms));
        let mut say = |seat: usize, id: &str, ms: u64, flags: Flags| {
            let mut answer = opinion(id, A, 1);
            answer.asked = at(ms);
            answer.flags = flags;
            topology.report(seat, Ok(answer), now);
            // Who is elected does not depend on the flags.
            let _ = topology.elect(now);
            topology.named()
        };
        let well = Flags::default();
        let unreached = Flags {
            s_down: true,
            ..well
        };
        let replacing = Flags {
            failover: true,
            ..well
        };
        assert_eq!(say(0, "a", 100, well), None);
        assert_eq!(say(1, "b", 200, well), Some(at(100)));
        assert_eq!(say(2, "c", 300, well), Some(at(200)));
        assert_eq!(say(0, "a", 400, well), Some(at(300)));
        // Whoever cannot reach the master has no voice; whoever replaces it silences the others.
        assert_eq!(say(2, "c", 500, unreached), Some(at(200)));
        assert_eq!(say(2, "c", 600, replacing), None);
        assert_eq!(say(2, "c", 700, well), Some(at(400)));
        // One Sentinel in two seats is one voice, with its newest poll.
        assert_eq!(say(1, "a", 800, well), Some(at(700)));
        assert_eq!(say(2, "a", 900, well), None);
    }
}
