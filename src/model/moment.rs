//! A point in time, on a clock that never stops and never jumps.
//!
//! Invariants: moments of one boot of one machine compare; time that the machine spent suspended counts, so a lease
//! that ran out during a suspend has run out. A monotonic `Instant` does not promise that on Linux.
//!
//! Not here: reading the clock (`crate::clock`).

use std::ops::Add;
use std::time::Duration;

/// Nanoseconds since boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(u64);

impl Moment {
    /// Before everything: what was proven then proves nothing now.
    pub const START: Self = Self(0);

    /// After everything.
    pub const END: Self = Self(u64::MAX);

    /// That long after the boot.
    pub fn after_boot(elapsed: Duration) -> Self {
        Self(nanos(elapsed))
    }

    /// How long ago `earlier` was; zero if it is yet to come.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_saturate_at_both_ends() {
        let second = Duration::from_secs(1);
        assert_eq!(Moment::END + second, Moment::END);
        assert_eq!(Moment::START.since(Moment::END), Duration::ZERO);
        assert_eq!((Moment::START + second).since(Moment::START), second);
    }
}
