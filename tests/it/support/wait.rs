//! Waiting for a condition, with a deadline.
//!
//! Not here: waiting for a fixed time in the hope that something has happened meanwhile, which nothing may do.

use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_millis(10);

/// Asks `probe` until it has an answer; what it says meanwhile is why not yet.
///
/// # Errors
/// The last reason, when the time is over.
pub(crate) fn try_until<T>(
    within: Duration,
    mut probe: impl FnMut() -> Result<T, String>,
) -> Result<T, String> {
    let started = Instant::now();
    loop {
        match probe() {
            Ok(found) => return Ok(found),
            Err(reason) if started.elapsed() >= within => return Err(reason),
            Err(_) => pause(),
        }
    }
}

/// As [`try_until`], for what must come true.
///
/// # Panics
/// When it does not in time, with `what` and the last reason.
pub(crate) fn until<T>(
    what: &str,
    within: Duration,
    probe: impl FnMut() -> Result<T, String>,
) -> T {
    try_until(within, probe)
        .unwrap_or_else(|reason| panic!("{what}: not within {within:?}, because {reason}"))
}

/// Sets the pace of a loop that makes load, and the length of a fault. Nothing may be concluded from its having passed.
pub(crate) fn pace(time: Duration) {
    sleep(time);
}

fn pause() {
    sleep(INTERVAL);
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests of processes have no runtime whose worker it could stop"
)]
fn sleep(time: Duration) {
    std::thread::sleep(time);
}
