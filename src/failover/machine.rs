//! Decides which master we are connected to. Knows no socket and no clock: `task` performs.
//!
//! Invariants: at most one dial and one session at a time; nobody is dialled who is not elected at that moment; the
//! result of a dial to somebody who is no longer elected is thrown away; a dial that failed, or a session that died
//! young, is followed by a delay; a change of the election is followed at once, whatever the delay.
//!
//! Not here: replacing a session that works by one with newer secrets (`renewal`).

use crate::model::{Cause, Fault, Master};

use super::renewal::Renewal;

/// Where we stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Nobody is elected, or the last dial failed. Left by an election or by the end of the delay.
    Seeking {
        /// What calls are refused with.
        fault: Fault,
    },
    /// Connecting to the elected master. Left by the result of the dial.
    Dialing {
        /// Whom.
        master: Master,
        /// What calls are refused with.
        fault: Fault,
    },
    /// Connected. Left when the session ends or another master is elected.
    Serving {
        /// To whom.
        master: Master,
        /// In which generation.
        generation: u64,
    },
}

/// Everything that can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The Sentinels' word, changed or not.
    Elected(Result<Master, Fault>),
    /// A dial came to its end: the generation of the new session, or why there is none.
    Dialed(Master, Result<u64, Fault>),
    /// The session of that generation ended.
    SessionEnded {
        /// Which.
        generation: u64,
        /// Why.
        fault: Fault,
        /// Whether it had only just begun, so that dialling at once could go on for ever.
        young: bool,
    },
    /// The delay after a failed dial is over.
    DelayOver,
    /// There are newer secrets: what was opened, or is being opened, has old ones.
    Renew,
}

/// Everything that can be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Connect to this master, giving up any dial that is under way.
    Dial(Master),
    /// Let calls use the session that was just dialled, which takes over from the one before if that still serves.
    Install,
    /// The session that serves goes on with its old secrets, because none could be opened with the new ones.
    Keep(Fault),
    /// Throw away the session that was just dialled.
    Discard,
    /// Take the session away from the calls; they are refused with this from now on.
    Retire(Fault),
    /// Send `DelayOver` after the next delay.
    Delay,
    /// The next delay is the first one again.
    ResetDelay,
}

/// The state.
#[derive(Debug)]
pub struct Machine {
    pub(super) phase: Phase,
    pub(super) elected: Option<Master>,
    pub(super) renewal: Renewal,
}

impl Machine {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self {
            phase: Phase::Seeking {
                fault: Fault::not_applied(Cause::NoSession, "vedetta is looking for the master"),
            },
            elected: None,
            renewal: Renewal::None,
        }
    }

    /// Where we stand.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Handles one event and tells what to do, in order.
    pub fn on(&mut self, event: Event) -> Vec<Action> {
        if let Some(actions) = self.renew_on(&event) {
            return actions;
        }
        match event {
            Event::Renew => Vec::new(),
            Event::Elected(Ok(master)) => self.elected(master),
            Event::Elected(Err(fault)) => self.unelected(fault),
            Event::Dialed(master, result) => self.dialed(master, result),
            Event::SessionEnded {
                generation,
                fault,
                young,
            } => self.session_ended(generation, fault, young),
            Event::DelayOver => match (&self.phase, &self.elected) {
                (Phase::Seeking { fault }, Some(master)) => {
                    let fault = fault.clone();
                    self.dial(master.clone(), fault)
                }
                _ => Vec::new(),
            },
        }
    }

    fn elected(&mut self, master: Master) -> Vec<Action> {
        let served =
            matches!(&self.phase, Phase::Serving { master: served, .. } if *served == master);
        if served || self.elected.as_ref() == Some(&master) {
            self.elected = Some(master);
            return Vec::new();
        }
        let fault = Fault::not_applied(
            Cause::NoSession,
            format!("vedetta is connecting to the master {}", master.endpoint),
        );
        let mut actions = vec![Action::ResetDelay];
        if matches!(self.phase, Phase::Serving { .. }) {
            actions.push(Action::Retire(fault.clone()));
        }
        self.elected = Some(master.clone());
        actions.extend(self.dial(master, fault));
        actions
    }

    /// Without an election a session that works is kept, because the link itself is not in doubt; but nobody is
    /// dialled.
    fn unelected(&mut self, fault: Fault) -> Vec<Action> {
        self.elected = None;
        match self.phase {
            Phase::Serving { .. } => Vec::new(),
            Phase::Seeking { .. } | Phase::Dialing { .. } => {
                self.phase = Phase::Seeking {
                    fault: fault.clone(),
                };
                vec![Action::Retire(fault)]
            }
        }
    }

    fn dialed(&mut self, master: Master, result: Result<u64, Fault>) -> Vec<Action> {
        let expected =
            matches!(&self.phase, Phase::Dialing { master: target, .. } if *target == master);
        match result {
            Ok(_) if !expected => vec![Action::Discard],
            Err(_) if !expected => Vec::new(),
            Ok(generation) => {
                self.phase = Phase::Serving { master, generation };
                vec![Action::Install]
            }
            Err(fault) => {
                self.phase = Phase::Seeking {
                    fault: fault.clone(),
                };
                vec![Action::Retire(fault), Action::Delay]
            }
        }
    }

    fn session_ended(&mut self, ended: u64, fault: Fault, young: bool) -> Vec<Action> {
        if !matches!(self.phase, Phase::Serving { generation, .. } if generation == ended) {
            return Vec::new();
        }
        let mut actions = vec![Action::Retire(fault.clone())];
        match self.elected.clone() {
            // The first attempt needs no delay: most sessions end because the node restarted or the link was cut.
            Some(master) if !young => {
                actions.push(Action::ResetDelay);
                actions.extend(self.dial(master, fault));
            }
            Some(_) => {
                self.phase = Phase::Seeking { fault };
                actions.push(Action::Delay);
            }
            // The link was kept without an election; a new one is not made.
            None => self.phase = Phase::Seeking { fault },
        }
        actions
    }

    fn dial(&mut self, master: Master, fault: Fault) -> Vec<Action> {
        self.phase = Phase::Dialing {
            master: master.clone(),
            fault,
        };
        vec![Action::Dial(master)]
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn master(port: u16, epoch: u64) -> Master {
        Master {
            endpoint: format!("10.0.0.1:{port}").parse().expect("endpoint"),
            epoch,
        }
    }

    pub(crate) fn trouble(cause: Cause) -> Fault {
        Fault::not_applied(cause, "as in the test")
    }

    pub(crate) fn ended(generation: u64, young: bool) -> Event {
        Event::SessionEnded {
            generation,
            fault: trouble(Cause::RedisUnreachable),
            young,
        }
    }

    /// What was done, in words.
    fn words(actions: &[Action]) -> String {
        let words: Vec<String> = actions
            .iter()
            .map(|action| match action {
                Action::Dial(master) => format!("dial {}", master.endpoint.port),
                Action::Install => "install".to_owned(),
                Action::Keep(_) => "keep".to_owned(),
                Action::Discard => "discard".to_owned(),
                Action::Retire(_) => "retire".to_owned(),
                Action::Delay => "delay".to_owned(),
                Action::ResetDelay => "reset".to_owned(),
            })
            .collect();
        words.join(" ")
    }

    pub(crate) fn check(events: &[(Event, &str)]) -> Machine {
        let mut machine = Machine::new();
        for (event, expected) in events {
            assert_eq!(words(&machine.on(event.clone())), *expected, "{event:?}");
        }
        machine
    }

    #[test]
    fn start_and_failover() {
        let machine = check(&[
            (Event::Elected(Err(trouble(Cause::NoMajority))), "retire"),
            (Event::Elected(Ok(master(1, 1))), "reset dial 1"),
            (Event::Elected(Ok(master(1, 1))), ""),
            (Event::Dialed(master(1, 1), Ok(1)), "install"),
            // A disagreement during a failover does not take a working session away.
            (Event::Elected(Err(trouble(Cause::NoMajority))), ""),
            (Event::Elected(Ok(master(2, 2))), "reset retire dial 2"),
            (Event::Dialed(master(2, 2), Ok(2)), "install"),
            // The end of the old session is old news.
            (ended(1, false), ""),
        ]);
        assert_eq!(
            machine.phase(),
            &Phase::Serving {
                master: master(2, 2),
                generation: 2
            }
        );
    }

    #[test]
    fn a_dead_master_is_tried_with_delays_until_another_is_elected() {
        check(&[
            (Event::Elected(Ok(master(1, 1))), "reset dial 1"),
            (Event::Dialed(master(1, 1), Ok(1)), "install"),
            (ended(1, false), "retire reset dial 1"),
            (
                Event::Dialed(master(1, 1), Err(trouble(Cause::RedisUnreachable))),
                "retire delay",
            ),
            (Event::DelayOver, "dial 1"),
            // The election overtakes the dial, whose result is thrown away.
            (Event::Elected(Ok(master(2, 2))), "reset dial 2"),
            (Event::Dialed(master(1, 1), Ok(2)), "discard"),
            (Event::Dialed(master(2, 2), Ok(3)), "install"),
            (Event::DelayOver, ""),
        ]);
    }

    #[test]
    fn nobody_is_dialled_without_an_election() {
        let machine = check(&[
            (Event::Elected(Ok(master(1, 1))), "reset dial 1"),
            (
                Event::Dialed(master(1, 1), Err(trouble(Cause::RedisAuthFailed))),
                "retire delay",
            ),
            (
                Event::Elected(Err(trouble(Cause::SentinelsUnreachable))),
                "retire",
            ),
            (Event::DelayOver, ""),
        ]);
        assert_eq!(
            machine.phase(),
            &Phase::Seeking {
                fault: trouble(Cause::SentinelsUnreachable)
            }
        );
    }

    #[test]
    fn a_link_that_is_lost_without_an_election_is_not_made_again() {
        check(&[
            (Event::Elected(Ok(master(1, 1))), "reset dial 1"),
            (Event::Dialed(master(1, 1), Ok(1)), "install"),
            (Event::Elected(Err(trouble(Cause::NoMajority))), ""),
            (ended(1, false), "retire"),
            (Event::DelayOver, ""),
            (Event::Elected(Ok(master(1, 1))), "reset dial 1"),
            (Event::Dialed(master(1, 1), Ok(2)), "install"),
            // An election that comes back in time costs nothing.
            (Event::Elected(Err(trouble(Cause::NoMajority))), ""),
            (Event::Elected(Ok(master(1, 1))), ""),
            (ended(2, false), "retire reset dial 1"),
        ]);
    }

    #[test]
    fn sessions_that_die_young_are_followed_by_a_delay() {
        check(&[
            (Event::Elected(Ok(master(1, 1))), "reset dial 1"),
            (Event::Dialed(master(1, 1), Ok(1)), "install"),
            (ended(1, true), "retire delay"),
            (Event::DelayOver, "dial 1"),
            (Event::Dialed(master(1, 1), Ok(2)), "install"),
            (ended(2, true), "retire delay"),
        ]);
    }

    #[test]
    fn a_failover_back_to_the_same_address_is_a_new_session() {
        check(&[
            (Event::Elected(Ok(master(1, 1))), "reset dial 1"),
            (Event::Dialed(master(1, 1), Ok(1)), "install"),
            (Event::Elected(Ok(master(1, 3))), "reset retire dial 1"),
        ]);
    }
}
