//! The binary: reads the environment and the command line, then hands over.
//!
//! Invariants: nobody else reads the environment.

use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

use vedetta::app;
use vedetta::cli::{self, Arguments, Command, Environment, Exit};
use vedetta::config::Loaded;
use vedetta::telemetry;

/// Most of what a hit costs besides the system calls is memory of all sizes, taken and given back by one thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let environment = match environment() {
        Ok(environment) => environment,
        Err(problem) => return fail(&problem, Exit::Usage).into(),
    };
    let exit = match &arguments.command {
        Command::CheckConfig(configuration) => {
            let (exit, text) = cli::check_config(configuration, &environment, arguments.output);
            cli::print(text.as_bytes(), exit)
        }
        Command::Serve(configuration) => match cli::load(configuration, &environment) {
            Ok(loaded) => serve(loaded),
            Err(error) => fail(&error.to_string(), Exit::Usage),
        },
        _ => match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(cli::run(arguments, &environment)),
            Err(error) => fail(&error.to_string(), Exit::Refused),
        },
    };
    exit.into()
}

/// Every variable that is text. One of ours that is not text is a mistake, not nothing.
fn environment() -> Result<Environment, String> {
    let mut variables = Vec::new();
    for (name, value) in std::env::vars_os() {
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => variables.push((name, value)),
            (Ok(name), Err(_)) if name.starts_with("VEDETTA_") || name.starts_with("REDIS_") => {
                return Err(format!("{name} is not UTF-8; set it to text"));
            }
            _ => {}
        }
    }
    Ok(Environment(variables))
}

fn serve(loaded: Loaded) -> Exit {
    let logs = match telemetry::start_logs(&loaded.config.log) {
        Ok(logs) => logs,
        Err(error) => {
            let problem = format!("log.level: {error}; write info, debug or warn");
            return fail(&problem, Exit::Usage);
        }
    };
    let served = Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| {
            // Before anything else: as process 1 a signal without a handler is ignored.
            let signals = runtime.block_on(async { Signals::new() })?;
            Ok(runtime.block_on(app::serve(loaded, signals.wait())))
        });
    // What was logged last is written before anything is said about the end.
    drop(logs);
    match served {
        Ok(Ok(())) => Exit::Done,
        Ok(Err(error)) => fail(&error.to_string(), Exit::Refused),
        Err(error) => fail(&error.to_string(), Exit::Refused),
    }
}

fn fail(problem: &str, exit: Exit) -> Exit {
    cli::tell(&format!("vedetta: {problem}"));
    exit
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn wait(mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }
}
