//! The calls of a vedetta of the simulation: reads by the near cache, by a flight, and own writes.
//!
//! The gaps in which tasks are switched are random: between taking a token and finding the session, and between the
//! arrival of a reply and the insertion of what it says. Pushes are applied in between, as the driver does.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::invalidation::Event;
use crate::model::{GroupName, Moment, Value, Version};
use crate::near::{Begin, Fill, Found, Mark, Mutant, ReadBack, Slot, Want};

use super::app::App;
use super::node::{GROUP, STAMP, is_member};
use super::oracle::{Change, Seen};
use super::sidecar::{Sidecar, cache, key, redis_key};
use super::world::{BOUND, Frame, KEYS, World};

/// Whoever waits for a read.
pub(super) struct Reader {
    began: Moment,
    /// The token of the application that asked, if one did.
    app: Option<u64>,
    own: Option<u64>,
}

/// A stamp as the near cache knows it.
fn mark(stamp: Option<u8>) -> Option<[u8; 17]> {
    stamp.map(|stamp| [stamp; 17])
}

fn group() -> GroupName {
    GroupName::new("g").expect("group")
}

/// A read whose answer has arrived.
struct Landing {
    name: String,
    fill: Option<Fill>,
    flight: u64,
    read: ReadBack,
    lineage: u64,
}

impl Landing {
    fn judged(&mut self, slot: &Arc<Slot>, member: Mark, current: Mark) {
        if member == current {
            self.read.members = Some(vec![(slot.clone(), member)]);
        } else {
            (self.read.found, self.read.ttl) = (Found::Absent, None);
        }
    }
}

fn found(id: Option<u64>) -> Found {
    match id {
        Some(id) => Found::Present(
            Value::Data(Bytes::copy_from_slice(&id.to_be_bytes())),
            Version::unique(0, id, 0),
        ),
        None => Found::Absent,
    }
}

pub(super) fn id_of(found: &Found) -> Option<u64> {
    match found {
        Found::Present(Value::Data(bytes), _) => {
            bytes.first_chunk().map(|id| u64::from_be_bytes(*id))
        }
        _ => None,
    }
}

impl Sidecar {
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
                    let member = live.as_ref().and_then(|live| live.group);
                    let read = ReadBack {
                        found: found(live.map(|live| live.id)),
                        mark: mark(stamp),
                        members: Some(Vec::new()),
                        ttl,
                        sent,
                        received: world.now,
                        generation,
                    };
                    let landing = Landing {
                        name,
                        fill,
                        flight,
                        read,
                        lineage,
                    };
                    Self::judge(world, id, connection, landing, member);
                };
                world.emit(connection, Frame::Reply(Box::new(reply)));
            });
        });
    }

    /// A member of the group is judged by its stamp, known or read now.
    fn judge(
        world: &mut World,
        id: usize,
        connection: usize,
        mut landing: Landing,
        member: Option<u8>,
    ) {
        let slot = world.sidecars[id].group_slot();
        let (Some(member), Some(slot)) = (member, slot) else {
            return Self::touch_down(world, id, landing);
        };
        let generation = landing.read.generation;
        if let Some(known) = slot.known_in(generation) {
            landing.judged(&slot, mark(Some(member)), known);
            return Self::touch_down(world, id, landing);
        }
        let pushes = slot.pushes();
        world.send(connection, move |world| {
            let node = world.connections[&connection].node;
            let held = mark(world.nodes[node].read_group(connection));
            let reply = move |world: &mut World| {
                slot.learn(generation, held, pushes);
                landing.judged(&slot, mark(Some(member)), held);
                Self::touch_down(world, id, landing);
            };
            world.emit(connection, Frame::Reply(Box::new(reply)));
        });
    }

    fn touch_down(world: &mut World, id: usize, landing: Landing) {
        let delay = world.delay();
        world.after(delay, move |world| {
            let Landing {
                name,
                fill,
                flight,
                read,
                lineage,
            } = landing;
            Self::land(world, id, &name, fill, flight, &read, lineage);
        });
    }

    fn group_slot(&self) -> Option<Arc<Slot>> {
        let of = self
            .near
            .slot(&Bytes::from_static(STAMP.as_bytes()), &cache())?;
        self.near
            .group(&Bytes::from_static(GROUP.as_bytes()), &of, &group())
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
                match told {
                    Change::Clear => at.hub.record(Event::Cleared(cache())),
                    Change::FlushGroup => {
                        let (cache, groups) = (cache(), vec![group()]);
                        at.hub.record(Event::GroupsFlushed { cache, groups });
                        let names = (0..KEYS).map(|key| format!("k{key}"));
                        let members = names.filter(|name| is_member(name));
                        at.own.extend(members.map(|name| (name, number)));
                    }
                    _ => {
                        at.hub.invalidated(cache(), vec![key(&name)]);
                        at.own.insert(name, number);
                    }
                }
                let now = world.now;
                world.oracle.acknowledged(number, now);
            };
            world.change(node, change, expires, Some((connection, Box::new(reply))));
        });
    }

    fn forget(&self, change: &Change, entry: &str) {
        let slot = self
            .near
            .slot(&Bytes::from_static(STAMP.as_bytes()), &cache());
        match (change, slot) {
            (Change::Clear, Some(slot)) => self.near.cleared(&slot),
            (Change::FlushGroup, Some(slot)) => {
                let stamp = Bytes::from_static(GROUP.as_bytes());
                self.near.flushed(&slot, &[stamp]);
            }
            _ => self.near.wrote(entry.as_bytes()),
        }
    }
}
