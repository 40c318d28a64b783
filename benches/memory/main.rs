//! What vedetta takes of memory: idle, for each entry, with a hundred thousand and a million entries, and while entries
//! come and go at its capacity.
//!
//! `cargo bench --bench memory -- --run` (about six minutes) prints the tables, writes `docs/benchmarks/memory.json` and
//! judges; without `--run`, as `cargo bench` calls it, it says so and does nothing. Needs redis-server and redis-sentinel.
//!
//! Invariants: what is measured is the release binary, filled through its API, as the kernel counts its memory
//! (`smaps_rollup`); every value and every key is told as it was sent, and whatever else is taken counts as overhead.
//!
//! Not here: time (`benches/micro`, `benches/versus`).

mod cases;
#[path = "../versus/channel.rs"]
mod channel;
mod client;
#[path = "../versus/door.rs"]
mod door;
#[expect(dead_code, reason = "CPU time and processors are for `versus`")]
#[path = "../versus/meter.rs"]
mod meter;
#[path = "../versus/process.rs"]
mod process;
mod report;
mod subject;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// What is said to who has not asked for it.
const USAGE: &str =
    "memory: measures nothing unless it is told to, and replaces docs/benchmarks/memory.json then:
  cargo bench --bench memory -- --run     about six minutes";

#[derive(Parser)]
#[command(name = "memory", about = "Measures what vedetta takes of memory")]
struct Arguments {
    /// Measure
    #[arg(long)]
    run: bool,
    /// Where the report goes, as JSON
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/benchmarks/memory.json"))]
    json: PathBuf,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !arguments.run {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("memory: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Everything, in order.
fn run(arguments: &Arguments) -> Result<(), String> {
    let idle = cases::idle()?;
    report::print_idle(&idle);
    let held = cases::held()?;
    report::print_held(&held);
    let churned = cases::churned()?;
    report::print_churned(&churned);
    let goals = verdict::judge(&idle, &held, &churned);
    report::print_verdict(&goals);
    report::write(&arguments.json, &idle, &held, &churned, &goals)?;
    eprintln!("memory: wrote {}", arguments.json.display());
    Ok(())
}
