//! One key that is read all the time, and the verdict on what the readers saw of one write to it.
//!
//! The verdict rests on two moments taken by the test: when the write was acknowledged, and when a read was sent. A
//! vedetta decides after the read was sent, so an old value that is called fresh in answer to a read sent later than
//! the acknowledgement + L breaks G1, whatever the machine was doing. Nothing else is a violation.
//!
//! Not here: which fault lies between the two.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use vedetta::proto::v1::{Freshness, Source};

use crate::client::Client;
use crate::client::timed::{Found, Look};
use crate::support::wait;

/// A raw cache, so that any client of Redis can write to it.
pub(super) const CACHE: &str = "Entando_RoleManager";
pub(super) const KEY: &str = "hot";

/// Two, so that one can be asking while the other waits for an answer that does not come.
const READERS: usize = 2;
const PACE: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_millis(500);

/// A value of the key, in order of writing, and when its write was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) value: u64,
    pub(super) acknowledged: Instant,
}

/// What was measured where the bound was kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Measured {
    /// From the acknowledgement to the sending of the last read that was answered with an old value as fresh.
    pub(super) staleness: Option<Duration>,
    /// Reads sent later than the acknowledgement + L: those that could have broken the bound.
    pub(super) late: usize,
    /// Old values among their answers, each said not to be fresh.
    pub(super) late_flagged: usize,
    /// Those that were not answered with a value.
    pub(super) late_failed: usize,
}

/// The number in an answer that was called fresh.
fn fresh(look: &Look) -> Option<(u64, Source)> {
    match &look.found {
        Found::Value {
            text,
            source,
            freshness: Freshness::Fresh,
        } => Some((text.parse().expect("a number"), *source)),
        _ => None,
    }
}

/// Whether the bound was kept.
///
/// # Errors
/// The read that broke it, or why nothing can be said.
pub(super) fn judge(looks: &[Look], change: Change, bound: Duration) -> Result<Measured, String> {
    let mut measured = Measured::default();
    for look in looks {
        let age = look.sent.checked_duration_since(change.acknowledged);
        let Some(age) = age else { continue };
        let old = fresh(look).is_some_and(|(value, _)| value < change.value);
        if old {
            measured.staleness = measured.staleness.max(Some(age));
        }
        if age <= bound {
            continue;
        }
        measured.late += 1;
        match &look.found {
            _ if old => {
                return Err(format!(
                    "sent {age:?} after {change:?} was acknowledged, the bound is {bound:?}: {look:?}"
                ));
            }
            Found::Value { freshness, .. } if *freshness != Freshness::Fresh => {
                measured.late_flagged += 1;
            }
            Found::Value { .. } => {}
            Found::Miss | Found::Failed(_) => measured.late_failed += 1,
        }
    }
    if measured.late == 0 {
        return Err("no read was sent late enough to show anything".to_owned());
    }
    Ok(measured)
}

/// Threads that read the key through one vedetta.
pub(super) struct Readers {
    stop: Arc<AtomicBool>,
    looks: Arc<Mutex<Vec<Look>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    pub(super) fn start(api: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let looks = Arc::new(Mutex::new(Vec::new()));
        let read = |()| {
            let (stop, looks) = (stop.clone(), looks.clone());
            std::thread::spawn(move || {
                let mut client = Client::connect(api);
                client.timeout = PATIENCE;
                while !stop.load(Ordering::Relaxed) {
                    let look = client.look(CACHE, KEY, 2 * PATIENCE);
                    looks.lock().push(look);
                    wait::pace(PACE);
                }
            })
        };
        Self {
            threads: [(); READERS].map(read).into(),
            stop,
            looks,
        }
    }

    /// Waits until one of the reads was sent after that moment.
    pub(super) fn wait_past(&self, moment: Instant, within: Duration) {
        wait::until("a read late enough", within, || {
            let looks = self.looks.lock();
            let late = looks.iter().rev().any(|look| look.sent > moment);
            late.then_some(()).ok_or_else(|| "none yet".to_owned())
        });
    }

    /// Waits until the last `count` reads all show this value or a later one as fresh, from L1 if `near`.
    pub(super) fn wait_fresh(&self, value: u64, near: bool, count: usize, within: Duration) {
        wait::until("the value is seen, and fresh", within, || {
            let looks = self.looks.lock();
            let last = &looks[looks.len().saturating_sub(count)..];
            let well = |look: &Look| {
                fresh(look)
                    .is_some_and(|(seen, source)| seen >= value && (!near || source == Source::L1))
            };
            if last.len() == count && last.iter().all(well) {
                Ok(())
            } else {
                Err(format!("the last of {} is {:?}", looks.len(), last.last()))
            }
        });
    }

    pub(super) fn stop(mut self) -> Vec<Look> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("reader");
        }
        std::mem::take(&mut self.looks.lock())
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        // Of a story that failed: its readers end by themselves.
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_millis(300);

    /// A read that was sent so many milliseconds after the start and showed this value.
    fn look(start: Instant, at: u64, value: u64, freshness: Freshness) -> Look {
        Look {
            sent: start + Duration::from_millis(at),
            returned: start + Duration::from_millis(at + 1),
            found: Found::Value {
                text: value.to_string(),
                source: Source::L1,
                freshness,
            },
        }
    }

    fn judged(reads: &[(u64, u64, Freshness)]) -> Result<Measured, String> {
        let start = Instant::now();
        let looks: Vec<Look> = reads
            .iter()
            .map(|(at, value, freshness)| look(start, *at, *value, *freshness))
            .collect();
        let change = Change {
            value: 2,
            acknowledged: start + Duration::from_millis(1000),
        };
        judge(&looks, change, BOUND)
    }

    #[test]
    fn an_old_value_may_be_fresh_for_the_length_of_the_bound() {
        let measured = judged(&[
            (900, 1, Freshness::Fresh),
            (1250, 1, Freshness::Fresh),
            (1400, 1, Freshness::Unverified),
            (1500, 2, Freshness::Fresh),
        ])
        .expect("kept");
        let expected = Measured {
            staleness: Some(Duration::from_millis(250)),
            late: 2,
            late_flagged: 1,
            late_failed: 0,
        };
        assert_eq!(measured, expected);
    }

    #[test]
    fn an_old_value_that_is_fresh_for_longer_is_a_violation() {
        let broken = judged(&[
            (1100, 1, Freshness::Fresh),
            (1301, 1, Freshness::Fresh),
            (1400, 2, Freshness::Fresh),
        ]);
        assert!(broken.expect_err("broken").contains("301ms"));
    }

    #[test]
    fn without_a_late_read_nothing_was_shown() {
        assert!(judged(&[(1100, 1, Freshness::Fresh)]).is_err());
    }
}
