//! vedetta against its neighbours: one command that starts them all, measures them in turn and judges.
//!
//! `cargo bench --bench versus -- --quick` (3 minutes) or `--full` (20); with neither, as `cargo bench` calls it, it says
//! so and does nothing. `docs/benchmarks` says what the figures mean.
//!
//! Invariants: servers run on one processor and the load program, which is this process, on another; rounds go over all
//! servers, so that whatever slows the machine slows them all; a figure that cannot be had is told and never left out.
//!
//! Not here: what costs how much inside of vedetta (`benches/micro`).

mod channel;
mod control;
mod door;
mod fill;
mod load;
mod measure;
mod meter;
mod plan;
mod process;
mod report;
mod requests;
mod serve;
mod servers;
mod surroundings;
mod table;
mod tails;
mod verdict;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use control::control;
use fill::Client;
use measure::{Figures, Requests, measure, medians};
use meter::Processors;
use plan::{MAIN, MANY, Plan, Table};
use requests::Operation;
use servers::{Fleet, Name, Speech, Transport};
use surroundings::Surroundings;
use table::Line;
use tails::tails;
use verdict::Results;

/// What is said to who has not chosen.
const USAGE: &str =
    "versus: measures nothing unless it is told how long it may take, and replaces \
    docs/benchmarks/versus.json then:
  cargo bench --bench versus -- --quick     about three minutes
  cargo bench --bench versus -- --full      about twenty";

/// Of the answers, at most that part may come from elsewhere than the server is measured for.
const STRAYS: f64 = 0.02;
/// How often a slice is measured until that holds.
const ATTEMPTS: usize = 3;

/// The programs that are compared, and how each tells its version.
const SERVERS: [(&str, &str); 3] = [
    ("redis-server", "--version"),
    ("memcached", "--version"),
    ("haproxy", "-v"),
];

#[derive(Parser)]
#[command(name = "versus", about = "Measures vedetta against its neighbours")]
struct Arguments {
    #[command(subcommand)]
    server: Option<Server>,
    /// The tables that the verdict needs, about three minutes
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Every size, transport and number in flight, about twenty minutes
    #[arg(long)]
    full: bool,
    /// Where the report goes, as JSON
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/benchmarks/versus.json"))]
    json: PathBuf,
    /// What cargo says to every benchmark
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Server {
    /// One of the servers that are measured
    Serve(serve::Served),
}

/// That of vedetta, so that the servers which this program is differ in their serving only.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.server {
        Some(Server::Serve(served)) => serve::serve(served),
        None if arguments.quick || arguments.full => run(&arguments),
        None => {
            println!("{USAGE}");
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("versus: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Everything, in order.
fn run(arguments: &Arguments) -> Result<(), String> {
    let (plan, mode) = if arguments.full {
        (Plan::full(), "full")
    } else {
        (Plan::quick(), "quick")
    };
    let surroundings = Surroundings::new(mode, &SERVERS);
    let processors = Processors::find()?;
    let minutes = plan.estimate().as_secs_f64() / 60.0;
    eprintln!("versus: starts and fills the servers, then measures for about {minutes:.1} minutes");
    let fleet = Fleet::start(processors)?;
    let idle = idle(&fleet)?;
    fill(&fleet)?;
    let mut requests = Requests::default();
    let door = &fleet.entrance(Name::VedettaEmbedded, Transport::Unix)?.door;
    let refused = Client::connect(door)?.probe(Operation::Pipeline, MAIN)?;
    control(&fleet, &mut requests, refused.is_none())?;
    let mut results = Results {
        tables: Vec::new(),
        tails: Err("not reached".to_owned()),
    };
    for table in &plan.tables {
        let lines = measure_table(&fleet, &mut requests, &plan, table)?;
        table::print(table, &lines);
        results.tables.push((table.clone(), lines));
    }
    let throughput = |name| {
        let get = results.figures(name, Operation::Get, Transport::Unix, MANY);
        get.map(|figures| figures.rate)
    };
    results.tails = tails(&fleet, &mut requests, &plan, throughput);
    if let Ok(tails) = &results.tails {
        table::print_tails(tails);
    }
    let goals = verdict::judge(&results);
    table::print_verdict(&goals);
    report::write(&arguments.json, &surroundings, &idle, &results, &goals)?;
    eprintln!("versus: wrote {}", arguments.json.display());
    // What was measured before is not lost, but the run has failed.
    results.tails.map(|_| ())
}

/// Resident memory of every server before it has done anything, in KiB.
fn idle(fleet: &Fleet) -> Result<Vec<(Name, u64)>, String> {
    let of = |name: Name| {
        let behind = fleet.behind(fleet.entrance(name, Transport::Unix)?);
        Ok((name, meter::resident(behind[0].1)?))
    };
    Name::ALL.into_iter().map(of).collect()
}

fn fill(fleet: &Fleet) -> Result<(), String> {
    for name in Name::ALL {
        let door = &fleet.entrance(name, Transport::Unix)?.door;
        let filled = match name.speech() {
            Speech::Grpc if matches!(name, Name::EchoPlain | Name::EchoSame) => Ok(()),
            Speech::Grpc => Client::connect(door).and_then(|client| {
                requests::SIZES.into_iter().try_for_each(|size| {
                    // The two before the same Redis see each other's writes, and drop their copies.
                    if name != Name::VedettaMiss {
                        client.put_all(requests::READ, &requests::keys(size), size)?;
                    }
                    client.read_all(requests::READ, &requests::keys(size), size)
                })
            }),
            Speech::Resp if name == Name::Haproxy => Ok(()),
            Speech::Resp => fill::redis(door),
            Speech::Memcached => fill::memcached(door)
                .and_then(|()| fill::memcached(&fleet.entrance(name, Transport::Tcp)?.door)),
        };
        filled.map_err(|problem| format!("{}: {problem}", name.text()))?;
    }
    Ok(())
}

/// Measures, and once more where answers were not from where they should be: what else this machine does can keep a near
/// cache from proving its copies for a moment.
fn again(mut measure: impl FnMut() -> Result<Figures, String>) -> Result<Figures, String> {
    let mut strays = 0.0;
    for _ in 0..ATTEMPTS {
        let figures = measure()?;
        if figures.strays <= STRAYS {
            return Ok(figures);
        }
        strays = figures.strays;
    }
    let percent = 100.0 * strays;
    Err(format!(
        "{percent:.1} % of the answers are not from where they should be, {ATTEMPTS} times; is this machine busy?"
    ))
}

fn measure_table(
    fleet: &Fleet,
    requests: &mut Requests,
    plan: &Plan,
    table: &Table,
) -> Result<Vec<Line>, String> {
    let told = |name: Name| move |problem| format!("{}: {problem}", name.text());
    let mut lines: Vec<(Name, Option<String>, Vec<Figures>)> = Vec::new();
    for name in &table.servers {
        let refused = match name.speech() {
            Speech::Grpc => {
                let door = &fleet.entrance(*name, table.transport)?.door;
                Client::connect(door)
                    .and_then(|client| client.probe(table.operation, table.size))
                    .map_err(told(*name))?
            }
            Speech::Resp | Speech::Memcached => None,
        };
        lines.push((*name, refused, Vec::new()));
    }
    for round in 1..=plan.rounds {
        eprintln!(
            "versus: {}, round {round} of {}",
            table.title(),
            plan.rounds
        );
        for (name, refused, rounds) in &mut lines {
            if refused.is_none() {
                let measured = again(|| measure(fleet, requests, (table, 0), *name, plan.slice));
                rounds.push(measured.map_err(told(*name))?);
            }
        }
    }
    Ok(lines
        .into_iter()
        .map(|(name, refused, rounds)| (name, refused.map_or_else(|| Ok(medians(&rounds)), Err)))
        .collect())
}
