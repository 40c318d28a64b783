//! The built `vedetta serve`, on a socket of its own and free ports.
//!
//! Invariants: it sees none of the `VEDETTA_*` and `REDIS_*` variables that the tests were started with.
//!
//! Not here: configuration that a story is about; it is given as arguments and environment.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use tempfile::TempDir;

use super::process::Process;
use super::{http, ports, wait};

const STARTED_WITHIN: Duration = Duration::from_secs(20);
/// Longer than the longest drain it can be configured with.
const ENDED_WITHIN: Duration = Duration::from_secs(70);

/// The built binary, without the settings of whoever runs the tests.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vedetta"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("VEDETTA_") || text.starts_with("REDIS_") {
            command.env_remove(&name);
        }
    }
    command
}

/// A vedetta that was started.
pub(crate) struct Vedetta {
    // Before the directory, so that its output is still there to be shown.
    process: Process,
    socket: PathBuf,
    api: SocketAddr,
    admin: SocketAddr,
    directory: TempDir,
}

impl Vedetta {
    /// Starts `vedetta serve` with these further arguments and variables, and waits until `/startupz` answers
    /// 200.
    ///
    /// # Panics
    /// When it ends or does not start in time; its output is shown.
    pub(crate) fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        for _ in 0..ports::ATTEMPTS {
            let mut vedetta = Self::launch(arguments, environment);
            if vedetta.started() {
                return vedetta;
            }
        }
        panic!(
            "vedetta: no ports that stay free in {} attempts",
            ports::ATTEMPTS
        );
    }

    /// As [`Self::start`] without waiting, for stories about not starting.
    pub(crate) fn launch(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("directory of vedetta");
        let socket = directory.path().join("vedetta.sock");
        let (api, admin) = (ports::free_address(), ports::free_address());
        let mut command = binary();
        command
            .arg("serve")
            .args(arguments)
            .env("VEDETTA_SOCKET", &socket)
            .env("VEDETTA_LISTEN", api.to_string())
            .env("VEDETTA_ADMIN_LISTEN", admin.to_string())
            .envs(environment.iter().copied())
            .current_dir(directory.path());
        let output = directory.path().join("output");
        let process = Process::start(
            "vedetta",
            &mut command,
            &output,
            "build it with cargo build",
        );
        Self {
            process,
            socket,
            api,
            admin,
            directory,
        }
    }

    /// Its Unix socket.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its API over TCP.
    pub(crate) fn api(&self) -> SocketAddr {
        self.api
    }

    /// Its admin HTTP.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Its working directory, which only it and this test know.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What it has written to standard output and error.
    pub(crate) fn output(&self) -> String {
        self.process.output()
    }

    /// Status and body of an admin page.
    ///
    /// # Errors
    /// When the admin port does not answer.
    pub(crate) fn admin_get(&self, path: &str) -> std::io::Result<(u16, String)> {
        http::get(self.admin, path)
    }

    /// Whether a scrape holds exactly this line, for `wait::until`.
    ///
    /// # Errors
    /// The line that it holds instead.
    pub(crate) fn metric(&self, line: &str) -> Result<(), String> {
        let (_, metrics) = self
            .admin_get("/metrics")
            .map_err(|error| error.to_string())?;
        let series = line.rsplit_once(' ').map_or(line, |(series, _)| series);
        let found = metrics.lines().find(|other| {
            other
                .rsplit_once(' ')
                .is_some_and(|(other, _)| other == series)
        });
        match found {
            Some(found) if found == line => Ok(()),
            Some(found) => Err(found.to_owned()),
            None => Err(format!("no {series}")),
        }
    }

    /// The value of a series; 0 where there is none.
    pub(crate) fn count(&self, series: &str) -> u64 {
        let metrics = self
            .admin_get("/metrics")
            .map(|(_, text)| text)
            .unwrap_or_default();
        let value = metrics.lines().find_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            (name == series).then(|| value.parse().ok()).flatten()
        });
        value.unwrap_or(0)
    }

    /// The process, to be paused or asked whether it ended.
    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Asks it to stop (SIGTERM); how it ended and how long that took.
    pub(crate) fn terminate(&mut self) -> (ExitStatus, Duration) {
        self.process.signal("TERM");
        self.process.wait_exit(ENDED_WITHIN)
    }

    /// Waits until it has started; false if somebody else has one of its ports.
    fn started(&mut self) -> bool {
        wait::until("start of vedetta", STARTED_WITHIN, || {
            if self.process.clashed() {
                return Ok(false);
            }
            if let Some(status) = self.process.exited() {
                panic!("vedetta ended with {status} instead of starting");
            }
            match http::get(self.admin, "/startupz") {
                Ok((200, _)) => Ok(true),
                Ok((status, body)) => Err(format!("/startupz answers {status} {body}")),
                Err(error) => Err(format!("/startupz: {error}")),
            }
        })
    }
}
