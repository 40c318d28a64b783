//! The TOML file, flattened to dotted keys.
//!
//! Invariants: every key of the file is a setting or a mistake, so a misspelt one cannot silently do nothing;
//! mistakes name types and keys but no values, since any of them may be a misplaced password.
//!
//! Not here: what the text of a value means (`server`, `store`); the meaning of cache rules (`rules`).

use toml::{Table, Value};

use super::draft::Draft;
use super::origin::Origin;
use super::rules::RawRule;
use super::setting::{Kind, Setting, find, settings};
use super::suggest::unknown;

/// The array of tables that holds the cache rules.
const RULES: &str = "cache";

/// Takes over what the file says.
pub(super) fn read(draft: &mut Draft, path: &str, text: &str) {
    match text.parse::<Table>() {
        Ok(table) => flatten(draft, path, "", &table),
        Err(error) => {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.unwrap_or("").matches('\n').count() + 1;
            // Only the message: the whole error repeats the line, which may hold a password.
            let problem = format!("line {line}: {}; correct the TOML there", error.message());
            draft.mistake_at(path, path, problem);
        }
    }
}

fn flatten(draft: &mut Draft, path: &str, parent: &str, table: &Table) {
    for (name, value) in table {
        let key = if parent.is_empty() {
            name.clone()
        } else {
            format!("{parent}.{name}")
        };
        if key == RULES {
            rules(draft, path, value);
        } else if let Some(setting) = find(&key) {
            match text_of(setting, value) {
                Ok(text) => draft.put(setting, &text, Origin::File(path.to_owned(), key)),
                Err(problem) => draft.mistake_at(&key, format!("{path}: {key}"), problem),
            }
        } else if let Value::Table(inner) = value
            && (!inner.is_empty() || is_section(&key))
        {
            flatten(draft, path, &key, inner);
        } else {
            let problem = if is_section(&key) {
                format!("is {}; write a table [{key}]", noun(value))
            } else {
                let keys = settings().iter().map(|setting| setting.key);
                unknown(&key, keys.chain([RULES]))
            };
            draft.mistake_at(&key, format!("{path}: {key}"), problem);
        }
    }
}

fn is_section(key: &str) -> bool {
    let inside = |setting: &Setting| setting.key.split_once('.').is_some_and(|(s, _)| s == key);
    settings().iter().any(inside)
}

/// The text of a value of the right type.
fn text_of(setting: &Setting, value: &Value) -> Result<String, String> {
    let remedy = match (setting.kind, value) {
        (Kind::Text | Kind::Duration | Kind::Size | Kind::List, Value::String(text)) => {
            return Ok(text.clone());
        }
        (Kind::Integer, Value::Integer(number)) => return Ok(number.to_string()),
        (Kind::Boolean, Value::Boolean(switch)) => return Ok(switch.to_string()),
        (Kind::List, Value::Array(items)) if items.iter().all(Value::is_str) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            return Ok(items.join(","));
        }
        (Kind::Text, _) => "write text in quotes",
        (Kind::Integer, _) => "write a whole number without quotes",
        (Kind::Boolean, _) => "write true or false without quotes",
        (Kind::Duration, _) => {
            "write a duration with its unit in quotes: \"250ms\", \"5s\", \"4h\""
        }
        (Kind::Size, _) => "write a size with its unit in quotes: \"65536B\", \"64KiB\", \"16MiB\"",
        (Kind::List, _) => "write an array of texts",
        (Kind::Rules, _) => "write [[cache]] tables in the file instead",
    };
    Err(format!("is {}; {remedy}", noun(value)))
}

/// The type of a value as a noun.
fn noun(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "text",
        Value::Integer(_) => "a number",
        Value::Float(_) => "a number with a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "an array",
        Value::Table(_) => "a table",
    }
}

fn rules(draft: &mut Draft, path: &str, value: &Value) {
    let tables: Option<Vec<&Table>> = match value {
        Value::Array(items) => items.iter().map(Value::as_table).collect(),
        _ => None,
    };
    let Some(tables) = tables else {
        let problem = format!("is {}; write [[cache]] tables", noun(value));
        draft.mistake_at(RULES, format!("{path}: {RULES}"), problem);
        return;
    };
    for (index, table) in tables.into_iter().enumerate() {
        let field = format!("{RULES}[{}]", index + 1);
        let origin = Origin::File(path.to_owned(), field.clone());
        let rule = rule(draft, RawRule::new(field, origin), table);
        draft.file_rules.push(rule);
    }
}

fn rule(draft: &mut Draft, mut rule: RawRule, table: &Table) -> RawRule {
    for (name, value) in table {
        let slot = match name.as_str() {
            "name" => Some(&mut rule.pattern),
            "encoding" => Some(&mut rule.encoding),
            "ttl" => Some(&mut rule.ttl),
            "jitter" => Some(&mut rule.jitter),
            _ => None,
        };
        let problem = match (slot, value) {
            (Some(slot), Value::String(text)) => {
                *slot = Some(text.trim().to_owned());
                continue;
            }
            (Some(_), value) => {
                // So that a name of the wrong type is not reported as missing as well.
                rule.broken = true;
                format!(
                    "is {}; write text in quotes, such as \"raw\" or \"4h\"",
                    noun(value)
                )
            }
            (None, _) => unknown(name, ["name", "encoding", "ttl", "jitter"].into_iter()),
        };
        rule.mistake(draft, name, problem);
    }
    rule
}
