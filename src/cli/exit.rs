//! How a command ends, as scripts see it, and what it says.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use tonic::Code;

/// The documented exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or a hit.
    Done = 0,
    /// A miss, or a condition that was false.
    Miss = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// Nobody answers, or there is no master.
    Unavailable = 3,
    /// The request was refused.
    Refused = 4,
}

impl Exit {
    /// What an error of a call means.
    pub(super) fn of(code: Code) -> Self {
        match code {
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => {
                Self::Unavailable
            }
            _ => Self::Refused,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Says something to a person. Where nobody reads, nothing is said.
pub fn tell(words: &str) {
    let _ = writeln!(std::io::stderr(), "{words}");
}

/// Prints an answer; the exit code tells where it could not be written. A reader that went away has seen enough.
pub fn print(answer: &[u8], exit: Exit) -> Exit {
    let mut out = std::io::stdout();
    match out.write_all(answer).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            tell(&format!("vedetta: cannot write the answer: {error}"));
            Exit::Refused
        }
        _ => exit,
    }
}
