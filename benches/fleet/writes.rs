//! What a write and a miss cost Redis, by who holds the key in its near cache.
//!
//! Invariants: what Redis does for an idle fleet in the same time is taken off; that each holder was told is seen in the
//! tracking table, which forgets whom it tells.

use crate::backbone::Work;
use crate::batch::BATCH;
use crate::figures::{Figures, write};
use crate::keys::{Holders, KEYS};
use crate::stage::{BOUND, PACE, Stage, pace};

/// Who writes, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    /// Another client of Redis, one SET after the other.
    Foreign,
    /// Other clients, fifty SETs in one turn of Redis's event loop.
    Batch,
    /// The first sidecar, one Put after the other.
    Sidecar,
}

impl Writer {
    pub(crate) const ALL: [Self; 3] = [Self::Foreign, Self::Batch, Self::Sidecar];

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Foreign => "SET",
            Self::Batch => "SET, 50 at once",
            Self::Sidecar => "Put",
        }
    }
}

/// Of the holders, at least that part has to be told by a write: canaries and leases come and go beside.
const TOLD: f64 = 0.97;

/// Writes every key once; the CPU of Redis for each write.
///
/// # Errors
/// A call fails, or not all holders were told.
pub(crate) async fn writes(
    stage: &mut Stage<'_>,
    figures: &mut Figures,
    writer: Writer,
    holders: Holders,
) -> Result<(), String> {
    stage.fill(holders).await?;
    let work = write_all(stage, writer).await?;
    let held = stage.held(holders);
    let (slack, told) = (3.0 * stage.fleet.len() as f64 + 15.0, -work.tracked);
    if told < TOLD * held - slack || told > held + slack {
        return Err(format!(
            "{held} copies were to be invalidated, and {told} were; is this machine busy?"
        ));
    }
    let sidecars = stage.fleet.len();
    let (cpu, output) = net(stage, &work);
    let mut note = |what, value| figures.note(sidecars, write(writer, holders, what), value);
    note("cpu_us", cpu / KEYS as f64);
    note("holders", held / KEYS as f64);
    note("bytes", output / KEYS as f64);
    Ok(())
}

/// Writes every key once; what Redis did meanwhile.
///
/// # Errors
/// A call fails.
pub(crate) async fn write_all(stage: &mut Stage<'_>, writer: Writer) -> Result<Work, String> {
    let before = stage.backbone.redis.begin().await?;
    if writer == Writer::Batch {
        batches(stage).await?;
    } else {
        let mut pace = pace(PACE);
        for number in 0..KEYS {
            pace.tick().await;
            write_one(stage, writer, number).await?;
        }
    }
    stage.backbone.redis.since(&before).await
}

/// Writes one key.
///
/// # Errors
/// The call fails.
pub(crate) async fn write_one(
    stage: &mut Stage<'_>,
    writer: Writer,
    number: usize,
) -> Result<(), String> {
    let value = stage.keys.next(number);
    match writer {
        Writer::Sidecar => {
            let key = stage.keys.name(number);
            let sidecar = stage.fleet.first().ok_or("there is no sidecar to write")?;
            sidecar.put(key, value).await
        }
        Writer::Foreign | Writer::Batch => redis::cmd("SET")
            .arg(stage.keys.stored(number))
            .arg(&*value)
            .exec_async(&mut stage.backbone.redis.connection.clone())
            .await
            .map_err(|error| format!("SET: {error}")),
    }
}

async fn batches(stage: &mut Stage<'_>) -> Result<(), String> {
    for first in (0..KEYS).step_by(BATCH) {
        let mut set = |number| {
            let (key, value) = (stage.keys.stored(number), stage.keys.next(number));
            redis::cmd("SET").arg(key).arg(&*value).get_packed_command()
        };
        let commands: Vec<Vec<u8>> = (first..KEYS.min(first + BATCH)).map(&mut set).collect();
        stage.batch.execute(&commands).await?;
    }
    Ok(())
}

/// Reads every key once through one sidecar after the other, none of which has it; the CPU of Redis for each read.
///
/// # Errors
/// A call fails, or was answered by a near cache.
pub(crate) async fn misses(stage: &mut Stage<'_>, figures: &mut Figures) -> Result<(), String> {
    // Takes every key from everybody, and gives the pushes the time to arrive.
    write_all(stage, Writer::Batch).await?;
    tokio::time::sleep(BOUND).await;
    let before = stage.backbone.redis.begin().await?;
    let mut pace = pace(PACE);
    for number in 0..KEYS {
        pace.tick().await;
        let sidecar = &stage.fleet[number % stage.fleet.len()];
        if sidecar.get(stage.keys, number, true).await? {
            return Err(format!(
                "key {number} was in a near cache, and should not be"
            ));
        }
    }
    let work = stage.backbone.redis.since(&before).await?;
    let (cpu, output) = net(stage, &work);
    let sidecars = stage.fleet.len();
    figures.note(sidecars, "miss/cpu_us", cpu / KEYS as f64);
    figures.note(sidecars, "miss/bytes", output / KEYS as f64);
    Ok(())
}

/// CPU and bytes sent, without those of an idle fleet.
pub(crate) fn net(stage: &Stage<'_>, work: &Work) -> (f64, f64) {
    (
        work.cpu - stage.idle_cpu * work.seconds,
        work.output - stage.idle_output * work.seconds,
    )
}
