//! The scheduler, the network and the run of one seed.
//!
//! Invariants: events happen in the order of their times, and of their making where those are equal; a connection
//! delivers in order in both directions, however long it takes.

use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::model::Moment;
use crate::near::Mutant;

use super::node::{Node, View};
use super::oracle::{Figures, Oracle};
use super::sidecar::Sidecar;

/// The staleness bound of these histories.
pub(super) const BOUND: Duration = Duration::from_millis(1000);

/// How long there are operations and faults; then everything is healed, and after a while compared.
const TROUBLE: Duration = Duration::from_millis(5000);
const QUIET: Duration = Duration::from_millis(6000);

const SIDECARS: usize = 2;
pub(super) const KEYS: usize = 3;

pub(super) type Action = Box<dyn FnOnce(&mut World)>;

struct Scheduled {
    at: Moment,
    number: u64,
    action: Action,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

/// What travels to a sidecar.
pub(super) enum Frame {
    Reply(Action),
    Push(Vec<String>),
    Null,
    End,
}

/// One connection of a sidecar to a node.
pub(super) struct Connection {
    pub(super) sidecar: usize,
    pub(super) node: usize,
    pub(super) incarnation: u64,
    /// The history of the node when it was reached.
    pub(super) lineage: u64,
    pub(super) generation: u64,
    pub(super) open: bool,
    pub(super) muted: Moment,
    /// For how long it will be, from behind the answer to the next heartbeat.
    pub(super) muted_behind_heartbeat: Option<Duration>,
    to_node: VecDeque<(Moment, Action)>,
    to_sidecar: VecDeque<(Moment, Frame)>,
}

/// How a run ended.
pub(super) struct Outcome {
    pub(super) verdict: Result<(), String>,
    pub(super) figures: Figures,
}

pub(super) struct World {
    pub(super) now: Moment,
    pub(super) epoch: Instant,
    pub(super) rng: StdRng,
    pub(super) mutant: Option<Mutant>,
    pub(super) nodes: Vec<Node>,
    pub(super) sentinels: [View; 3],
    pub(super) sidecars: Vec<Sidecar>,
    pub(super) connections: BTreeMap<usize, Connection>,
    pub(super) oracle: Oracle,
    pub(super) healed: bool,
    /// The longest turn of an event loop, and whether an answer may leave before the pushes of its turn.
    pub(super) turn: Duration,
    pub(super) early: bool,
    /// Whether entries are in a group, which is flushed: in one history of four, since what they do to the others makes
    /// rare faults of other mechanisms rarer.
    pub(super) groups: bool,
    heap: BinaryHeap<Scheduled>,
    number: u64,
    next_connection: usize,
}

impl World {
    pub(super) fn run(seed: u64, mutant: Option<Mutant>) -> Outcome {
        let mut rng = StdRng::seed_from_u64(seed);
        let start = Moment::after_boot(Duration::from_secs(100));
        let mut world = Self {
            now: start,
            epoch: Instant::now(),
            mutant,
            nodes: vec![Node::new(0, 0), Node::new(1, 0)],
            sentinels: [View { node: 0, epoch: 1 }; 3],
            sidecars: (0..SIDECARS).map(|id| Sidecar::new(id, mutant)).collect(),
            connections: BTreeMap::new(),
            oracle: Oracle::new(),
            healed: false,
            turn: Duration::from_micros(*pick(&mut rng, &[50, 2_000, 20_000, 20_000])),
            early: rng.random_bool(0.5),
            groups: seed % 4 == 3,
            heap: BinaryHeap::new(),
            number: 0,
            next_connection: 0,
            rng,
        };
        for id in 0..SIDECARS {
            Sidecar::start(&mut world, id);
        }
        super::faults::start(&mut world);
        world.until(start + TROUBLE);
        super::faults::heal(&mut world);
        world.until(start + TROUBLE + QUIET);
        super::sidecar::compare(&mut world);
        Outcome {
            verdict: world.oracle.verdict(),
            figures: world.oracle.figures,
        }
    }

    fn until(&mut self, end: Moment) {
        while self.heap.peek().is_some_and(|next| next.at <= end) && !self.oracle.is_broken() {
            let Some(next) = self.heap.pop() else { break };
            self.now = next.at;
            (next.action)(self);
        }
        self.now = end;
    }

    /// Does something after a while.
    pub(super) fn after(&mut self, delay: Duration, action: impl FnOnce(&mut Self) + 'static) {
        self.number += 1;
        self.heap.push(Scheduled {
            at: self.now + delay,
            number: self.number,
            action: Box::new(action),
        });
    }

    /// The time something takes: mostly little, sometimes much.
    pub(super) fn delay(&mut self) -> Duration {
        let micros = match self.rng.random_range(0..20) {
            0 if !self.healed => self.rng.random_range(1_000..300_000),
            1..3 if !self.healed => self.rng.random_range(500..30_000),
            _ => self.rng.random_range(20..600),
        };
        Duration::from_micros(micros)
    }

    pub(super) fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_micros(self.rng.random_range(range.start * 1000..range.end * 1000))
    }

    /// The sidecar's side of a time on the wall of its event loop.
    pub(super) fn instant(&self) -> Instant {
        self.epoch + self.now.since(Moment::START)
    }

    pub(super) fn connect(&mut self, sidecar: usize, node: usize, generation: u64) -> usize {
        self.next_connection += 1;
        let id = self.next_connection;
        self.connections.insert(
            id,
            Connection {
                sidecar,
                node,
                incarnation: self.nodes[node].incarnation,
                lineage: self.nodes[node].lineage,
                generation,
                open: true,
                muted: Moment::START,
                muted_behind_heartbeat: None,
                to_node: VecDeque::new(),
                to_sidecar: VecDeque::new(),
            },
        );
        self.nodes[node].tracked.insert(id, Default::default());
        id
    }

    /// Sends a command, executed at the node in the order of sending.
    pub(super) fn send(&mut self, id: usize, command: impl FnOnce(&mut Self) + 'static) {
        let delay = self.delay();
        let ready = self.now + delay;
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.to_node.push_back((ready, Box::new(command)));
            self.after(delay, move |world| world.flow_to_node(id));
        }
    }

    /// Puts a frame into the stream to a sidecar.
    pub(super) fn emit(&mut self, id: usize, frame: Frame) {
        let delay = self.delay();
        let ready = self.now + delay;
        if let Some(connection) = self.connections.get_mut(&id).filter(|c| c.open) {
            connection.to_sidecar.push_back((ready, frame));
            self.after(delay, move |world| world.flow_to_sidecar(id));
        }
    }

    fn flow_to_node(&mut self, id: usize) {
        while let Some(connection) = self.connections.get_mut(&id) {
            let gone = self.nodes[connection.node].incarnation != connection.incarnation;
            if !connection.open || gone {
                return;
            }
            if let Some(wait) = waits(
                connection.to_node.front().map(|(at, _)| *at),
                connection.muted,
                self.now,
            ) {
                if let Some(wait) = wait {
                    self.after(wait, move |world| world.flow_to_node(id));
                }
                return;
            }
            if let Some((_, command)) = connection.to_node.pop_front() {
                command(self);
            }
        }
    }

    fn flow_to_sidecar(&mut self, id: usize) {
        while let Some(connection) = self.connections.get_mut(&id) {
            let first = connection.to_sidecar.front().map(|(at, _)| *at);
            if let Some(wait) = waits(first, connection.muted, self.now) {
                if let Some(wait) = wait {
                    self.after(wait, move |world| world.flow_to_sidecar(id));
                }
                return;
            }
            let (sidecar, generation) = (connection.sidecar, connection.generation);
            match connection.to_sidecar.pop_front() {
                Some((_, Frame::Reply(action))) => action(self),
                Some((_, Frame::Push(keys))) => self.sidecars[sidecar].pushed(generation, &keys),
                Some((_, Frame::Null)) => self.sidecars[sidecar].flushed(generation),
                Some((_, Frame::End)) => Sidecar::disconnected(self, sidecar, id),
                None => return,
            }
        }
    }

    /// The answer to a heartbeat has been delivered.
    pub(super) fn heard_heartbeat(&mut self, id: usize) {
        let now = self.now;
        if let Some(connection) = self.connections.get_mut(&id)
            && let Some(long) = connection.muted_behind_heartbeat.take()
        {
            connection.muted = now + long;
        }
    }

    /// Ends a connection: what is on its way may still arrive, or is lost.
    pub(super) fn cut(&mut self, id: usize) {
        let lossy = self.rng.random_bool(0.7);
        if let Some(connection) = self.connections.get_mut(&id).filter(|c| c.open) {
            let node = connection.node;
            connection.to_node.clear();
            if lossy {
                connection.to_sidecar.clear();
            }
            self.nodes[node].tracked.remove(&id);
            self.emit(id, Frame::End);
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.open = false;
            }
        }
    }
}

/// `None`: the first one may go. Otherwise when to look again, if there is anything at all.
fn waits(first: Option<Moment>, muted: Moment, now: Moment) -> Option<Option<Duration>> {
    let ready = first.map(|at| at.max(muted));
    match ready {
        None => Some(None),
        Some(at) if at > now => Some(Some(at.since(now))),
        Some(_) => None,
    }
}

pub(super) fn pick<'a, T>(rng: &mut StdRng, choices: &'a [T]) -> &'a T {
    &choices[rng.random_range(0..choices.len())]
}
