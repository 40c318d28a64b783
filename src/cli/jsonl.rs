//! The lines of `dump` and `load`: one JSON object for each entry.
//!
//! `key` and `value` where they are text, else `key_base64` and `value_base64`; `"null": true` for null; `expires`, as a
//! time, for entries that do: what has expired when it is loaded is not revived.
//!
//! Invariants: what `dump` writes, `load` reads back as the same bytes.
//!
//! Not here: files and calls (`bulk`).

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::proto::v1;
use crate::proto::v1::put_many_request::{Item, item::Content};
use crate::proto::v1::scan_response::{Entry, entry};

const MEMBERS: [&str; 6] = [
    "key",
    "key_base64",
    "value",
    "value_base64",
    "null",
    "expires",
];

/// The line of an entry that was read at that time.
pub(super) fn line(found: &Entry, now: SystemTime) -> String {
    let mut line = Map::new();
    put(&mut line, "key", &found.key);
    match &found.content {
        Some(entry::Content::Value(value)) => put(&mut line, "value", value),
        Some(entry::Content::Null(_)) | None => {
            line.insert("null".to_owned(), json!(true));
        }
    }
    let left = found.remaining_ttl.and_then(|left| left.try_into().ok());
    if let Some(at) = left.and_then(|left| now.checked_add(left)) {
        let at = humantime::format_rfc3339_millis(at).to_string();
        line.insert("expires".to_owned(), json!(at));
    }
    Value::Object(line).to_string()
}

fn put(line: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => line.insert(name.to_owned(), json!(text)),
        Err(_) => line.insert(format!("{name}_base64"), json!(STANDARD.encode(bytes))),
    };
}

/// The entry of a line.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(line: &str) -> Result<Item, String> {
    let line: Map<String, Value> =
        serde_json::from_str(line).map_err(|error| format!("is no JSON object: {error}"))?;
    if let Some(other) = line.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        return Err(format!(
            "has a member {other:?}; known are {}",
            MEMBERS.join(", ")
        ));
    }
    let null = line.get("null").is_some_and(|null| *null == json!(true));
    let content = match (bytes(&line, "value")?, null) {
        (Some(value), false) => Content::Value(value),
        (None, true) => Content::Null(v1::Null {}),
        _ => {
            return Err(
                "needs `value`, `value_base64` or `\"null\": true`, and one of them only"
                    .to_owned(),
            );
        }
    };
    let when = match line.get("expires") {
        None => v1::expiry::When::None(v1::NoExpiry {}),
        Some(at) => {
            let at = at.as_str().and_then(|at| humantime::parse_rfc3339(at).ok());
            let at =
                at.ok_or("has an `expires` that is not a time such as 2030-01-31T12:00:00Z")?;
            v1::expiry::When::Deadline(at.into())
        }
    };
    Ok(Item {
        key: bytes(&line, "key")?.ok_or("has no `key` or `key_base64`")?,
        content: Some(content),
        expiry: Some(v1::Expiry { when: Some(when) }),
        ..Item::default()
    })
}

fn bytes(line: &Map<String, Value>, name: &str) -> Result<Option<Bytes>, String> {
    let encoded = format!("{name}_base64");
    match (line.get(name), line.get(&encoded)) {
        (None, None) => Ok(None),
        (Some(Value::String(text)), None) => Ok(Some(text.clone().into())),
        (None, Some(Value::String(text))) => match STANDARD.decode(text) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) => Err(format!("has a `{encoded}` that is not base64: {error}")),
        },
        _ => Err(format!(
            "needs `{name}` or `{encoded}`, one of them, as a text"
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn entry(key: &'static [u8], content: entry::Content, ttl: Option<u64>) -> Entry {
        Entry {
            key: Bytes::from_static(key),
            content: Some(content),
            version: Bytes::new(),
            remaining_ttl: ttl.map(|seconds| prost_types::Duration {
                seconds: seconds.cast_signed(),
                nanos: 0,
            }),
        }
    }

    #[test]
    fn what_is_dumped_is_read_back() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let value = |bytes: &'static [u8]| entry::Content::Value(Bytes::from_static(bytes));
        for (found, expires) in [
            (
                entry(b"text\n\"", value("caf\u{e9}".as_bytes()), None),
                None,
            ),
            (
                entry(b"\xff\x00", value(b"\xac\xed"), Some(60)),
                Some(1_000_000_060),
            ),
            (entry(b"k", value(b""), None), None),
            (entry(b"k", entry::Content::Null(v1::Null {}), None), None),
        ] {
            let line = line(&found, now);
            assert!(!line.contains('\n'), "{line}");
            let item = parse(&line).expect(&line);
            assert_eq!(item.key, found.key);
            let content = item.content.map(|content| match content {
                Content::Value(value) => entry::Content::Value(value),
                Content::Null(null) => entry::Content::Null(null),
            });
            assert_eq!(content, found.content);
            let at = match item.expiry.and_then(|expiry| expiry.when) {
                Some(v1::expiry::When::Deadline(at)) => Some(at.seconds),
                _ => None,
            };
            assert_eq!(at, expires);
        }
    }

    #[test]
    fn a_wrong_line_says_what_is_wrong() {
        for (line, problem) in [
            ("[]", "no JSON object"),
            (r#"{"key":"k"}"#, "value"),
            (r#"{"value":"v"}"#, "key"),
            (r#"{"key":"k","value":"v","null":true}"#, "one of them only"),
            (
                r#"{"key":"k","key_base64":"aw==","value":"v"}"#,
                "one of them",
            ),
            (r#"{"key":"k","value_base64":"*"}"#, "base64"),
            (r#"{"key":"k","value":"v","ttl":1}"#, "ttl"),
            (r#"{"key":"k","value":"v","expires":"soon"}"#, "expires"),
        ] {
            let said = parse(line).expect_err(line);
            assert!(said.contains(problem), "{line}: {said}");
        }
    }
}
