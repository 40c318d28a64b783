//! The clock of leases: the only place that reads it.
//!
//! `CLOCK_BOOTTIME`, which goes on while the machine is suspended and does not follow steps of the wall clock.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::model::Moment;

/// Now.
pub fn now() -> Moment {
    let time = clock_gettime(ClockId::Boottime);
    // Neither is negative: the clock starts with the boot.
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Moment::after_boot(Duration::new(seconds, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on() {
        let before = now();
        assert!(before > Moment::START);
        assert!(now() >= before);
    }
}
