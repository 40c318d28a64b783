//! Counts the instructions of the hot path, and compares them with what is recorded: a guard against regressions where
//! wall time is too unsteady to be one.
//!
//! `cargo run --profile guard --features guard --bin guard -- check` is what `tests/run` calls; with `--accept` behind it
//! the counts become the recorded ones (`counts.json`). Needs valgrind.
//!
//! Invariants: one thread, the same keys and values each time; what a count is of is one operation, without the start of
//! the program. Hash seeds are random as in production, and spread over so many keys that they do not show.
//!
//! Not here: time (`benches/micro`).

mod count;
mod judge;
mod paths;
#[path = "../stand/mod.rs"]
mod stand;

use std::path::Path;
use std::process::{Command, ExitCode};

use clap::Parser;

use judge::{Counts, Origin};
use paths::Operation;

/// The recorded counts.
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/guard/counts.json");

#[derive(Parser)]
#[command(
    name = "guard",
    about = "Counts the instructions of the hot path with callgrind"
)]
enum Action {
    /// Counts each path, and fails where a count is not what is recorded
    Check {
        /// Record the counts instead of comparing them
        #[arg(long)]
        accept: bool,
    },
    /// Does a path so many times, and nothing else: what is counted
    #[command(hide = true)]
    Run(Run),
}

#[derive(clap::Args)]
struct Run {
    operation: Operation,
    times: u32,
}

/// That of vedetta.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let done = match Action::parse() {
        Action::Run(Run { operation, times }) => {
            operation.run(times);
            Ok(())
        }
        Action::Check { accept } => check(accept),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("guard: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn check(accept: bool) -> Result<(), String> {
    let counts = Counts {
        origin: origin()?,
        instructions: Operation::ALL
            .iter()
            .map(|operation| Ok((operation.text().to_owned(), count::each(*operation)?)))
            .collect::<Result<_, String>>()?,
    };
    let path = Path::new(RECORDED);
    if accept {
        let text = counts.to_text();
        return std::fs::write(path, text).map_err(|error| format!("{RECORDED}: {error}"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("{RECORDED}: {error}"))?;
    let verdict = judge::judge(&counts, &Counts::from_text(&text)?);
    println!("{}", verdict.table);
    verdict.outcome.map(|told| println!("guard: {told}"))
}

/// What else decides how many instructions a path has.
fn origin() -> Result<Origin, String> {
    let output = Command::new("rustc").arg("-vV").output();
    let text = output
        .map_err(|error| format!("rustc: {error}"))
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(Origin {
        compiler: text.lines().next().unwrap_or("unknown").to_owned(),
        target: host.unwrap_or("unknown").to_owned(),
    })
}
