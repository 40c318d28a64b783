//! Asks every Redis for its role, those that call themselves master for what they hold, and every Sentinel for the
//! master, past all proxies.
//!
//! Invariants: one thread and one connection for each of them; who does not answer is asked again, and nothing is
//! noted meanwhile. The threads end when the census does.
//!
//! Not here: what follows from the answers (`reign`, `check`).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::load::{KEYS, redis_key};
use super::record::{Moment, Seen, number};
use super::reign::{Naming, Role, Sample};
use crate::support::{Connection, Reply, wait};

const INTERVAL: Duration = Duration::from_millis(20);
/// Every so many questions, the keys are looked at.
const LOOK_EVERY: usize = 15;

/// What all of them said.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// One list for each Redis.
    pub(crate) samples: Vec<Vec<Sample>>,
    pub(crate) seen: Vec<Seen>,
    pub(crate) namings: Vec<Naming>,
}

/// Who is asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Each Redis: where everybody reaches it, and where it listens. Node numbers are positions in this list.
    pub(crate) nodes: Vec<(SocketAddr, SocketAddr)>,
    pub(crate) sentinels: Vec<SocketAddr>,
}

/// The running census.
pub(crate) struct Census {
    stop: Arc<AtomicBool>,
    nodes: Vec<JoinHandle<(Vec<Sample>, Vec<Seen>)>>,
    sentinels: Vec<JoinHandle<Vec<Naming>>>,
}

impl Census {
    pub(crate) fn start(asked: &Asked, start: Instant) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let node = |(node, (_, address)): (usize, &(SocketAddr, SocketAddr))| {
            let (stop, address) = (stop.clone(), *address);
            std::thread::spawn(move || {
                let mut clerk = Clerk::new(node, start);
                ask(address, &stop, |connection| clerk.ask(connection));
                (clerk.samples, clerk.seen)
            })
        };
        let sentinel = |(sentinel, address): (usize, &SocketAddr)| {
            let (stop, address) = (stop.clone(), *address);
            let names: Vec<SocketAddr> = asked.nodes.iter().map(|(name, _)| *name).collect();
            std::thread::spawn(move || {
                let mut namings = Vec::new();
                ask(address, &stop, |connection| {
                    let naming = naming(connection, sentinel, &names, start)?;
                    namings.extend(naming);
                    Ok(())
                });
                namings
            })
        };
        Self {
            nodes: asked.nodes.iter().enumerate().map(node).collect(),
            sentinels: asked.sentinels.iter().enumerate().map(sentinel).collect(),
            stop,
        }
    }

    /// Ends it.
    pub(crate) fn stop(mut self) -> Answers {
        self.stop.store(true, Ordering::Relaxed);
        let mut answers = Answers::default();
        for thread in self.nodes.drain(..) {
            let (samples, seen) = thread.join().expect("census of a Redis");
            answers.samples.push(samples);
            answers.seen.extend(seen);
        }
        for thread in self.sentinels.drain(..) {
            let namings = thread.join().expect("census of a Sentinel");
            answers.namings.extend(namings);
        }
        answers
    }
}

impl Drop for Census {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Asks again and again until it is told to stop, on a new connection when the old one fails.
fn ask(
    address: SocketAddr,
    stop: &AtomicBool,
    mut question: impl FnMut(&mut Connection) -> io::Result<()>,
) {
    let mut connection = None;
    while !stop.load(Ordering::Relaxed) {
        if connection.is_none() {
            connection = Connection::open(address, None).ok();
        }
        let failed = connection.as_mut().is_some_and(|c| question(c).is_err());
        if failed {
            connection = None;
        }
        wait::pace(INTERVAL);
    }
}

/// Whom the Sentinel names.
fn naming(
    connection: &mut Connection,
    sentinel: usize,
    names: &[SocketAddr],
    start: Instant,
) -> io::Result<Option<Naming>> {
    let sent = start.elapsed();
    let reply = connection.call(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster"])?;
    let returned = start.elapsed();
    let named: Option<SocketAddr> = reply.to_string().replace('\n', ":").parse().ok();
    let node = names.iter().position(|name| Some(*name) == named);
    Ok(node.map(|node| Naming {
        sentinel,
        node,
        sent,
        returned,
    }))
}

/// Takes down what one Redis says.
struct Clerk {
    node: usize,
    start: Instant,
    get: Vec<String>,
    questions: usize,
    samples: Vec<Sample>,
    seen: Vec<Seen>,
}

impl Clerk {
    fn new(node: usize, start: Instant) -> Self {
        let get = std::iter::once("MGET".to_owned());
        Self {
            node,
            start,
            get: get.chain((0..KEYS).map(redis_key)).collect(),
            questions: 0,
            samples: Vec::new(),
            seen: Vec::new(),
        }
    }

    fn ask(&mut self, connection: &mut Connection) -> io::Result<()> {
        let sent = self.start.elapsed();
        let info = connection.call(&["INFO", "replication"])?.to_string();
        let returned = self.start.elapsed();
        let Some(role) = role(&info) else {
            return Ok(());
        };
        let is_master = role != Role::Replica;
        self.samples.push(Sample {
            sent,
            returned,
            role,
        });
        self.questions += 1;
        if is_master && self.questions.is_multiple_of(LOOK_EVERY) {
            self.look(connection)?;
        }
        Ok(())
    }

    fn look(&mut self, connection: &mut Connection) -> io::Result<()> {
        let sent: Moment = self.start.elapsed();
        let reply = connection.call(&self.get)?;
        let returned = self.start.elapsed();
        let Reply::Many(values) = reply else {
            return Ok(());
        };
        for (key, value) in values.iter().enumerate() {
            if let Reply::Bytes(bytes) = value
                && let Some(number) = number(key, bytes)
            {
                self.seen.push(Seen {
                    key,
                    number,
                    node: self.node,
                    sent,
                    returned,
                });
            }
        }
        Ok(())
    }
}

/// Nothing while the node is loading or says something else.
fn role(info: &str) -> Option<Role> {
    let field = |name: &str| {
        let mut lines = info.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    };
    match field("role")? {
        "master" => Some(Role::Master(field("master_replid")?.to_owned())),
        _ => Some(Role::Replica),
    }
}
