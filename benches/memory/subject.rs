//! A vedetta that is measured, with the Redis and the Sentinels behind it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use vedetta::proto::v1;

use crate::client::{Client, Entries};
use crate::door::Door;
use crate::process::{Process, free_address};

/// How long a vedetta may take until it has a master.
const SERVING_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);
/// Memory is at rest when that many looks in a row find no change of more than [`REST`] KiB; at the latest after the
/// other number.
const LOOKS: usize = 4;
const MOST_LOOKS: usize = 40;
const REST: u64 = 64;
const MASTER: &str = "mymaster";

/// Where entries are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// In its own memory.
    Embedded,
    /// In a Redis, with copies in the near cache.
    Near,
    /// The same, where three Sentinels know the Redis.
    Sentinels,
}

impl Store {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Near => "near, on Redis",
            Self::Sentinels => "near, three Sentinels",
        }
    }
}

/// Memory of a process, in KiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Resident.
    pub(crate) resident: u64,
    /// That part of it that is no file, as the program text is.
    pub(crate) anonymous: u64,
    /// The most that has been resident.
    pub(crate) peak: u64,
}

/// What is kept, as vedetta counts it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    pub(crate) entries: u64,
    pub(crate) weight: u64,
}

/// A vedetta.
pub(crate) struct Subject {
    store: Store,
    client: Client,
    process: Process,
    _behind: Vec<Process>,
}

impl Subject {
    /// Starts one with so many MiB for its entries, or as it is without a setting, and waits until it serves.
    ///
    /// # Errors
    /// Something is not installed or does not start.
    pub(crate) fn start(store: Store, capacity: Option<u64>) -> Result<Self, String> {
        let mut behind = Vec::new();
        let mut settings = Vec::new();
        if store != Store::Embedded {
            let redis = redis(&mut behind)?;
            settings.push(match store {
                Store::Sentinels => {
                    let sentinels = sentinels(redis, &mut behind)?;
                    ("VEDETTA_SENTINEL_ADDRESSES", sentinels)
                }
                _ => ("VEDETTA_REDIS_ADDRESS", redis.to_string()),
            });
        }
        let setting = match store {
            Store::Embedded => "VEDETTA_EMBEDDED_CAPACITY",
            _ => "VEDETTA_NEAR_CAPACITY",
        };
        settings.extend(capacity.map(|capacity| (setting, format!("{capacity}MiB"))));
        let mut socket = PathBuf::new();
        let process = Process::start("vedetta", |directory| {
            socket = directory.join("socket");
            Ok((
                vedetta(&socket, settings)?,
                vec![Door::Unix(socket.clone())],
            ))
        })?;
        let mut subject = Self {
            store,
            client: Client::connect(&socket)?,
            process,
            _behind: behind,
        };
        subject.wait_until_serving()?;
        Ok(subject)
    }

    fn wait_until_serving(&mut self) -> Result<(), String> {
        let began = Instant::now();
        while self.store != Store::Embedded {
            let master = self.client.status()?.master.unwrap_or_default();
            if master.phase() == v1::get_status_response::Phase::Serving {
                break;
            }
            if began.elapsed() > SERVING_WITHIN {
                return Err(format!("still {:?}: {}", master.phase(), master.detail));
            }
            pause();
        }
        Ok(())
    }

    /// Stores these, and where there is a near cache has it read them; tells the most memory that a look in between saw.
    ///
    /// # Errors
    /// A call or an item is refused.
    pub(crate) fn fill(&mut self, entries: Entries<'_>) -> Result<u64, String> {
        let mut most = 0;
        let mut from = entries.from;
        while from < entries.to {
            let rest = Entries { from, ..entries };
            let stored = self.client.put(rest)?;
            if self.store != Store::Embedded {
                let to = from + stored;
                while from < to {
                    from += self.client.get(Entries {
                        from,
                        to,
                        ..entries
                    })?;
                }
            } else {
                from += stored;
            }
            most = most.max(self.memory()?.resident);
        }
        Ok(most)
    }

    /// What it keeps.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn kept(&mut self) -> Result<Kept, String> {
        let status = self.client.status()?;
        let embedded = status.embedded.map(|of| (of.entries, of.weight_bytes));
        let near = status.near.map(|of| (of.entries, of.weight_bytes));
        let (entries, weight) = embedded.or(near).ok_or("it does not tell what it keeps")?;
        Ok(Kept { entries, weight })
    }

    /// Its memory, as soon as nothing more is given back.
    ///
    /// # Errors
    /// It has ended.
    pub(crate) fn at_rest(&self) -> Result<Memory, String> {
        let mut memory = self.memory()?;
        let mut calm = 0;
        for _ in 0..MOST_LOOKS {
            pause();
            let now = self.memory()?;
            let changed = now.resident.abs_diff(memory.resident);
            calm = if changed <= REST { calm + 1 } else { 0 };
            memory = now;
            if calm == LOOKS {
                break;
            }
        }
        Ok(memory)
    }

    fn memory(&self) -> Result<Memory, String> {
        let pid = self.process.id();
        let rollup = format!("/proc/{pid}/smaps_rollup");
        let status = format!("/proc/{pid}/status");
        Ok(Memory {
            resident: kib(&rollup, "Rss:")?,
            anonymous: kib(&rollup, "Anonymous:")?,
            peak: kib(&status, "VmHWM:")?,
        })
    }
}

fn kib(path: &str, name: &str) -> Result<u64, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    text.lines()
        .find_map(|line| {
            line.strip_prefix(name)?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .ok_or_else(|| format!("{path} has no {name}"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "between two looks at a process that nobody can wait for"
)]
fn pause() {
    std::thread::sleep(PAUSE);
}

fn vedetta(socket: &Path, settings: Vec<(&str, String)>) -> Result<Command, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vedetta"));
    command
        .arg("serve")
        .env("VEDETTA_WORKERS", "1")
        .env("VEDETTA_SOCKET", socket)
        .env("VEDETTA_LISTEN", free_address()?.to_string())
        .env("VEDETTA_ADMIN_LISTEN", free_address()?.to_string())
        .envs(settings);
    Ok(command)
}

fn redis(behind: &mut Vec<Process>) -> Result<SocketAddr, String> {
    let address = free_address()?;
    behind.push(Process::start("redis-server", |_| {
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--port", &address.port().to_string()])
            // By default Redis tracks a million keys. An entry has several, and what it forgets is invalidated.
            .args(["--tracking-table-max-keys", "0"]);
        Ok((command, vec![Door::Tcp(address)]))
    })?);
    Ok(address)
}

/// Starts three of them; their addresses as a setting.
fn sentinels(master: SocketAddr, behind: &mut Vec<Process>) -> Result<String, String> {
    let mut addresses = Vec::new();
    for _ in 0..3 {
        let address = free_address()?;
        behind.push(Process::start("redis-sentinel", |directory| {
            let file = directory.join("sentinel.conf");
            let text = format!(
                "bind 127.0.0.1\nport {}\nsentinel monitor {MASTER} {} {} 2\n",
                address.port(),
                master.ip(),
                master.port()
            );
            std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
            let mut command = Command::new("redis-sentinel");
            command.arg(file);
            Ok((command, vec![Door::Tcp(address)]))
        })?);
        addresses.push(address.to_string());
    }
    Ok(addresses.join(","))
}
