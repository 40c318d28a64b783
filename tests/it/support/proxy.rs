//! A TCP proxy that can fall silent: the partitions, delays and cuts that a loopback interface does not offer.
//!
//! Invariants: while a connection is muted not a byte and not an end of file passes it, in either direction, and what
//! was sent meanwhile arrives in order afterwards, as it would after a partition; the kernels at both ends go on
//! acknowledging, so nobody learns of it by TCP. At most [`CONNECTIONS`] are carried and each holds a bounded amount
//! of bytes. Everything ends when the proxy is dropped.
//!
//! Not here: what is carried. A connection is known only by the first bytes its client sends; clients of Redis speak
//! first, and a vedetta says its name in the same packet as HELLO, even to a Redis that does not know CLIENT SETINFO.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// More than all clients of a story together; the next one is closed at once.
const CONNECTIONS: usize = 256;
/// What is read at a time, and how many of those wait for their delay.
const CHUNK: usize = 16 * 1024;
const QUEUE: usize = 64;

/// Which connections are silent.
#[derive(Debug, Clone, Default)]
enum Mute {
    #[default]
    Nobody,
    Everybody,
    /// Those whose first bytes hold this.
    Those(&'static [u8]),
    /// Those whose first bytes do not.
    Others(&'static [u8]),
}

/// What the test has ordered.
#[derive(Debug, Clone, Default)]
struct Orders {
    target: Option<SocketAddr>,
    mute: Mute,
    /// Connections of an earlier count are closed.
    cuts: u64,
    to_target: Duration,
    to_client: Duration,
}

impl Orders {
    fn mutes(&self, first: &[u8]) -> bool {
        let says = |word: &[u8]| first.windows(word.len()).any(|part| part == word);
        match self.mute {
            Mute::Nobody => false,
            Mute::Everybody => true,
            Mute::Those(word) => says(word),
            Mute::Others(word) => !says(word),
        }
    }
}

/// A proxy on a free loopback port.
pub(crate) struct Proxy {
    address: SocketAddr,
    orders: Arc<watch::Sender<Orders>>,
    // `Some` until it is dropped.
    runtime: Option<Runtime>,
}

impl Proxy {
    /// Listens; connections wait until [`Self::lead_to`] says where they go.
    pub(crate) fn listen() -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("runtime of a proxy");
        let listener = runtime
            .block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .expect("port of a proxy");
        let address = listener.local_addr().expect("address of a proxy");
        let orders = Arc::new(watch::Sender::default());
        runtime.spawn(accept(listener, orders.clone()));
        Self {
            address,
            orders,
            runtime: Some(runtime),
        }
    }

    /// Listens for connections to that address.
    pub(crate) fn to(target: SocketAddr) -> Self {
        let proxy = Self::listen();
        proxy.lead_to(target);
        proxy
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends connections there from now on.
    pub(crate) fn lead_to(&self, target: SocketAddr) {
        self.orders
            .send_modify(|orders| orders.target = Some(target));
    }

    /// Nothing is forwarded any more; connections stay open, and new ones are accepted but not served.
    pub(crate) fn mute(&self) {
        self.set(Mute::Everybody);
    }

    /// As [`Self::mute`], for the connections of clients who say `word` first.
    pub(crate) fn mute_those(&self, word: &'static str) {
        self.set(Mute::Those(word.as_bytes()));
    }

    /// As [`Self::mute`], for the connections of clients who do not say `word` first.
    pub(crate) fn mute_others(&self, word: &'static str) {
        self.set(Mute::Others(word.as_bytes()));
    }

    /// Everything is forwarded again, beginning with what was held back.
    pub(crate) fn unmute(&self) {
        self.set(Mute::Nobody);
    }

    /// Closes every connection. New ones are served.
    pub(crate) fn cut(&self) {
        self.orders.send_modify(|orders| orders.cuts += 1);
    }

    /// Bytes take that long from now on, in each direction.
    pub(crate) fn delay(&self, to_target: Duration, to_client: Duration) {
        self.orders.send_modify(|orders| {
            (orders.to_target, orders.to_client) = (to_target, to_client);
        });
    }

    fn set(&self, mute: Mute) {
        self.orders.send_modify(|orders| orders.mute = mute);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Every task ends at its next await; none of them does anything else than waiting.
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: TcpListener, orders: Arc<watch::Sender<Orders>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((client, _)) = accepted && connections.len() < CONNECTIONS {
                    connections.spawn(carry(client, orders.subscribe()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection, from its first bytes to the end of either side or a cut.
async fn carry(client: TcpStream, mut orders: watch::Receiver<Orders>) {
    let cuts = orders.borrow_and_update().cuts;
    let mut cut = orders.clone();
    let exchange = async {
        client.set_nodelay(true)?;
        let (mut from_client, to_client) = client.into_split();
        let mut buffer = BytesMut::with_capacity(CHUNK);
        from_client.read_buf(&mut buffer).await?;
        let first = buffer.freeze();
        let mut gate = Gate { orders, first };
        let target = gate.open_to_target().await;
        let server = TcpStream::connect(target).await?;
        server.set_nodelay(true)?;
        let (from_server, mut to_server) = server.into_split();
        to_server.write_all(&gate.first).await?;
        tokio::select! {
            () = pump(from_client, to_server, gate.clone(), |orders| orders.to_target) => {}
            () = pump(from_server, to_client, gate, |orders| orders.to_client) => {}
        }
        io::Result::Ok(())
    };
    tokio::select! {
        // However it ends, both sockets are closed.
        _ = exchange => {}
        _ = cut.wait_for(|orders| orders.cuts != cuts) => {}
    }
}

/// Decides when the bytes of one connection may pass.
#[derive(Clone)]
struct Gate {
    orders: watch::Receiver<Orders>,
    first: Bytes,
}

impl Gate {
    /// Waits while the connection is muted.
    async fn open(&mut self) {
        let Self { orders, first } = self;
        // An error means that the proxy is gone, and this task with it.
        let _ = orders.wait_for(|orders| !orders.mutes(first)).await;
    }

    /// As [`Self::open`], and until it is known where the connection goes.
    async fn open_to_target(&mut self) -> SocketAddr {
        let Self { orders, first } = self;
        let open = orders
            .wait_for(|orders| orders.target.is_some() && !orders.mutes(first))
            .await;
        match open.map(|orders| orders.target) {
            Ok(Some(target)) => target,
            _ => std::future::pending().await,
        }
    }
}

/// Carries one direction until its end, which passes the gate like any byte.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut gate: Gate,
    delay: fn(&Orders) -> Duration,
) {
    let (sender, mut queue) = mpsc::channel::<(Instant, Bytes)>(QUEUE);
    let mut exit = gate.clone();
    let read = async move {
        loop {
            let mut buffer = BytesMut::with_capacity(CHUNK);
            let length = from.read_buf(&mut buffer).await.unwrap_or(0);
            gate.open().await;
            let due = Instant::now() + delay(&gate.orders.borrow());
            if length == 0 || sender.send((due, buffer.freeze())).await.is_err() {
                return;
            }
        }
    };
    let write = async {
        while let Some((due, bytes)) = queue.recv().await {
            tokio::time::sleep_until(due).await;
            exit.open().await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    // The reader ends first, and the writer when the queue is empty.
    tokio::join!(read, write);
}
