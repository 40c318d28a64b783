//! From figures to costs, and from a trial to how far off its prediction is.
//!
//! Invariants: what a fleet costs is told by fleets of that size and of none; a prediction is made from a smaller one.

use serde_json::{Value, json};

use crate::batch::BATCH;
use crate::costs::{Costs, Parts, Writes, parts};
use crate::figures::{Figures, write};
use crate::keys::Holders;
use crate::simulation::{Outcome, Start, Way, simulate};
use crate::surroundings::round;
use crate::trial;
use crate::writes::Writer;

const SEED: u64 = 1;

/// The costs, as a fleet of that size shows them.
///
/// # Errors
/// A figure is missing.
pub(crate) fn costs(figures: &Figures, sidecars: usize) -> Result<Costs, String> {
    let idle = |name: &str| each(figures, sidecars, &format!("idle/{name}"));
    let of = |writer, holders, what| figures.median(sidecars, &write(writer, holders, what));
    let writes = |holders| -> Result<Writes, String> {
        Ok(Writes {
            holders: of(Writer::Foreign, holders, "holders")?,
            alone: of(Writer::Foreign, holders, "cpu_us")?,
            batched: of(Writer::Batch, holders, "cpu_us")?,
        })
    };
    let (nobody, all) = (writes(Holders::Nobody)?, writes(Holders::All)?);
    let Parts {
        wake,
        command,
        note,
        send,
    } = parts(nobody, all, BATCH as f64);
    // A Put holds a SET, and a miss a read that is no cheaper, whatever noise says.
    let beyond_waking = |alone: f64| (alone - wake).max(command);
    let bytes = |holders| of(Writer::Foreign, holders, "bytes");
    Ok(Costs {
        wake,
        miss: beyond_waking(figures.median(sidecars, "miss/cpu_us")?),
        put: beyond_waking(of(Writer::Sidecar, Holders::Nobody, "cpu_us")?),
        note,
        send,
        idle: idle("redis/cpu_us")?,
        idle_commands: idle("redis/commands")?,
        idle_bytes: idle("redis/bytes")?,
        miss_bytes: figures.median(sidecars, "miss/bytes")?,
        push_bytes: (bytes(Holders::All)? - bytes(Holders::Nobody)?) / all.holders,
        connections: idle("redis/connections")?,
        table_key: figures.median(0, "table/key_bytes")?,
        table_holder: figures.median(0, "table/holder_bytes")?,
        sentinel: idle("sentinel/cpu_us")?,
        sentinel_commands: idle("sentinel/commands")?,
    })
}

/// What each sidecar adds to an idle figure.
fn each(figures: &Figures, sidecars: usize, name: &str) -> Result<f64, String> {
    let more = figures.median(sidecars, name)? - figures.median(0, name)?;
    Ok(more / sidecars as f64)
}

/// What a connection in BCAST mode costs for each write: to note it down, and to send it.
///
/// # Errors
/// A figure is missing.
pub(crate) fn broadcast(
    figures: &Figures,
    (few, many): (usize, usize),
) -> Result<(f64, f64), String> {
    let writes = |connections: usize| -> Result<Writes, String> {
        Ok(Writes {
            holders: connections as f64,
            alone: figures.median(connections, "broadcast/alone/cpu_us")?,
            batched: figures.median(connections, "broadcast/batch/cpu_us")?,
        })
    };
    let Parts { note, send, .. } = parts(writes(few)?, writes(many)?, BATCH as f64);
    Ok((note, send))
}

/// A figure of the trial, as it was predicted and as it was measured.
pub(crate) struct Compared {
    pub(crate) what: &'static str,
    pub(crate) predicted: f64,
    pub(crate) measured: f64,
}

impl Compared {
    /// In percent of what was measured.
    pub(crate) fn deviation(&self) -> f64 {
        100.0 * (self.predicted / self.measured - 1.0)
    }

    pub(crate) fn show(&self) -> Value {
        json!({
            "figure": self.what,
            "predicted": round(self.predicted),
            "measured": round(self.measured),
            "deviation_percent": round(self.deviation()),
        })
    }
}

/// Simulates the trial of that fleet and compares.
///
/// # Errors
/// A figure is missing.
pub(crate) fn compare(
    figures: &Figures,
    costs: &Costs,
    way: &Way,
    sidecars: usize,
) -> Result<Vec<Compared>, String> {
    let Outcome {
        busy,
        misses,
        pushes,
        hit_ratio,
        ..
    } = simulate(
        costs,
        &trial::workload(sidecars),
        way,
        (Start::Cold, trial::SPAN, SEED),
    )?;
    let compared = |what, name: &str, predicted| -> Result<Compared, String> {
        Ok(Compared {
            what,
            predicted,
            measured: figures.median(sidecars, name)?,
        })
    };
    let own = figures.median(0, "idle/redis/cpu_us")? / 1e6;
    Ok(vec![
        compared("misses/s", "trial/misses", misses)?,
        compared("pushes/s", "trial/pushes", pushes)?,
        compared("hit ratio", "trial/hit_ratio", hit_ratio)?,
        // What Redis does by itself is in both.
        compared("Redis CPU", "trial/busy", busy + own)?,
        Compared {
            what: "Redis CPU, idle fleet",
            predicted: costs.idle * sidecars as f64 / 1e6 + own,
            measured: figures.median(sidecars, "idle/redis/cpu_us")? / 1e6,
        },
    ])
}

/// As they are written down.
pub(crate) fn show(costs: &Costs, broadcast: (f64, f64)) -> Value {
    json!({
        "wake_us": round(costs.wake),
        "miss_us": round(costs.miss),
        "put_us": round(costs.put),
        "note_us": round(costs.note),
        "send_us": round(costs.send),
        "broadcast_note_us": round(broadcast.0),
        "broadcast_send_us": round(broadcast.1),
        "idle_us": round(costs.idle),
        "idle_commands": round(costs.idle_commands),
        "idle_bytes": round(costs.idle_bytes),
        "miss_bytes": round(costs.miss_bytes),
        "push_bytes": round(costs.push_bytes),
        "connections": round(costs.connections),
        "table_key_bytes": round(costs.table_key),
        "table_holder_bytes": round(costs.table_holder),
        "sentinel_us": round(costs.sentinel),
        "sentinel_commands": round(costs.sentinel_commands),
    })
}
