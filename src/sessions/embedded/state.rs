//! The rules of the embedded store, by value: clock and ids are arguments.
//!
//! Invariants: a session whose time has come is absent for every operation; a session and the index of its principal
//! change together; weight never exceeds capacity, and no session goes to make room for another.
//!
//! Not here: locking, and the clock (`embedded`).

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;

use crate::model::{Cause, Fault, Tenant};

use super::super::session::{
    Attributes, Bounds, Create, Principal, Save, Session, SessionId, Size, millis,
};
use super::super::store::Found;
use super::operations::{Named, Operations};

/// What a session weighs beyond its names and values: times, ids and the slots of the maps.
const OVERHEAD: u64 = 512;

/// The same for each attribute.
const OVERHEAD_OF_ATTRIBUTE: u64 = 96;

/// A moment, on both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// For the end of sessions.
    pub(super) clock: Instant,
    /// To be shown.
    pub(super) wall: SystemTime,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    tenant: Tenant,
    id: SessionId,
}

#[derive(Debug)]
struct Record {
    attributes: Attributes,
    principal: Principal,
    created: SystemTime,
    accessed: SystemTime,
    max_inactive: Duration,
    ends: Instant,
}

impl Record {
    fn touch(&mut self, now: Now) {
        self.accessed = now.wall;
        self.ends = ends(now, self.max_inactive);
    }

    fn weight(&self) -> u64 {
        let size = Size::of(&self.attributes);
        OVERHEAD + size.bytes + size.attributes * OVERHEAD_OF_ATTRIBUTE
    }
}

/// The sessions and the rules about them.
#[derive(Debug)]
pub(super) struct State {
    sessions: HashMap<Place, Record>,
    owned: HashMap<(Tenant, Principal), BTreeSet<SessionId>>,
    operations: Operations,
    bounds: Bounds,
    weight: u64,
    capacity: u64,
}

impl State {
    pub(super) fn new(capacity: u64, bounds: Bounds) -> Self {
        Self {
            sessions: HashMap::new(),
            owned: HashMap::new(),
            operations: Operations::default(),
            bounds,
            weight: 0,
            capacity,
        }
    }

    /// Makes a session under that id, once per operation.
    pub(super) fn create(
        &mut self,
        tenant: &Tenant,
        create: Create,
        id: SessionId,
        now: Now,
    ) -> Result<Session, Fault> {
        let named = Named::create(tenant, &create.operation_id);
        let once = !create.operation_id.is_empty();
        let known = once.then(|| self.operations.answer(&named, now.clock));
        let (id, created, is_new) = match known.flatten() {
            Some((id, created)) => (id, created, false),
            None => (id, now.wall, true),
        };
        let session = Session {
            id: id.clone(),
            attributes: owned(create.attributes),
            principal: create.principal.clone(),
            created,
            accessed: created,
            max_inactive: create.max_inactive,
        };
        if is_new {
            let record = Record {
                attributes: session.attributes.clone(),
                principal: create.principal,
                created,
                accessed: created,
                max_inactive: create.max_inactive,
                ends: ends(now, create.max_inactive),
            };
            self.make_room(record.weight(), now)?;
            self.insert(place(tenant, &id), record);
            if once {
                self.operations.remember(named, (id, created), now.clock);
            }
        }
        Ok(session)
    }

    pub(super) fn load(&mut self, tenant: &Tenant, id: &SessionId, now: Now) -> Option<Session> {
        let record = self.live(&place(tenant, id), now)?;
        Some(Session {
            id: id.clone(),
            attributes: record.attributes.clone(),
            principal: record.principal.clone(),
            created: record.created,
            accessed: record.accessed,
            max_inactive: record.max_inactive,
        })
    }

    /// Changes a session, unless it would become too large; tells whether it existed.
    pub(super) fn save(
        &mut self,
        tenant: &Tenant,
        id: &SessionId,
        save: Save,
        now: Now,
    ) -> Result<bool, Fault> {
        let place = place(tenant, id);
        let bounds = self.bounds;
        let Some(record) = self.live(&place, now) else {
            return Ok(false);
        };
        let (before, old) = (Size::of(&record.attributes), record.weight());
        let mut attributes = record.attributes.clone();
        for name in &save.remove {
            attributes.remove(name);
        }
        attributes.extend(owned(save.set));
        Size::of(&attributes).check(before, bounds)?;
        let record = Record {
            attributes,
            principal: save.principal.unwrap_or_else(|| record.principal.clone()),
            created: record.created,
            accessed: now.wall,
            max_inactive: save.max_inactive.unwrap_or(record.max_inactive),
            ends: now.clock,
        };
        self.make_room(record.weight().saturating_sub(old), now)?;
        self.remove(&place);
        self.insert(
            place,
            Record {
                ends: ends(now, record.max_inactive),
                ..record
            },
        );
        Ok(true)
    }

    pub(super) fn touch(&mut self, tenant: &Tenant, id: &SessionId, now: Now) -> bool {
        let Some(record) = self.live(&place(tenant, id), now) else {
            return false;
        };
        record.touch(now);
        true
    }

    /// Gives a session that new id, once per operation.
    pub(super) fn change_id(
        &mut self,
        tenant: &Tenant,
        id: &SessionId,
        new: SessionId,
        operation_id: &[u8],
        now: Now,
    ) -> Option<SessionId> {
        let named = Named::change(tenant, id, operation_id);
        let once = !operation_id.is_empty();
        if once && let Some((answer, _)) = self.operations.answer(&named, now.clock) {
            return Some(answer);
        }
        let old = place(tenant, id);
        self.live(&old, now)?;
        let record = self.remove(&old)?;
        self.insert(place(tenant, &new), record);
        if once {
            let answer = (new.clone(), now.wall);
            self.operations.remember(named, answer, now.clock);
        }
        Some(new)
    }

    pub(super) fn delete(&mut self, tenant: &Tenant, id: &SessionId, now: Now) -> bool {
        let place = place(tenant, id);
        let existed = self.live(&place, now).is_some();
        self.remove(&place);
        existed
    }

    pub(super) fn find(
        &mut self,
        tenant: &Tenant,
        principal: &Principal,
        most: usize,
        now: Now,
    ) -> Found {
        let owned = self.owned.get(&(tenant.clone(), principal.clone()));
        let mut alive: Vec<(Instant, SessionId)> = owned
            .into_iter()
            .flatten()
            .filter_map(|id| {
                let record = self.sessions.get(&place(tenant, id))?;
                (now.clock < record.ends).then(|| (record.ends, id.clone()))
            })
            .collect();
        alive.sort_unstable_by(|a, b| b.cmp(a));
        Found {
            total: alive.len() as u64,
            ids: alive.into_iter().map(|(_, id)| id).take(most).collect(),
        }
    }

    /// Gives back the memory of sessions that have ended.
    pub(super) fn sweep(&mut self, now: Now) {
        let ended =
            |(place, record): (&Place, &Record)| (now.clock >= record.ends).then(|| place.clone());
        let ended: Vec<Place> = self.sessions.iter().filter_map(ended).collect();
        for place in &ended {
            self.remove(place);
        }
    }

    /// Sessions, ended ones that were not swept yet included, and their weight in bytes.
    pub(super) fn figures(&self) -> (usize, u64) {
        (self.sessions.len(), self.weight)
    }

    fn live(&mut self, place: &Place, now: Now) -> Option<&mut Record> {
        let record = self.sessions.get_mut(place)?;
        (now.clock < record.ends).then_some(record)
    }

    fn insert(&mut self, place: Place, record: Record) {
        self.weight += record.weight();
        if !record.principal.is_nobody() {
            let owner = (place.tenant.clone(), record.principal.clone());
            self.owned
                .entry(owner)
                .or_default()
                .insert(place.id.clone());
        }
        self.sessions.insert(place, record);
    }

    fn remove(&mut self, place: &Place) -> Option<Record> {
        let record = self.sessions.remove(place)?;
        self.weight -= record.weight();
        let owner = (place.tenant.clone(), record.principal.clone());
        if let Some(ids) = self.owned.get_mut(&owner) {
            ids.remove(&place.id);
            if ids.is_empty() {
                self.owned.remove(&owner);
            }
        }
        Some(record)
    }

    fn make_room(&mut self, more: u64, now: Now) -> Result<(), Fault> {
        if self.weight + more > self.capacity {
            self.sweep(now);
        }
        if self.weight + more <= self.capacity {
            return Ok(());
        }
        let detail = format!(
            "the sessions of the embedded store would weigh {} bytes; at most {} are allowed (embedded.capacity)",
            self.weight + more,
            self.capacity
        );
        Err(Fault::not_applied(Cause::StoreFull, detail))
    }
}

fn place(tenant: &Tenant, id: &SessionId) -> Place {
    Place {
        tenant: tenant.clone(),
        id: id.clone(),
    }
}

fn ends(now: Now, max_inactive: Duration) -> Instant {
    now.clock + Duration::from_millis(millis(max_inactive))
}

/// Copies of their own: what arrives is a slice of the message it came in, which it would keep in memory.
fn owned(attributes: Attributes) -> Attributes {
    let copied = |(name, value): (String, Bytes)| (name, Bytes::copy_from_slice(&value));
    attributes.into_iter().map(copied).collect()
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
