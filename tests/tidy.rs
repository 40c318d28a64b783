//! Keeps the house in order: who may import whom, what stays pure, what is banned, what must be documented.
//!
//! Invariants: `ROOMS` is the table of the design, and the only copy that is enforced. A rule judges text alone
//! (path and content), so `tidy/self_tests.rs` can feed each one a snippet that breaks it. Comments and string
//! literals never count as code.
//!
//! Not here: reading Rust (`tidy/source.rs`) and everything else (`tidy/pages.rs`); anything clippy or rustc can tell by itself (`Cargo.toml` and
//! `.clippy.toml`).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "tidy/pages.rs"]
mod pages;
#[path = "tidy/self_tests.rs"]
mod self_tests;
#[path = "tidy/source.rs"]
mod source;

use pages::{judge_proto, local_links, mentions, settings};
use source::{Named, Token, paths, split, text, tokens, without_tests};

/// A line and what is wrong with it.
type Offence = (usize, String);

const EVERYTHING: &[&str] = &["*"];
const STORES: &[&str] = &[
    "model",
    "config",
    "backoff",
    "call",
    "clock",
    "drain",
    "near",
    "upstream",
    "invalidation",
    "failover",
];

/// Each room and the other rooms it may import, floor by floor.
#[rustfmt::skip]
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("proto", &[]),
    ("backoff", &[]),
    ("call", &["model"]),
    ("clock", &["model"]),
    ("drain", &[]),
    ("config", &["model"]),
    ("telemetry", &["config"]),
    ("near", &["model"]),
    ("dial", &["model", "config"]),
    ("upstream", &["model", "config", "backoff", "clock", "drain", "dial"]),
    ("sentinel", &["model", "config", "backoff", "clock", "dial", "drain"]),
    ("failover", &["model", "config", "backoff", "clock", "drain", "near", "upstream", "sentinel"]),
    ("invalidation", &["model", "backoff", "clock", "drain", "near", "upstream"]),
    ("cache", STORES),
    ("events", STORES),
    ("sessions", STORES),
    ("grpc", &["model", "config", "proto", "call", "clock", "cache", "near", "invalidation", "events", "sessions", "drain", "failover", "sentinel"]),
    ("admin", &["model", "config", "failover", "sentinel", "drain", "telemetry"]),
    ("inject", &["model", "config"]),
    ("cli", &["model", "config", "proto", "inject", "telemetry"]),
    ("app", EVERYTHING),
    ("lib", EVERYTHING),
    ("main", EVERYTHING),
];

/// Outside crates that only some rooms may name. `tonic` also stands for `tonic_health` and its like.
const CONFINED: &[(&str, &[&str])] = &[
    ("tonic", &["grpc", "proto", "cli", "app"]),
    ("prost", &["grpc", "proto", "cli", "app"]),
    ("redis", &["dial", "upstream"]),
    ("fred", &["dial", "sentinel"]),
    ("axum", &["admin"]),
    ("metrics_exporter_prometheus", &["telemetry", "admin"]),
    ("clap", &["cli", "main"]),
];

/// Files and folders without clock, socket, task or `await`: the same input gives the same output.
#[rustfmt::skip]
const PURE: &[&str] = &[
    "model/", "config/", "backoff.rs", "near/", "sentinel/aside.rs", "sentinel/reply.rs", "sentinel/topology.rs",
    "sentinel/topology/", "failover/machine.rs", "failover/renewal.rs", "failover/fence.rs", "failover/report.rs", "failover/weakness.rs",
    "cache/frame.rs", "cache/layout.rs", "cache/rate.rs", "cache/embedded/state.rs", "events/chain.rs", "events/ring.rs",
    "sessions/session.rs", "sessions/layout.rs", "sessions/embedded/state.rs", "sessions/embedded/operations.rs",
    "sessions/remote/reply.rs", "inject/pod.rs",
];

/// What a name says when its owner has no idea yet what the thing is.
const EMPTY_NAMES: [&str; 4] = ["manager", "helper", "utils", "common"];
const UNFINISHED: [&str; 3] = ["TODO", "FIXME", "XXX"];
const LINES_MAX: usize = 400;

fn room_of(path: &str) -> Option<&str> {
    let inner = path.strip_prefix("src/")?;
    Some(inner.split('/').next()?.trim_end_matches(".rs"))
}

/// Imports of rooms and of confined crates, by the file at `path`.
fn judge_imports(path: &str, tokens: &[Token], names: &[Named]) -> Vec<Offence> {
    let Some(room) = room_of(path) else {
        return Vec::new();
    };
    let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        return vec![(1, format!("`{room}` has no row in the table of rooms"))];
    };
    let own_module = |name: &str| {
        tokens
            .windows(2)
            .any(|pair| pair[0].text == "mod" && pair[1].text == name)
    };
    let mut found = Vec::new();
    for name in names {
        let (Named { segments, line }, first) = (name, name.first());
        if first == "crate" && *allowed != EVERYTHING {
            let other = segments.get(1).map_or("crate", String::as_str);
            if other != room && !allowed.contains(&other) {
                found.push((*line, format!("`{room}` may not import `{other}`")));
            } else if other != room && segments.get(2).is_some_and(|part| part == "task") {
                found.push((
                    *line,
                    format!("`{room}` may not reach into `{other}::task`"),
                ));
            }
        }
        let confined = CONFINED.iter().find(|(name, _)| {
            first
                .strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        });
        if confined.is_some_and(|(_, rooms)| !rooms.contains(&room)) && !own_module(first) {
            found.push((*line, format!("`{room}` may not use the crate `{first}`")));
        }
    }
    found
}

/// Purity, and the bans that hold for all code that ships.
fn judge_code(path: &str, tokens: &[Token], names: &[Named]) -> Vec<Offence> {
    let Some(inner) = path.strip_prefix("src/") else {
        return Vec::new();
    };
    let pure = PURE
        .iter()
        .any(|entry| inner == *entry || (entry.ends_with('/') && inner.starts_with(entry)));
    let mut found = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            word @ ("async" | "await") if pure => {
                found.push((token.line, format!("`{word}` in a pure file")))
            }
            "unbounded_channel" => found.push((token.line, "every queue has a bound".to_owned())),
            "unwrap" if text(tokens, i.wrapping_sub(1)) == "." && text(tokens, i + 2) == ")" => {
                found.push((token.line, "`.unwrap()` outside tests".to_owned()));
            }
            _ => {}
        }
    }
    let socket = |name: &str| {
        ["Tcp", "Udp", "Unix"]
            .iter()
            .any(|kind| name.starts_with(kind))
    };
    for name in names {
        let written = || name.segments.join("::");
        let clock = name.has("Instant", |s| s == "now") || name.has("SystemTime", |s| s == "now");
        if pure && (clock || name.first() == "tokio" || name.has("net", socket)) {
            found.push((name.line, format!("`{}` in a pure file", written())));
        }
        let tokio =
            name.first() == "tokio" && name.segments.last().is_some_and(|last| last == "spawn");
        if tokio && inner != "drain.rs" {
            found.push((name.line, format!("`{}`: only drain.rs spawns", written())));
        }
        if name.has("env", |s| s.starts_with("var")) && inner != "main.rs" {
            found.push((
                name.line,
                format!("`{}`: only main.rs reads the environment", written()),
            ));
        }
    }
    found
}

/// Names, unfinished work, the header and the length: rules for every Rust file, tests included.
fn judge_shape(content: &str, code: &str, comments: &str) -> Vec<Offence> {
    let mut found = Vec::new();
    if !content.starts_with("//!") {
        found.push((1, "does not open with `//!`".to_owned()));
    }
    let lines = content.lines().count() - without_tests(code).test_lines;
    if lines > LINES_MAX {
        found.push((
            lines,
            format!("{lines} lines without tests; at most {LINES_MAX}"),
        ));
    }
    for pair in tokens(code).windows(2) {
        let declares = matches!(
            pair[0].text.as_str(),
            "mod" | "struct" | "enum" | "trait" | "type" | "union"
        );
        let name = pair[1].text.to_lowercase();
        if declares && EMPTY_NAMES.iter().any(|empty| name.contains(empty)) {
            found.push((
                pair[1].line,
                format!("`{}` says nothing; name what it is", pair[1].text),
            ));
        }
    }
    for token in tokens(comments)
        .iter()
        .filter(|token| UNFINISHED.contains(&token.text.as_str()))
    {
        found.push((
            token.line,
            format!("`{}`: finish it or open an issue", token.text),
        ));
    }
    found
}

/// All rules for one Rust file; `is_test` when the whole file is one.
fn judge_rust(path: &str, content: &str, is_test: bool) -> Vec<Offence> {
    let (code, comments) = split(content);
    let shipped = if is_test {
        String::new()
    } else {
        without_tests(&code).code
    };
    let (all, shipped) = (tokens(&code), tokens(&shipped));
    let mut found = judge_shape(content, &code, &comments);
    found.extend(judge_imports(path, &all, &paths(path, &all)));
    found.extend(judge_code(path, &shipped, &paths(path, &shipped)));
    found.sort();
    found.dedup();
    found
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files under a folder of the repository that end with `suffix`, relative to it and sorted.
fn files(folder: &str, suffix: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        // A folder that is not built yet has no files.
        for entry in fs::read_dir(repository().join(&folder))
            .into_iter()
            .flatten()
            .flatten()
        {
            let path = folder.join(entry.file_name());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if let Some(path) = path.to_str().filter(|path| path.ends_with(suffix)) {
                found.insert(path.to_owned());
            }
        }
    }
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Reports offences as one line each, so that an editor can jump to them.
fn assert_tidy(offences: Vec<(String, Vec<Offence>)>) {
    let lines: Vec<String> = offences
        .into_iter()
        .flat_map(|(path, found)| {
            found
                .into_iter()
                .map(move |(line, what)| format!("{path}:{line}: {what}"))
        })
        .collect();
    assert!(
        lines.is_empty(),
        "{} offences\n{}",
        lines.len(),
        lines.join("\n")
    );
}

/// Those of `all` that are tests as a whole, because an ancestor says `#[cfg(test)] mod tests;`.
fn test_files(all: &BTreeSet<String>) -> BTreeSet<String> {
    let mut modules = Vec::new();
    for path in all {
        let folder = match path.rsplit_once('/') {
            Some((folder, "mod.rs" | "lib.rs" | "main.rs")) => folder,
            _ => path.trim_end_matches(".rs"),
        };
        let names = without_tests(&split(&read(path)).0).test_modules;
        modules.extend(names.iter().map(|name| format!("{folder}/{name}")));
    }
    let inside = |path: &str, module: &str| {
        path.strip_prefix(module)
            .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    };
    let tests = all
        .iter()
        .filter(|path| modules.iter().any(|module| inside(path, module)));
    tests.cloned().collect()
}

#[test]
fn rust_files_keep_the_rules() {
    let mut all = files("src", ".rs");
    all.extend(
        ["tests", "benches"]
            .iter()
            .flat_map(|folder| files(folder, ".rs")),
    );
    all.insert("build.rs".to_owned());
    let tests = test_files(&all);
    let judge = |path: String| {
        let found = judge_rust(&path, &read(&path), tests.contains(&path));
        (path, found)
    };
    assert_tidy(all.into_iter().map(judge).collect());
}

#[test]
fn every_file_of_src_is_in_a_room() {
    let strangers = files("src", "").into_iter().filter(|path| {
        room_of(path).is_none_or(|room| !ROOMS.iter().any(|(name, _)| *name == room))
    });
    let what = || vec![(1, "is in no room of the table".to_owned())];
    assert_tidy(strangers.map(|path| (path, what())).collect());
}

#[test]
fn every_rpc_is_described() {
    let protos = files("proto", ".proto");
    assert!(!protos.is_empty(), "no proto found");
    assert_tidy(
        protos
            .into_iter()
            .map(|path| (path.clone(), judge_proto(&read(&path))))
            .collect(),
    );
}

#[test]
fn the_readme_names_every_setting() {
    let readme = read("README.md");
    let all = files("src/config", ".rs");
    let shipped = all
        .difference(&test_files(&all))
        .map(|path| read(path))
        .collect::<Vec<_>>();
    let names: BTreeSet<&str> = shipped
        .iter()
        .flat_map(|content| settings(content))
        .collect();
    assert!(!names.is_empty(), "src/config lists no `\"VEDETTA_…\"`");
    let missing = names.into_iter().filter(|name| !mentions(&readme, name));
    let missing = missing
        .map(|name| (1, format!("does not name `{name}`")))
        .collect();
    assert_tidy(vec![("README.md".to_owned(), missing)]);
}

#[test]
fn links_to_local_files_lead_somewhere() {
    let mut pages = files("docs", ".md");
    pages.insert("README.md".to_owned());
    let judge = |page: String| {
        let content = read(&page);
        let folder = repository().join(&page).with_file_name("");
        let dead = local_links(&content)
            .into_iter()
            .filter(|(_, file)| !folder.join(file).exists());
        let found = dead
            .map(|(line, file)| (line, format!("`{file}` does not exist")))
            .collect();
        (page, found)
    };
    assert_tidy(pages.into_iter().map(judge).collect());
}
