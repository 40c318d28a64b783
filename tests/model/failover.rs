//! A failover that only the Sentinels notice: one after the other, while the old master goes on.
//!
//! Invariants: a Sentinel changes its mind once, and never back, since the new node is named at a higher epoch; writers
//! go to the new node as soon as a majority names it.
//!
//! Not here: a second failover, and polls that take time on their way out (`majority`); the loss of writes that were
//! not replicated, which no cache can undo.

use crate::promise::Coherence;
use crate::protocol::Naming;
use crate::state::{Age, Node, Sentinel, State};
use crate::step::Action;

impl Coherence {
    pub(crate) fn offer_failover(&self, state: &State, actions: &mut Vec<Action>) {
        if state.session == Node::New {
            return;
        }
        if state.history.kept.is_none() {
            let kept = 0..=state.history.value(Node::Old);
            actions.extend(kept.map(Action::Promote));
        }
        let polls = self.protocol.naming != Naming::Ignored;
        for (index, sentinel) in state.sentinels.iter().enumerate() {
            // They are sorted, and which one of several alike it is makes no difference.
            if index > 0 && state.sentinels[index - 1] == *sentinel {
                continue;
            }
            let names_old = sentinel.names == Node::Old;
            if names_old && state.history.kept.is_some() {
                actions.push(Action::Rename(index));
            }
            // One poll at a time, and none that can prove nothing new.
            if names_old && polls && sentinel.answer == Age::OLD && sentinel.agreed != Age::NOW {
                actions.push(Action::Poll(index));
            }
            if sentinel.answer != Age::OLD {
                actions.push(Action::Answer(index));
            }
        }
        if state.new_node_is_named() {
            actions.push(Action::Follow);
        }
    }

    /// A poll is answered as it is sent: one that took time on its way out would claim less than it proves. Answers
    /// that name the new node would only end the lease sooner, so the worst is that they never arrive.
    pub(crate) fn poll(&self, sentinel: &mut Sentinel) {
        sentinel.answer = Age::NOW;
        if !self.bounds.travel {
            sentinel.arrive();
        }
    }

    /// The majority lease. The new node is not followed by a third, so its own lease is never in doubt.
    pub(crate) fn is_named(&self, state: &State) -> bool {
        let agrees = |sentinel: &&Sentinel| sentinel.agreed.is_within_bound();
        let agreeing = state.sentinels.iter().filter(agrees).count();
        let enough = match self.protocol.naming {
            Naming::Ignored => 0,
            Naming::One => 1,
            Naming::Majority => 2,
        };
        !self.bounds.failover || state.session == Node::New || agreeing >= enough
    }
}

impl Sentinel {
    pub(crate) fn arrive(&mut self) {
        self.agreed = std::mem::replace(&mut self.answer, Age::OLD);
    }

    /// Once the session has moved, nothing depends on the Sentinels any more.
    pub(crate) const DONE: Self = Self {
        names: Node::New,
        answer: Age::OLD,
        agreed: Age::OLD,
    };
}
