//! What the tasks of a race do, how often, and how much of it: the plan of a scenario, and random choices from a seed.
//!
//! Not here: doing it (`program`).

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::field::{Field, Home, Spot};

/// So often somebody who looks for a race looks.
const LOOKS: usize = 8;

/// What the faults of a scenario may take away from what was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Nothing.
    None,
    /// Entries, which are misses then.
    Entries,
    /// Writes: an older value may come back.
    Writes,
}

/// A scenario.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    /// Racing pairs, in all rounds.
    pub(crate) pairs: u64,
    /// Racing pairs after which the writers are stopped and the copies compared.
    pub(crate) per_round: u64,
    pub(crate) spots: usize,
    /// Whether framed caches take part.
    pub(crate) framed: bool,
    /// Tasks per side that read.
    pub(crate) readers: usize,
    /// Tasks per side that write.
    pub(crate) writers: usize,
    /// Tasks that write past the sides.
    pub(crate) foreign: usize,
    /// Of a hundred writes, those with a time to live of a few milliseconds.
    pub(crate) expiring: u32,
    pub(crate) loss: Loss,
    /// The part of the answers, after the writers stopped, that must have come from copies.
    pub(crate) kept: f64,
}

impl Plan {
    /// The plan without faults.
    pub(crate) fn new(name: &'static str, pairs: u64) -> Self {
        Self {
            name,
            pairs,
            per_round: if long() { 4000 } else { 1500 },
            spots: 48,
            framed: true,
            readers: 8,
            writers: 4,
            foreign: 2,
            expiring: 5,
            loss: Loss::None,
            kept: 0.6,
        }
    }
}

/// Whether the long races were asked for.
pub(crate) fn long() -> bool {
    std::env::var_os("VEDETTA_LONG").is_some()
}

/// As many pairs as a scenario has by default, or has when long ones were asked for.
pub(crate) fn pairs(short: u64, when_long: u64) -> u64 {
    if long() { when_long } else { short }
}

/// The seed of this run.
pub(crate) fn seed() -> u64 {
    let given = std::env::var_os("VEDETTA_SEED");
    let text = given.as_ref().and_then(|text| text.to_str());
    text.map_or_else(rand::random, |text| {
        text.parse().expect("VEDETTA_SEED is a number")
    })
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    Put(Option<Duration>),
    Evict,
    Clear,
}

/// The choices of one task.
#[derive(Debug)]
pub(crate) struct Dice(StdRng);

impl Dice {
    /// Those of the task with that number.
    pub(crate) fn new(seed: u64, task: u64) -> Self {
        Self(StdRng::seed_from_u64(
            seed.wrapping_mul(1009).wrapping_add(task),
        ))
    }

    /// A spot; the first ones more often.
    pub(crate) fn spot<'a>(&mut self, field: &'a Field) -> &'a Spot {
        let one = self.0.random_range(0..field.spots.len());
        let other = self.0.random_range(0..field.spots.len());
        &field.spots[one.min(other)]
    }

    /// A spot that is being written at this moment, if a few looks find one.
    pub(crate) fn contended<'a>(&mut self, field: &'a Field) -> &'a Spot {
        let mut spot = self.spot(field);
        for _ in 0..LOOKS {
            if spot.is_being_written() {
                break;
            }
            spot = self.spot(field);
        }
        spot
    }

    /// A spot that anybody may write.
    pub(crate) fn shared<'a>(&mut self, field: &'a Field) -> &'a Spot {
        loop {
            let spot = self.spot(field);
            if !spot.single {
                return spot;
            }
        }
    }

    /// What to do to a spot.
    pub(crate) fn deed(&mut self, spot: &Spot, expiring: u32) -> Deed {
        match self.0.random_range(0..1000) {
            0 if spot.home == Home::Cleared => Deed::Clear,
            0..150 => Deed::Evict,
            _ => Deed::Put(self.ttl(expiring)),
        }
    }

    /// A time to live: none, mostly; else so short that it ends in the race, or so long that it does not.
    pub(crate) fn ttl(&mut self, expiring: u32) -> Option<Duration> {
        if !self.0.random_ratio(expiring, 100) {
            return None;
        }
        Some(if self.0.random_ratio(1, 4) {
            Duration::from_secs(60)
        } else {
            Duration::from_millis(self.0.random_range(1..60))
        })
    }

    /// Yes, once in so many times.
    pub(crate) fn once_in(&mut self, times: u32) -> bool {
        self.0.random_ratio(1, times)
    }
}
