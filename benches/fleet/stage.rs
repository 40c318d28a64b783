//! A fleet of a certain size, and what each measurement needs of it.

use std::time::{Duration, Instant};

use tokio::time::{Interval, MissedTickBehavior};

use crate::backbone::Backbone;
use crate::batch::Batch;
use crate::keys::{Holders, Keys};
use crate::sidecar::Sidecar;

/// Writes and reads of the paced measurements are that far apart: none finds Redis still awake from the one before it.
pub(crate) const PACE: Duration = Duration::from_millis(5);

/// For so long after a write another sidecar may answer with what was there before: its push is on the way.
pub(crate) const BOUND: Duration = Duration::from_secs(1);

/// Redis, so many sidecars, and what they hold.
pub(crate) struct Stage<'a> {
    pub(crate) backbone: &'a Backbone,
    pub(crate) fleet: &'a [Sidecar],
    pub(crate) keys: &'a mut Keys,
    pub(crate) batch: &'a mut Batch,
    /// What Redis does for this fleet without any call: microseconds in a second, and bytes.
    pub(crate) idle_cpu: f64,
    pub(crate) idle_output: f64,
}

impl Stage<'_> {
    /// Has those who are to hold the keys read them.
    ///
    /// # Errors
    /// A read fails or shows an old value that was asked for after the bound of staleness.
    pub(crate) async fn fill(&self, holders: Holders) -> Result<(), String> {
        for (place, sidecar) in self.fleet.iter().enumerate() {
            let (numbers, began) = (holders.of(place), Instant::now());
            loop {
                let asked = began.elapsed();
                match sidecar.read(self.keys, &numbers).await {
                    Ok(()) => break,
                    Err(_) if asked <= BOUND => tokio::time::sleep(PACE).await,
                    Err(problem) => return Err(format!("after {asked:?}: {problem}")),
                }
            }
        }
        Ok(())
    }

    /// How many pairs of key and holder that makes.
    pub(crate) fn held(&self, holders: Holders) -> f64 {
        let of = |place| holders.of(place).len();
        (0..self.fleet.len()).map(of).sum::<usize>() as f64
    }
}

/// Ticks at that distance; what is late is not made up for.
pub(crate) fn pace(distance: Duration) -> Interval {
    let mut interval = tokio::time::interval(distance);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
