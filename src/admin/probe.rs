//! What the probes answer.
//!
//! Live: the event loop of the data plane has turned within [`PULSE_LIMIT`]; also while draining, because a kubelet
//! may probe a sidecar that is stopping. Started: the listeners are open, and the first look at Sentinels and master
//! has come to an end, good or bad, or [`START_PATIENCE`] has passed. Ready: started, and not stopping.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// An event loop that has not turned for that long is stuck.
const PULSE_LIMIT: Duration = Duration::from_secs(10);

/// How often the event loop shows that it turns.
pub const PULSE_INTERVAL: Duration = Duration::from_secs(1);

/// How long a start waits for Sentinels and master. The application must start without them too.
const START_PATIENCE: Duration = Duration::from_secs(3);

/// A probe's answer: yes or no, and a word for people.
pub type Verdict = Result<&'static str, &'static str>;

/// Shows that the event loop of the data plane turns.
#[derive(Debug, Clone)]
pub struct Pulse {
    began: Instant,
    last_millis: Arc<AtomicU64>,
}

impl Pulse {
    /// Starts with a beat.
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            last_millis: Arc::default(),
        }
    }

    /// One beat.
    pub fn beat(&self) {
        self.last_millis
            .store(millis(self.began.elapsed()), Ordering::Relaxed);
    }

    /// Beats for ever. To be run on the event loop that is watched.
    pub async fn run(self) {
        loop {
            self.beat();
            tokio::time::sleep(PULSE_INTERVAL).await;
        }
    }

    fn silence(&self) -> Duration {
        let last = Duration::from_millis(self.last_millis.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(last)
    }
}

impl Default for Pulse {
    fn default() -> Self {
        Self::new()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What the probes look at.
#[derive(Clone)]
pub struct Probes {
    pulse: Pulse,
    settled: Arc<dyn Fn() -> bool + Send + Sync>,
    stopping: Arc<AtomicBool>,
    began: Instant,
}

impl Probes {
    /// `settled` tells whether the first look at Sentinels and master has come to an end.
    pub fn new(pulse: Pulse, settled: Arc<dyn Fn() -> bool + Send + Sync>) -> Self {
        Self {
            pulse,
            settled,
            stopping: Arc::default(),
            began: Instant::now(),
        }
    }

    /// From now on the process is not ready.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// `/livez`.
    pub fn live(&self) -> Verdict {
        live(self.pulse.silence())
    }

    /// `/startupz`.
    pub fn started(&self) -> Verdict {
        started((self.settled)(), self.began.elapsed())
    }

    /// `/readyz`.
    pub fn ready(&self) -> Verdict {
        if self.stopping.load(Ordering::Relaxed) {
            return Err("stopping");
        }
        self.started()
    }
}

fn live(silence: Duration) -> Verdict {
    if silence <= PULSE_LIMIT {
        Ok("ok")
    } else {
        Err("the event loop is stuck")
    }
}

fn started(settled: bool, elapsed: Duration) -> Verdict {
    if settled {
        Ok("ok")
    } else if elapsed >= START_PATIENCE {
        Ok("ok, without an answer from the Sentinels or the master so far")
    } else {
        Err("looking for the master")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stuck_event_loop_is_not_live() {
        assert!(live(PULSE_LIMIT).is_ok());
        assert!(live(PULSE_LIMIT + Duration::from_millis(1)).is_err());
    }

    #[test]
    fn a_start_does_not_wait_for_ever() {
        assert!(started(true, Duration::ZERO).is_ok());
        assert!(started(false, START_PATIENCE - Duration::from_millis(1)).is_err());
        assert!(started(false, START_PATIENCE).is_ok());
    }

    #[test]
    fn stopping_is_not_ready_but_live() {
        let probes = Probes::new(Pulse::new(), Arc::new(|| true));
        assert!(probes.ready().is_ok());
        probes.stop();
        assert!(probes.ready().is_err());
        assert!(probes.live().is_ok());
    }
}
