//! `vedetta watch`: one line per event, as it happens.

use std::time::SystemTime;

use bytes::Bytes;
use serde_json::{Value, json};
use tonic::Status;
use tonic::transport::Channel;

use crate::proto::v1;
use crate::proto::v1::watch_client::WatchClient;
use crate::proto::v1::watch_response::Event;

use super::arguments::{Arguments, Output};
use super::exit::{Exit, print};
use super::show;

/// Prints until the stream ends.
pub(super) async fn run(
    arguments: &Arguments,
    channel: Channel,
    (caches, keys, groups): (&[String], &[String], &[String]),
) -> Result<Exit, Status> {
    let request = v1::WatchRequest {
        tenant: arguments.tenant.clone(),
        caches: caches.to_vec(),
        keys: keys
            .iter()
            .map(|key| Bytes::copy_from_slice(key.as_bytes()))
            .collect(),
        groups: groups.to_vec(),
        ..v1::WatchRequest::default()
    };
    let mut stream = WatchClient::new(channel).watch(request).await?.into_inner();
    while let Some(message) = stream.message().await? {
        let line = match arguments.output {
            Output::Json => Some(as_json(&message).to_string()),
            Output::Text => as_text(&message),
        };
        if let Some(line) = line {
            let exit = print(format!("{line}\n").as_bytes(), Exit::Done);
            if exit != Exit::Done {
                return Ok(exit);
            }
        }
    }
    Ok(Exit::Done)
}

/// A line for people; none for proofs, which come several times a second.
fn as_text(message: &v1::WatchResponse) -> Option<String> {
    Some(match message.event.as_ref()? {
        Event::Invalidated(event) => {
            let keys: Vec<_> = event.keys.iter().map(|key| show::key(key)).collect();
            format!("invalidated    {} {}", event.cache, keys.join(" "))
        }
        Event::GroupsFlushed(event) => {
            format!("groups flushed {} {}", event.cache, event.groups.join(" "))
        }
        Event::Cleared(event) => format!("cleared        {}", event.cache),
        Event::Discontinuity(event) => format!("discontinuity  {}", reason(event)),
        Event::Proven(_) => return None,
        Event::FailoverStarted(_) => "failover       started: no master".to_owned(),
        Event::FailoverFinished(event) => format!("failover       finished: {}", event.master),
        Event::DataLoss(event) => {
            let since = since(event).map_or_else(String::new, |since| format!(" since {since}"));
            format!("data loss      {}{since}", event.caches.join(" "))
        }
    })
}

fn as_json(message: &v1::WatchResponse) -> Value {
    let mut shown = match &message.event {
        Some(Event::Invalidated(event)) => {
            let keys: Vec<_> = event.keys.iter().map(|key| show::key(key)).collect();
            json!({ "event": "invalidated", "cache": event.cache, "keys": keys })
        }
        Some(Event::GroupsFlushed(event)) => {
            json!({ "event": "groups_flushed", "cache": event.cache, "groups": event.groups })
        }
        Some(Event::Cleared(event)) => json!({ "event": "cleared", "cache": event.cache }),
        Some(Event::Discontinuity(event)) => {
            json!({ "event": "discontinuity", "reason": reason(event) })
        }
        Some(Event::Proven(event)) => json!({
            "event": "proven",
            "valid_for_ms": event.valid_for.map_or(0, |d| d.seconds * 1000 + i64::from(d.nanos / 1_000_000)),
        }),
        Some(Event::FailoverStarted(_)) => json!({ "event": "failover_started" }),
        Some(Event::FailoverFinished(event)) => {
            json!({ "event": "failover_finished", "master": event.master })
        }
        Some(Event::DataLoss(event)) => json!({
            "event": "data_loss",
            "caches": event.caches,
            "since": since(event),
        }),
        None => json!({ "event": null }),
    };
    if let Some(position) = &message.position {
        shown["position"] = json!([position.generation, position.sequence]);
    }
    shown
}

/// Up to when nothing is missing, for people.
fn since(event: &v1::watch_response::DataLoss) -> Option<String> {
    let since = SystemTime::try_from(event.since?).ok()?;
    Some(humantime::format_rfc3339_millis(since).to_string())
}

fn reason(event: &v1::watch_response::Discontinuity) -> String {
    event
        .reason()
        .as_str_name()
        .trim_start_matches("REASON_")
        .to_ascii_lowercase()
}
