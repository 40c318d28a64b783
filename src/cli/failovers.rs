//! What happened to the master, for people and for scripts.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::proto::v1;
use crate::proto::v1::get_status_response::Failover;

use super::show::seconds;

/// For people, newest first.
pub(super) fn text(status: &v1::GetStatusResponse) -> String {
    if status.failovers.is_empty() {
        return "nothing has happened to the master since this vedetta started\n".to_owned();
    }
    let mut text = String::new();
    for failover in &status.failovers {
        // Writing to a String does not fail.
        let _ = write(&mut text, failover);
    }
    text
}

fn write(text: &mut String, failover: &Failover) -> std::fmt::Result {
    let began = failover
        .began
        .as_ref()
        .map_or_else(String::new, ToString::to_string);
    let node = |address: &str, epoch: u64| match address {
        "" => "-".to_owned(),
        address => format!("{address} at epoch {epoch}"),
    };
    writeln!(
        text,
        "#{}  {began}  {}  {} -> {}",
        failover.number,
        kind(failover),
        node(&failover.from_address, failover.from_epoch),
        node(&failover.to_address, failover.to_epoch)
    )?;
    writeln!(text, "    +0.000 s  suspected, by {}", failover.detected_by)?;
    let decided = format!(
        "decided by the Sentinels, asked because of {}",
        failover.decided_by
    );
    let serving = format!("serving, generation {}", failover.generation);
    let steps = [
        (&failover.decided, decided.as_str()),
        (&failover.confirmed, "confirmed by the node itself"),
        (&failover.serving, serving.as_str()),
        (&failover.first_write, "first write acknowledged"),
        (
            &failover.proven,
            "near cache proven: answers are FRESH again",
        ),
        (&failover.over, "over"),
    ];
    for (at, what) in steps {
        if let Some(at) = at {
            writeln!(text, "    +{:.3} s  {what}", seconds(at))?;
        }
    }
    if failover.over.is_none() {
        writeln!(text, "    not over yet")?;
    }
    writeln!(
        text,
        "    calls meanwhile: {} waited, {} attempts repeated, {} failed, {} in doubt",
        failover.waited, failover.repeated, failover.failed, failover.unknown
    )?;
    writeln!(
        text,
        "    recent writes: {} looked for, {} old values removed, {} lost{}",
        failover.checked_writes,
        failover.removed_values,
        failover.lost_writes,
        match failover.lost_caches.as_slice() {
            [] => String::new(),
            caches => format!(" in {}", caches.join(", ")),
        }
    )
}

/// For scripts.
pub(super) fn object(status: &v1::GetStatusResponse) -> Value {
    let failovers = status.failovers.iter().map(|failover| {
        let at = |at: &Option<prost_types::Duration>| at.as_ref().map(seconds);
        json!({
            "number": failover.number,
            "kind": kind(failover),
            "began": failover.began.as_ref().map(ToString::to_string),
            "detected_by": failover.detected_by,
            "decided_by": failover.decided_by,
            "from": { "address": failover.from_address, "config_epoch": failover.from_epoch },
            "to": { "address": failover.to_address, "config_epoch": failover.to_epoch },
            "generation": failover.generation,
            "decided_seconds": at(&failover.decided),
            "confirmed_seconds": at(&failover.confirmed),
            "serving_seconds": at(&failover.serving),
            "first_write_seconds": at(&failover.first_write),
            "proven_seconds": at(&failover.proven),
            "over_seconds": at(&failover.over),
            "calls": {
                "waited": failover.waited,
                "repeated": failover.repeated,
                "failed": failover.failed,
                "unknown": failover.unknown,
            },
            "writes": {
                "checked": failover.checked_writes,
                "removed": failover.removed_values,
                "lost": failover.lost_writes,
                "lost_caches": failover.lost_caches,
            },
        })
    });
    failovers.collect()
}

fn kind(failover: &Failover) -> String {
    let name = failover.kind().as_str_name();
    name.strip_prefix("KIND_")
        .unwrap_or(name)
        .to_ascii_lowercase()
}
