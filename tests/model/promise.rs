//! What vedetta promises about reads from its near cache.
//!
//! Invariants: a FRESH read changes nothing, so a promise about reads is one about every state in which such a read
//! would be answered. The `sometimes` properties see to it that a promise is not kept by never serving anything.
//!
//! Not here: what the reply to a fill may claim (`answer`).

use stateright::{Model, Property};

use crate::history::Write;
use crate::protocol::{Bounds, Protocol};
use crate::state::{Age, Entry, Node, State};
use crate::step::Action;

/// A FRESH read reflects every write that was acknowledged longer ago than L.
pub(crate) const BOUNDED: &str = "a fresh read is at most L behind";
/// Once nothing is on its way and a heartbeat has proven it, what is served is what the master holds.
pub(crate) const UNSTUCK: &str = "no entry is stuck";
/// A FRESH read reflects every write that was answered to a caller of the same vedetta.
pub(crate) const OWN: &str = "own writes are read";
const SERVES: &str = "the last write is served";
const LAGS: &str = "a write is not served yet";
const MOVES: &str = "the last write is served from the new node";

/// A protocol in a world.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Coherence {
    pub(crate) protocol: Protocol,
    pub(crate) bounds: Bounds,
}

impl Coherence {
    /// The entry, if a read is answered with it FRESH.
    fn served<'a>(&self, state: &'a State) -> Option<&'a Entry> {
        let entry = state.near.entry.as_ref()?;
        let proven = state.lease.base.min(entry.filled);
        (proven.is_within_bound() && self.is_named(state)).then_some(entry)
    }

    fn is_bounded(&self, state: &State) -> bool {
        self.served(state)
            .is_none_or(|entry| state.history.is_reflected_by(entry.value, state.session))
    }

    fn is_unstuck(&self, state: &State) -> bool {
        let quiet = state.turn.is_none()
            && state.link.is_idle()
            && state.data.is_idle()
            && state.near.woken.is_empty();
        let proven = state.lease.base == Age::NOW;
        let current = state.history.value(state.session);
        let served = self.served(state);
        !quiet || !proven || served.is_none_or(|entry| entry.value == current)
    }

    fn reads_own_writes(&self, state: &State) -> bool {
        let answered = state.near.answered;
        self.served(state)
            .is_none_or(|entry| answered == 0 || state.history.includes(entry.value, answered))
    }

    /// Whether an entry is served that somebody's acknowledged write has made old.
    fn lags(&self, state: &State) -> bool {
        let acked = |write: &Write| write.node == state.session && write.acked.is_some();
        let last = state.history.writes.iter().rposition(acked);
        let served = self.served(state).map(|entry| usize::from(entry.value));
        served.is_some_and(|value| last.is_some_and(|index| value <= index))
    }

    /// Whether the last of all the writes that there can be is served.
    fn serves_all(&self, state: &State) -> bool {
        let all = self.bounds.writes;
        state.history.last() == all && self.served(state).is_some_and(|entry| entry.value == all)
    }
}

impl Model for Coherence {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::first()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.push(Action::Tick);
        self.offer_writes(state, actions);
        self.offer_reads(state, actions);
        if self.bounds.failover {
            self.offer_failover(state, actions);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        self.perform(&mut next, action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(BOUNDED, Self::is_bounded),
            Property::always(UNSTUCK, Self::is_unstuck),
            Property::always(OWN, Self::reads_own_writes),
            Property::sometimes(SERVES, Self::serves_all),
            Property::sometimes(LAGS, Self::lags),
        ];
        if self.bounds.failover {
            properties.push(Property::sometimes(MOVES, |model: &Self, state: &State| {
                state.session == Node::New && model.serves_all(state)
            }));
        }
        properties
    }
}
