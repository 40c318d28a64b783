//! The scale of a fleet: what one, ten and fifty sidecars cost their Redis and their Sentinels, and what that means for a
//! thousand.
//!
//! `cargo bench --bench fleet -- --full` measures; `cargo bench --bench fleet -- --simulate` prints the tables of `docs/scale.md`
//! from the costs that were measured last. `docs/benchmarks` says what the figures mean.
//!
//! Invariants: Redis and the Sentinels run on one processor, sidecars and this program on another, so the CPU of Redis is
//! its own; a round goes over all sizes, and a figure is the median of the rounds; a wrong or old value ends the run.
//!
//! Not here: a sidecar's own speed (`benches/versus`).

mod backbone;
mod batch;
mod broadcast;
mod costs;
mod delay;
#[path = "../versus/door.rs"]
mod door;
mod figures;
mod idle;
mod keys;
mod measured;
#[path = "../versus/meter.rs"]
mod meter;
#[path = "../versus/process.rs"]
mod process;
mod scale;
mod sidecar;
mod simulation;
mod stage;
#[path = "../versus/surroundings.rs"]
mod surroundings;
mod table;
mod trial;
mod turns;
mod verdict;
mod writes;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use serde_json::{Value, json};

use backbone::Backbone;
use batch::Batch;
use figures::Figures;
use keys::{Holders, Keys, OLD};
use meter::Processors;
use sidecar::Sidecar;
use stage::Stage;
use surroundings::{Surroundings, write_json};
use writes::Writer;

/// The fleets that are measured.
const SIZES: [usize; 3] = [1, 10, 50];
const LARGEST: usize = 50;
/// From which the largest is predicted.
const SMALLER: usize = 10;
const ROUNDS: usize = 3;
/// How often something is measured that goes wrong.
const ATTEMPTS: usize = 3;
/// About how long a round takes, in seconds.
const ROUND: usize = 85;

/// What is said to who has not asked for it.
const USAGE: &str =
    "fleet: measures nothing unless it is told to, and replaces docs/benchmarks/fleet.json then:
  cargo bench --bench fleet -- --quick       one round of about a minute and a half
  cargo bench --bench fleet -- --full        three
  cargo bench --bench fleet -- --simulate    the tables of docs/scale.md, from that report";

#[derive(Parser)]
#[command(name = "fleet", about = "Measures what a fleet of sidecars costs")]
struct Arguments {
    /// Measure: three rounds
    #[arg(long)]
    full: bool,
    /// Measure: one round
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Print the tables of docs/scale.md from the costs in the report
    #[arg(long, conflicts_with_all = ["quick", "full"])]
    simulate: bool,
    /// Where the report is, as JSON
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/benchmarks/fleet.json"))]
    json: PathBuf,
    /// The sidecar that is measured
    #[arg(long, default_value = env!("CARGO_BIN_EXE_vedetta"))]
    vedetta: PathBuf,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !(arguments.simulate || arguments.quick || arguments.full) {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let done = if arguments.simulate {
        tables(&arguments.json)
    } else {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("runtime: {error}"))
            .and_then(|runtime| runtime.block_on(run(&arguments)))
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("fleet: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// The tables for a thousand pods.
fn tables(report: &Path) -> Result<(), String> {
    let failed = |error: String| format!("{}: {error}", report.display());
    let text = std::fs::read_to_string(report).map_err(|error| failed(error.to_string()))?;
    let report: Value = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
    let figures = Figures::read(&report).map_err(failed)?;
    let broadcast = measured::broadcast(&figures, (1, LARGEST))?;
    scale::print(&measured::costs(&figures, LARGEST)?, broadcast)
}

/// Everything, in order.
async fn run(arguments: &Arguments) -> Result<(), String> {
    let (rounds, mode) = if arguments.quick {
        (1, "quick")
    } else {
        (ROUNDS, "full")
    };
    let surroundings = Surroundings::new(mode, &[("redis-server", "--version")]);
    let processors = Processors::find()?;
    eprintln!("fleet: {rounds} rounds of about {ROUND} s, after the start of the Sentinels");
    processors.as_server()?;
    let backbone = Backbone::start().await?;
    processors.as_client()?;
    let mut figures = Figures::default();
    for round in 1..=rounds {
        let of = format!("round {round} of {rounds}");
        measure(&backbone, &arguments.vedetta, &mut figures, &of).await?;
    }
    let (costs, goals) = (
        measured::costs(&figures, LARGEST)?,
        verdict::judge(&figures, (1, LARGEST))?,
    );
    let broadcast = measured::broadcast(&figures, (1, LARGEST))?;
    let today = scale::ways(broadcast)[0];
    // What was measured before is not lost if the machine was too busy for the trial, but the run has failed.
    let before = measured::costs(&figures, SMALLER)?;
    let trial = measured::compare(&figures, &before, &today, LARGEST);
    let compared = trial.as_deref().unwrap_or_default();
    table::print(&figures, &[0, 1, SMALLER, LARGEST], compared);
    verdict::print(&goals);
    let report = json!({
        "run": surroundings.show(),
        "figures": figures.show(),
        "costs": measured::show(&costs, broadcast),
        "prediction": compared.iter().map(measured::Compared::show).collect::<Vec<_>>(),
        "verdict": goals.iter().map(verdict::Goal::show).collect::<Vec<_>>(),
    });
    write_json(&arguments.json, &report)?;
    eprintln!("fleet: wrote {}", arguments.json.display());
    trial.map(|_| ())
}

/// A round: no sidecar, then more and more of them.
async fn measure(
    backbone: &Backbone,
    vedetta: &Path,
    figures: &mut Figures,
    of: &str,
) -> Result<(), String> {
    let (mut fleet, mut keys) = (Vec::new(), Keys::new());
    let mut batch = Batch::connect(backbone.redis.address)?;
    for size in std::iter::once(0).chain(SIZES) {
        eprintln!("fleet: {of}, {size} sidecars");
        while fleet.len() < size {
            fleet.push(Sidecar::start(vedetta, &backbone.sentinel_list()).await?);
        }
        let mut stage = Stage {
            backbone,
            fleet: &fleet,
            keys: &mut keys,
            batch: &mut batch,
            idle_cpu: 0.0,
            idle_output: 0.0,
        };
        // So that each key is there, and each sidecar has shown that it reads; then nobody holds anything.
        writes::write_all(&mut stage, Writer::Batch).await?;
        stage.fill(Holders::All).await?;
        writes::write_all(&mut stage, Writer::Batch).await?;
        let idle = idle::idle(backbone, stage.fleet, figures).await?;
        stage.idle_cpu = idle.cpu / idle.seconds;
        stage.idle_output = idle.output / idle.seconds;
        if size == 0 {
            without_sidecars(&mut stage, figures).await?;
        } else {
            with_sidecars(&mut stage, figures).await?;
        }
    }
    Ok(())
}

async fn without_sidecars(stage: &mut Stage<'_>, figures: &mut Figures) -> Result<(), String> {
    for connections in SIZES {
        broadcast::broadcast(stage, figures, connections).await?;
    }
    broadcast::table(stage, figures).await
}

async fn with_sidecars(stage: &mut Stage<'_>, figures: &mut Figures) -> Result<(), String> {
    for holders in Holders::ALL {
        for writer in Writer::ALL {
            again(async || writes::writes(stage, figures, writer, holders).await).await?;
        }
    }
    again(async || writes::misses(stage, figures).await).await?;
    for writer in [Writer::Foreign, Writer::Sidecar] {
        again(async || delay::delays(stage, figures, writer).await).await?;
    }
    if stage.fleet.len() == LARGEST {
        let done = again(async || trial::trial(stage, figures).await).await;
        done.unwrap_or_else(|problem| eprintln!("fleet: no trial: {problem}"));
    }
    Ok(())
}

/// Measures, and once more where something went wrong that a busy machine does, such as a link that was not served in
/// time; never where a value was old.
async fn again(mut measure: impl AsyncFnMut() -> Result<(), String>) -> Result<(), String> {
    let mut left = ATTEMPTS;
    loop {
        left -= 1;
        match measure().await {
            Err(problem) if left > 0 && !problem.contains(OLD) => {
                eprintln!("fleet: {problem}; once more")
            }
            done => return done,
        }
    }
}
