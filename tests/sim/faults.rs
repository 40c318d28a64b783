//! What happens in a history: operations of everybody, and everything that goes wrong.

use std::time::Duration;

use rand::Rng;

use super::app::App;
use super::node::View;
use super::oracle::Change;
use super::sidecar::Sidecar;
use super::world::{KEYS, World, pick};

pub(super) fn start(world: &mut World) {
    operate(world);
    trouble(world);
    remember(world);
}

/// One operation after the other, at a pace of the seed's.
fn operate(world: &mut World) {
    if !world.healed {
        operation(world);
        let pause = world.millis(1..12);
        world.after(pause, operate);
    }
}

fn operation(world: &mut World) {
    let id = world.rng.random_range(0..world.sidecars.len());
    let name = format!("k{}", world.rng.random_range(0..KEYS));
    match world.rng.random_range(0..100) {
        0..35 => Sidecar::get(world, id, &name, None),
        35..75 => App::get(world, id, &name),
        75..83 => {
            let ttl = world
                .rng
                .random_bool(0.4)
                .then(|| Duration::from_millis(world.rng.random_range(5..400)));
            Sidecar::write(world, id, &name, Change::Put(redis(&name)), ttl);
        }
        83..85 => Sidecar::write(world, id, &name, Change::Remove(redis(&name)), None),
        85 => Sidecar::write(world, id, &name, Change::Clear, None),
        86..88 => Sidecar::write(world, id, &name, Change::FlushGroup, None),
        _ => foreign(world, &name),
    }
}

fn redis(name: &str) -> String {
    format!("c::{name}")
}

/// Somebody else writes, to the master that a majority of the Sentinels names.
pub(super) fn foreign(world: &mut World, name: &str) {
    let Some(node) = elected(world) else {
        return;
    };
    let number = world.oracle.next_number();
    world.change(node, Change::Put(redis(name)), None, None);
    // The acknowledgement comes at once, or with the turn.
    let wait = if world.early {
        Duration::ZERO
    } else {
        world.turn
    };
    let delay = world.delay();
    world.after(wait + delay, move |world| {
        let now = world.now;
        world.oracle.acknowledged(number, now);
    });
}

fn elected(world: &World) -> Option<usize> {
    let newest = world.sentinels.iter().map(|view| view.epoch).max()?;
    let naming: Vec<usize> = world
        .sentinels
        .iter()
        .filter(|view| view.epoch == newest)
        .map(|view| view.node)
        .collect();
    (naming.len() >= 2).then(|| naming[0])
}

/// A replica and a disk are some time behind.
fn remember(world: &mut World) {
    for node in &mut world.nodes {
        node.older = node.data.clone();
    }
    let pause = world.millis(20..400);
    world.after(pause, remember);
}

fn trouble(world: &mut World) {
    if world.healed {
        return;
    }
    let pause = world.millis(20..500);
    world.after(pause, trouble);
    world.oracle.figures.faults += 1;
    let id = world.rng.random_range(0..world.sidecars.len());
    let session = world.sidecars[id].session;
    match world.rng.random_range(0..100) {
        0..30 => mute(world, session),
        30..45 => {
            if let Some(connection) = session {
                world.cut(connection);
            }
        }
        45..55 => {
            let blind = world.millis(100..3000);
            world.sidecars[id].blind = world.now + blind;
        }
        55..67 => flush(world),
        67..82 => lose(world),
        82..87 => Sidecar::change_secrets(world, id),
        87..93 => failover(world),
        _ => {
            if let Some(node) = elected(world) {
                world.restart(node);
            }
        }
    }
}

/// Nothing travels any more, in either direction, for a while.
fn mute(world: &mut World, session: Option<usize>) {
    let long = *pick(&mut world.rng, &[50, 300, 1200, 4000]);
    let until = world.now + Duration::from_millis(long);
    let behind = world.rng.random_bool(0.5);
    if let Some(connection) = session.and_then(|id| world.connections.get_mut(&id)) {
        if behind {
            // The moment at which a proof is newest and what it must not cover is on its way.
            connection.muted_behind_heartbeat = Some(Duration::from_millis(long));
        } else {
            connection.muted = until;
        }
    }
}

fn flush(world: &mut World) {
    if let Some(node) = elected(world) {
        let number = world.change(node, Change::Flush, None, None);
        let turn = world.turn;
        world.after(turn, move |world| {
            let now = world.now;
            world.oracle.acknowledged(number, now);
        });
    }
}

/// Expiry, eviction, and keys that leave the tracking table, on any node.
fn lose(world: &mut World) {
    let node = world.rng.random_range(0..world.nodes.len());
    let key = redis(&format!("k{}", world.rng.random_range(0..KEYS)));
    if world.rng.random_bool(0.5) {
        world.touched(node, &key);
    } else if world.nodes[node].data.entries.contains_key(&key) {
        world.change(node, Change::Drop(key), None, None);
    }
}

/// The other node becomes master, one Sentinel after the other says so, and the old one lives on.
fn failover(world: &mut World) {
    let Some(from) = elected(world) else {
        return;
    };
    let (to, epoch) = (1 - from, world.sentinels[0].epoch + 1);
    if world.sentinels.iter().any(|view| view.epoch >= epoch) {
        return;
    }
    world.promote(to, from, epoch);
    for seat in 0..3 {
        let delay = world.millis(0..1000);
        world.after(delay, move |world| {
            // A Sentinel never goes back to an older epoch.
            if world.sentinels[seat].epoch < epoch {
                world.sentinels[seat] = View { node: to, epoch };
            }
        });
    }
}

/// Nothing goes wrong any more.
pub(super) fn heal(world: &mut World) {
    world.healed = true;
    let now = world.now;
    for connection in world.connections.values_mut() {
        connection.muted = connection.muted.min(now);
    }
    for sidecar in &mut world.sidecars {
        sidecar.blind = now;
    }
    // Reads go on for a while, so that whatever is stuck is there to be found.
    for step in 0..200_u64 {
        world.after(Duration::from_millis(3000 + 5 * step), move |world| {
            let (id, name) = (
                (step % 2) as usize,
                format!("k{}", step as usize / 2 % KEYS),
            );
            App::get(world, id, &name);
        });
    }
}
