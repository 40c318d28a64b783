//! How long after a write was acknowledged another sidecar still has the old value.
//!
//! The other one, which holds the key as all of the fleet do, tells its Watch when it has dropped it. Then it is asked, and
//! must not answer with what was there before. A delay of zero means that it was told before the writer.

use std::time::Instant;

use crate::figures::{Figures, delay};
use crate::keys::{Holders, KEYS};
use crate::stage::{PACE, Stage, pace};
use crate::writes::{Writer, write_one};

/// Writes every second key; the last sidecar of the fleet is the other one.
///
/// # Errors
/// A call fails, or an old value was served.
pub(crate) async fn delays(
    stage: &mut Stage<'_>,
    figures: &mut Figures,
    writer: Writer,
) -> Result<(), String> {
    let fleet = stage.fleet;
    let other = fleet.last().ok_or("there is no sidecar to watch")?;
    stage.fill(Holders::All).await?;
    let mut told = other.watch().await?;
    told.begun().await?;
    let mut pace = pace(2 * PACE);
    for number in (0..KEYS).step_by(2) {
        pace.tick().await;
        let key = stage.keys.name(number);
        let written = async {
            write_one(stage, writer, number).await?;
            Ok(Instant::now())
        };
        let changed = async {
            told.changed(&key).await?;
            Ok::<_, String>(Instant::now())
        };
        let (written, changed) = futures_util::try_join!(written, changed)?;
        let delay_us = changed.saturating_duration_since(written).as_secs_f64() * 1e6;
        figures.note(fleet.len(), delay(writer), delay_us);
        other.get(stage.keys, number, true).await?;
    }
    Ok(())
}
