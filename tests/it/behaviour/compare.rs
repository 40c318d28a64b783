//! Compares an answer with what the table expects: by subset, field by field.
//!
//! Invariants: what is named must be set; no difference is silent, each gives one text.
//!
//! Not here: errors (`error`).

use std::collections::HashMap;

use prost_reflect::{DynamicMessage, FieldDescriptor, MapKey, ReflectMessage, Value};
use serde_json::Value as Json;

use super::notation::{self, DURATION, Scope, TIMESTAMP, array, operator, wrong};

/// What in the answer is not as written: one text for each difference.
pub(crate) fn message(
    answer: &DynamicMessage,
    written: &Json,
    scope: &mut Scope,
    path: &str,
) -> Vec<String> {
    if let Some(("$any_of", alternatives)) = operator(written) {
        return any_of(answer, alternatives, scope, path);
    }
    match answer.descriptor().full_name() {
        DURATION => return duration(answer, written, path),
        TIMESTAMP => {
            let (got, wanted) = (parts(answer), notation::timestamp(written));
            return differs(got == wanted, || {
                format!("{path}: is {got:?}, expected {wanted:?}")
            });
        }
        _ => {}
    }
    let Json::Object(members) = written else {
        wrong(written)
    };
    let mut differences = Vec::new();
    for (name, expected) in members {
        let member = notation::field(&answer.descriptor(), name);
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        differences.extend(field(answer, &member, expected, scope, &path));
    }
    differences
}

/// The same for all answers of a stream: each is as one element says, each element is met once, in any order.
pub(crate) fn messages(
    mut answers: Vec<DynamicMessage>,
    written: &Json,
    scope: &mut Scope,
) -> Vec<String> {
    let written = array(written);
    let (got, wanted) = (answers.len(), written.len());
    let mut differences = differs(got == wanted, || {
        format!("has {got} answers, expected {wanted}")
    });
    for one in &written {
        let like = |answer: &DynamicMessage| message(answer, one, scope, "").is_empty();
        match answers.iter().position(like) {
            Some(place) => drop(answers.remove(place)),
            None => differences.push(format!("no answer is left that is like {one}: {answers:?}")),
        }
    }
    // One text for each thing that is wrong.
    differences.truncate(1);
    differences
}

fn any_of(
    answer: &DynamicMessage,
    alternatives: &Json,
    scope: &mut Scope,
    path: &str,
) -> Vec<String> {
    let mut first = None;
    for alternative in array(alternatives) {
        let differences = message(answer, &alternative, scope, path);
        if differences.is_empty() {
            return differences;
        }
        first.get_or_insert(differences);
    }
    vec![format!(
        "{path}: no alternative holds; the first: {first:?}"
    )]
}

fn field(
    answer: &DynamicMessage,
    field: &FieldDescriptor,
    written: &Json,
    scope: &mut Scope,
    path: &str,
) -> Vec<String> {
    let present = answer.has_field(field);
    let value = answer.get_field(field);
    match operator(written) {
        Some(("$absent", _)) => {
            return differs(!present, || {
                format!("{path}: is {}, expected nothing", show(&value))
            });
        }
        Some((name @ ("$any" | "$capture"), argument)) => {
            if !present || empty(&value) {
                return vec![format!("{path}: is not set, or is empty")];
            }
            if name == "$capture" {
                let name = argument.as_str().unwrap_or_else(|| wrong(written));
                scope.captures.insert(name.to_owned(), value.into_owned());
            }
            return Vec::new();
        }
        _ => {}
    }
    if let Value::Map(values) = value.as_ref() {
        return map(values, field, written, scope, path);
    }
    if let Value::List(values) = value.as_ref() {
        return list(values, field, written, scope, path);
    }
    if field.supports_presence() && !present {
        let set: Vec<_> = answer
            .fields()
            .map(|(set, _)| set.name().to_owned())
            .collect();
        return vec![format!("{path}: is not set; the answer has {set:?}")];
    }
    element(&value, field, written, scope, path)
}

/// Exactly the names that are written, each with its value.
fn map(
    values: &HashMap<MapKey, Value>,
    field: &FieldDescriptor,
    written: &Json,
    scope: &mut Scope,
    path: &str,
) -> Vec<String> {
    let Json::Object(members) = written else {
        wrong(written)
    };
    let mut got: Vec<&str> = values.keys().filter_map(MapKey::as_str).collect();
    got.sort_unstable();
    let mut wanted: Vec<&str> = members.keys().map(String::as_str).collect();
    wanted.sort_unstable();
    if got != wanted {
        return vec![format!("{path}: has {got:?}, expected {wanted:?}")];
    }
    let member = notation::mapped(field);
    let mut differences = Vec::new();
    for (name, expected) in members {
        let (path, value) = (
            format!("{path}.{name}"),
            &values[&MapKey::String(name.clone())],
        );
        match operator(expected) {
            Some(("$any", _)) => differences.extend(differs(!empty(value), || {
                format!("{path}: is not set, or is empty")
            })),
            _ => differences.extend(element(value, &member, expected, scope, &path)),
        }
    }
    differences
}

fn list(
    values: &[Value],
    field: &FieldDescriptor,
    written: &Json,
    scope: &mut Scope,
    path: &str,
) -> Vec<String> {
    if let Some(("$contains", wanted)) = operator(written) {
        let mut differences = Vec::new();
        for one in array(wanted) {
            let mut all = values.iter();
            if !all.any(|value| element(value, field, &one, scope, path).is_empty()) {
                differences.push(format!("{path}: has no element like {one}"));
            }
        }
        return differences;
    }
    let wanted = array(written);
    if wanted.len() != values.len() {
        let (got, wanted) = (values.len(), wanted.len());
        return vec![format!("{path}: has {got} elements, expected {wanted}")];
    }
    let pairs = values.iter().zip(&wanted).enumerate();
    pairs
        .flat_map(|(index, (value, one))| {
            element(value, field, one, scope, &format!("{path}[{index}]"))
        })
        .collect()
}

fn element(
    value: &Value,
    field: &FieldDescriptor,
    written: &Json,
    scope: &mut Scope,
    path: &str,
) -> Vec<String> {
    if let Value::Message(inner) = value {
        return message(inner, written, scope, path);
    }
    let compared = match operator(written) {
        Some(("$not_ref", name)) => scope.captured(name).map(|other| {
            differs(*value != other, || {
                format!("{path}: is still {}", show(value))
            })
        }),
        _ => notation::value(field, written, scope).map(|wanted| {
            differs(*value == wanted, || {
                format!("{path}: is {}, expected {}", show(value), show(&wanted))
            })
        }),
    };
    compared.unwrap_or_else(|missing| vec![format!("{path}: {missing}")])
}

fn duration(answer: &DynamicMessage, written: &Json, path: &str) -> Vec<String> {
    let (seconds, nanos) = parts(answer);
    let got = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    let (low, high) = match operator(written) {
        Some(("$between", bounds)) => (&bounds[0], &bounds[1]),
        _ => (written, written),
    };
    let within = (notation::nanos_of(low)..=notation::nanos_of(high)).contains(&got);
    differs(within, || {
        format!("{path}: is {got} ns, expected {low} to {high}")
    })
}

/// Seconds and nanos of a Duration or a Timestamp.
fn parts(message: &DynamicMessage) -> (i64, i32) {
    let part = |name: &str| message.get_field_by_name(name);
    let seconds = part("seconds").and_then(|value| value.as_i64());
    let nanos = part("nanos").and_then(|value| value.as_i32());
    (seconds.unwrap_or_default(), nanos.unwrap_or_default())
}

fn empty(value: &Value) -> bool {
    match value {
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

fn differs(as_expected: bool, difference: impl FnOnce() -> String) -> Vec<String> {
    if as_expected {
        Vec::new()
    } else {
        vec![difference()]
    }
}

/// A value for a person; large ones shortened.
fn show(value: &Value) -> String {
    let text = format!("{value:?}");
    if text.len() <= 100 {
        return text;
    }
    let start: String = text.chars().take(70).collect();
    format!("{start}... ({} characters)", text.len())
}
