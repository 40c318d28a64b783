//! From what several Sentinels say, who is master.
//!
//! Invariants: elected is only who a majority of the configured Sentinels names, at the same address and the same
//! config epoch. The epoch of the elected master never falls, except after [`REGRESSION_GRACE`] of unbroken
//! agreement on a lower one: then the Sentinels were rebuilt. Two majorities share a Sentinel, and a Sentinel's
//! config epoch only grows, so two masters cannot both be elected at their epochs (guides: volume leases).
//!
//! Not here: time and sockets. `now` is an argument.

use std::time::{Duration, Instant};

use crate::model::{Cause, Endpoint, Fault, Master};

use super::reply::Answer;
#[cfg(test)]
use super::reply::Flags;

/// How long a majority must agree on a lower epoch before it is believed. Longer than any failover takes, short
/// enough to recover from rebuilt Sentinels (whose epochs start at 0) without a restart.
pub const REGRESSION_GRACE: Duration = Duration::from_secs(30);

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

/// The views of all Sentinels and what follows from them.
#[derive(Debug)]
pub struct Topology {
    views: Vec<SentinelView>,
    elected: Option<Master>,
    regression: Option<(Master, Instant)>,
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
            regression: None,
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

    /// Every Sentinel's view, in configured order.
    pub fn views(&self) -> &[SentinelView] {
        &self.views
    }

    /// How many Sentinels must agree.
    pub fn majority(&self) -> usize {
        self.views.len() / 2 + 1
    }

    fn decide(&mut self, now: Instant) -> Result<Master, Fault> {
        let Some(candidate) = self.majority_choice() else {
            self.regression = None;
            return Err(self.trouble());
        };
        let floor = self.elected.as_ref().map_or(0, |master| master.epoch);
        if candidate.epoch < floor && !self.regression_ripe(&candidate, now) {
            return Err(Fault::not_applied(
                Cause::NoMajority,
                format!(
                    "the Sentinels agree on {} at config epoch {}, lower than the {floor} seen before",
                    candidate.endpoint, candidate.epoch
                ),
            ));
        }
        self.regression = None;
        self.elected = Some(candidate.clone());
        Ok(candidate)
    }

    fn majority_choice(&self) -> Option<Master> {
        let answers = || {
            self.views
                .iter()
                .filter_map(|view| view.answer.as_ref().ok())
        };
        answers()
            .map(|answer| &answer.master)
            .find(|master| {
                answers().filter(|answer| answer.master == **master).count() >= self.majority()
            })
            .cloned()
    }

    fn regression_ripe(&mut self, candidate: &Master, now: Instant) -> bool {
        match &self.regression {
            Some((master, since)) if master == candidate => {
                now.saturating_duration_since(*since) >= REGRESSION_GRACE
            }
            _ => {
                self.regression = Some((candidate.clone(), now));
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
                format!("the Sentinels disagree: {}", self.opinions()),
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
                "{} of {} Sentinels answer, {} are needed; {example}",
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

/// An opinion without any trouble, for tests of this room.
#[cfg(test)]
pub(super) fn opinion(port: u16, epoch: u64) -> Answer {
    Answer {
        master: Master {
            endpoint: Endpoint {
                host: "10.0.0.1".to_owned(),
                port,
            },
            epoch,
        },
        flags: Flags::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: u16 = 1;
    const B: u16 = 2;

    /// `None` is a Sentinel that does not answer.
    type Says = Option<(u16, u64)>;

    fn say(topology: &mut Topology, says: [Says; 3], now: Instant) -> Result<(u16, u64), Cause> {
        for (seat, said) in says.into_iter().enumerate() {
            let answer = match said {
                Some((port, epoch)) => Ok(opinion(port, epoch)),
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
        let almost = start + REGRESSION_GRACE - Duration::from_millis(1);
        assert_eq!(say(&mut topology, rebuilt, almost), Err(Cause::NoMajority));
        // An interruption starts the grace again.
        assert_eq!(
            say(&mut topology, [None; 3], almost),
            Err(Cause::SentinelsUnreachable)
        );
        assert_eq!(
            say(&mut topology, rebuilt, start + REGRESSION_GRACE),
            Err(Cause::NoMajority)
        );
        assert_eq!(
            say(&mut topology, rebuilt, start + REGRESSION_GRACE * 2),
            Ok((B, 0))
        );
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
        let says = [Some((A, 1)), Some((B, 2)), Some((A, 1))];
        assert_eq!(say(&mut topology, says, Instant::now()), Ok((A, 1)));
        let agrees: Vec<bool> = topology.views().iter().map(|view| view.agrees).collect();
        assert_eq!(agrees, [true, false, true]);
    }
}
