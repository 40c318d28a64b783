//! One child process with its output in a file.
//!
//! Invariants: the child is stopped and reaped when its `Process` is dropped. Signals go to this child alone and
//! only while it is not reaped, so never to a stranger who inherited its number. If a test panics, the end of
//! the output is shown.
//!
//! Not here: what runs in it (`node`, `vedetta`).

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::wait;

/// How much of the output a failing test shows.
const SHOWN_LINES: usize = 60;

/// A running or ended child.
pub(crate) struct Process {
    name: String,
    child: Child,
    output: PathBuf,
}

impl Process {
    /// Starts the command with standard output and error appended to the file.
    ///
    /// # Panics
    /// When the program is not installed; `remedy` tells how to install it.
    pub(crate) fn start(name: &str, command: &mut Command, output: &Path, remedy: &str) -> Self {
        let file = File::options()
            .create(true)
            .append(true)
            .open(output)
            .expect("output file");
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("second handle of the output file"))
            .stderr(file);
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                panic!("{name}: {:?} is missing; {remedy}", command.get_program())
            }
            Err(error) => panic!(
                "{name}: {:?} does not start: {error}",
                command.get_program()
            ),
        };
        Self {
            name: name.to_owned(),
            child,
            output: output.to_owned(),
        }
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// All output so far.
    pub(crate) fn output(&self) -> String {
        fs::read(&self.output)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// How it ended, if it did.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("state of a child")
    }

    /// Whether it ended because somebody else had its port.
    pub(crate) fn clashed(&mut self) -> bool {
        self.exited().is_some() && self.output().contains("ddress already in use")
    }

    /// Kills it at once, without a chance to say goodbye, and waits for its end.
    pub(crate) fn kill9(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends a signal by name, such as `TERM`, `STOP`, `CONT`.
    pub(crate) fn signal(&mut self, name: &str) {
        assert_eq!(self.exited(), None, "{} has ended already", self.name);
        let sent = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .expect("kill");
        assert!(sent.success(), "kill -s {name} of {}", self.name);
    }

    /// Waits for its end; the status and how long it took.
    pub(crate) fn wait_exit(&mut self, within: Duration) -> (ExitStatus, Duration) {
        let started = Instant::now();
        let name = self.name.clone();
        let status = wait::until(&format!("end of {name}"), within, || {
            self.exited().ok_or_else(|| "it still runs".to_owned())
        });
        (status, started.elapsed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            let output = self.output();
            let lines: Vec<&str> = output.lines().collect();
            let from = lines.len().saturating_sub(SHOWN_LINES);
            eprintln!("---- the end of the output of {} ----", self.name);
            for line in &lines[from..] {
                eprintln!("{line}");
            }
        }
    }
}
