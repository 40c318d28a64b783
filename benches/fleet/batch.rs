//! Many commands in one turn of Redis's event loop, each on a connection of its own.
//!
//! Redis is held up by `DEBUG SLEEP` while they are sent, so it finds all of them at once, as a busy one does.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Commands in a turn.
pub(crate) const BATCH: usize = 50;

/// How long Redis is held up, in seconds, and how long it takes to fall asleep.
const HELD: &str = "0.006";
const ASLEEP: Duration = Duration::from_millis(1);
const OK: &[u8] = b"+OK\r\n";

/// The connections.
pub(crate) struct Batch {
    holder: TcpStream,
    connections: Vec<TcpStream>,
}

impl Batch {
    /// Connects.
    pub(crate) fn connect(redis: SocketAddr) -> Result<Self, String> {
        let connect = || {
            let stream = TcpStream::connect(redis)?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let connections = (0..BATCH).map(|_| connect());
        Ok(Self {
            holder: connect().map_err(failed)?,
            connections: connections.collect::<Result<_, _>>().map_err(failed)?,
        })
    }

    /// Sends commands that are answered with OK, at most [`BATCH`], to be executed in one turn.
    pub(crate) async fn execute(&mut self, commands: &[Vec<u8>]) -> Result<(), String> {
        let hold = redis::cmd("DEBUG")
            .arg("SLEEP")
            .arg(HELD)
            .get_packed_command();
        self.holder.write_all(&hold).map_err(failed)?;
        tokio::time::sleep(ASLEEP).await;
        for (connection, command) in self.connections.iter_mut().zip(commands) {
            connection.write_all(command).map_err(failed)?;
        }
        let used = self.connections.iter_mut().take(commands.len());
        for connection in std::iter::once(&mut self.holder).chain(used) {
            let mut reply = [0; OK.len()];
            connection.read_exact(&mut reply).map_err(failed)?;
            if reply != *OK {
                return Err(format!("Redis answers {}", reply.escape_ascii()));
            }
        }
        Ok(())
    }
}

fn failed(error: std::io::Error) -> String {
    format!("a connection to Redis: {error}")
}
