//! The seam: what a store of sessions can do.
//!
//! Invariants of every implementation: each call is one atomic step; a session that has ended is absent for every
//! call, and no call but `create` makes one; a session and the index of its principal change together.
//!
//! Not here: deadlines, which [`super::Sessions`] enforces for all stores alike.

use crate::call::Call;
use crate::model::{Evidence, Fault, Tenant};

use super::session::{Create, Principal, Save, Session, SessionId};

/// The answer to a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The session, if there is one.
    pub session: Option<Session>,
    /// What is proven about the age of that.
    pub evidence: Evidence,
}

/// Sessions of a principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// As many as were asked for, the one that would live longest first.
    pub ids: Vec<SessionId>,
    /// How many there are.
    pub total: u64,
}

/// Keeps sessions.
pub trait Store: Send + Sync + 'static {
    /// Makes a session, once per operation.
    fn create(
        &self,
        tenant: &Tenant,
        create: Create,
        call: Call,
    ) -> impl Future<Output = Result<Session, Fault>> + Send;

    /// Reads a session.
    fn load(
        &self,
        tenant: &Tenant,
        id: &SessionId,
        call: Call,
    ) -> impl Future<Output = Result<Loaded, Fault>> + Send;

    /// Changes a session and extends its life; tells whether it existed.
    fn save(
        &self,
        tenant: &Tenant,
        id: &SessionId,
        save: Save,
        call: Call,
    ) -> impl Future<Output = Result<bool, Fault>> + Send;

    /// Extends the life of a session; tells whether it existed.
    fn touch(
        &self,
        tenant: &Tenant,
        id: &SessionId,
        call: Call,
    ) -> impl Future<Output = Result<bool, Fault>> + Send;

    /// Gives a session a new id, once per operation (empty for none); `None` if it does not exist.
    fn change_id(
        &self,
        tenant: &Tenant,
        id: &SessionId,
        operation_id: &[u8],
        call: Call,
    ) -> impl Future<Output = Result<Option<SessionId>, Fault>> + Send;

    /// Ends a session; tells whether it existed.
    fn delete(
        &self,
        tenant: &Tenant,
        id: &SessionId,
        call: Call,
    ) -> impl Future<Output = Result<bool, Fault>> + Send;

    /// The living sessions of a principal, at most so many of them.
    fn find(
        &self,
        tenant: &Tenant,
        principal: &Principal,
        most: usize,
        call: Call,
    ) -> impl Future<Output = Result<Found, Fault>> + Send;
}
