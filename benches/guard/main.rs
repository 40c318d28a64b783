//! Counts the instructions of the near cache, and compares them with what is recorded: a guard against regressions where
//! wall time is too unsteady to be one.
//!
//! `cargo run --profile guard -p guard` is what `tests/run` calls; with `-- --accept` the counts become the recorded ones
//! (`counts.txt`). Needs valgrind.
//!
//! Invariants: one thread, the same keys and values each time; what a count is of is one operation, without the start of
//! the program. Hash seeds are random as in production, and spread over so many keys that they do not show.
//!
//! Not here: time (`benches/micro`).

mod copies;
mod count;
mod judge;
mod paths;

use std::path::Path;
use std::process::{Command, ExitCode};

// For `copies`.
use rooms::{model, near};

use judge::{Counts, Origin};
use paths::Operation;

/// The recorded counts.
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.txt");

const USAGE: &str = "usage: guard             counts, and compares with what is recorded
       guard --accept    counts, and records
       guard run OPERATION TIMES    what is counted";

/// That of vedetta.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        [] => compare(),
        ["--accept"] => accept(),
        ["run", operation, times] => run(operation, times),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("guard: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(operation: &str, times: &str) -> Result<(), String> {
    let known = Operation::ALL
        .into_iter()
        .find(|known| known.text() == operation);
    match (known, times.parse()) {
        (Some(operation), Ok(times)) => {
            operation.run(times);
            Ok(())
        }
        _ => Err(USAGE.to_owned()),
    }
}

fn compare() -> Result<(), String> {
    let recorded =
        std::fs::read_to_string(RECORDED).map_err(|error| format!("{RECORDED}: {error}"))?;
    let verdict = judge::judge(&counts()?, &Counts::from_text(&recorded)?);
    println!("{}", verdict.table);
    verdict.outcome.map(|told| println!("guard: {told}"))
}

fn accept() -> Result<(), String> {
    let text = counts()?.to_text();
    print!("{text}");
    std::fs::write(Path::new(RECORDED), text).map_err(|error| format!("{RECORDED}: {error}"))
}

fn counts() -> Result<Counts, String> {
    let each = |operation: Operation| Ok((operation.text().to_owned(), count::each(operation)?));
    Ok(Counts {
        origin: origin()?,
        instructions: Operation::ALL
            .into_iter()
            .map(each)
            .collect::<Result<_, String>>()?,
    })
}

/// What else decides how many instructions a path has.
fn origin() -> Result<Origin, String> {
    let output = Command::new("rustc").arg("-vV").output();
    let output = output.map_err(|error| format!("rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(Origin {
        compiler: text.lines().next().unwrap_or("unknown").to_owned(),
        target: host.unwrap_or("unknown").to_owned(),
    })
}
