//! Searches a model and holds the outcome against what is expected of it.
//!
//! Invariants: breadth first on one thread, so every figure is the same on every run. No limit on states, depth or time
//! is set, and only a broken promise ends a search early: a promise that holds was checked in every state.
//!
//! Not here: which models are searched.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

/// Longer counterexamples are counted, not printed.
const PRINTED_STEPS: usize = 16;

/// What is to become of a model.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Verdict {
    /// Every promise is kept in every state, and what should be possible is.
    Holds,
    /// That promise is broken in some state.
    Breaks(&'static str),
}

/// What the checker asks of a model.
pub(crate) trait Searched:
    Model<
        State: Clone + Debug + Hash + PartialEq + Send + Sync + 'static,
        Action: Clone + Debug + PartialEq,
    > + Clone
    + Send
    + Sync
    + 'static
{
}

/// Whether to search as far as is practical, and not only as far as is quick.
pub(crate) fn is_long() -> bool {
    std::env::var_os("VEDETTA_LONG").is_some_and(|value| value == "1")
}

/// Prints what the search took, and panics unless the verdict is the expected one.
pub(crate) fn check(name: &str, model: &impl Searched, expected: Verdict) {
    let started = Instant::now();
    let until = match expected {
        Verdict::Holds => HasDiscoveries::AnyFailures,
        Verdict::Breaks(promise) => only(promise),
    };
    let search = model.clone().checker().finish_when(until);
    let search = search.spawn_bfs().join();
    let seconds = started.elapsed().as_secs_f64();
    let figures = format!("{} states, {seconds:.1} s", search.unique_state_count());
    match expected {
        Verdict::Holds => {
            println!("{name}: holds; {figures}");
            assert!(search.is_done(), "{name}: the search was cut off");
            search.assert_properties();
        }
        Verdict::Breaks(promise) => {
            let Some(found) = search.discovery(promise) else {
                panic!("{name}: nothing breaks \"{promise}\"; {figures}");
            };
            let steps = shortest(model, promise, found.into_actions());
            let length = steps.len();
            let shown = if length <= PRINTED_STEPS {
                format!(": {steps:?}")
            } else {
                String::new()
            };
            println!("{name}: breaks \"{promise}\"; {figures}, {length} steps{shown}");
        }
    }
}

/// The first counterexample of a search need not be the shortest: discoveries are looked at once per block of states.
fn shortest<M: Searched>(
    model: &M,
    promise: &'static str,
    mut steps: Vec<M::Action>,
) -> Vec<M::Action> {
    loop {
        // The depth of a state is one more than the steps that lead to it, and has to be below the target.
        let search = model.clone().checker().target_max_depth(steps.len() + 1);
        let search = search.finish_when(only(promise)).spawn_bfs().join();
        let Some(shorter) = search.discovery(promise) else {
            return steps;
        };
        steps = shorter.into_actions();
    }
}

fn only(promise: &'static str) -> HasDiscoveries {
    HasDiscoveries::AnyOf(BTreeSet::from([promise]))
}
