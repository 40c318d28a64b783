//! The servers that are compared: how each is started, and what it is asked.
//!
//! Invariants: all of them run at once, on one processor; each has one thread that serves, and nothing is written to
//! disk.
//!
//! Not here: filling them (`fill`); which of them is in which table (`plan`).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::meter::Processors;
use crate::process::{Door, Process, free_address};

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    /// `vedetta serve` with its embedded store.
    VedettaEmbedded,
    /// `vedetta serve` in front of a Redis, every value in its near cache.
    VedettaNear,
    /// The same without a near cache: every read goes to Redis.
    VedettaMiss,
    /// The service of vedetta on tonic's own server.
    ServicePlain,
    /// A fixed answer on tonic's own server.
    EchoPlain,
    /// A fixed answer, served as vedetta serves.
    EchoSame,
    Redis,
    Memcached,
    /// HAProxy in TCP mode in front of that Redis.
    Haproxy,
}

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Speech {
    Grpc,
    Resp,
    Memcached,
}

/// Over what it is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Unix,
    Tcp,
}

impl Name {
    pub(crate) const ALL: [Self; 9] = [
        Self::VedettaEmbedded,
        Self::VedettaNear,
        Self::VedettaMiss,
        Self::ServicePlain,
        Self::EchoPlain,
        Self::EchoSame,
        Self::Redis,
        Self::Memcached,
        Self::Haproxy,
    ];

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::VedettaEmbedded => "vedetta embedded",
            Self::VedettaNear => "vedetta on Redis, L1 hits",
            Self::VedettaMiss => "vedetta on Redis, L1 misses",
            Self::ServicePlain => "its service on plain tonic",
            Self::EchoPlain => "echo on plain tonic",
            Self::EchoSame => "echo served as vedetta",
            Self::Redis => "redis-server",
            Self::Memcached => "memcached",
            Self::Haproxy => "HAProxy before Redis",
        }
    }

    pub(crate) fn speech(self) -> Speech {
        match self {
            Self::Redis | Self::Haproxy => Speech::Resp,
            Self::Memcached => Speech::Memcached,
            _ => Speech::Grpc,
        }
    }

    /// Whether its values come out of a near cache; `None` where there is nothing behind it.
    pub(crate) fn near(self) -> Option<bool> {
        match self {
            Self::VedettaNear => Some(true),
            Self::VedettaMiss => Some(false),
            _ => None,
        }
    }
}

/// A way in, and everything whose CPU is used by whoever goes in there.
#[derive(Debug, Clone)]
pub(crate) struct Entrance {
    pub(crate) door: Door,
    /// Their places in [`Fleet::processes`].
    behind: Vec<usize>,
}

struct Server {
    name: Name,
    unix: Entrance,
    tcp: Entrance,
}

/// Every server, running.
pub(crate) struct Fleet {
    processes: Vec<Process>,
    servers: Vec<Server>,
}

impl Fleet {
    /// Starts them all.
    ///
    /// # Errors
    /// One does not start.
    pub(crate) fn start(processors: Processors) -> Result<Self, String> {
        let mut fleet = Self {
            processes: Vec::new(),
            servers: Vec::new(),
        };
        // Children run where their parent does when it starts them.
        processors.as_server()?;
        fleet.start_neighbours()?;
        fleet.start_vedettas()?;
        processors.as_client()?;
        Ok(fleet)
    }

    fn start_neighbours(&mut self) -> Result<(), String> {
        let redis = self.launch("redis-server", redis)?;
        self.add(Name::Redis, &redis, &redis, &[]);
        let Door::Tcp(behind) = redis.tcp else {
            return Err("redis-server has no TCP port".to_owned());
        };
        let proxy = self.launch("haproxy", |directory, doors| {
            haproxy(directory, doors, behind)
        })?;
        self.add(Name::Haproxy, &proxy, &proxy, &[redis.process]);
        // Memcached listens either on a socket or on a port.
        let tcp = self.launch("memcached", |_, doors| {
            Ok(memcached(&doors.tcp_arguments()))
        })?;
        let unix = self.launch("memcached", |_, doors| {
            Ok(memcached(&doors.unix_arguments()))
        })?;
        self.add(Name::Memcached, &unix, &tcp, &[]);
        Ok(())
    }

    fn start_vedettas(&mut self) -> Result<(), String> {
        let embedded = self.launch("vedetta", |_, doors| {
            vedetta(doors, &[("VEDETTA_EMBEDDED_CAPACITY", "1GiB")])
        })?;
        self.add(Name::VedettaEmbedded, &embedded, &embedded, &[]);
        let redis = self.launch("redis-server", redis)?;
        let Door::Tcp(address) = redis.tcp else {
            return Err("redis-server has no TCP port".to_owned());
        };
        let address = address.to_string();
        for (name, capacity) in [(Name::VedettaNear, "256MiB"), (Name::VedettaMiss, "0B")] {
            let settings = [
                ("VEDETTA_REDIS_ADDRESS", address.as_str()),
                ("VEDETTA_NEAR_CAPACITY", capacity),
            ];
            let vedetta = self.launch("vedetta", |_, doors| vedetta(doors, &settings))?;
            self.add(name, &vedetta, &vedetta, &[redis.process]);
        }
        for (name, what, way) in [
            (Name::ServicePlain, "service", "plain"),
            (Name::EchoPlain, "echo", "plain"),
            (Name::EchoSame, "echo", "same"),
        ] {
            let own = self.launch(what, |_, doors| again(what, way, doors))?;
            self.add(name, &own, &own, &[]);
        }
        Ok(())
    }

    fn launch(
        &mut self,
        program: &'static str,
        command: impl FnOnce(&Path, &Doors) -> Result<Command, String>,
    ) -> Result<Launched, String> {
        let tcp = free_address()?;
        let mut unix = PathBuf::new();
        let process = Process::start(program, |directory| {
            unix = directory.join("socket");
            let doors = Doors {
                tcp,
                unix: unix.clone(),
            };
            let command = command(directory, &doors)?;
            // The one of memcached listens on a port or on a socket; it says so with its arguments.
            let named = |door: &str| command.get_args().any(|argument| argument == door);
            let mut awaited = Vec::new();
            if program != "memcached" || named("-p") {
                awaited.push(Door::Tcp(tcp));
            }
            if program != "memcached" || named("-s") {
                awaited.push(Door::Unix(unix.clone()));
            }
            Ok((command, awaited))
        })?;
        self.processes.push(process);
        Ok(Launched {
            process: self.processes.len() - 1,
            tcp: Door::Tcp(tcp),
            unix: Door::Unix(unix),
        })
    }

    fn add(&mut self, name: Name, unix: &Launched, tcp: &Launched, behind: &[usize]) {
        let entrance = |launched: &Launched, door: &Door| Entrance {
            door: door.clone(),
            behind: [&[launched.process], behind].concat(),
        };
        self.servers.push(Server {
            name,
            unix: entrance(unix, &unix.unix),
            tcp: entrance(tcp, &tcp.tcp),
        });
    }

    /// The way into a server.
    ///
    /// # Errors
    /// There is no such server, which is a defect.
    pub(crate) fn entrance(&self, name: Name, transport: Transport) -> Result<&Entrance, String> {
        let server = self.servers.iter().find(|server| server.name == name);
        let server = server.ok_or_else(|| format!("{} was not started", name.text()))?;
        Ok(match transport {
            Transport::Unix => &server.unix,
            Transport::Tcp => &server.tcp,
        })
    }

    /// Name and number of each process behind an entrance, the one with the door first.
    pub(crate) fn behind(&self, entrance: &Entrance) -> Vec<(&'static str, u32)> {
        let of = |index: &usize| (self.processes[*index].name, self.processes[*index].id());
        entrance.behind.iter().map(of).collect()
    }
}

struct Launched {
    process: usize,
    tcp: Door,
    unix: Door,
}

struct Doors {
    tcp: SocketAddr,
    unix: PathBuf,
}

impl Doors {
    fn tcp_arguments(&self) -> Vec<String> {
        let (ip, port) = (self.tcp.ip().to_string(), self.tcp.port().to_string());
        ["-l".to_owned(), ip, "-p".to_owned(), port].into()
    }

    fn unix_arguments(&self) -> Vec<String> {
        ["-s".to_owned(), self.unix.display().to_string()].into()
    }
}

fn redis(_: &Path, doors: &Doors) -> Result<Command, String> {
    let mut command = Command::new("redis-server");
    command
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(["--port", &doors.tcp.port().to_string(), "--unixsocket"])
        .arg(&doors.unix);
    Ok(command)
}

fn memcached(door: &[String]) -> Command {
    let mut command = Command::new("memcached");
    command
        .args(["-t", "1", "-m", "256", "-U", "0", "-u", "root"])
        .args(door);
    command
}

fn haproxy(directory: &Path, doors: &Doors, redis: SocketAddr) -> Result<Command, String> {
    let file = directory.join("haproxy.cfg");
    let text = format!(
        "global\n  nbthread 1\n  maxconn 1000\n\
         defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 1h\n  timeout server 1h\n\
         frontend redis\n  bind {}\n  bind {}\n  default_backend redis\n\
         backend redis\n  server redis {redis}\n",
        doors.tcp,
        doors.unix.display()
    );
    std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(file);
    Ok(command)
}

fn vedetta(doors: &Doors, settings: &[(&str, &str)]) -> Result<Command, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vedetta"));
    command
        .arg("serve")
        .env("VEDETTA_WORKERS", "1")
        .env("VEDETTA_SOCKET", &doors.unix)
        .env("VEDETTA_LISTEN", doors.tcp.to_string())
        .env("VEDETTA_ADMIN_LISTEN", free_address()?.to_string())
        .envs(settings.iter().copied());
    Ok(command)
}

/// This program, as one of the servers of `serve`.
fn again(what: &str, way: &str, doors: &Doors) -> Result<Command, String> {
    let program = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
    let mut command = Command::new(program);
    command
        .args(["serve", what, "--way", way])
        .args(["--listen", &doors.tcp.to_string()])
        .arg("--socket")
        .arg(&doors.unix);
    Ok(command)
}
