//! The binary: reads the environment and the command line, then hands over.
//!
//! Invariants: nobody else reads the environment.

use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use vedetta::app;
use vedetta::cli::{self, Arguments, Command, Environment, Exit};
use vedetta::config::Loaded;
use vedetta::telemetry;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Names and values that are not UTF-8 are nobody's settings.
    let environment = Environment(
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
    );
    let exit = match &arguments.command {
        Command::CheckConfig(configuration) => {
            let (exit, text) = cli::check_config(configuration, &environment, arguments.output);
            print!("{text}");
            exit
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

fn serve(loaded: Loaded) -> Exit {
    if let Err(error) = telemetry::start_logs(&loaded.config.log) {
        return fail(
            &format!("log.level: {error}; write info, debug or warn"),
            Exit::Usage,
        );
    }
    let served = runtime(loaded.config.api.workers).and_then(|runtime| {
        // Before anything else: as process 1 a signal without a handler is ignored.
        let signals = runtime.block_on(async { Signals::new() })?;
        Ok(runtime.block_on(app::serve(loaded, signals.wait())))
    });
    match served {
        Ok(Ok(())) => Exit::Done,
        Ok(Err(error)) => fail(&error.to_string(), Exit::Refused),
        Err(error) => fail(&error.to_string(), Exit::Refused),
    }
}

fn runtime(workers: usize) -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("vedetta")
        .enable_all()
        .build()
}

fn fail(problem: &str, exit: Exit) -> Exit {
    eprintln!("vedetta: {problem}");
    exit
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn wait(mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
