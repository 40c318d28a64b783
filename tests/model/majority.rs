//! The majority lease by itself: three Sentinels, several failovers, polls that take time both ways.
//!
//! Invariants: the epoch that a Sentinel names only grows; odd epochs name one address and even ones another, so that
//! the third names the first address again; a write is acknowledged on an epoch as soon as its writer can know that a
//! majority has named it, however long ago each of them did.
//!
//! Not here: the link to the master, which `step` combines with a simpler form of this lease; how an epoch is elected.

use stateright::{Model, Property};

use crate::state::Age;

/// The reader's epoch.
const MINE: u8 = 1;

/// While the lease is valid, no later master has acknowledged a write longer ago than L.
pub(crate) const ALONE: &str = "nobody else is master for longer than L";
const VALID: &str = "the lease is valid";
const RENEWED: &str = "the lease is valid after an election";

/// Which answers count for the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agreement {
    Epoch,
    Address,
}

/// From when on an answer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    Sent,
    Received,
}

/// A reader and the writers around it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Majority {
    pub(crate) agreement: Agreement,
    pub(crate) base: Base,
    /// How many of three Sentinels are enough for the reader, and for the writers.
    pub(crate) reader: usize,
    pub(crate) writers: usize,
    /// The highest epoch there can be.
    pub(crate) epochs: u8,
    /// The staleness bound L, in ticks.
    pub(crate) staleness: u8,
}

pub(crate) const DESIGN: Majority = Majority {
    agreement: Agreement::Epoch,
    base: Base::Sent,
    reader: 2,
    writers: 2,
    epochs: 3,
    staleness: 1,
};

/// A poll, or the answer to it, on its way. One that is older than the bound proves nothing and is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Poll {
    None,
    Asked(Age),
    Answered { sent: Age, agrees: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Sentinel {
    /// Every epoch it has named so far, as a bit each.
    named: u8,
    poll: Poll,
    agreed: Age,
}

impl Sentinel {
    fn epoch(self) -> u8 {
        u8::try_from(self.named.ilog2()).expect("few epochs")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    sentinels: [Sentinel; 3],
    elected: u8,
    /// Since when somebody has had a write acknowledged by a later master.
    written: Option<Age>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Tick,
    Elect,
    /// A Sentinel names an epoch.
    Name(usize, u8),
    /// A writer on a later epoch has its write acknowledged.
    Write,
    Ask(usize),
    Answer(usize),
    Arrive(usize),
}

impl Majority {
    fn agrees(self, epoch: u8) -> bool {
        match self.agreement {
            Agreement::Epoch => epoch == MINE,
            Agreement::Address => epoch % 2 == MINE % 2,
        }
    }

    fn is_valid(&self, state: &State) -> bool {
        let agreed = |sentinel: &&Sentinel| sentinel.agreed.is_within_bound();
        state.sentinels.iter().filter(agreed).count() >= self.reader
    }

    fn is_named(&self, state: &State, epoch: u8) -> bool {
        let named = |sentinel: &&Sentinel| sentinel.named & (1 << epoch) != 0;
        state.sentinels.iter().filter(named).count() >= self.writers
    }

    fn arrive(&self, sentinel: &mut Sentinel) {
        if let Poll::Answered { sent, agrees } = sentinel.poll {
            sentinel.agreed = match (agrees, self.base) {
                (false, _) => Age::OLD,
                (true, Base::Sent) => sent,
                (true, Base::Received) => Age::NOW,
            };
        }
        sentinel.poll = Poll::None;
    }

    fn tick(&self, state: &mut State) {
        let grow = |age: &mut Age| age.grow(self.staleness);
        state.written.iter_mut().for_each(grow);
        for sentinel in &mut state.sentinels {
            grow(&mut sentinel.agreed);
            if let Poll::Asked(sent) | Poll::Answered { sent, .. } = &mut sentinel.poll {
                grow(sent);
                if !sent.is_within_bound() {
                    sentinel.poll = Poll::None;
                }
            }
        }
    }
}

impl Model for Majority {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let sentinel = Sentinel {
            named: 1 << MINE,
            poll: Poll::None,
            agreed: Age::OLD,
        };
        vec![State {
            sentinels: [sentinel; 3],
            elected: MINE,
            written: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.push(Action::Tick);
        if state.elected < self.epochs {
            actions.push(Action::Elect);
        }
        let mut later = MINE + 1..=state.elected;
        if state.written.is_none() && later.any(|epoch| self.is_named(state, epoch)) {
            actions.push(Action::Write);
        }
        for (index, sentinel) in state.sentinels.iter().enumerate() {
            let next = sentinel.epoch() + 1..=state.elected;
            actions.extend(next.map(|epoch| Action::Name(index, epoch)));
            actions.push(match sentinel.poll {
                Poll::None => Action::Ask(index),
                Poll::Asked(_) => Action::Answer(index),
                Poll::Answered { .. } => Action::Arrive(index),
            });
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Tick => self.tick(&mut next),
            Action::Elect => next.elected += 1,
            Action::Name(index, epoch) => next.sentinels[index].named |= 1 << epoch,
            Action::Write => next.written = Some(Age::NOW),
            Action::Ask(index) => next.sentinels[index].poll = Poll::Asked(Age::NOW),
            Action::Answer(index) => {
                let sentinel = &mut next.sentinels[index];
                let agrees = self.agrees(sentinel.epoch());
                if let Poll::Asked(sent) = sentinel.poll {
                    sentinel.poll = Poll::Answered { sent, agrees };
                }
            }
            Action::Arrive(index) => self.arrive(&mut next.sentinels[index]),
        }
        // Which of them is which makes no difference.
        next.sentinels.sort();
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ALONE, |model: &Self, state: &State| {
                !model.is_valid(state) || state.written != Some(Age::OLD)
            }),
            Property::sometimes(VALID, Self::is_valid),
            Property::sometimes(RENEWED, |model: &Self, state: &State| {
                state.written.is_some() && model.is_valid(state)
            }),
        ]
    }
}
