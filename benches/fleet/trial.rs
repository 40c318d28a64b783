//! A fleet at work, and whether the simulation foresees it: its costs come from smaller fleets, and the real one then does
//! what the simulated one does, at random times and for random keys.
//!
//! Invariants: both begin with nobody holding anything, and count the same seconds.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use crate::backbone::Reading;
use crate::figures::Figures;
use crate::keys::KEYS;
use crate::simulation::{Span, Workload, exponential, zipf};
use crate::stage::Stage;
use crate::writes::{Writer, write_all};

/// What the fleet does.
pub(crate) fn workload(pods: usize) -> Workload {
    Workload {
        pods,
        keys: KEYS,
        zipf: 0.8,
        reads: 6.0,
        writes: 6.0,
    }
}

pub(crate) const SPAN: Span = Span {
    warm: 3.0,
    counted: 8.0,
};

/// Calls that may be on their way. A fleet that is slower than its work is no trial.
const MOST_CALLS: usize = 500;

enum Done {
    Read { near: bool },
    Written,
}

/// Lets it work; what Redis had to do goes to the figures.
///
/// # Errors
/// A call fails, or the machine does not keep up.
pub(crate) async fn trial(stage: &mut Stage<'_>, figures: &mut Figures) -> Result<(), String> {
    // Takes every key from everybody.
    write_all(stage, Writer::Batch).await?;
    let stage = &*stage;
    let mut random = StdRng::seed_from_u64(rand::random());
    let workload = workload(stage.fleet.len());
    let sums = zipf(workload.keys, workload.zipf);
    let reads = workload.reads * workload.pods as f64;
    let (began, mut at) = (Instant::now(), 0.0);
    let (mut calls, mut counted) = (FuturesUnordered::new(), None);
    let (mut misses, mut answers) = (0_u64, 0_u64);
    while at < SPAN.warm + SPAN.counted {
        at += exponential(reads + workload.writes, &mut random);
        let due = began + Duration::from_secs_f64(at);
        while let Ok(Some(done)) = tokio::time::timeout_at(due, calls.next()).await {
            if let Done::Read { near } = done? {
                answers += 1;
                misses += u64::from(!near);
            }
        }
        tokio::time::sleep_until(due).await;
        if at >= SPAN.warm && counted.is_none() {
            counted = Some(stage.backbone.redis.begin().await?);
            (misses, answers) = (0, 0);
        }
        if calls.len() >= MOST_CALLS {
            return Err(
                "the fleet does not keep up with the trial; is this machine busy?".to_owned(),
            );
        }
        let place = random.random::<f64>();
        let number = sums.partition_point(|sum| *sum <= place).min(KEYS - 1);
        let read = random.random::<f64>() * (reads + workload.writes) < reads;
        let sidecar = &stage.fleet[random.random_range(0..workload.pods)];
        calls.push(async move {
            if read {
                let near = sidecar.get(stage.keys, number, false).await?;
                return Ok(Done::Read { near });
            }
            // The order of concurrent writes is unknown, so all write the same.
            let value = stage.keys.value(number);
            sidecar.put(stage.keys.name(number), value).await?;
            Ok::<_, String>(Done::Written)
        });
    }
    let counted = counted.ok_or("a trial without time to count")?;
    note(stage, figures, &counted, (misses, answers)).await
}

async fn note(
    stage: &Stage<'_>,
    figures: &mut Figures,
    counted: &Reading,
    (misses, answers): (u64, u64),
) -> Result<(), String> {
    let work = stage.backbone.redis.since(counted).await?;
    let mut note = |name: &str, total: f64| {
        figures.note(
            stage.fleet.len(),
            format!("trial/{name}"),
            total / work.seconds,
        );
    };
    note("busy", work.cpu / 1e6);
    note("misses", misses as f64);
    // Each miss enters the table, and each invalidation takes out what it tells.
    note("pushes", misses as f64 - work.tracked);
    note("bytes", work.input + work.output);
    note("commands", work.commands);
    figures.note(
        stage.fleet.len(),
        "trial/hit_ratio",
        1.0 - misses as f64 / answers.max(1) as f64,
    );
    Ok(())
}
