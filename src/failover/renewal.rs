//! Decides how a session that works gives way to one with newer secrets.
//!
//! Invariants: nothing is retired before its successor could be opened; the successor is dialled at the same elected
//! master, and never without an election; what is being dialled with old secrets is dialled anew. Whatever ends the
//! session that serves ends its renewal too, because every later dial has the newest secrets anyway.
//!
//! Not here: where secrets come from (`dial::secrets`); following the elections (`machine`).

use crate::model::{Fault, Master};

use super::machine::{Action, Event, Machine, Phase};

/// How far the replacement of the session that serves has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renewal {
    /// It has the newest secrets, or none serves.
    None,
    /// It waits for an election.
    Due,
    /// Its successor is being dialled.
    Dialing,
    /// The last dial failed; the next one comes after the delay.
    Delayed,
}

impl Machine {
    /// Handles what concerns a renewal; `None` if that is for the rest of the machine to handle.
    pub(super) fn renew_on(&mut self, event: &Event) -> Option<Vec<Action>> {
        if *event == Event::Renew {
            return Some(self.renew());
        }
        let Phase::Serving { master, generation } = self.phase.clone() else {
            return None;
        };
        match (self.renewal, event) {
            (Renewal::Due, Event::Elected(Ok(elected))) if *elected == master => {
                self.elected = Some(master.clone());
                Some(self.dial_successor(master))
            }
            (Renewal::Delayed, Event::DelayOver) => Some(self.dial_successor(master)),
            (Renewal::Dialing, Event::Dialed(dialed, result)) if *dialed == master => {
                Some(self.successor(master, result.clone()))
            }
            (_, Event::Elected(Ok(elected))) if *elected != master => {
                self.renewal = Renewal::None;
                None
            }
            (
                _,
                Event::SessionEnded {
                    generation: ended, ..
                },
            ) if *ended == generation => {
                self.renewal = Renewal::None;
                None
            }
            _ => None,
        }
    }

    fn renew(&mut self) -> Vec<Action> {
        let mut actions = vec![Action::ResetDelay];
        match (self.phase.clone(), self.elected.clone()) {
            (Phase::Serving { master, .. }, _) => actions.extend(self.dial_successor(master)),
            (Phase::Dialing { master, .. }, _) => actions.push(Action::Dial(master)),
            (Phase::Seeking { fault }, Some(master)) => {
                self.phase = Phase::Dialing {
                    master: master.clone(),
                    fault,
                };
                actions.push(Action::Dial(master));
            }
            (Phase::Seeking { .. }, None) => {}
        }
        actions
    }

    fn dial_successor(&mut self, master: Master) -> Vec<Action> {
        if self.elected.as_ref() == Some(&master) {
            self.renewal = Renewal::Dialing;
            vec![Action::Dial(master)]
        } else {
            self.renewal = Renewal::Due;
            Vec::new()
        }
    }

    fn successor(&mut self, master: Master, result: Result<u64, Fault>) -> Vec<Action> {
        match result {
            // The election was lost meanwhile.
            Ok(_) if self.elected.as_ref() != Some(&master) => {
                self.renewal = Renewal::Due;
                vec![Action::Discard]
            }
            Ok(generation) => {
                self.renewal = Renewal::None;
                self.phase = Phase::Serving { master, generation };
                vec![Action::Install]
            }
            Err(fault) => {
                self.renewal = Renewal::Delayed;
                vec![Action::Keep(fault), Action::Delay]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::machine::tests::{check, ended, master, trouble};
    use super::*;
    use crate::model::Cause;

    fn serving() -> [(Event, &'static str); 2] {
        [
            (Event::Elected(Ok(master(1, 1))), "reset dial 1"),
            (Event::Dialed(master(1, 1), Ok(1)), "install"),
        ]
    }

    fn refused() -> Event {
        Event::Dialed(master(1, 1), Err(trouble(Cause::RedisAuthFailed)))
    }

    fn check_from_serving(events: &[(Event, &str)]) -> Machine {
        let all: Vec<(Event, &str)> = serving().iter().chain(events).cloned().collect();
        check(&all)
    }

    #[test]
    fn the_successor_is_opened_before_the_session_goes() {
        let machine = check_from_serving(&[
            (Event::Renew, "reset dial 1"),
            // The election is told again and again.
            (Event::Elected(Ok(master(1, 1))), ""),
            (Event::Dialed(master(1, 1), Ok(2)), "install"),
            (ended(1, false), ""),
            (Event::DelayOver, ""),
        ]);
        let (master, generation) = (master(1, 1), 2);
        assert_eq!(machine.phase(), &Phase::Serving { master, generation });
    }

    #[test]
    fn the_session_is_kept_until_a_successor_could_be_opened() {
        let machine = check_from_serving(&[
            (Event::Renew, "reset dial 1"),
            (refused(), "keep delay"),
            (Event::DelayOver, "dial 1"),
            (refused(), "keep delay"),
            // Corrected.
            (Event::Renew, "reset dial 1"),
            (Event::Dialed(master(1, 1), Ok(2)), "install"),
        ]);
        assert_eq!(machine.renewal, Renewal::None);
    }

    #[test]
    fn newer_secrets_overtake_whatever_is_dialled_or_waited_for() {
        check(&[
            (Event::Renew, "reset"),
            (Event::Elected(Ok(master(1, 1))), "reset dial 1"),
            (Event::Renew, "reset dial 1"),
            (refused(), "retire delay"),
            (Event::Renew, "reset dial 1"),
            (Event::Dialed(master(1, 1), Ok(1)), "install"),
            (Event::Renew, "reset dial 1"),
            (Event::Renew, "reset dial 1"),
            (Event::Dialed(master(1, 1), Ok(2)), "install"),
        ]);
    }

    #[test]
    fn without_an_election_a_renewal_waits() {
        let lost = || Event::Elected(Err(trouble(Cause::NoMajority)));
        check_from_serving(&[
            (lost(), ""),
            (Event::Renew, "reset"),
            (Event::Elected(Ok(master(1, 1))), "dial 1"),
            // Lost while it is dialled, and while it is waited for.
            (lost(), ""),
            (Event::Dialed(master(1, 1), Ok(2)), "discard"),
            (Event::Elected(Ok(master(1, 1))), "dial 1"),
            (refused(), "keep delay"),
            (lost(), ""),
            (Event::DelayOver, ""),
            (Event::Elected(Ok(master(1, 1))), "dial 1"),
            (Event::Dialed(master(1, 1), Ok(2)), "install"),
        ]);
    }

    #[test]
    fn a_failover_and_the_end_of_the_session_end_its_renewal() {
        let machine = check_from_serving(&[
            (Event::Renew, "reset dial 1"),
            (Event::Elected(Ok(master(2, 2))), "reset retire dial 2"),
            (Event::Dialed(master(1, 1), Ok(2)), "discard"),
            (Event::Dialed(master(2, 2), Ok(2)), "install"),
        ]);
        assert_eq!(machine.renewal, Renewal::None);
        check_from_serving(&[
            (Event::Renew, "reset dial 1"),
            (refused(), "keep delay"),
            (ended(1, false), "retire reset dial 1"),
            (Event::Dialed(master(1, 1), Ok(2)), "install"),
            (Event::DelayOver, ""),
        ]);
    }
}
