//! Reads the table: cases and steps, their members checked.
//!
//! Not here: the values inside `request` and `expect` (`notation`, `compare`).

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::notation;

/// A case of the table.
pub(crate) struct Case {
    /// The file and the name.
    pub(crate) name: String,
    /// Once per encoding.
    pub(crate) encodings: Vec<String>,
    /// Only against these stores; empty for all.
    pub(crate) stores: Vec<String>,
    /// In order.
    pub(crate) steps: Vec<Step>,
}

/// A call and what must come of it.
pub(crate) struct Step {
    pub(crate) call: String,
    pub(crate) request: Json,
    pub(crate) outcome: Outcome,
    /// Zero: once.
    pub(crate) eventually: Duration,
    pub(crate) after: Option<Duration>,
}

/// What must come of a call.
pub(crate) enum Outcome {
    /// An answer with this in it.
    Answer(Json),
    /// As many answers of a stream as there are elements, in any order, each with one of these in it.
    Answers(Json),
    /// This error.
    Error(Json),
}

/// All cases of the `*.json` files of a directory, by file name.
///
/// # Panics
/// When a file is not a table.
pub(crate) fn load(directory: &Path) -> Vec<Case> {
    let mut paths: Vec<_> = fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.expect("an entry of the directory").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    paths.sort();
    paths.iter().flat_map(|path| load_file(path)).collect()
}

fn load_file(path: &Path) -> Vec<Case> {
    let text = fs::read_to_string(path).expect("a readable file");
    let json: Json =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file = path.file_stem().unwrap_or_default().to_string_lossy();
    let cases = json["cases"].as_array();
    let cases = cases.unwrap_or_else(|| panic!("{}: no cases", path.display()));
    cases.iter().map(|case| read_case(&file, case)).collect()
}

fn read_case(file: &str, json: &Json) -> Case {
    let members = members(json, &["name", "caches", "stores", "steps"]);
    let name = format!("{file}: {}", text(&members["name"]));
    let texts = |member: &str| match members.get(member) {
        Some(list) => elements(list).iter().map(text).collect(),
        None => Vec::new(),
    };
    let mut encodings: Vec<String> = texts("caches");
    if encodings.is_empty() {
        encodings.push("framed".to_owned());
    }
    Case {
        name,
        encodings,
        stores: texts("stores"),
        steps: elements(&members["steps"]).iter().map(read_step).collect(),
    }
}

fn read_step(json: &Json) -> Step {
    let known = [
        "call",
        "request",
        "expect",
        "answers",
        "error",
        "eventually",
        "after",
        "note",
    ];
    let members = members(json, &known);
    let outcome = ["expect", "answers", "error"].map(|name| members.get(name).cloned());
    let outcome = match outcome {
        [Some(answer), None, None] => Outcome::Answer(answer),
        [None, Some(answers), None] => Outcome::Answers(answers),
        [None, None, Some(error)] => Outcome::Error(error),
        _ => panic!("the table is wrong: one of expect, answers and error in {json}"),
    };
    let time = |name: &str| members.get(name).map(notation::period);
    Step {
        call: text(&members["call"]),
        request: members
            .get("request")
            .cloned()
            .unwrap_or_else(|| Json::Object(Map::new())),
        outcome,
        eventually: time("eventually").unwrap_or_default(),
        after: time("after"),
    }
}

/// The members of an object that has no others.
///
/// # Panics
/// When it has.
pub(crate) fn members<'a>(json: &'a Json, known: &[&str]) -> &'a Map<String, Json> {
    let Json::Object(members) = json else {
        panic!("the table is wrong: not an object: {json}");
    };
    if let Some(other) = members.keys().find(|name| !known.contains(&name.as_str())) {
        panic!("the table is wrong: unknown member {other:?} in {json}");
    }
    members
}

fn elements(json: &Json) -> &Vec<Json> {
    json.as_array()
        .unwrap_or_else(|| panic!("the table is wrong: not an array: {json}"))
}

fn text(json: &Json) -> String {
    let text = json.as_str();
    text.unwrap_or_else(|| panic!("the table is wrong: not a text: {json}"))
        .to_owned()
}
