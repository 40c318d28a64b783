//! Delays between attempts: exponential, jittered, capped.
//!
//! Invariants: a delay is never zero and never above [`CAP`]; the sequence starts again after [`Backoff::reset`].
//!
//! Not here: waiting. The caller sleeps.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// The first delay. Short, because the commonest cause is a server that is just starting.
pub const FIRST: Duration = Duration::from_millis(20);

/// The longest delay before jitter. Half a second keeps a fleet of a hundred below 200 attempts a second on a
/// node that is coming back, and costs a recovering pod at most that.
pub const CAP: Duration = Duration::from_millis(500);

/// A sequence of delays.
#[derive(Debug)]
pub struct Backoff {
    delays: ExponentialBackoff,
}

impl Backoff {
    /// Starts at [`FIRST`].
    pub fn new() -> Self {
        Self { delays: delays() }
    }

    /// The next delay: the doubled last one plus up to as much again, at most twice [`CAP`].
    pub fn next_delay(&mut self) -> Duration {
        self.delays.next().unwrap_or(CAP)
    }

    /// Starts again at [`FIRST`].
    pub fn reset(&mut self) {
        self.delays = delays();
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

fn delays() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(FIRST)
        .with_max_delay(CAP)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_cap_and_start_again() {
        let mut backoff = Backoff::new();
        assert!(backoff.next_delay() < FIRST * 2 + Duration::from_millis(1));
        for _ in 0..20 {
            let delay = backoff.next_delay();
            assert!(delay > Duration::ZERO && delay <= CAP * 2, "{delay:?}");
        }
        assert!(backoff.next_delay() >= CAP);
        backoff.reset();
        assert!(backoff.next_delay() < FIRST * 2 + Duration::from_millis(1));
    }
}
