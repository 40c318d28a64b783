//! What makes every watcher poll at once: an event that one of them heard, or a signal of the node in use.
//!
//! Invariants: raising never waits and holds nothing but the latest; a storm of signals makes each watcher poll once
//! in [`SIGNAL_SPACING`], because whoever waits for a poll that a signal has asked for does not listen to signals.
//!
//! Not here: who notices the signals (`upstream`), polling (`watcher`).

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Duration, Instant};

use crate::model::{Detector, Signal};

/// How far apart the polls of one Sentinel are that signals ask for.
pub(super) const SIGNAL_SPACING: Duration = Duration::from_millis(20);

/// Asks all watchers to poll. Clones ask the same ones.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    events: Arc<watch::Sender<()>>,
    signals: Arc<watch::Sender<Option<Signal>>>,
}

impl Hints {
    /// The node in use gives reason to ask the Sentinels. Never waits; any number of them is cheap.
    pub fn raise(&self, signal: Signal) {
        self.signals.send_replace(Some(signal));
    }

    /// A Sentinel told something about the master.
    pub(super) fn heard_event(&self) {
        self.events.send_replace(());
    }

    /// Hears what is raised from now on.
    pub(super) fn listen(&self) -> Listener {
        Listener {
            events: self.events.subscribe(),
            signals: self.signals.subscribe(),
            raised: None,
            // Kept, so that waiting for what is never raised does not end.
            _hints: self.clone(),
        }
    }
}

/// One watcher's ear.
#[derive(Debug)]
pub(super) struct Listener {
    events: watch::Receiver<()>,
    signals: watch::Receiver<Option<Signal>>,
    /// The first signal since the last poll.
    raised: Option<Signal>,
    _hints: Hints,
}

impl Listener {
    /// Whatever was raised so far is answered by the poll that begins now.
    pub(super) fn begin(&mut self) {
        self.events.mark_unchanged();
        self.signals.mark_unchanged();
        self.raised = None;
    }

    /// Waits until somebody asks for another poll than the one that began at `asked`. May be dropped and called again
    /// without missing anything.
    pub(super) async fn next(&mut self, asked: Instant) -> Detector {
        loop {
            tokio::select! {
                biased;
                _ = self.events.changed() => return Detector::Event,
                _ = self.signals.changed(), if self.raised.is_none() => {
                    self.raised = *self.signals.borrow_and_update();
                }
                signal = due(self.raised, asked) => return Detector::Signal(signal),
            }
        }
    }
}

/// The signal, when it may cause a poll.
async fn due(raised: Option<Signal>, asked: Instant) -> Signal {
    match raised {
        Some(signal) => {
            tokio::time::sleep_until(asked + SIGNAL_SPACING).await;
            signal
        }
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_storm_of_signals_is_one_poll_in_twenty_milliseconds() {
        let hints = Hints::default();
        let mut listener = hints.listen();
        let storm = async {
            loop {
                hints.raise(Signal::ReadOnly);
                tokio::time::sleep(Duration::from_micros(100)).await;
            }
        };
        let mut polls = 0;
        let watcher = async {
            loop {
                let asked = Instant::now();
                listener.begin();
                polls += 1;
                let detector = listener.next(asked).await;
                assert_eq!(detector, Detector::Signal(Signal::ReadOnly));
            }
        };
        tokio::select! {
            () = storm => {}
            () = watcher => {}
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        // The timer of the runtime rounds up to the next millisecond.
        assert!((47..=51).contains(&polls), "{polls} polls in a second");
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_waits_for_nothing_and_the_first_signal_is_the_one_that_counts() {
        let hints = Hints::default();
        let (mut one, mut other) = (hints.listen(), hints.listen());
        let asked = Instant::now();
        hints.raise(Signal::LinkLost);
        let early = tokio::time::timeout(Duration::from_millis(5), one.next(asked)).await;
        assert!(early.is_err(), "a signal waits for the spacing");
        hints.raise(Signal::ReadOnly);
        assert_eq!(one.next(asked).await, Detector::Signal(Signal::LinkLost));
        assert!(asked.elapsed() >= SIGNAL_SPACING);
        hints.heard_event();
        assert_eq!(one.next(asked).await, Detector::Event);
        // Everybody hears it, and what is older than a poll is answered by it.
        assert_eq!(other.next(asked).await, Detector::Event);
        other.begin();
        let later = tokio::time::timeout(Duration::from_secs(9), other.next(asked)).await;
        assert!(later.is_err(), "nothing was raised since");
    }
}
