//! What the Sentinels publish as `+switch-master`, each with the time at which it arrived.
//!
//! Invariants: when `subscribe` returns, every Sentinel has confirmed the subscription. The threads end when
//! their connection does, which dropping `Switches` causes.
//!
//! Not here: who is master; a Sentinel publishes about a second after it already answers the new address.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::node::Node;
use super::resp::{Connection, Hangup, Reply};

const CHANNEL: &str = "+switch-master";
/// More than any test causes; a full queue only delays the reading thread.
const QUEUE: usize = 1024;

/// One publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Switch {
    /// The Sentinel that said it.
    pub(crate) sentinel: SocketAddr,
    /// When it was read.
    pub(crate) at: Instant,
    /// The master that was.
    pub(crate) old: SocketAddr,
    /// The master that is.
    pub(crate) new: SocketAddr,
}

/// Subscriptions to all Sentinels of a set.
pub(crate) struct Switches {
    received: Receiver<Switch>,
    // Dropped before the threads are waited for, and so ends their reading.
    hangups: Vec<Hangup>,
    readers: Vec<JoinHandle<()>>,
}

impl Switches {
    /// Subscribes, and waits for each confirmation.
    ///
    /// # Panics
    /// When a Sentinel refuses or does not answer.
    pub(super) fn subscribe<'a>(sentinels: impl Iterator<Item = &'a Node>, master: &str) -> Self {
        let (sender, received) = sync_channel(QUEUE);
        let (mut hangups, mut readers) = (Vec::new(), Vec::new());
        for sentinel in sentinels {
            let mut connection = sentinel.connect().expect("connection to a Sentinel");
            let confirmed = connection.call(&["SUBSCRIBE", CHANNEL]).expect("SUBSCRIBE");
            assert!(matches!(confirmed, Reply::Many(_)), "{confirmed}");
            hangups.push(connection.hangup().expect("second handle of a socket"));
            let (sender, master, from) = (sender.clone(), master.to_owned(), sentinel.address());
            readers.push(std::thread::spawn(move || {
                forward(connection, from, &master, &sender);
            }));
        }
        Self {
            received,
            hangups,
            readers,
        }
    }

    /// The next publication of any Sentinel.
    ///
    /// # Panics
    /// When none comes in time.
    pub(crate) fn next(&self, within: Duration) -> Switch {
        self.received
            .recv_timeout(within)
            .unwrap_or_else(|_| panic!("no {CHANNEL} within {within:?}"))
    }

    /// What arrived and was not taken yet, without waiting.
    pub(crate) fn arrived(&self) -> Vec<Switch> {
        self.received.try_iter().collect()
    }
}

impl Drop for Switches {
    fn drop(&mut self) {
        self.hangups.clear();
        for reader in self.readers.drain(..) {
            // A panic in it was printed already.
            let _ = reader.join();
        }
    }
}

fn forward(
    mut connection: Connection,
    from: SocketAddr,
    master: &str,
    sender: &SyncSender<Switch>,
) {
    while let Ok(push) = connection.read_patiently() {
        let at = Instant::now();
        let Reply::Many(parts) = push else { continue };
        let text = parts.last().map(ToString::to_string).unwrap_or_default();
        let Some((old, new)) = parse(&text, master) else {
            continue;
        };
        // try_send: with the receiver gone or the queue full there is nobody to wait for.
        let _ = sender.try_send(Switch {
            sentinel: from,
            at,
            old,
            new,
        });
    }
}

/// Reads `<name> <old ip> <old port> <new ip> <new port>`.
fn parse(text: &str, master: &str) -> Option<(SocketAddr, SocketAddr)> {
    let [name, old_ip, old_port, new_ip, new_port] =
        text.split(' ').collect::<Vec<_>>().try_into().ok()?;
    let address = |ip: &str, port: &str| format!("{ip}:{port}").parse().ok();
    (name == master).then_some(())?;
    Some((address(old_ip, old_port)?, address(new_ip, new_port)?))
}
