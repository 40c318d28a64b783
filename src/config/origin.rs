//! Where a value came from.
//!
//! Invariants: `level` is the order of precedence, and the only place that knows it.
//!
//! Not here: reading the sources (`sources`, `file`, `alias`).

use std::fmt;

/// The source of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// The table of settings.
    Default,
    /// A built-in set of cache rules.
    Profile(&'static str),
    /// The configuration file: its path, and the key in it.
    File(String, String),
    /// A `REDIS_*` variable.
    Alias(&'static str),
    /// A `VEDETTA_*` variable.
    Env(&'static str),
    /// The command line.
    Flag(String),
}

impl Origin {
    /// Higher wins.
    pub(super) fn level(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::Profile(_) => 1,
            Self::File(..) => 2,
            Self::Alias(_) => 3,
            Self::Env(_) => 4,
            Self::Flag(_) => 5,
        }
    }

    /// Whether somebody asked for the value, rather than vedetta itself.
    pub(super) fn is_explicit(&self) -> bool {
        self.level() > 1
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Profile(name) => write!(f, "profile {name}"),
            Self::File(path, key) => write!(f, "{path}: {key}"),
            Self::Alias(name) | Self::Env(name) => f.write_str(name),
            Self::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}
