//! One vedetta: the real near cache, hub, intake, topology and follower, and what the tasks around them would do.
//!
//! The gaps in which tasks are switched are random: between taking a token and finding the session, and between the
//! arrival of a reply and the insertion of what it says. Pushes are applied in between, as the driver does.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::failover::{Action as Step, Event as Happened, Machine};
use crate::invalidation::{Directory, Hub, HubLimits, Intake, Metrics};
use crate::model::{
    CacheId, CacheName, Cause, Endpoint, Fault, Key, Master, Moment, Tenant, Value, Version,
};
use crate::near::{
    Beat, Begin, Capacity, Fill, Found, Majority, Mutant, Near, ReadBack, Slot, Want,
};
use crate::sentinel::{Answer, Flags, Topology};
use crate::upstream::Tracker;

use super::app::App;
use super::node::STAMP;
use super::oracle::{Change, Seen};
use super::world::{BOUND, Frame, KEYS, World};

const HEARTBEAT: Duration = Duration::from_millis(100);
const HEARTBEAT_LIMIT: Duration = Duration::from_secs(2);
const DIAL_LIMIT: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(200);
/// So few that a subscriber that pauses falls behind.
const RECORDS: usize = 40;

/// Whoever waits for a read.
pub(super) struct Reader {
    pub(super) began: Moment,
    /// The token of the application that asked, if one did.
    pub(super) app: Option<u64>,
    own: Option<u64>,
}

pub(super) struct Sidecar {
    pub(super) near: Arc<Near<u64>>,
    pub(super) hub: Arc<Hub>,
    intake: Intake<u64>,
    topology: Topology,
    machine: Machine,
    pub(super) session: Option<usize>,
    dialed: Option<usize>,
    generation: u64,
    flights: u64,
    waiting: BTreeMap<u64, Vec<Reader>>,
    /// The last own write of a key that was acknowledged.
    own: BTreeMap<String, u64>,
    pub(super) blind: Moment,
    pub(super) app: App,
}

pub(super) fn cache() -> CacheId {
    CacheId {
        tenant: Tenant::primary(),
        name: CacheName::new("c").expect("cache"),
    }
}

pub(super) fn key(name: &str) -> Key {
    Key::new(Bytes::copy_from_slice(name.as_bytes())).expect("key")
}

fn redis_key(name: &str) -> String {
    format!("c::{name}")
}

fn master(node: usize, epoch: u64) -> Master {
    let endpoint: Endpoint = format!("10.0.0.{node}:6379").parse().expect("endpoint");
    Master { endpoint, epoch }
}

fn node_of(master: &Master) -> usize {
    usize::from(master.endpoint.host.ends_with('1'))
}

/// A stamp as the near cache knows it.
fn mark(stamp: Option<u8>) -> Option<[u8; 17]> {
    stamp.map(|stamp| [stamp; 17])
}

fn found(id: Option<u64>) -> Found {
    match id {
        // Large enough to be confirmed rather than fetched, had this been a real master.
        Some(id) => Found::Present(
            Value::Data(Bytes::copy_from_slice(&id.to_be_bytes())),
            Version::unique(0, id, 0),
        ),
        None => Found::Absent,
    }
}

fn id_of(found: &Found) -> Option<u64> {
    match found {
        Found::Present(Value::Data(bytes), _) => {
            bytes.first_chunk().map(|id| u64::from_be_bytes(*id))
        }
        _ => None,
    }
}

impl Sidecar {
    pub(super) fn new(id: usize, mutant: Option<Mutant>) -> Self {
        let near = Arc::new(Near::broken(Capacity(1 << 20), mutant));
        let limits = HubLimits {
            subscribers: 2,
            records: RECORDS,
            bound: BOUND,
        };
        let hub =
            Arc::new(Hub::new(limits, SystemTime::UNIX_EPOCH, Metrics::register()).broken(mutant));
        let directory = Arc::new(Directory::default());
        directory.note(b"c::k", &cache());
        let sentinels: Vec<Endpoint> = (0..3)
            .map(|seat| format!("10.0.1.{seat}:26379").parse().expect("endpoint"))
            .collect();
        Self {
            intake: Intake::new(
                near.clone(),
                hub.clone(),
                directory,
                Bytes::from_static(b"canary"),
            ),
            app: App::new(&hub, id),
            near,
            hub,
            topology: Topology::new(&sentinels),
            machine: Machine::new(),
            session: None,
            dialed: None,
            generation: 0,
            flights: 0,
            waiting: BTreeMap::new(),
            own: BTreeMap::new(),
            blind: Moment::START,
        }
    }

    pub(super) fn start(world: &mut World, id: usize) {
        for seat in 0..3 {
            Self::poll(world, id, seat);
        }
        App::start(world, id);
    }

    /// Asks one Sentinel, again and again.
    fn poll(world: &mut World, id: usize, seat: usize) {
        let (asked, there, back) = (world.now, world.delay(), world.delay());
        if world.sidecars[id].blind <= world.now {
            world.after(there, move |world| {
                let view = world.sentinels[seat];
                world.after(back, move |world| {
                    let answer = Answer {
                        id: format!("sentinel {seat}").into(),
                        master: master(view.node, view.epoch),
                        flags: Flags::default(),
                        described: true,
                        asked,
                    };
                    let (now, at) = (world.instant(), &mut world.sidecars[id]);
                    at.topology.report(seat, Ok(answer), now);
                    let elected = at.topology.elect(now);
                    Self::step(world, id, Happened::Elected(elected));
                    Self::renew(world, id);
                });
            });
        }
        world.after(POLL, move |world| Self::poll(world, id, seat));
    }

    /// The majority lease goes on while the elected master is the one in use.
    fn renew(world: &mut World, id: usize) {
        let Some(connection) = world.sidecars[id].session else {
            return;
        };
        let (node, generation) = {
            let connection = &world.connections[&connection];
            (connection.node, connection.generation)
        };
        let now = world.instant();
        let at = &mut world.sidecars[id];
        if let Ok(elected) = at.topology.elect(now)
            && node_of(&elected) == node
            && let Some(named) = at.topology.named()
        {
            at.near.named(generation, named);
        }
    }

    fn step(world: &mut World, id: usize, event: Happened) {
        for action in world.sidecars[id].machine.on(event) {
            match action {
                Step::Dial(master) => Self::dial(world, id, master),
                Step::Install => Self::install(world, id),
                Step::Discard => world.sidecars[id].dialed = None,
                Step::Retire(_) => Self::end(world, id),
                Step::Delay => {
                    world.after(Duration::from_millis(50), move |world| {
                        Self::step(world, id, Happened::DelayOver);
                    });
                }
                Step::ResetDelay => {}
            }
        }
    }

    fn dial(world: &mut World, id: usize, master: Master) {
        world.oracle.figures.sessions += 1;
        let generation = world.sidecars[id].generation + 1;
        let connection = world.connect(id, node_of(&master), generation);
        let reached = Rc::new(Cell::new(false));
        let (arrived, target) = (reached.clone(), master.clone());
        world.send(connection, move |world| {
            let greet = move |world: &mut World| {
                if !arrived.replace(true) {
                    world.sidecars[id].dialed = Some(connection);
                    Self::step(world, id, Happened::Dialed(target, Ok(generation)));
                }
            };
            world.emit(connection, Frame::Reply(Box::new(greet)));
        });
        world.after(DIAL_LIMIT, move |world| {
            if !reached.replace(true) {
                let fault = Fault::not_applied(Cause::RedisUnreachable, "silent");
                Self::step(world, id, Happened::Dialed(master, Err(fault)));
            }
        });
    }

    fn install(world: &mut World, id: usize) {
        let Some(connection) = world.sidecars[id].dialed.take() else {
            return;
        };
        let (node, generation) = {
            let connection = &world.connections[&connection];
            (connection.node, connection.generation)
        };
        let (lineage, now, instant) = (world.nodes[node].history(), world.now, world.instant());
        let at = &mut world.sidecars[id];
        let elected = at.topology.elect(instant).ok();
        let named = at.topology.named().filter(|_| {
            elected
                .as_ref()
                .is_some_and(|elected| node_of(elected) == node)
        });
        let majority = Majority::Named(named.unwrap_or(Moment::START));
        at.generation = generation;
        let epoch = elected.map_or(0, |elected| elected.epoch);
        at.intake
            .begin(generation, lineage, &master(node, epoch), majority, now);
        at.session = Some(connection);
        Self::heartbeat(world, id, connection);
    }

    fn heartbeat(world: &mut World, id: usize, connection: usize) {
        if world.sidecars[id].session != Some(connection) {
            return;
        }
        let sent = world.now;
        let answered = Rc::new(Cell::new(false));
        let answer = answered.clone();
        world.send(connection, move |world| {
            let node = world.connections[&connection].node;
            let offset = world.nodes[node].data.offset;
            let reply = move |world: &mut World| {
                answer.set(true);
                let (now, generation) = (world.now, world.connections[&connection].generation);
                let at = &world.sidecars[id];
                if at.intake.answered(generation, Beat { sent, offset }, now) {
                    world.after(HEARTBEAT, move |world| {
                        Self::heartbeat(world, id, connection)
                    });
                } else {
                    Self::disconnected(world, id, connection);
                }
            };
            world.emit(connection, Frame::Reply(Box::new(reply)));
        });
        world.after(HEARTBEAT_LIMIT, move |world| {
            if !answered.get() {
                Self::disconnected(world, id, connection);
            }
        });
    }

    pub(super) fn pushed(&self, generation: u64, keys: &[String]) {
        let mut keys = keys.iter().map(String::as_bytes);
        self.intake.invalidated(generation, &mut keys);
    }

    pub(super) fn flushed(&self, generation: u64) {
        self.intake.flushed(generation);
    }

    pub(super) fn disconnected(world: &mut World, id: usize, connection: usize) {
        if world.sidecars[id].session == Some(connection) {
            let generation = world.connections[&connection].generation;
            Self::end(world, id);
            let fault = Fault::not_applied(Cause::RedisUnreachable, "cut");
            let ended = Happened::SessionEnded {
                generation,
                fault,
                young: false,
            };
            Self::step(world, id, ended);
        }
    }

    fn end(world: &mut World, id: usize) {
        if let Some(connection) = world.sidecars[id].session.take() {
            let generation = world.connections[&connection].generation;
            world.sidecars[id].intake.ended(generation);
            world.cut(connection);
        }
    }

    /// A FRESH read; `app` is the token of the application that wants to keep the answer.
    pub(super) fn get(world: &mut World, id: usize, name: &str, app: Option<u64>) {
        let now = world.now;
        let at = &mut world.sidecars[id];
        let own = at.own.get(name).copied();
        let reader = Reader {
            began: now,
            app,
            own,
        };
        let entry = redis_key(name);
        let want = Want {
            bound: BOUND,
            token: None,
        };
        if let Some(hit) = at.near.fresh(entry.as_bytes(), &cache(), want, now) {
            let id_read = id_of(&hit.found);
            world.oracle.figures.near += 1;
            let ttl = hit.ttl;
            return Self::answer(world, id, name, (id_read, ttl), &reader, true);
        }
        if at
            .near
            .stale(entry.as_bytes(), &cache(), Duration::from_secs(60), now)
            .is_some()
        {
            world.oracle.figures.stale += 1;
        }
        let late = world.mutant == Some(Mutant::LateToken);
        let at = &mut world.sidecars[id];
        at.flights += 1;
        let flight = at.flights;
        let slot = at
            .near
            .slot(&Bytes::from_static(STAMP.as_bytes()), &cache());
        if late {
            at.waiting.insert(flight, vec![reader]);
            return Self::take_off(world, id, name.to_owned(), None, flight);
        }
        match Self::begin(at, &entry, slot.as_ref(), now, flight) {
            Begin::Join(joined) => at.waiting.entry(joined).or_default().push(reader),
            Begin::Lead(fill) => {
                at.waiting.insert(flight, vec![reader]);
                Self::take_off(world, id, name.to_owned(), Some(fill), flight);
            }
        }
    }

    fn begin(
        at: &Self,
        entry: &str,
        slot: Option<&Arc<Slot>>,
        now: Moment,
        flight: u64,
    ) -> Begin<u64> {
        let entry = Bytes::copy_from_slice(entry.as_bytes());
        at.near
            .begin((&entry, &cache(), slot), Some(BOUND), now, flight)
    }

    /// Finds the session, a little after the token was taken, and reads.
    fn take_off(world: &mut World, id: usize, name: String, fill: Option<Fill>, flight: u64) {
        let delay = world.delay();
        world.after(delay, move |world| {
            let Some(connection) = world.sidecars[id].session else {
                if let Some(fill) = &fill {
                    world.sidecars[id].near.abandon(fill);
                }
                world.sidecars[id].waiting.remove(&flight);
                return;
            };
            let sent = world.now;
            world.send(connection, move |world| {
                let (node, generation) = {
                    let connection = &world.connections[&connection];
                    (connection.node, connection.generation)
                };
                let (now, lineage) = (world.now, world.nodes[node].lineage);
                let (live, stamp) = world.nodes[node].read(&redis_key(&name), connection, now);
                let ttl = live
                    .as_ref()
                    .and_then(|live| live.expires)
                    .map(|at| at.since(now));
                let reply = move |world: &mut World| {
                    let read = ReadBack {
                        found: found(live.map(|live| live.id)),
                        mark: mark(stamp),
                        ttl,
                        sent,
                        received: world.now,
                        generation,
                    };
                    let delay = world.delay();
                    world.after(delay, move |world| {
                        Self::land(world, id, &name, fill, flight, &read, lineage)
                    });
                };
                world.emit(connection, Frame::Reply(Box::new(reply)));
            });
        });
    }

    fn land(
        world: &mut World,
        id: usize,
        name: &str,
        fill: Option<Fill>,
        flight: u64,
        read: &ReadBack,
        lineage: u64,
    ) {
        let now = world.now;
        let at = &mut world.sidecars[id];
        let fill = fill.or_else(|| {
            let slot = at
                .near
                .slot(&Bytes::from_static(STAMP.as_bytes()), &cache());
            match Self::begin(at, &redis_key(name), slot.as_ref(), now, flight) {
                Begin::Lead(fill) => Some(fill),
                Begin::Join(_) => None,
            }
        });
        if fill.is_some_and(|fill| !at.near.complete(fill, read)) {
            world.oracle.figures.rejected += 1;
        }
        let (_, majority) = world.sidecars[id]
            .near
            .read_proof(read.generation, read.sent);
        let fresh = now.since(majority) <= BOUND;
        let readers = world.sidecars[id]
            .waiting
            .remove(&flight)
            .unwrap_or_default();
        for reader in readers {
            if fresh {
                world.oracle.figures.master += 1;
                let value = id_of(&read.found);
                Self::check(world, name, value, lineage, now, reader.began, "the master");
                // What a session that has ended had said may be of an older history than the last own write.
                if read.generation == world.sidecars[id].generation {
                    Self::check_own(world, name, value, lineage, &reader);
                }
            }
            if let Some(token) = reader.app {
                let ttl = read.ttl.map(|ttl| (read.sent + ttl).since(now));
                let fresh = fresh.then_some((id_of(&read.found), ttl));
                App::answered(world, id, name, token, fresh);
            }
        }
    }

    /// A hit of the near cache.
    fn answer(
        world: &mut World,
        id: usize,
        name: &str,
        (value, ttl): (Option<u64>, Option<Duration>),
        reader: &Reader,
        near: bool,
    ) {
        let now = world.now;
        if let Some(connection) = world.sidecars[id].session {
            let lineage = Self::lineage(world, connection);
            let by = if near { "L1" } else { "the master" };
            Self::check(world, name, value, lineage, now, now, by);
            Self::check_own(world, name, value, lineage, reader);
        }
        if let Some(token) = reader.app {
            App::answered(world, id, name, token, Some((value, ttl)));
        }
    }

    /// The history that a session reads, as it was when it began.
    pub(super) fn lineage(world: &World, connection: usize) -> u64 {
        world.connections[&connection].lineage
    }

    fn check(
        world: &mut World,
        name: &str,
        value: Option<u64>,
        lineage: u64,
        now: Moment,
        began: Moment,
        by: &'static str,
    ) {
        let limit = Moment::START + began.since(Moment::START + BOUND);
        world.oracle.judge(&Seen {
            key: name,
            value,
            lineage,
            now,
            limit,
            by,
        });
    }

    fn check_own(world: &mut World, name: &str, value: Option<u64>, lineage: u64, reader: &Reader) {
        if let Some(own) = reader.own {
            world.oracle.read_your_write(name, value, lineage, own);
        }
    }

    /// A write through this sidecar.
    pub(super) fn write(
        world: &mut World,
        id: usize,
        name: &str,
        change: Change,
        ttl: Option<Duration>,
    ) {
        let Some(connection) = world.sidecars[id].session else {
            return;
        };
        let (name, entry) = (name.to_owned(), redis_key(name));
        world.sidecars[id].forget(&change, &entry);
        world.send(connection, move |world| {
            let node = world.connections[&connection].node;
            let expires = ttl.map(|ttl| world.now + ttl);
            let number = world.oracle.next_number();
            let told = change.clone();
            let reply = move |world: &mut World| {
                let at = &mut world.sidecars[id];
                at.forget(&told, &entry);
                if told == Change::Clear {
                    at.hub.record(crate::invalidation::Event::Cleared(cache()));
                } else {
                    at.hub.invalidated(cache(), vec![key(&name)]);
                    at.own.insert(name, number);
                }
                let now = world.now;
                world.oracle.acknowledged(number, now);
            };
            world.change(node, change, expires, Some((connection, Box::new(reply))));
        });
    }

    fn forget(&self, change: &Change, entry: &str) {
        if *change == Change::Clear {
            if let Some(slot) = self
                .near
                .slot(&Bytes::from_static(STAMP.as_bytes()), &cache())
            {
                self.near.cleared(&slot);
            }
        } else {
            self.near.wrote(entry.as_bytes());
        }
    }
}

/// After a long quiet time: whatever is served FRESH is what its master has.
pub(super) fn compare(world: &mut World) {
    for id in 0..world.sidecars.len() {
        let Some(connection) = world.sidecars[id].session else {
            let phase = format!("{:?}", world.sidecars[id].machine.phase());
            world
                .oracle
                .broken(format!("sidecar {id} has no session: {phase}"));
            continue;
        };
        let (node, now) = (world.connections[&connection].node, world.now);
        for number in 0..KEYS {
            let name = format!("k{number}");
            let live = world.nodes[node]
                .live(&redis_key(&name), now)
                .map(|live| live.id);
            let want = Want {
                bound: BOUND,
                token: None,
            };
            let at = &world.sidecars[id];
            if let Some(hit) = at
                .near
                .fresh(redis_key(&name).as_bytes(), &cache(), want, now)
                && id_of(&hit.found) != live
            {
                let said = id_of(&hit.found);
                world.oracle.broken(format!(
                    "{name} is stuck in L1 of {id}: {said:?}, not {live:?}"
                ));
            }
            if let Some(said) = world.sidecars[id].app.served(&name, now)
                && said != live
            {
                world.oracle.broken(format!(
                    "{name} is stuck in L0 of {id}: {said:?}, not {live:?}"
                ));
            }
        }
    }
}
