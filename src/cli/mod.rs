//! The command line: `serve`, and client commands that talk to a running vedetta.
//!
//! Exit codes: 0 done or hit, 1 miss or condition false, 2 usage or configuration, 3 unavailable, 4 refused.
//!
//! Invariants: standard output holds the answer and nothing else; everything said to a person goes to standard
//! error.
//!
//! Not here: reading the environment (`main` passes it in); serving (`app`).

mod arguments;
mod bulk;
mod client;
mod command;
mod effective;
mod exit;
mod failovers;
mod jsonl;
mod show;
mod watch;

pub use arguments::{Arguments, Command};
pub use command::run;
pub use effective::{Environment, LoadError, check_config, load};
pub use exit::{Exit, print, tell};
