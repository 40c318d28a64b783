//! The notation of the table: what it writes, as values of the fields it stands for.
//!
//! Invariants: a value is read by the kind of its field; a notation that is unknown or misplaced panics with
//! "the table is wrong". Durations and timestamps may be illegal, as some cases want.
//!
//! Not here: comparing answers (`compare`). `tests/behaviour/README.md` is the definition.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};
use serde_json::Value as Json;

pub(super) const DURATION: &str = "google.protobuf.Duration";
pub(super) const TIMESTAMP: &str = "google.protobuf.Timestamp";
const NANOS: i128 = 1_000_000_000;

/// What placeholders stand for in one run of one case, and what its steps captured.
pub(crate) struct Scope {
    /// Different in every run.
    pub(crate) run: String,
    pub(crate) case: String,
    /// `bt_framed` or `bt_raw`.
    pub(crate) cache: String,
    /// The name of the store in `Status`.
    pub(crate) store: &'static str,
    pub(crate) captures: BTreeMap<String, Value>,
}

impl Scope {
    /// A string of the table, its placeholder replaced.
    fn text(&self, text: &str) -> String {
        let Some(placeholder) = text.strip_prefix('$') else {
            return text.to_owned();
        };
        let (name, suffix) = placeholder.split_once(':').unwrap_or((placeholder, ""));
        match name {
            "cache" if suffix.is_empty() => self.cache.clone(),
            "cache" => format!("{}_{suffix}", self.cache),
            "key" | "tenant" => format!("{}/{}/{}/{suffix}", self.run, self.cache, self.case),
            "store" => self.store.to_owned(),
            _ => panic!("the table is wrong: unknown placeholder {text:?}"),
        }
    }

    /// What was captured under a name.
    ///
    /// # Errors
    /// When the step that should have did not.
    pub(super) fn captured(&self, name: &Json) -> Result<Value, String> {
        let name = name.as_str().unwrap_or_default();
        let value = self.captures.get(name).cloned();
        value.ok_or_else(|| format!("nothing was captured as {name:?}"))
    }
}

/// Name and argument of an object like `{"$text": "abc"}`.
pub(super) fn operator(json: &Json) -> Option<(&str, &Json)> {
    let members = json.as_object().filter(|members| members.len() == 1)?;
    let (name, argument) = members.iter().next()?;
    name.starts_with('$').then_some((name.as_str(), argument))
}

/// An array, written out or as `{"$times": [n, element]}`.
pub(super) fn array(json: &Json) -> Vec<Json> {
    if let Some(("$times", argument)) = operator(json) {
        let count = argument[0].as_u64().unwrap_or_else(|| wrong(json));
        return (0..count)
            .map(|index| indexed(&argument[1], index))
            .collect();
    }
    json.as_array().unwrap_or_else(|| wrong(json)).clone()
}

/// The messages of a stream; `None` if it is one message.
pub(super) fn several(json: &Json) -> Option<Vec<Json>> {
    let times = matches!(operator(json), Some(("$times", _)));
    (times || json.is_array()).then(|| array(json))
}

/// The element with `$i` replaced in its strings.
fn indexed(element: &Json, index: u64) -> Json {
    match element {
        Json::String(text) => Json::String(text.replace("$i", &index.to_string())),
        Json::Array(parts) => parts.iter().map(|part| indexed(part, index)).collect(),
        Json::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), indexed(value, index)))
            .collect(),
        other => other.clone(),
    }
}

/// The field of that name.
pub(super) fn field(descriptor: &MessageDescriptor, name: &str) -> FieldDescriptor {
    descriptor.get_field_by_name(name).unwrap_or_else(|| {
        panic!(
            "the table is wrong: {} has no field {name:?}",
            descriptor.full_name()
        )
    })
}

/// A request.
///
/// # Errors
/// A reference to what was not captured.
pub(crate) fn message(
    descriptor: &MessageDescriptor,
    json: &Json,
    scope: &Scope,
) -> Result<DynamicMessage, String> {
    let mut message = DynamicMessage::new(descriptor.clone());
    if let Some((seconds, nanos)) = match descriptor.full_name() {
        DURATION => Some(duration(json)),
        TIMESTAMP => Some(timestamp(json)),
        _ => None,
    } {
        message.set_field_by_name("seconds", Value::I64(seconds));
        message.set_field_by_name("nanos", Value::I32(nanos));
        return Ok(message);
    }
    for (name, written) in json.as_object().unwrap_or_else(|| wrong(json)) {
        let field = field(descriptor, name);
        let value = if field.is_map() {
            Value::Map(map(&field, written, scope)?)
        } else if field.is_list() {
            let elements = array(written);
            let values = elements.iter().map(|element| value(&field, element, scope));
            Value::List(values.collect::<Result<_, _>>()?)
        } else {
            value(&field, written, scope)?
        };
        message
            .try_set_field(&field, value)
            .unwrap_or_else(|error| panic!("the table is wrong: {name}: {error}"));
    }
    Ok(message)
}

/// The members of a field that maps text to something.
///
/// # Errors
/// A reference to what was not captured.
fn map(
    field: &FieldDescriptor,
    json: &Json,
    scope: &Scope,
) -> Result<HashMap<MapKey, Value>, String> {
    let member = mapped(field);
    let members = json.as_object().unwrap_or_else(|| wrong(json)).iter();
    let pairs = members.map(|(name, written)| {
        let value = value(&member, written, scope)?;
        Ok((MapKey::String(scope.text(name)), value))
    });
    pairs.collect()
}

/// The values of a field that is a map.
pub(super) fn mapped(field: &FieldDescriptor) -> FieldDescriptor {
    match field.kind() {
        Kind::Message(entry) => entry.map_entry_value_field(),
        _ => panic!("the table is wrong: {} is no map", field.name()),
    }
}

/// The value of a field, or of one element of it, in a request or in an answer.
///
/// # Errors
/// A reference to what was not captured.
pub(super) fn value(field: &FieldDescriptor, json: &Json, scope: &Scope) -> Result<Value, String> {
    if let Some(("$ref", name)) = operator(json) {
        return scope.captured(name);
    }
    Ok(match field.kind() {
        Kind::Message(descriptor) => Value::Message(message(&descriptor, json, scope)?),
        Kind::Bytes => Value::Bytes(Bytes::from(octets(json, scope)?)),
        Kind::String => match operator(json) {
            Some(("$repeat", argument)) => {
                let repeated = String::from_utf8(repeat(argument));
                Value::String(repeated.unwrap_or_else(|_| wrong(json)))
            }
            _ => Value::String(scope.text(json.as_str().unwrap_or_else(|| wrong(json)))),
        },
        Kind::Enum(kind) => {
            let name = scope.text(json.as_str().unwrap_or_else(|| wrong(json)));
            let found = kind.get_value_by_name(&name).unwrap_or_else(|| wrong(json));
            Value::EnumNumber(found.number())
        }
        Kind::Bool => Value::Bool(json.as_bool().unwrap_or_else(|| wrong(json))),
        Kind::Uint32 => Value::U32(whole(json)),
        Kind::Uint64 => Value::U64(whole(json)),
        Kind::Int32 => Value::I32(whole(json)),
        Kind::Sint64 | Kind::Int64 => Value::I64(whole(json)),
        _ => wrong(json),
    })
}

fn octets(json: &Json, scope: &Scope) -> Result<Vec<u8>, String> {
    if let Some(text) = json.as_str().filter(|text| text.starts_with("$key")) {
        return Ok(scope.text(text).into_bytes());
    }
    Ok(match operator(json) {
        Some(("$text", argument)) => argument.as_str().unwrap_or_else(|| wrong(json)).into(),
        Some(("$hex", argument)) => hex(argument.as_str().unwrap_or_else(|| wrong(json))),
        Some(("$repeat", argument)) => repeat(argument),
        Some(("$concat", argument)) => {
            let parts = array(argument);
            let parts = parts.iter().map(|part| octets(part, scope));
            parts.collect::<Result<Vec<_>, _>>()?.concat()
        }
        Some(("$ref", name)) => match scope.captured(name)? {
            Value::Bytes(bytes) => bytes.to_vec(),
            _ => wrong(json),
        },
        _ => wrong(json),
    })
}

fn hex(text: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    let bytes: Option<_> = (0..text.len()).step_by(2).map(byte).collect();
    bytes.unwrap_or_else(|| panic!("the table is wrong: not hexadecimal: {text:?}"))
}

fn repeat(argument: &Json) -> Vec<u8> {
    let unit = argument[0].as_str().unwrap_or_else(|| wrong(argument));
    unit.repeat(whole(&argument[1])).into_bytes()
}

/// Seconds and nanos of `"1.5s"`, or of `{"$duration": [seconds, nanos]}`.
fn duration(json: &Json) -> (i64, i32) {
    if let Some(("$duration", argument)) = operator(json) {
        return (whole(&argument[0]), whole(&argument[1]));
    }
    split(nanos_of(json))
}

/// The nanoseconds of a text like `-1.5s`.
pub(super) fn nanos_of(json: &Json) -> i128 {
    let number = json.as_str().and_then(|text| text.strip_suffix('s'));
    let number = number.unwrap_or_else(|| wrong(json));
    let (negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (seconds, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{seconds}{fraction:0<9}");
    let legal = fraction.len() <= 9 && digits.bytes().all(|digit| digit.is_ascii_digit());
    let nanos: i128 = digits
        .parse()
        .ok()
        .filter(|_| legal)
        .unwrap_or_else(|| wrong(json));
    if negative { -nanos } else { nanos }
}

/// A length of time for the runner itself.
pub(crate) fn period(json: &Json) -> Duration {
    u64::try_from(nanos_of(json)).map_or_else(|_| wrong(json), Duration::from_nanos)
}

/// Seconds and nanos of an RFC 3339 text, of `{"$in": "30s"}`, or of `{"$timestamp": [seconds, nanos]}`.
pub(super) fn timestamp(json: &Json) -> (i64, i32) {
    match operator(json) {
        Some(("$timestamp", argument)) => (whole(&argument[0]), whole(&argument[1])),
        Some(("$in", argument)) => {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .expect("a clock after 1970");
            split(now.as_nanos().cast_signed() + nanos_of(argument))
        }
        _ => {
            let text = json.as_str().unwrap_or_else(|| wrong(json));
            let parsed: prost_types::Timestamp = text.parse().unwrap_or_else(|_| wrong(json));
            (parsed.seconds, parsed.nanos)
        }
    }
}

fn split(nanos: i128) -> (i64, i32) {
    let seconds = i64::try_from(nanos / NANOS).expect("seconds within 64 bits");
    (
        seconds,
        i32::try_from(nanos % NANOS).expect("less than a second"),
    )
}

fn whole<T: TryFrom<i128>>(json: &Json) -> T {
    let number = json
        .as_i64()
        .map(i128::from)
        .or_else(|| json.as_u64().map(i128::from));
    number
        .and_then(|number| T::try_from(number).ok())
        .unwrap_or_else(|| wrong(json))
}

/// Ends the test: the table cannot be understood here.
pub(super) fn wrong(json: &Json) -> ! {
    panic!("the table is wrong at {json}")
}
