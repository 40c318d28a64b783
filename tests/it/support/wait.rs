//! Waiting for a condition, with a deadline.
//!
//! Not here: waiting for a fixed time, which nothing may do.

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

#[expect(
    clippy::disallowed_methods,
    reason = "the pause between two looks at a condition that has a deadline; tests of processes have no runtime"
)]
fn pause() {
    std::thread::sleep(INTERVAL);
}
