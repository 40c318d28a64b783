//! Answers as JSON for scripts and as text for people.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::model::hex;
use crate::proto::v1;
use crate::proto::v1::get_status_response as status;

/// One object and a line end.
pub(super) fn json(value: &Value) -> String {
    format!("{value:#}\n")
}

/// A key: as text where it is text, else in base64 with that said.
pub(super) fn key(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => format!("base64:{}", STANDARD.encode(key)),
    }
}

/// The answer to `get`; `None` is a miss.
pub(super) fn hit(hit: Option<&v1::Hit>) -> Value {
    let Some(hit) = hit else {
        return json!({ "hit": false });
    };
    let value = match &hit.content {
        Some(v1::hit::Content::Value(value)) => Some(value),
        _ => None,
    };
    json!({
        "hit": true,
        "null": value.is_none(),
        // Absent where the value is not text.
        "value": value.and_then(|value| std::str::from_utf8(value).ok()),
        "value_base64": value.map(|value| STANDARD.encode(value)),
        "version": hex(&hit.version),
        "remaining_ttl_seconds": hit.remaining_ttl.as_ref().map(seconds),
        "source": hit.source().as_str_name(),
        "freshness": hit.freshness().as_str_name(),
        "age_bound_seconds": hit.age_bound.as_ref().map(seconds),
    })
}

/// The answer to `put`.
pub(super) fn put(stored: bool, version: &[u8]) -> Value {
    if stored {
        json!({ "stored": true, "version": hex(version) })
    } else {
        json!({ "stored": false, "current_version": hex(version) })
    }
}

pub(super) fn seconds(duration: &prost_types::Duration) -> f64 {
    duration.seconds as f64 + f64::from(duration.nanos) / 1e9
}

fn load(load: &status::Load) -> Value {
    json!({
        "cache": load.cache,
        "tenant": load.tenant,
        "snapshot_version": load.snapshot_version,
        "entries": load.entries,
        "bytes": load.bytes,
        "waiting": load.waiting,
    })
}

/// The status for scripts.
pub(super) fn status_object(status: &v1::GetStatusResponse) -> Value {
    json!({
        "version": status.version,
        "store": store(status),
        "profile": status.profile,
        "master": status.master.as_ref().map(|master| json!({
            "address": master.address,
            "phase": phase(master),
            "config_epoch": master.config_epoch,
            "generation": master.generation,
            "changes": master.changes,
            "reason": master.reason,
            "detail": master.detail,
        })),
        "sentinels": status.sentinels.iter().map(|view| json!({
            "address": view.address,
            "up": view.up,
            "master": view.master,
            "config_epoch": view.config_epoch,
            "flags": view.flags,
            "agrees": view.agrees,
            "id": view.id,
            "discovered": view.discovered,
            "tilt": view.tilt,
            "overruled": view.overruled,
            "master_run_id": view.master_run_id,
            "reason": view.reason,
            "detail": view.detail,
        })).collect::<Vec<_>>(),
        "near": status.near.as_ref().map(|near| json!({
            "entries": near.entries,
            "weight_bytes": near.weight_bytes,
            "capacity_bytes": near.capacity_bytes,
            "bound_seconds": near.bound.as_ref().map(seconds),
            "lease_remaining_seconds": near.lease_remaining.as_ref().map(seconds),
            "rejected_fills": near.rejected_fills,
        })),
        "loads": status.loads.iter().map(load).collect::<Vec<_>>(),
        "fence": status.fence.as_ref().map(|fence| json!({
            "open": fence.open,
            "reason": fence.reason,
            "detail": fence.detail,
        })),
        "weaknesses": status.weaknesses.iter().map(|weakness| json!({
            "name": weakness.name,
            "detail": weakness.detail,
            "remedy": weakness.remedy,
        })).collect::<Vec<_>>(),
        "embedded": status.embedded.as_ref().map(|embedded| json!({
            "entries": embedded.entries,
            "weight_bytes": embedded.weight_bytes,
            "capacity_bytes": embedded.capacity_bytes,
            "evictions": embedded.evictions,
        })),
        "capabilities": status.capabilities.iter()
            .map(|capability| (capability.name.clone(), Value::Bool(capability.available)))
            .collect::<serde_json::Map<_, _>>(),
    })
}

/// The status for people.
pub(super) fn status_text(status: &v1::GetStatusResponse) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = write_status(&mut text, status);
    text
}

fn write_status(text: &mut String, status: &v1::GetStatusResponse) -> std::fmt::Result {
    writeln!(
        text,
        "vedetta    {} (profile {})",
        status.version, status.profile
    )?;
    writeln!(text, "store      {}", store(status))?;
    if let Some(embedded) = &status.embedded {
        writeln!(
            text,
            "entries    {}, {} of {} bytes, {} evicted",
            embedded.entries, embedded.weight_bytes, embedded.capacity_bytes, embedded.evictions
        )?;
    }
    if let Some(master) = &status.master {
        write_master(text, master)?;
    }
    if let Some(near) = &status.near {
        write_near(text, near)?;
    }
    if let Some(fence) = status.fence.as_ref().filter(|fence| !fence.open) {
        writeln!(text, "writes     held: {}", fence.detail)?;
    }
    for view in &status.sentinels {
        write_sentinel(text, view)?;
    }
    for weakness in &status.weaknesses {
        let (name, detail) = (&weakness.name, &weakness.detail);
        writeln!(text, "weakness   {name}: {detail}; {}", weakness.remedy)?;
    }
    let missing: Vec<&str> = status
        .capabilities
        .iter()
        .filter(|capability| !capability.available)
        .map(|capability| {
            capability
                .name
                .strip_prefix("vedetta.v1.")
                .unwrap_or(&capability.name)
        })
        .collect();
    writeln!(text, "not yet    {}", missing.join(", "))
}

fn write_master(text: &mut String, master: &status::Master) -> std::fmt::Result {
    let address = if master.address.is_empty() {
        "unknown"
    } else {
        &master.address
    };
    writeln!(
        text,
        "master     {address}, {}, config epoch {}, generation {}, {} changes",
        phase(master),
        master.config_epoch,
        master.generation,
        master.changes
    )?;
    if !master.reason.is_empty() {
        writeln!(text, "           {}: {}", master.reason, master.detail)?;
    }
    Ok(())
}

fn write_near(text: &mut String, near: &status::Near) -> std::fmt::Result {
    let lease = match &near.lease_remaining {
        Some(left) => format!("FRESH for another {:.1} s at least", seconds(left)),
        None => "not FRESH now".to_owned(),
    };
    writeln!(
        text,
        "near       {} entries, {} of {} bytes, {lease}",
        near.entries, near.weight_bytes, near.capacity_bytes
    )
}

fn write_sentinel(text: &mut String, view: &status::SentinelView) -> std::fmt::Result {
    if !view.up {
        return writeln!(
            text,
            "sentinel   {}, down, {}: {}",
            view.address, view.reason, view.detail
        );
    }
    let agrees = if view.agrees { "agrees" } else { "disagrees" };
    let said = view.flags.iter().map(String::as_str);
    let ours = [
        (view.discovered, "discovered"),
        (view.tilt, "in TILT"),
        (view.overruled, "overruled"),
    ];
    let ours = ours.iter().filter(|(is, _)| *is).map(|(_, word)| *word);
    let words: Vec<&str> = said.chain(ours).collect();
    let flags = if words.is_empty() {
        String::new()
    } else {
        format!(" ({})", words.join(", "))
    };
    writeln!(
        text,
        "sentinel   {}, {agrees}: {} at config epoch {}{flags}",
        view.address, view.master, view.config_epoch
    )
}

fn store(status: &v1::GetStatusResponse) -> &'static str {
    match status.store() {
        status::Store::Unspecified => "unknown",
        status::Store::Embedded => "embedded",
        status::Store::Redis => "redis",
        status::Store::Sentinel => "sentinel",
    }
}

fn phase(master: &status::Master) -> &'static str {
    match master.phase() {
        status::Phase::Unspecified => "unknown",
        status::Phase::Seeking => "seeking",
        status::Phase::Dialing => "dialing",
        status::Phase::Serving => "serving",
    }
}
