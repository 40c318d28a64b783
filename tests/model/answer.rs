//! What the reply to one fill may claim: until when its entry lives, and how fresh it is as an answer.
//!
//! Invariants: the server counts down the time to live from the execution of a write; the reply says how much of it was
//! left when the read executed; request and reply each take any time. Whoever joined the fill is answered with its
//! reply, however late he came.
//!
//! Not here: pushes and leases (`step`). Expiry needs its own rule because its push may be late without bound.

use stateright::{Model, Property};

/// An entry is gone at the latest when the server's is.
pub(crate) const EXPIRES: &str = "no entry outlives the server's";
/// What is answered FRESH from the reply to a fill reflects every write acknowledged longer ago than L.
pub(crate) const BOUNDED: &str = "a fresh answer is at most L behind";
const LIVES: &str = "an entry lives";
const ANSWERS: &str = "a fresh answer is given after a write";

/// From when on something is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    Sent,
    Received,
}

/// The rules, and how far the world goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answers {
    /// From when on an entry lives as long as the reply says.
    pub(crate) expiry: Since,
    /// From when on a reply is FRESH for L.
    pub(crate) freshness: Since,
    /// All in ticks.
    pub(crate) staleness: u8,
    pub(crate) ttl: u8,
    pub(crate) writes: usize,
}

pub(crate) const DESIGN: Answers = Answers {
    expiry: Since::Sent,
    freshness: Since::Sent,
    staleness: 2,
    ttl: 3,
    writes: 3,
};

/// What a read finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Found {
    version: usize,
    /// The time to live that the reply tells.
    told: u8,
    /// What is left of it by now.
    left: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Fill {
    None,
    Asked { age: u8 },
    Replied { age: u8, found: Found },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    /// How long vedetta believes that it lives.
    expires: u8,
    /// How long the server's lives.
    left: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// For each write, how long ago it was acknowledged.
    writes: Vec<u8>,
    /// What is left of the time to live of the last one.
    left: u8,
    fill: Fill,
    entry: Option<Entry>,
    /// The version that was just answered FRESH.
    answered: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Tick,
    Write,
    Ask,
    Execute,
    Receive,
}

impl Answers {
    /// Ages beyond that make no difference.
    fn grow(self, age: &mut u8) {
        *age = (*age + 1).min(self.staleness.max(self.ttl) + 1);
    }

    fn tick(&self, state: &mut State) {
        state.writes.iter_mut().for_each(|age| self.grow(age));
        state.left = state.left.saturating_sub(1);
        match &mut state.fill {
            Fill::None => {}
            Fill::Asked { age } => self.grow(age),
            Fill::Replied { age, found } => {
                self.grow(age);
                found.left = found.left.saturating_sub(1);
            }
        }
        state.entry = state.entry.and_then(|entry| {
            let expires = entry.expires - 1;
            let left = entry.left.saturating_sub(1);
            (expires > 0).then_some(Entry { expires, left })
        });
    }

    fn receive(&self, state: &mut State) {
        let Fill::Replied { age, found } = state.fill else {
            return;
        };
        let since = |rule: Since| if rule == Since::Sent { age } else { 0 };
        state.fill = Fill::None;
        state.answered = (since(self.freshness) <= self.staleness).then_some(found.version);
        let expires = found.told.saturating_sub(since(self.expiry));
        state.entry = (expires > 0).then_some(Entry {
            expires,
            left: found.left,
        });
    }
}

impl Model for Answers {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            writes: Vec::new(),
            left: self.ttl,
            fill: Fill::None,
            entry: None,
            answered: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.push(Action::Tick);
        if state.writes.len() < self.writes {
            actions.push(Action::Write);
        }
        actions.push(match state.fill {
            Fill::None => Action::Ask,
            Fill::Asked { .. } => Action::Execute,
            Fill::Replied { .. } => Action::Receive,
        });
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        next.answered = None;
        match action {
            Action::Tick => self.tick(&mut next),
            Action::Write => {
                next.writes.push(0);
                next.left = self.ttl;
            }
            Action::Ask => next.fill = Fill::Asked { age: 0 },
            Action::Execute => {
                let found = Found {
                    version: next.writes.len(),
                    told: next.left,
                    left: next.left,
                };
                if let Fill::Asked { age } = next.fill {
                    next.fill = Fill::Replied { age, found };
                }
            }
            Action::Receive => self.receive(&mut next),
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(EXPIRES, |_: &Self, state: &State| {
                state.entry.is_none_or(|entry| entry.left > 0)
            }),
            Property::always(BOUNDED, |model: &Self, state: &State| {
                let due = |age: &u8| *age > model.staleness;
                let missed = |version: usize| state.writes[version..].iter().any(due);
                !state.answered.is_some_and(missed)
            }),
            Property::sometimes(LIVES, |_: &Self, state: &State| state.entry.is_some()),
            Property::sometimes(ANSWERS, |_: &Self, state: &State| {
                state.answered.is_some_and(|version| version > 0)
            }),
        ]
    }
}
