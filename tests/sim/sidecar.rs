//! One vedetta: the real near cache, hub, intake, topology and follower, and what the tasks around them would do.
//!
//! Not here: its links (`links`) and its calls (`calls`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use crate::config::SentinelPolicy;
use crate::failover::Machine;
use crate::invalidation::{Directory, Hub, HubLimits, Intake, Metrics};
use crate::model::{CacheId, CacheName, Endpoint, Key, Moment, Tenant};
use crate::near::{Capacity, Mutant, Near, Want};
use crate::sentinel::Topology;
use crate::upstream::Tracker;

use super::app::App;
use super::calls::{Reader, id_of};
use super::world::{BOUND, KEYS, World};

/// So few that a subscriber that pauses falls behind, and that what is left does not name every key.
const RECORDS: usize = 8;

pub(super) struct Sidecar {
    pub(super) near: Arc<Near<u64>>,
    pub(super) hub: Arc<Hub>,
    pub(super) intake: Intake<u64>,
    pub(super) topology: Topology,
    pub(super) machine: Machine,
    pub(super) session: Option<usize>,
    pub(super) dialed: Option<usize>,
    pub(super) generation: u64,
    pub(super) flights: u64,
    pub(super) waiting: BTreeMap<u64, Vec<Reader>>,
    /// The last own write of a key that was acknowledged.
    pub(super) own: BTreeMap<String, u64>,
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

pub(super) fn redis_key(name: &str) -> String {
    format!("c::{name}")
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
            topology: Topology::new(&sentinels, SentinelPolicy::Majority),
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

    pub(super) fn pushed(&self, generation: u64, keys: &[String]) {
        let mut keys = keys.iter().map(String::as_bytes);
        self.intake.invalidated(generation, &mut keys);
    }

    pub(super) fn flushed(&self, generation: u64) {
        self.intake.flushed(generation);
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
