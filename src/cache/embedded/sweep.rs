//! Giving memory back, in small steps. All entries are looked at under one lock, which takes some nanoseconds for each.
//!
//! Not here: what is absent (`cleared`).

use std::time::Duration;

use super::cleared::STEP;
use super::{Embedded, now};

/// How often memory of expired entries is looked for. They are absent from the moment they expire; this only
/// gives their memory back.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

impl Embedded {
    /// Gives the memory of absent entries back, now and then and after each clear, and shows the figures.
    pub async fn keep_swept(&self) {
        loop {
            self.sweep().await;
            // Both wake it.
            let _ = tokio::time::timeout(SWEEP_INTERVAL, self.cleared.notified()).await;
        }
    }

    async fn sweep(&self) {
        let mut more = true;
        while more {
            let absent;
            (absent, more) = self.state.lock().absent(now());
            for step in absent.chunks(STEP) {
                self.state.lock().remove_absent(step, now());
                tokio::task::yield_now().await;
            }
        }
        let figures = {
            let mut state = self.state.lock();
            state.forget_old(now());
            state.figures()
        };
        self.gauges.show(figures);
    }
}
