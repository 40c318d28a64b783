//! Writers and readers: what an application does while everything else breaks.
//!
//! Invariants: a key has one writer, which writes through any pod, one write at a time, and often looks at once at what
//! it wrote; a reader stays with its pod.
//! Half of the keys are in a framed cache and half in a raw one. Every call is written down, whatever came of it.
//!
//! Not here: the faults (`faults`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use vedetta::proto::v1::get_status_response::Phase;

use super::record::{Answer, Outcome, Read, Write, number, text};
use crate::client::Client;
use crate::client::timed::{Found, Look};
use crate::support::wait;

pub(crate) const KEYS: usize = 40;
const WRITERS: usize = 4;
const READERS_PER_POD: usize = 2;
/// Half of the calls go to the first of the keys, so that some are hot.
const HOT_KEYS: usize = 4;
const EVICTS_PERCENT: u32 = 6;

/// Slow enough that two processors also carry everything that is loaded, unoptimised as it is in tests.
const WRITE_PACE: Duration = Duration::from_millis(12);
const READ_PACE: Duration = Duration::from_millis(4);
const DEADLINE: Duration = Duration::from_millis(500);
/// A pod that is stopped cannot keep its deadline.
const PATIENCE: Duration = Duration::from_millis(700);
const STATUS_PATIENCE: Duration = Duration::from_millis(300);

/// Cache and key of a number.
pub(crate) fn address(key: usize) -> (&'static str, String) {
    let cache = if key.is_multiple_of(2) {
        "Entando_Cache"
    } else {
        "Entando_RoleManager"
    };
    (cache, format!("k{key}"))
}

/// The same in Redis.
pub(crate) fn redis_key(key: usize) -> String {
    let (cache, key) = address(key);
    format!("{cache}::{key}")
}

/// A client that does not wait longer for a pod than the load can afford.
pub(crate) fn connect(api: SocketAddr) -> Client {
    let mut client = Client::connect(api);
    client.timeout = DEADLINE;
    client
}

/// What one look at a key showed.
pub(crate) fn answer(key: usize, look: Look) -> Answer {
    match look.found {
        Found::Value {
            text,
            source,
            freshness,
        } => match number(key, text.as_bytes()) {
            Some(number) => Answer::Value {
                number,
                source,
                freshness,
            },
            None => Answer::Alien(text),
        },
        Found::Miss => Answer::Miss,
        Found::Failed(failure) => Answer::Failed(failure.reason),
    }
}

/// Reads a key through a pod.
pub(crate) fn read(client: &Client, pod: usize, key: usize, start: Instant) -> Read {
    let (cache, name) = address(key);
    let look = client.look(cache, &name, PATIENCE);
    Read {
        key,
        pod,
        sent: look.sent - start,
        returned: look.returned - start,
        answer: answer(key, look),
    }
}

/// The running load.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<(Vec<Write>, Vec<Read>)>>,
    readers: Vec<JoinHandle<Vec<Read>>>,
}

impl Load {
    /// Begins; `nodes` are the addresses under which pods know the Redis nodes.
    pub(crate) fn start(
        pods: &[SocketAddr],
        nodes: &[SocketAddr],
        seed: u64,
        start: Instant,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let writer = |number| {
            let (stop, nodes) = (stop.clone(), nodes.to_vec());
            let mut writer = Writer {
                clients: pods.iter().map(|api| connect(*api)).collect(),
                nodes,
                rng: StdRng::seed_from_u64(seed.wrapping_add(number as u64)),
                keys: (0..KEYS).filter(|key| key % WRITERS == number).collect(),
                written: [0; KEYS],
                start,
            };
            std::thread::spawn(move || {
                let (mut writes, mut reads) = (Vec::new(), Vec::new());
                while !stop.load(Ordering::Relaxed) {
                    let (write, read) = writer.write();
                    writes.push(write);
                    reads.extend(read);
                    wait::pace(WRITE_PACE);
                }
                (writes, reads)
            })
        };
        let reader = |number| {
            let (stop, pod) = (stop.clone(), number % pods.len());
            let client = connect(pods[pod]);
            let mut rng = StdRng::seed_from_u64(seed.wrapping_add(1000 + number as u64));
            std::thread::spawn(move || {
                let mut reads = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let hot = rng.random_bool(0.5);
                    let key = rng.random_range(0..if hot { HOT_KEYS } else { KEYS });
                    reads.push(read(&client, pod, key, start));
                    wait::pace(READ_PACE);
                }
                reads
            })
        };
        Self {
            writers: (0..WRITERS).map(writer).collect(),
            readers: (0..READERS_PER_POD * pods.len()).map(reader).collect(),
            stop,
        }
    }

    /// Ends it; the writes of each key are in order.
    pub(crate) fn stop(mut self) -> (Vec<Write>, Vec<Read>) {
        self.stop.store(true, Ordering::Relaxed);
        let (mut writes, mut reads) = (Vec::new(), Vec::new());
        for thread in self.writers.drain(..) {
            let (written, read) = thread.join().expect("writer");
            writes.extend(written);
            reads.extend(read);
        }
        for thread in self.readers.drain(..) {
            reads.extend(thread.join().expect("reader"));
        }
        (writes, reads)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Writer {
    clients: Vec<Client>,
    nodes: Vec<SocketAddr>,
    rng: StdRng,
    keys: Vec<usize>,
    written: [u64; KEYS],
    start: Instant,
}

impl Writer {
    /// A write, and what could be read of it at once.
    fn write(&mut self) -> (Write, Option<Read>) {
        let hot = self.rng.random_bool(0.3);
        let key = self.keys[if hot {
            0
        } else {
            self.rng.random_range(0..self.keys.len())
        }];
        let pod = self.rng.random_range(0..self.clients.len());
        let evict = self.rng.random_ratio(EVICTS_PERCENT, 100);
        self.written[key] += 1;
        let number = self.written[key];
        let text = (!evict).then(|| text(key, number));
        let (cache, name) = address(key);
        let before = self.session(pod);
        let client = &self.clients[pod];
        let attempt = client.attempt(cache, &name, text.as_deref(), PATIENCE);
        let own = attempt.result.is_ok() && self.rng.random_bool(0.5);
        let own = own.then(|| read(client, pod, key, self.start));
        let node = before.filter(|before| self.session(pod) == Some(*before));
        let write = Write {
            key,
            number,
            evict,
            pod,
            sent: attempt.sent - self.start,
            returned: attempt.returned - self.start,
            outcome: match attempt.result {
                Ok(()) => Outcome::Acknowledged,
                Err(_) if attempt.not_applied() => Outcome::NotApplied,
                Err(_) => Outcome::Unknown,
            },
            node: node.map(|(_, node)| node),
        };
        (write, own)
    }

    /// The session that the pod serves from: its generation and the node it leads to.
    fn session(&self, pod: usize) -> Option<(u64, usize)> {
        let master = self.clients[pod].status_within(STATUS_PATIENCE)?.master?;
        let address: SocketAddr = master.address.parse().ok()?;
        let node = self.nodes.iter().position(|node| *node == address)?;
        (master.phase() == Phase::Serving).then_some((master.generation, node))
    }
}
