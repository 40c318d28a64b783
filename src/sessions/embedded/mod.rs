//! The store in this process's memory: for a laptop, for tests, and as the oracle of the scripts.
//!
//! Invariants: one lock, held for one step at a time and never across an `.await`; bounded by bytes.
//!
//! Not here: the rules (`state`). Nothing survives the process, and nothing is shared with another one.

mod operations;
mod state;

use std::time::{Duration, Instant, SystemTime};

use metrics::{Gauge, describe_gauge, gauge};
use parking_lot::Mutex;

use crate::call::Call;
use crate::model::{Evidence, Fault, Tenant};

use super::session::{Bounds, Create, Principal, Save, Session, SessionId};
use super::store::{Found, Loaded, Store};
use state::{Now, State};

/// How often memory of ended sessions is looked for. They are absent from the moment they end; this only gives their
/// memory back.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(30);

/// Keeps sessions in memory.
#[derive(Debug)]
pub struct Embedded {
    state: Mutex<State>,
    sessions: Gauge,
    weight: Gauge,
}

impl Embedded {
    /// An empty store of that many bytes, for sessions of that size.
    pub fn new(capacity: u64, bounds: Bounds) -> Self {
        describe_gauge!(
            "vedetta_embedded_sessions",
            "Sessions in the embedded store, ended ones not yet swept included"
        );
        describe_gauge!(
            "vedetta_embedded_sessions_weight_bytes",
            metrics::Unit::Bytes,
            "Weight of the sessions in the embedded store"
        );
        Self {
            state: Mutex::new(State::new(capacity, bounds)),
            sessions: gauge!("vedetta_embedded_sessions"),
            weight: gauge!("vedetta_embedded_sessions_weight_bytes"),
        }
    }

    /// Gives the memory of ended sessions back, and shows the figures.
    pub fn sweep(&self) {
        let (sessions, weight) = {
            let mut state = self.state.lock();
            state.sweep(now());
            state.figures()
        };
        self.sessions.set(sessions as f64);
        self.weight.set(weight as f64);
    }
}

fn now() -> Now {
    Now {
        clock: Instant::now(),
        wall: SystemTime::now(),
    }
}

impl Store for Embedded {
    async fn create(&self, tenant: &Tenant, create: Create, call: Call) -> Result<Session, Fault> {
        let id = SessionId::new()?;
        let created = self.state.lock().create(tenant, create, id, now())?;
        call.durability().without_replicas()?;
        Ok(created)
    }

    async fn load(&self, tenant: &Tenant, id: &SessionId, _: Call) -> Result<Loaded, Fault> {
        Ok(Loaded {
            session: self.state.lock().load(tenant, id, now()),
            evidence: Evidence::FIRST_HAND,
        })
    }

    async fn save(
        &self,
        tenant: &Tenant,
        id: &SessionId,
        save: Save,
        call: Call,
    ) -> Result<bool, Fault> {
        let existed = self.state.lock().save(tenant, id, save, now())?;
        done(existed, call)
    }

    async fn touch(&self, tenant: &Tenant, id: &SessionId, _: Call) -> Result<bool, Fault> {
        Ok(self.state.lock().touch(tenant, id, now()))
    }

    async fn change_id(
        &self,
        tenant: &Tenant,
        id: &SessionId,
        operation_id: &[u8],
        call: Call,
    ) -> Result<Option<SessionId>, Fault> {
        let new = SessionId::new()?;
        let changed = {
            let mut state = self.state.lock();
            state.change_id(tenant, id, new, operation_id, now())
        };
        done(changed.is_some(), call)?;
        Ok(changed)
    }

    async fn delete(&self, tenant: &Tenant, id: &SessionId, call: Call) -> Result<bool, Fault> {
        let existed = self.state.lock().delete(tenant, id, now());
        done(existed, call)
    }

    async fn find(
        &self,
        tenant: &Tenant,
        principal: &Principal,
        most: usize,
        _: Call,
    ) -> Result<Found, Fault> {
        Ok(self.state.lock().find(tenant, principal, most, now()))
    }
}

/// What was not there was not changed, so nobody needs a copy of it.
fn done(existed: bool, call: Call) -> Result<bool, Fault> {
    if existed {
        call.durability().without_replicas()?;
    }
    Ok(existed)
}
