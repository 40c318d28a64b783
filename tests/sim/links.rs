//! How a vedetta of the simulation finds its master and keeps its session: polls, dials, heartbeats, ends.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use rand::Rng;

use crate::failover::{Action as Step, Event as Happened};
use crate::model::{Cause, Endpoint, Fault, Master, Moment};
use crate::near::{Beat, Majority};
use crate::sentinel::{Answer, Aside, Flags};
use crate::upstream::Tracker;

use super::app::App;
use super::sidecar::Sidecar;
use super::world::{BOUND, Frame, KEYS, World};

const HEARTBEAT: Duration = Duration::from_millis(100);
const HEARTBEAT_LIMIT: Duration = Duration::from_secs(2);
const DIAL_LIMIT: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(200);

fn master(node: usize, epoch: u64) -> Master {
    let endpoint: Endpoint = format!("10.0.0.{node}:6379").parse().expect("endpoint");
    Master { endpoint, epoch }
}

fn node_of(master: &Master) -> usize {
    usize::from(master.endpoint.host.ends_with('1'))
}

impl Sidecar {
    /// Asks one Sentinel, again and again.
    pub(super) fn poll(world: &mut World, id: usize, seat: usize) {
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
                        sentinels: 3,
                        replicas: 2,
                        rules: None,
                        run_id: None,
                        aside: Aside::default(),
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
                Step::ResetDelay | Step::Keep(_) => {}
            }
        }
    }

    /// There are newer secrets.
    pub(super) fn change_secrets(world: &mut World, id: usize) {
        Self::step(world, id, Happened::Renew);
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
        // One with older secrets answers what is in flight, and closes after that.
        let before = at.session.take();
        if let Some(before) = before {
            at.intake.ended(world.connections[&before].generation);
        }
        at.generation = generation;
        let epoch = elected.map_or(0, |elected| elected.epoch);
        at.intake
            .begin(generation, lineage, &master(node, epoch), majority, now);
        at.session = Some(connection);
        if let Some(before) = before {
            world.oracle.figures.renewals += 1;
            let closing = world.millis(0..1500);
            world.after(closing, move |world| world.cut(before));
        }
        Self::heartbeat(world, id, connection);
    }

    /// Sometimes somebody's write is acknowledged just before a heartbeat is sent, its push leaves just after the
    /// answer, nothing arrives any more, and the key is read at the last moment of the lease: what a heartbeat must not
    /// be taken to prove.
    fn heartbeat_after_a_write(world: &mut World, id: usize, connection: usize) {
        let name = format!("k{}", world.rng.random_range(0..KEYS));
        let mut pause = Duration::ZERO;
        if !world.healed && world.rng.random_bool(0.2) {
            super::faults::foreign(world, &name);
            pause = world.millis(1..15);
            if world.rng.random_bool(0.1)
                && let Some(connection) = world.connections.get_mut(&connection)
            {
                connection.muted_behind_heartbeat = Some(Duration::from_millis(1200));
            }
        }
        world.after(pause, move |world| {
            Self::read_at_the_last_moment(world, id, name);
            Self::heartbeat(world, id, connection);
        });
    }

    /// Somebody reads just before a lease with the base of now runs out.
    fn read_at_the_last_moment(world: &mut World, id: usize, name: String) {
        if !world.healed && world.rng.random_bool(0.5) {
            let left = world.millis(0..3);
            world.after(BOUND - left, move |world| {
                App::get(world, id, &name);
                Self::get(world, id, &name, None);
            });
        }
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
                world.heard_heartbeat(connection);
                let (now, generation) = (world.now, world.connections[&connection].generation);
                let at = &world.sidecars[id];
                if at.intake.answered(generation, Beat { sent, offset }, now) {
                    world.after(HEARTBEAT, move |world| {
                        Self::heartbeat_after_a_write(world, id, connection);
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
}
