//! `redis-server`: a master, or a replica of one.
//!
//! Invariants: nothing is written to disk, so a node that is started again is empty.
//!
//! Not here: Sentinels (`sentinel_set`).

use std::cell::Cell;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};

use super::node::Node;
use super::ports::free_address;
use super::tls::TlsServer;

/// How a Redis is configured beyond what all have in common.
#[derive(Debug, Clone, Default)]
pub(crate) struct RedisOptions {
    /// Of its clients and, for a replica, of its master.
    pub(crate) password: Option<String>,
    /// Makes it a replica.
    pub(crate) replica_of: Option<SocketAddr>,
    /// Has it speak TLS too.
    pub(crate) tls: Option<TlsServer>,
    /// Further lines of its configuration, such as `maxmemory 10mb`.
    pub(crate) lines: Vec<String>,
}

/// A running Redis.
pub(crate) struct Redis {
    node: Node,
    tls: Option<SocketAddr>,
}

impl Redis {
    /// Starts one and waits until it answers.
    pub(crate) fn start(options: &RedisOptions) -> Self {
        let password = options.password.as_deref();
        let tls = Cell::new(None);
        let node = Node::start("redis-server", password, |_| {
            let mut lines = configuration(options);
            if let Some(server) = &options.tls {
                let address = free_address();
                tls.set(Some(address));
                lines.extend(server.lines(address.port()));
            }
            lines
        });
        let tls = tls.get();
        Self { node, tls }
    }

    /// Where it speaks TLS.
    pub(crate) fn tls_address(&self) -> Option<SocketAddr> {
        self.tls
    }

    /// Whether a replica has caught up with its master and hears from it.
    ///
    /// # Errors
    /// Says what is missing.
    pub(crate) fn replica_in_step(&self) -> Result<(), String> {
        let info = self.ask(&["INFO", "replication"])?.to_string();
        if info.contains("master_link_status:up") {
            return Ok(());
        }
        Err(format!("{} is not linked to its master", self.address()))
    }
}

impl Deref for Redis {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl DerefMut for Redis {
    fn deref_mut(&mut self) -> &mut Node {
        &mut self.node
    }
}

fn configuration(options: &RedisOptions) -> Vec<String> {
    let mut lines: Vec<String> = [
        "save \"\"",
        "appendonly no",
        // A new replica is served at once instead of after five seconds.
        "repl-diskless-sync-delay 0",
    ]
    .map(str::to_owned)
    .into();
    if let Some(password) = &options.password {
        lines.push(format!("requirepass {password}"));
        lines.push(format!("masterauth {password}"));
    }
    if let Some(master) = options.replica_of {
        lines.push(format!("replicaof {} {}", master.ip(), master.port()));
    }
    lines.extend(options.lines.iter().cloned());
    lines
}
