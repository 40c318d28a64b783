//! One server process: started where servers run, with a directory of its own, stopped by its handle alone.
//!
//! Invariants: it sees none of the `VEDETTA_*` and `REDIS_*` variables of whoever runs this; it is killed and reaped
//! when its `Process` is dropped.

use std::fs::File;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const STARTED_WITHIN: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(10);
/// What installs every server that this machine does not have.
const INSTALL: &str = "benches/versus/install";
const SHOWN_LINES: usize = 20;

/// Where a server listens.
#[derive(Debug, Clone)]
pub(crate) enum Door {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A running server.
pub(crate) struct Process {
    pub(crate) name: &'static str,
    child: Child,
    output: PathBuf,
    _directory: TempDir,
}

impl Process {
    /// Starts what `command` makes of a new directory, and waits until every door is open.
    ///
    /// # Errors
    /// It is not installed, or ends, or opens no door in time.
    pub(crate) fn start(
        name: &'static str,
        command: impl FnOnce(&Path) -> Result<(Command, Vec<Door>), String>,
    ) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("{name}: {error}");
        let directory = tempfile::tempdir().map_err(failed)?;
        let output = directory.path().join("output");
        let file = File::create(&output).map_err(failed)?;
        let (mut command, doors) = command(directory.path())?;
        for (variable, _) in std::env::vars_os() {
            let text = variable.to_string_lossy();
            let own = command.get_envs().any(|(set, _)| set == variable);
            if !own && (text.starts_with("VEDETTA_") || text.starts_with("REDIS_")) {
                command.env_remove(&variable);
            }
        }
        command
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(file.try_clone().map_err(failed)?)
            .stderr(file);
        let child = command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => format!(
                "{name}: {:?} is missing; install it first: {INSTALL}",
                command.get_program()
            ),
            _ => failed(error),
        })?;
        let mut process = Self {
            name,
            child,
            output,
            _directory: directory,
        };
        for door in &doors {
            process.wait_for(door)?;
        }
        Ok(process)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "between two looks at a condition"
    )]
    fn wait_for(&mut self, door: &Door) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let opened = match door {
                Door::Tcp(address) => std::net::TcpStream::connect(address).map(drop),
                Door::Unix(path) => std::os::unix::net::UnixStream::connect(path).map(drop),
            };
            let Err(error) = opened else {
                return Ok(());
            };
            let ended = self.child.try_wait().map_err(|error| error.to_string())?;
            if ended.is_some() || began.elapsed() > STARTED_WITHIN {
                let state =
                    ended.map_or_else(|| "still runs".to_owned(), |status| status.to_string());
                let (name, said) = (self.name, self.said());
                return Err(format!(
                    "{name} ({state}), {door:?}: {error}; it says:\n{said}"
                ));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// The end of its output.
    fn said(&self) -> String {
        let output = std::fs::read(&self.output).unwrap_or_default();
        let output = String::from_utf8_lossy(&output);
        let lines: Vec<&str> = output.lines().collect();
        lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address of the loopback interface that is free now.
///
/// # Errors
/// There is none.
pub(crate) fn free_address() -> Result<SocketAddr, String> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| format!("no free port: {error}"))
}
