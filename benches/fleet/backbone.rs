//! What a fleet stands on: one Redis and three Sentinels that watch it, and what they say about their own work.
//!
//! Invariants: CPU is read inside of the two INFO of a reading, so that these do not count; nothing is written to disk.
//!
//! Not here: a replica. It would add the same to each write, whatever the number of sidecars.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;

use crate::door::Door;
use crate::meter;
use crate::process::{Process, free_address};

pub(crate) const SENTINELS: usize = 3;
const MASTER: &str = "mymaster";
/// They greet each other every two seconds.
const KNOWN_WITHIN: Duration = Duration::from_secs(30);
/// Where fifty sidecars share a processor with this program, it may be long before that one reads an answer.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(100);

/// A Redis or a Sentinel.
pub(crate) struct Node {
    process: Process,
    pub(crate) address: SocketAddr,
    /// Of this program, to ask and to write.
    pub(crate) connection: MultiplexedConnection,
}

impl Node {
    async fn start(
        name: &'static str,
        command: impl FnOnce(&Path, SocketAddr) -> Result<Command, String>,
    ) -> Result<Self, String> {
        let address = free_address()?;
        let process = Process::start(name, |directory| {
            Ok((command(directory, address)?, vec![Door::Tcp(address)]))
        })?;
        let patient = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
        let connection = redis::Client::open(format!("redis://{address}/"))
            .map_err(|error| format!("{name}: {error}"))?
            .get_multiplexed_async_connection_with_config(&patient)
            .await
            .map_err(|error| format!("{name}: {error}"))?;
        Ok(Self {
            process,
            address,
            connection,
        })
    }

    /// What it has done so far; CPU is read last.
    pub(crate) async fn begin(&self) -> Result<Reading, String> {
        let info = self.info().await?;
        Ok(Reading {
            info,
            at: Instant::now(),
            cpu: meter::cpu(self.process.id())?,
        })
    }

    /// What it has done since then; CPU is read first.
    pub(crate) async fn since(&self, before: &Reading) -> Result<Work, String> {
        let cpu = meter::cpu(self.process.id())?;
        let elapsed = before.at.elapsed();
        let info = self.info().await?;
        // The INFO at the end is in the first reading's numbers, and this one is not yet in its own.
        let more = |name: &str| Ok::<f64, String>(info.number(name)? - before.info.number(name)?);
        Ok(Work {
            cpu: (cpu - before.cpu) as f64 / 1000.0,
            seconds: elapsed.as_secs_f64(),
            commands: more("total_commands_processed")? - 1.0,
            input: more("total_net_input_bytes")?,
            output: more("total_net_output_bytes")? - before.info.length,
            clients: info.number("connected_clients")?,
            tracked: more("tracking_total_items").unwrap_or_default(),
        })
    }

    pub(crate) async fn info(&self) -> Result<Info, String> {
        let mut connection = self.connection.clone();
        let text: String = redis::cmd("INFO")
            .query_async(&mut connection)
            .await
            .map_err(|error| format!("INFO: {error}"))?;
        Ok(Info::read(&text))
    }
}

/// The fields of an INFO.
pub(crate) struct Info {
    fields: HashMap<String, String>,
    /// Of the whole reply.
    length: f64,
}

impl Info {
    fn read(text: &str) -> Self {
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        Self {
            fields: fields
                .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
                .collect(),
            length: text.len() as f64,
        }
    }

    pub(crate) fn number(&self, name: &str) -> Result<f64, String> {
        let field = self.fields.get(name).and_then(|value| value.parse().ok());
        field.ok_or_else(|| format!("INFO has no number {name}"))
    }
}

/// What a node had done at a time.
pub(crate) struct Reading {
    info: Info,
    at: Instant,
    cpu: u64,
}

/// What it did since.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    /// Microseconds.
    pub(crate) cpu: f64,
    pub(crate) seconds: f64,
    pub(crate) commands: f64,
    /// Bytes.
    pub(crate) input: f64,
    pub(crate) output: f64,
    /// Connections at the end.
    pub(crate) clients: f64,
    /// By how many its tracking table has grown, in pairs of key and client.
    pub(crate) tracked: f64,
}

/// The Redis and its Sentinels.
pub(crate) struct Backbone {
    pub(crate) redis: Node,
    pub(crate) sentinels: Vec<Node>,
}

impl Backbone {
    /// Starts them, and waits until the Sentinels know each other.
    pub(crate) async fn start() -> Result<Self, String> {
        let redis = Node::start("redis-server", |_, address| Ok(redis_server(address))).await?;
        let mut sentinels = Vec::new();
        for _ in 0..SENTINELS {
            let master = redis.address;
            let node = Node::start("sentinel", |directory, own| {
                sentinel(directory, own, master)
            });
            sentinels.push(node.await?);
        }
        let backbone = Self { redis, sentinels };
        let began = Instant::now();
        while !backbone.know_each_other().await? {
            if began.elapsed() > KNOWN_WITHIN {
                return Err(format!(
                    "the Sentinels did not find each other within {KNOWN_WITHIN:?}"
                ));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(backbone)
    }

    async fn know_each_other(&self) -> Result<bool, String> {
        for node in &self.sentinels {
            let mut connection = node.connection.clone();
            let master: HashMap<String, String> = redis::cmd("SENTINEL")
                .arg("MASTER")
                .arg(MASTER)
                .query_async(&mut connection)
                .await
                .map_err(|error| format!("SENTINEL MASTER: {error}"))?;
            let field = |name: &str| master.get(name).map(String::as_str);
            if field("num-other-sentinels") != Some("2") || field("flags") != Some("master") {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// As vedetta takes them.
    pub(crate) fn sentinel_list(&self) -> String {
        let addresses = self.sentinels.iter().map(|node| node.address.to_string());
        addresses.collect::<Vec<_>>().join(",")
    }
}

fn redis_server(address: SocketAddr) -> Command {
    let mut command = Command::new("redis-server");
    command
        .args(["--bind", "127.0.0.1", "--port"])
        .arg(address.port().to_string())
        .args(["--save", "", "--appendonly", "no"])
        // `DEBUG SLEEP` holds it up, so that a batch of commands waits for one turn of its loop.
        .args(["--enable-debug-command", "yes"]);
    command
}

fn sentinel(directory: &Path, own: SocketAddr, master: SocketAddr) -> Result<Command, String> {
    let file = directory.join("sentinel.conf");
    let text = format!(
        "port {}\nbind 127.0.0.1\nsentinel monitor {MASTER} {} {} 2\n\
         sentinel down-after-milliseconds {MASTER} 30000\n",
        own.port(),
        master.ip(),
        master.port()
    );
    std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut command = Command::new("redis-server");
    command.arg(file).arg("--sentinel");
    Ok(command)
}
