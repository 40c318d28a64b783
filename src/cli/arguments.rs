//! What may be typed.
//!
//! The flags of `serve` and `check-config` come from the table of settings, one for each that is not a secret:
//! secrets on a command line are everybody's.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::config::settings;

/// A Redis-Sentinel-aware cache sidecar.
#[derive(Debug, Parser)]
#[command(
    name = "vedetta",
    version,
    after_help = "Exit codes: 0 done or hit, 1 miss or condition false, 2 usage, 3 unavailable, 4 refused."
)]
pub struct Arguments {
    /// Where a running vedetta listens: unix:/path or http://host:port. Default: VEDETTA_ADDRESS, else the socket,
    /// else http://127.0.0.1:17070
    #[arg(long, global = true, value_name = "ADDR")]
    pub address: Option<String>,

    /// Whose caches; the primary tenant if not given
    #[arg(
        long,
        global = true,
        value_name = "T",
        default_value = "",
        hide_default_value = true
    )]
    pub tenant: String,

    /// How to print answers
    #[arg(long, global = true, value_enum, default_value_t)]
    pub output: Output,

    /// How long a call may take
    #[arg(long, global = true, value_name = "DURATION", default_value = "5s", value_parser = humantime::parse_duration)]
    pub timeout: std::time::Duration,

    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// For people and pipes.
    #[default]
    Text,
    /// For scripts: one object.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the cache API
    Serve(Configuration),
    /// Print the effective configuration, or every mistake in it
    CheckConfig(Configuration),
    /// Print a value; exits with 1 on a miss
    Get {
        /// The cache
        cache: String,
        /// The key
        key: String,
    },
    /// Store a value
    Put(Put),
    /// Remove entries; exits with 1 if none of them existed
    Evict {
        /// The cache
        cache: String,
        /// The keys
        #[arg(required = true)]
        keys: Vec<String>,
    },
    /// Make every entry of a cache a miss
    Clear {
        /// The cache
        cache: String,
    },
    /// Make every member of groups a miss
    FlushGroup {
        /// The cache
        cache: String,
        /// The groups
        #[arg(required = true)]
        groups: Vec<String>,
    },
    /// Fill a cache from a file of JSON lines, as `dump` prints them; exits with 1 if a load is not needed
    Load(Load),
    /// Print every entry of a cache, one JSON object a line
    Dump {
        /// The cache
        cache: String,
    },
    /// Print invalidations as they happen, until interrupted
    Watch {
        /// Only these caches; all if none is given
        caches: Vec<String>,
        /// Only this key of the one cache; may be repeated
        #[arg(long = "key", value_name = "KEY")]
        keys: Vec<String>,
        /// Only this group of the one cache; may be repeated
        #[arg(long = "group", value_name = "G")]
        groups: Vec<String>,
    },
    /// Show what a running vedetta sees
    Status,
    /// Show what happened to the master: when it was noticed, how long it took, what became of calls and writes
    FailoverReport,
    /// Exit with 0 if a vedetta serves, for exec probes; with --service, if that service does
    Health {
        /// For example vedetta.v1.Cache: has a writable master
        #[arg(long, default_value = "", hide_default_value = true)]
        service: String,
    },
}

/// Store a value.
#[derive(Debug, Args)]
pub struct Put {
    /// The cache
    pub cache: String,
    /// The key
    pub key: String,
    /// The value
    #[arg(required_unless_present_any = ["file", "null"], conflicts_with_all = ["file", "null"])]
    pub value: Option<String>,
    /// Read the value from a file, or from standard input with `-`
    #[arg(long, value_name = "F", conflicts_with = "null")]
    pub file: Option<PathBuf>,
    /// Store null
    #[arg(long)]
    pub null: bool,
    /// Time to live, such as 30s or 4h; the cache's default if not given
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub ttl: Option<std::time::Duration>,
    /// A group the entry belongs to; may be repeated
    #[arg(long = "group", value_name = "G")]
    pub groups: Vec<String>,
    /// Only if there is no entry; exits with 1 if there is
    #[arg(long)]
    pub if_absent: bool,
}

/// Fill a cache from a file.
#[derive(Debug, Args)]
pub struct Load {
    /// The cache
    pub cache: String,
    /// The file
    pub file: PathBuf,
    /// Remove what is not in the file
    #[arg(long, conflicts_with = "if_older")]
    pub replace: bool,
    /// Store entries only where there is none, or one of an older load (default)
    #[arg(long)]
    pub if_older: bool,
    /// Which snapshot of the data it is: one that is not newer than the last that was loaded is not loaded. Unknown if
    /// not given: loaded, and not remembered
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub snapshot: u64,
    /// Load the snapshot that was loaded last once more
    #[arg(long)]
    pub again: bool,
}

/// Where the configuration comes from.
#[derive(Debug, Args)]
pub struct Configuration {
    /// The configuration file (TOML). Default: VEDETTA_CONFIG
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Settings given as flags.
    #[command(flatten)]
    pub flags: Flags,
}

/// Settings given as flags: dotted key and text.
#[derive(Debug, Default)]
pub struct Flags(pub Vec<(String, String)>);

impl Args for Flags {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.next_help_heading("Settings").args(
            settings()
                .iter()
                .filter(|setting| !setting.secret)
                .map(|setting| {
                    Arg::new(setting.key)
                        .long(setting.flag())
                        .value_name("VALUE")
                        .help(format!("{} [{}]", setting.doc, setting.env))
                }),
        )
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for setting in settings().iter().filter(|setting| !setting.secret) {
            if let Some(text) = matches.get_one::<String>(setting.key) {
                self.0.push((setting.key.to_owned(), text.clone()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn settings_are_flags_and_secrets_are_not() {
        let arguments = Arguments::try_parse_from(["vedetta", "serve", "--listen", "127.0.0.1:1"]);
        let Ok(Arguments {
            command: Command::Serve(configuration),
            ..
        }) = arguments
        else {
            panic!("{arguments:?}");
        };
        assert_eq!(
            configuration.flags.0,
            [("api.listen".to_owned(), "127.0.0.1:1".to_owned())]
        );
        let secret = Arguments::try_parse_from(["vedetta", "serve", "--redis-password", "x"]);
        assert!(secret.is_err());
    }
}
