//! The goals for memory: met or missed.

use crate::cases::{Churned, Held, Idle};

/// Idle, in bytes.
const IDLE: f64 = 15e6;
/// Of 100,000 values of 1 KiB, everything for each byte of them.
const OF_PAYLOAD: f64 = 1.25;
const VALUES: (usize, usize) = (1024, 100_000);
/// Of the capacity, what is taken.
const OF_CAPACITY: f64 = 1.05;
/// And how much of it has to be used where there is more than enough.
const USED: f64 = 0.95;

/// One goal for one store.
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) figure: f64,
    pub(crate) bound: f64,
    pub(crate) met: bool,
}

fn at_most(what: String, figure: f64, bound: f64) -> Goal {
    Goal {
        what,
        figure,
        bound,
        met: figure <= bound,
    }
}

/// Every goal for every store, whatever was measured.
pub(crate) fn judge(idle: &[Idle], held: &[Held], churned: &[Churned]) -> Vec<Goal> {
    let mut goals = Vec::new();
    for one in idle {
        let what = format!("idle, {}: MB resident", one.store.text());
        goals.push(at_most(
            what,
            one.memory.resident as f64 * 1024.0 / 1e6,
            IDLE / 1e6,
        ));
    }
    for one in held.iter().filter(|one| (one.size, one.entries) == VALUES) {
        let what = format!("100,000 x 1 KiB, {}: resident of payload", one.store.text());
        goals.push(at_most(what, one.of_payload(), OF_PAYLOAD));
    }
    for one in churned {
        let of = format!("full, {}, round {}", one.store.text(), one.round);
        goals.push(at_most(
            format!("{of}: taken of capacity"),
            one.taken(),
            OF_CAPACITY,
        ));
        let used = one.weighed();
        goals.push(Goal {
            what: format!("{of}: weighed of capacity"),
            figure: used,
            bound: USED,
            met: (USED..=1.0).contains(&used),
        });
    }
    goals
}
