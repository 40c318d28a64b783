//! Compares a sample of the answers of the near cache with the master.
//!
//! The comparison is made on the tracked session: behind its reply, every push for a write that it saw has been
//! applied. So if the master says something else, and the near cache would *still* give its old answer, the entry is
//! stuck: there is no push left that could remove it. That never happens, and is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock;
use crate::near::{Found, Want};

use super::Core;
use super::reader::Place;

/// Before an entry is called stuck.
const AGAIN: Duration = Duration::from_millis(10);

/// Chooses which answers are compared.
#[derive(Debug)]
pub(super) struct Sample {
    every: u64,
    count: AtomicU64,
}

/// What a comparison showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The same.
    Same,
    /// It changed meanwhile, and the entry is gone.
    Moved,
    /// It changed, and the entry is still served.
    Stuck,
    /// The master could not be asked.
    Unknown,
}

impl Verdict {
    pub(super) const ALL: [(Self, &str); 4] = [
        (Self::Same, "same"),
        (Self::Moved, "moved"),
        (Self::Stuck, "stuck"),
        (Self::Unknown, "unknown"),
    ];
}

impl Sample {
    /// One of so many; none of 0.
    pub(super) fn new(every: u64) -> Self {
        Self {
            every,
            count: AtomicU64::new(0),
        }
    }

    pub(super) fn is_due(&self) -> bool {
        self.every > 0
            && self
                .count
                .fetch_add(1, Ordering::Relaxed)
                .is_multiple_of(self.every)
    }
}

impl Core {
    /// Compares what was answered with what the master says, in a task of its own.
    pub(super) fn audit(self: &Arc<Self>, place: Place, answered: Found) {
        let core = self.clone();
        self.tasks.spawn("audit", async move {
            let mut verdict = core.compare(&place, &answered).await;
            if verdict == Verdict::Stuck {
                // A raw value that was replaced and put back looks the same; a second look tells.
                tokio::time::sleep(AGAIN).await;
                verdict = core.compare(&place, &answered).await;
            }
            core.metrics.audited(verdict);
            if verdict == Verdict::Stuck {
                let cache = &place.cache;
                tracing::error!(%cache, "an entry of the near cache is stale and stays so; please report this");
                core.coherence.near.wrote(&place.entry);
            }
        });
    }

    async fn compare(&self, place: &Place, answered: &Found) -> Verdict {
        let Ok(session) = self.lane.session() else {
            return Verdict::Unknown;
        };
        let Ok(seen) = self.read_alone(&session, place).await else {
            return Verdict::Unknown;
        };
        if seen.found == *answered {
            return Verdict::Same;
        }
        let want = Want {
            bound: Duration::MAX,
            token: None,
        };
        let near = &self.coherence.near;
        match near.fresh(&place.entry, &place.cache, want, clock::now()) {
            Some(hit) if hit.found == *answered => Verdict::Stuck,
            _ => Verdict::Moved,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_so_many_is_compared() {
        let sample = Sample::new(3);
        let due: Vec<bool> = (0..6).map(|_| sample.is_due()).collect();
        assert_eq!(due, [true, false, false, true, false, false]);
        assert!(!Sample::new(0).is_due());
    }
}
