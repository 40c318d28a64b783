//! Feeds every rule a snippet that breaks it and one that is fine, so that the rules are known to bite.
//!
//! Not here: the state of the repository, which `../tidy.rs` judges.

use super::judge_rust;
use super::pages::{judge_proto, local_links, mentions, settings};

fn offences(path: &str, body: &str) -> Vec<String> {
    let content = format!("//! Purpose.\n{body}");
    let found = judge_rust(path, &content, false);
    found
        .into_iter()
        .map(|(line, what)| format!("{line}: {what}"))
        .collect()
}

#[rustfmt::skip]
#[test]
fn rules_bite() {
    let long = "// a line\n".repeat(400);
    let not_upstream = "2: `sentinel` may not import `upstream`";
    for (path, body, expected) in [
        // Rooms, in every way to write a path.
        ("src/sentinel/task.rs", "use crate::upstream::Session;", not_upstream),
        ("src/sentinel/task.rs", "use crate::{model, upstream::{self, Link}};", not_upstream),
        ("src/sentinel/task.rs", "use {std::fmt, crate::upstream as up};", not_upstream),
        ("src/sentinel/task.rs", "fn f() -> crate::upstream::Link { g() }", not_upstream),
        ("src/sentinel/task.rs", "use super::super::upstream::Link;", not_upstream),
        ("src/sentinel/mod.rs", "use super::upstream;", not_upstream),
        ("src/sentinel/mod.rs", "mod a { use super::super::{model, upstream}; }", not_upstream),
        ("src/sentinel/mod.rs", "#[cfg(test)]\nmod tests { use crate::cache::Store; }", "3: `sentinel` may not import `cache`"),
        ("src/near/mod.rs", "use super::*;", "2: `near` may not import `*`"),
        ("src/backoff.rs", "use crate::model::Key;", "2: `backoff` may not import `model`"),
        ("src/cache/read.rs", "use crate::invalidation::task::Hub;", "2: `cache` may not reach into `invalidation::task`"),
        ("src/pool/mod.rs", "", "1: `pool` has no row in the table of rooms"),
        ("src/sentinel/mod.rs", "mod a {}\nuse super::upstream;", "3: `sentinel` may not import `upstream`"),
        ("src/sentinel/mod.rs", "mod a { fn f() {} }\nuse super::upstream;", "3: `sentinel` may not import `upstream`"),
        // Outside crates.
        ("src/cache/read.rs", "use tonic::Status;", "2: `cache` may not use the crate `tonic`"),
        ("src/cache/read.rs", "use tonic_health::server;", "2: `cache` may not use the crate `tonic_health`"),
        ("src/cache/read.rs", "fn f(e: redis::RedisError) {}", "2: `cache` may not use the crate `redis`"),
        ("src/upstream/mod.rs", "use fred as other;", "2: `upstream` may not use the crate `fred`"),
        ("src/grpc/mod.rs", "use ::axum::Router;", "2: `grpc` may not use the crate `axum`"),
        // Purity.
        ("src/model/key.rs", "async fn f() {}", "2: `async` in a pure file"),
        ("src/near/mod.rs", "fn f() { g().await; }", "2: `await` in a pure file"),
        ("src/backoff.rs", "use std::time;\nfn f() { time::Instant::now(); }", "3: `time::Instant::now` in a pure file"),
        ("src/config/mod.rs", "fn f() { SystemTime::now(); }", "2: `SystemTime::now` in a pure file"),
        ("src/near/mod.rs", "use tokio::time::Instant;", "2: `tokio::time::Instant` in a pure file"),
        ("src/inject/pod.rs", "use std::net::{IpAddr, TcpStream};", "2: `std::net::TcpStream` in a pure file"),
        // Bans.
        ("src/cache/mod.rs", "fn f() { tokio::spawn(g()); }", "2: `tokio::spawn`: only drain.rs spawns"),
        ("src/cache/mod.rs", "use tokio::{sync, task::spawn};", "2: `tokio::task::spawn`: only drain.rs spawns"),
        ("src/app.rs", "fn f() { std::env::var(A); }", "2: `std::env::var`: only main.rs reads the environment"),
        ("src/app.rs", "use std::env::vars_os;", "2: `std::env::vars_os`: only main.rs reads the environment"),
        ("src/app.rs", "use tokio::sync::mpsc::unbounded_channel;", "2: every queue has a bound"),
        ("src/app.rs", "fn f() {\n    g()\n        .unwrap();\n}", "4: `.unwrap()` outside tests"),
        ("src/app.rs", "struct CacheManager;", "2: `CacheManager` says nothing; name what it is"),
        ("tests/it/main.rs", "mod common;", "2: `common` says nothing; name what it is"),
        ("src/app.rs", "// TODO: more", "2: `TODO`: finish it or open an issue"),
        ("src/app.rs", &long, "401: 401 lines without tests; at most 400"),
    ] {
        let found = offences(path, body);
        assert!(
            found.iter().any(|offence| offence == expected),
            "{path}: {body}\n{found:#?}"
        );
    }
    let bare = judge_rust("src/app.rs", "use std::fmt;\n", false);
    assert_eq!(bare, [(1, "does not open with `//!`".to_owned())]);
}

#[rustfmt::skip]
#[test]
fn what_is_fine_is_left_alone() {
    let long_tests = format!(
        "#[cfg(test)]\nmod tests {{\n{}}}\n",
        "// a line\n".repeat(500)
    );
    for (path, body) in [
        ("src/sentinel/task.rs", "use super::topology::View;\nuse crate::{backoff, dial::{self, Dial}};"),
        ("src/sentinel/task.rs", "use crate::sentinel::task::Handle;\npub(crate) fn f() {}"),
        ("src/sentinel/mod.rs", "mod tests { use super::*; }"),
        ("src/app.rs", "use crate::sentinel::task::Handle;"),
        ("src/grpc/mod.rs", "use tonic::Status;\nuse prost_types::Duration;"),
        ("src/cache/mod.rs", "mod redis;\npub use self::redis::Store;\nfn f() -> redis::Store { g() }"),
        ("src/cache/mod.rs", "fn f() { crate::upstream::redis::f(); }"),
        ("src/near/mod.rs", "use std::time::Instant;\nuse std::net::IpAddr;\nfn f(now: Instant) {}"),
        // Comments, strings and character literals are not code.
        ("src/near/mod.rs", "// use crate::cache; tokio::spawn\n/* async /* nested */ .await */"),
        ("src/near/mod.rs", "const A: &str = \"crate::cache \\\" async\";\nconst B: &[u8] = br#\"a \" await\"#;"),
        ("src/near/mod.rs", "fn f<'a>(x: &'a str) { g('\"', '\\'', b'x'); h(\"tokio::spawn\"); }"),
        ("src/app.rs", "const A: &str = \"TODO\";\nfn f() { env!(\"X\"); unwrap_or(1); }"),
        // Tests may do what shipped code may not.
        ("src/near/mod.rs", "#[cfg(test)]\nmod tests { async fn f() { g().await.unwrap(); } }"),
        ("src/near/mod.rs", "#[cfg(test)]\nfn f<A, B>(a: A) -> B { tokio::spawn(a) }"),
        ("src/near/mod.rs", "struct A { #[cfg(test)] mutant: tokio::sync::Notify, b: u8 }"),
        ("src/near/mod.rs", &long_tests),
        ("tests/it/main.rs", "async fn f() { tokio::spawn(g()); std::env::var(A).unwrap(); }"),
    ] {
        assert_eq!(offences(path, body), Vec::<String>::new(), "{path}: {body}");
    }
    // What follows a test item is shipped again.
    let after = "struct A { #[cfg(test)] mutant: u8, b: tokio::time::Sleep }";
    assert_eq!(offences("src/near/mod.rs", after).len(), 1);
    assert_eq!(
        judge_rust("src/near/tests.rs", "//! Tests.\nasync fn f() {}\n", true),
        []
    );
}

#[rustfmt::skip]
#[test]
fn protos_are_judged() {
    let fine = "// Purpose.\nservice A {\n  // Reads.\n  rpc Get(Q) returns (R) {\n    option (vedetta.v1.retry) = RETRY_SAFE;\n  }\n}\n";
    assert_eq!(judge_proto(fine), []);
    for (good, bad, line) in [
        ("// Purpose.\n", "syntax = \"proto3\";\n", 1),
        ("  // Reads.\n", "\n", 4),
        ("    option (vedetta.v1.retry)", "    // option (vedetta.v1.retry)", 4),
        (" {\n    option (vedetta.v1.retry) = RETRY_SAFE;\n  }", ";", 4),
    ] {
        let found = judge_proto(&fine.replace(good, bad));
        assert_eq!(
            found.iter().map(|(line, _)| *line).collect::<Vec<_>>(),
            [line],
            "{bad}: {found:?}"
        );
    }
}

#[test]
fn pages_are_judged() {
    let source = "setting(\"a\",\n    \"VEDETTA_A\"), [\"VEDETTA_B\"], Setting { env: \"VEDETTA_C\" };\n\
        name == \"VEDETTA_D\" || name.starts_with(\"VEDETTA_E\"), \"VEDETTA_\";\n\
        #[cfg(test)]\nmod tests { const WRONG: [&str; 1] = [\"VEDETTA_F\"]; }";
    assert_eq!(settings(source), ["VEDETTA_A", "VEDETTA_B", "VEDETTA_C"]);
    assert!(mentions("| `VEDETTA_A` | x |", "VEDETTA_A"));
    assert!(!mentions("| `VEDETTA_AB` | x |", "VEDETTA_A"));
    let page =
        "[a](x.md) ![b](y.png \"t\") [c](https://z) [d](#e)\n```\n[f](g)\n```\n[h]: docs/i.md#j\n";
    assert_eq!(
        local_links(page),
        [(1, "x.md"), (1, "y.png"), (5, "docs/i.md")]
    );
}
