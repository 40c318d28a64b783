//! The paths of calls: switched on, within the deadline, then the store.
//!
//! Not here: what a deadline does to a call (`call`).

use crate::call::Call;
use crate::model::{Cause, Fault, Tenant};

use super::session::{Create, Principal, Save, Session, SessionId};
use super::store::{Found, Loaded, Store};

/// Sessions as the API offers them, over some store.
#[derive(Debug)]
pub struct Sessions<S> {
    store: S,
    active: bool,
    most_found: usize,
}

impl<S: Store> Sessions<S> {
    /// Over this store, if they are switched on; a search answers with at most `most_found`.
    pub fn new(store: S, active: bool, most_found: usize) -> Self {
        Self {
            store,
            active,
            most_found,
        }
    }

    /// The store below.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Whether sessions are served here.
    ///
    /// # Errors
    /// `SessionsInactive`.
    pub fn admit(&self) -> Result<(), Fault> {
        if self.active {
            return Ok(());
        }
        Err(Fault::not_applied(
            Cause::SessionsInactive,
            "sessions are switched off here; set sessions.active (VEDETTA_SESSIONS_ACTIVE or REDIS_SESSION_ACTIVE) to \
             true, or keep them elsewhere",
        ))
    }

    /// Makes a session.
    ///
    /// # Errors
    /// See [`Fault`]; as for every method here.
    pub async fn create(
        &self,
        call: Call,
        tenant: &Tenant,
        create: Create,
    ) -> Result<Session, Fault> {
        call.write(self.store.create(tenant, create, call)).await
    }

    /// Reads a session.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn load(&self, call: Call, tenant: &Tenant, id: &SessionId) -> Result<Loaded, Fault> {
        call.read(self.store.load(tenant, id, call)).await
    }

    /// Changes a session; tells whether it existed.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn save(
        &self,
        call: Call,
        tenant: &Tenant,
        id: &SessionId,
        save: Save,
    ) -> Result<bool, Fault> {
        call.write(self.store.save(tenant, id, save, call)).await
    }

    /// Extends the life of a session; tells whether it existed.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn touch(&self, call: Call, tenant: &Tenant, id: &SessionId) -> Result<bool, Fault> {
        call.write(self.store.touch(tenant, id, call)).await
    }

    /// Gives a session a new id; `None` if it does not exist.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn change_id(
        &self,
        call: Call,
        tenant: &Tenant,
        id: &SessionId,
        operation_id: &[u8],
    ) -> Result<Option<SessionId>, Fault> {
        let work = self.store.change_id(tenant, id, operation_id, call);
        call.write(work).await
    }

    /// Ends a session; tells whether it existed.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn delete(&self, call: Call, tenant: &Tenant, id: &SessionId) -> Result<bool, Fault> {
        call.write(self.store.delete(tenant, id, call)).await
    }

    /// The living sessions of a principal.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn find(
        &self,
        call: Call,
        tenant: &Tenant,
        principal: &Principal,
    ) -> Result<Found, Fault> {
        let work = self.store.find(tenant, principal, self.most_found, call);
        call.read(work).await
    }
}
