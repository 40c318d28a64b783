//! What a fleet costs that nobody calls: on Redis, on each Sentinel, and by itself.

use std::time::Duration;

use crate::backbone::{Backbone, SENTINELS, Work};
use crate::figures::Figures;
use crate::sidecar::Sidecar;

/// Long enough for a few of what happens every second, and for one of ten of what happens every ten.
const WINDOW: Duration = Duration::from_secs(3);

/// Measures it; what Redis did.
///
/// # Errors
/// A server is gone.
pub(crate) async fn idle(
    backbone: &Backbone,
    fleet: &[Sidecar],
    figures: &mut Figures,
) -> Result<Work, String> {
    let cpu = || fleet.iter().map(Sidecar::cpu).sum::<Result<u64, String>>();
    let mut sentinels = Vec::new();
    for node in &backbone.sentinels {
        sentinels.push((node, node.begin().await?));
    }
    let (redis, own) = (backbone.redis.begin().await?, cpu()?);
    tokio::time::sleep(WINDOW).await;
    let (own, redis) = (cpu()? - own, backbone.redis.since(&redis).await?);
    let mut note =
        |name: &str, value: f64| figures.note(fleet.len(), format!("idle/{name}"), value);
    note("redis/cpu_us", redis.cpu / redis.seconds);
    note("redis/commands", redis.commands / redis.seconds);
    note("redis/bytes", (redis.input + redis.output) / redis.seconds);
    note("redis/connections", redis.clients);
    let mut total = [0.0; 4];
    for (node, before) in sentinels {
        let work = node.since(&before).await?;
        let of = [
            work.cpu / work.seconds,
            work.commands / work.seconds,
            (work.input + work.output) / work.seconds,
            work.clients,
        ];
        for (total, one) in total.iter_mut().zip(of) {
            *total += one / SENTINELS as f64;
        }
    }
    for (name, value) in ["cpu_us", "commands", "bytes", "connections"]
        .iter()
        .zip(total)
    {
        note(&format!("sentinel/{name}"), value);
    }
    if !fleet.is_empty() {
        let each = 1.0 / fleet.len() as f64;
        note("sidecar/cpu_us", own as f64 / 1000.0 / redis.seconds * each);
        let resident = fleet.iter().map(Sidecar::resident);
        let resident = resident.sum::<Result<u64, String>>()?;
        note("sidecar/resident_kib", resident as f64 * each);
    }
    Ok(redis)
}
