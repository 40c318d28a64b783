//! The command line: answers on standard output, words on standard error, documented exit codes.

use std::process::Output;

use crate::support::{Vedetta, binary, free_address};

/// Runs a command against an address.
fn vedetta(address: &str, arguments: &[&str]) -> Output {
    binary()
        .env("VEDETTA_ADDRESS", address)
        .args(arguments)
        .output()
        .expect("vedetta")
}

/// What happened to the master, as an operator sees it.
pub(crate) fn report(server: &Vedetta) -> String {
    let address = format!("http://{}", server.api());
    let output = vedetta(&address, &["failover-report"]);
    assert_eq!(code(&output), 0, "{output:?}");
    out(&output)
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("an exit code")
}

#[test]
fn commands_answer_on_standard_output_and_by_exit_code() {
    let server = Vedetta::start(&[], &[]);
    let socket = format!("unix:{}", server.socket().display());
    let tcp = format!("http://{}", server.api());
    for address in [&socket, &tcp] {
        let steps: [(&[&str], i32, &str); 20] = [
            (&["put", "c", "k", "v", "--ttl", "30s"], 0, ""),
            (&["get", "c", "k"], 0, "v"),
            (&["put", "c", "k", "w", "--if-absent"], 1, ""),
            (&["get", "c", "missing"], 1, ""),
            (&["put", "c", "n", "--null"], 0, ""),
            (&["get", "c", "n"], 0, ""),
            (&["--tenant", "t", "get", "c", "k"], 1, ""),
            (&["get", "a::b", "k"], 4, ""),
            (&["put", "c", "g1", "v", "--group", "g"], 0, ""),
            (&["get", "c", "g1"], 0, "v"),
            (&["flush-group", "c", "g", "h"], 0, ""),
            (&["get", "c", "g1"], 1, ""),
            (&["put", "c", "k", "v", "--group", ""], 4, ""),
            (&["evict", "c", "k", "missing"], 0, ""),
            (&["evict", "c", "k"], 1, ""),
            (&["put", "c", "k2", "v"], 0, ""),
            (&["clear", "c"], 0, ""),
            (&["get", "c", "k2"], 1, ""),
            (&["health"], 0, "serving\n"),
            (&["health", "--service", "vedetta.v1.Cache"], 0, "serving\n"),
        ];
        for (arguments, expected, text) in steps {
            let output = vedetta(address, arguments);
            assert_eq!(
                (code(&output), out(&output).as_str()),
                (expected, text),
                "{arguments:?}"
            );
        }
    }
}

#[test]
fn json_is_one_object() {
    let server = Vedetta::start(&[], &[]);
    let address = format!("unix:{}", server.socket().display());
    let json = |arguments: &[&str]| -> serde_json::Value {
        let output = vedetta(&address, &[&["--output", "json"], arguments].concat());
        serde_json::from_str(&out(&output)).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
    };
    let stored = json(&["put", "c", "k", "v"]);
    assert_eq!(stored["stored"], true);
    let hit = json(&["get", "c", "k"]);
    assert_eq!((&hit["hit"], &hit["value"]), (&true.into(), &"v".into()));
    assert_eq!(hit["version"], stored["version"]);
    assert_eq!(json(&["get", "c", "missing"])["hit"], false);
    assert_eq!(json(&["evict", "c", "k"])["evicted"][0], "k");
    assert_eq!(json(&["status"])["store"], "embedded");
    assert_eq!(json(&["health"])["serving"], true);
}

#[test]
fn nobody_there_and_nonsense_have_codes_of_their_own() {
    let nobody = format!("http://{}", free_address());
    let output = vedetta(&nobody, &["get", "c", "k"]);
    assert_eq!(code(&output), 3);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("vedetta serve"), "no remedy in {said}");
    assert_eq!(code(&vedetta("redis:1", &["get", "c", "k"])), 2);
    assert_eq!(code(&vedetta(&nobody, &["get", "c"])), 2);
}

#[test]
fn check_config_prints_what_holds_or_every_mistake() {
    let good = binary()
        .args(["check-config", "--listen", "127.0.0.1:1"])
        .env("REDIS_ADDRESS", "redis:6379")
        .env("REDIS_PASSWORD", "secret")
        .output()
        .expect("vedetta");
    assert_eq!(code(&good), 0, "{}", String::from_utf8_lossy(&good.stderr));
    let text = out(&good);
    assert!(!text.contains("secret"), "{text}");
    for part in [
        "api.listen = 127.0.0.1:1",
        "flag --listen",
        "REDIS_ADDRESS",
        "redis.password = ***",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    let bad = binary()
        .arg("check-config")
        .env("VEDETTA_LISTEN", "0.0.0.0:1")
        .env("VEDETTA_DRAIN", "5")
        .env("VEDETTA_PROFIL", "entando")
        .output()
        .expect("vedetta");
    assert_eq!(code(&bad), 2);
    let said = String::from_utf8_lossy(&bad.stderr);
    for part in [
        "api.listen",
        "api.drain",
        "VEDETTA_PROFIL",
        "VEDETTA_PROFILE",
    ] {
        assert!(said.contains(part), "no {part} in {said}");
    }
}
