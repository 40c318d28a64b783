//! What goes wrong during a race, and waiting for a condition without blocking the runtime.
//!
//! Not here: the kinds of failover (`failovers`).

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::foreign::Foreign;

const LOOK: Duration = Duration::from_millis(5);

/// Between two strikes.
const PERIOD: Duration = Duration::from_millis(100);

/// Waits until `probe` has an answer; what it says meanwhile is why not yet.
///
/// # Panics
/// When it has none in time.
pub(crate) async fn eventually<T>(
    what: &str,
    within: Duration,
    mut probe: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let started = Instant::now();
    loop {
        match probe().await {
            Ok(found) => return found,
            Err(reason) if started.elapsed() >= within => {
                panic!("{what}: not within {within:?}, because {reason}")
            }
            // The pause between two looks at a condition that has a deadline.
            Err(_) => tokio::time::sleep(LOOK).await,
        }
    }
}

/// As [`eventually`], for what can be seen at once.
///
/// # Panics
/// When it does not come true in time.
pub(crate) async fn until<T>(
    what: &str,
    within: Duration,
    mut probe: impl FnMut() -> Result<T, String>,
) -> T {
    let started = Instant::now();
    loop {
        match probe() {
            Ok(found) => return found,
            Err(reason) if started.elapsed() >= within => {
                panic!("{what}: not within {within:?}, because {reason}")
            }
            Err(_) => tokio::time::sleep(LOOK).await,
        }
    }
}

/// Sends a command every 100 ms until it is enough.
pub(crate) async fn every_100_ms(foreign: &Foreign, command: &[&[u8]], enough: CancellationToken) {
    let mut ticks = tokio::time::interval(PERIOD);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = enough.cancelled() => return,
        }
        // One that fails, because the connection was killed before, is followed by the next.
        let _ = foreign.call::<redis::Value>(command).await;
    }
}

/// Fills the server with entries that nobody reads, so that it must evict.
pub(crate) async fn crowd(foreign: &Foreign, enough: CancellationToken) {
    let entry = vec![b'x'; 16 << 10];
    for number in 0_u64.. {
        if enough.is_cancelled() {
            return;
        }
        let key = format!("crowd:{}", number % 1000);
        let _ = foreign
            .call::<redis::Value>(&[b"SET", key.as_bytes(), &entry])
            .await;
    }
}
