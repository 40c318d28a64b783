//! The behaviour table from another language, over plain grpc: a client that shares no line with this repository.
//!
//! Not here: the client itself (`tests/clients/python`), the other stores (`behaviour`).

use std::path::Path;
use std::process::{Command, Output};

use crate::behaviour::{CACHES, QUOTAS, table};
use crate::support::Vedetta;

/// Runs a program of `tests/clients/python`, and shows what it says.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/python/run.sh");
    let output = Command::new(&script)
        .arg(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", script.display()));
    println!("{}", String::from_utf8_lossy(&output.stdout));
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn the_table_holds_over_tcp_and_over_the_socket() {
    let vedetta = Vedetta::start(&[], &[CACHES, QUOTAS]);
    let (tcp, socket) = (
        vedetta.api().to_string(),
        format!("unix:{}", vedetta.socket().display()),
    );
    let output = run("behaviour.py", &["--address", &tcp, "--address", &socket]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", output.status);
    assert_eq!(
        text.matches(" passed, 0 failed").count(),
        2,
        "one sum for each address"
    );
}

/// The pipe of `docs/clients.md`, to the letter.
#[test]
fn the_pipe_of_the_documentation_works() {
    let read = |path: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        std::fs::read_to_string(&path).expect("a file of this repository")
    };
    let pipe = read("tests/clients/python/pipe.py");
    let (_, code) = pipe.split_once("import itertools").expect("imports");
    assert!(
        read("docs/clients.md").contains(code),
        "clients.md shows another pipe than pipe.py"
    );
    let vedetta = Vedetta::start(&[], &[]);
    let socket = format!("unix:{}", vedetta.socket().display());
    let output = run("pipe_test.py", &["--address", &socket]);
    assert!(output.status.success(), "{}", output.status);
    assert!(String::from_utf8_lossy(&output.stdout).contains(" answered"));
}

/// As `behaviour::a_wrong_expectation_is_noticed`, for the Python runner.
#[test]
fn a_wrong_expectation_is_noticed() {
    let vedetta = Vedetta::start(&[], &[CACHES, QUOTAS]);
    let socket = format!("unix:{}", vedetta.socket().display());
    let wrong = table().join("must_fail");
    let wrong = wrong.display().to_string();
    let arguments = ["--address", &socket, "--table", &wrong];
    let output = run("behaviour.py", &arguments);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains(": 0 passed, "));
}
