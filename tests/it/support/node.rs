//! One `redis-server` or `redis-sentinel` process in a directory of its own.
//!
//! Invariants: configured by a file that we wrote and by nothing else; keeps its address and its directory when
//! it is killed and started again.
//!
//! Not here: what the file says (`redis`, `sentinel_set`).

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::ports;
use super::process::Process;
use super::resp::{Connection, Reply};
use super::wait;

const READY_WITHIN: Duration = Duration::from_secs(10);
const REMEDY: &str =
    "install it with `apt-get install redis-server redis-sentinel`, as tests/run does";

/// A server process.
pub(crate) struct Node {
    // Before the directory, so that its output is still there to be shown.
    process: Process,
    program: &'static str,
    directory: TempDir,
    address: SocketAddr,
    password: Option<String>,
}

impl Node {
    /// Starts `program` with the configuration that `lines` writes for the address it is given, and waits until
    /// it answers. Takes another port if somebody else was faster.
    pub(super) fn start(
        program: &'static str,
        password: Option<&str>,
        lines: impl Fn(SocketAddr) -> Vec<String>,
    ) -> Self {
        for _ in 0..ports::ATTEMPTS {
            let address = ports::free_address();
            let directory = tempfile::tempdir().expect("directory of a server");
            let mut all = vec![
                format!("bind {}", address.ip()),
                format!("port {}", address.port()),
                format!("dir {}", directory.path().display()),
                "daemonize no".to_owned(),
            ];
            all.extend(lines(address));
            let file = directory.path().join("redis.conf");
            fs::write(&file, all.join("\n") + "\n").expect("configuration of a server");
            let process = launch(program, address, &directory);
            let mut node = Self {
                process,
                program,
                directory,
                address,
                password: password.map(str::to_owned),
            };
            if node.ready() {
                return node;
            }
        }
        panic!(
            "{program}: no port that stays free in {} attempts",
            ports::ATTEMPTS
        );
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A new connection, authenticated.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) fn connect(&self) -> std::io::Result<Connection> {
        Connection::open(self.address, self.password.as_deref())
    }

    /// One command on a connection of its own; a node that is down gives an error.
    ///
    /// # Errors
    /// When it does not answer, or answers with an error.
    pub(crate) fn ask(&self, arguments: &[impl AsRef<[u8]>]) -> Result<Reply, String> {
        let reply = self.connect().and_then(|mut c| c.call(arguments));
        match reply {
            Ok(Reply::Error(text)) => Err(format!("{} says {text}", self.address)),
            Ok(reply) => Ok(reply),
            Err(error) => Err(format!("{}: {error}", self.address)),
        }
    }

    /// As `redis-cli` would print it.
    ///
    /// # Panics
    /// When the node does not answer, or answers with an error.
    pub(crate) fn cli(&self, arguments: &[impl AsRef<[u8]>]) -> String {
        self.ask(arguments)
            .unwrap_or_else(|problem| panic!("{problem}"))
            .to_string()
    }

    /// Kills it at once.
    pub(crate) fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Stops it from running without ending it: connections stay open and nothing answers.
    pub(crate) fn pause(&mut self) {
        self.process.signal("STOP");
    }

    /// Lets it run again after [`Self::pause`].
    pub(crate) fn resume(&mut self) {
        self.process.signal("CONT");
    }

    /// Starts it again where it was, with the file it may have rewritten itself.
    ///
    /// # Panics
    /// When somebody else took its port meanwhile.
    pub(crate) fn start_again(&mut self) {
        self.kill9();
        self.process = launch(self.program, self.address, &self.directory);
        assert!(
            self.ready(),
            "the port of {} was taken meanwhile",
            self.address
        );
    }

    /// Starts it again at another address, with the file it may have rewritten itself; a Sentinel announces the new one.
    ///
    /// # Panics
    /// When no port stays free.
    pub(crate) fn start_elsewhere(&mut self) {
        self.kill9();
        let file = self.directory.path().join("redis.conf");
        for _ in 0..ports::ATTEMPTS {
            self.address = ports::free_address();
            let text = fs::read_to_string(&file).expect("configuration of a server");
            let moved = text.lines().map(|line| match line.rsplit_once(' ') {
                Some((what @ ("port" | "sentinel announce-port"), _)) => {
                    format!("{what} {}\n", self.address.port())
                }
                _ => format!("{line}\n"),
            });
            fs::write(&file, moved.collect::<String>()).expect("configuration of a server");
            self.process = launch(self.program, self.address, &self.directory);
            if self.ready() {
                return;
            }
        }
        panic!("{}: no port that stays free", self.program);
    }

    /// Waits until it answers; false if somebody else has its port.
    fn ready(&mut self) -> bool {
        let what = format!("{} at {}", self.program, self.address);
        wait::until(&what, READY_WITHIN, || {
            if self.process.clashed() {
                return Ok(false);
            }
            if let Some(status) = self.process.exited() {
                panic!("{what} ended with {status}");
            }
            // A stranger who has the port would answer too: ask who it is.
            let info = self.ask(&["INFO", "server"])?.to_string();
            let own = format!("process_id:{}\r", self.process.id());
            let loaded = self.ask(&["PING"]).map(|_| true);
            if info.contains(&own) {
                loaded
            } else {
                Err("somebody else answers".to_owned())
            }
        })
    }
}

fn launch(program: &'static str, address: SocketAddr, directory: &TempDir) -> Process {
    let path = directory.path();
    Process::start(
        &format!("{program} {address}"),
        Command::new(program)
            .arg(path.join("redis.conf"))
            .current_dir(path),
        &path.join("output"),
        REMEDY,
    )
}
