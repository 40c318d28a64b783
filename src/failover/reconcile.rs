//! What is done on a new master before calls use it, and told after.
//!
//! Not here: how (`cache::remote::journal`).

use std::collections::HashSet;
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use crate::model::{CacheId, Fault, Moment};
use crate::upstream::Session;

/// What was found out about a new master.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Recent writes that the node does not provably have, each of which was looked at.
    pub checked: usize,
    /// Old values that the loss of newer ones had brought back, and that were removed.
    pub removed: usize,
    /// Acknowledged writes that are missing.
    pub lost: usize,
    /// The caches of those.
    pub caches: Vec<CacheId>,
    /// When the first of those was made, or one before it to the same entry.
    pub since: Option<Moment>,
}

impl Reconciled {
    /// Adds what was found out about the next one.
    pub(super) fn add(&mut self, next: &Self) {
        self.checked += next.checked;
        self.removed += next.removed;
        self.lost += next.lost;
        let known: HashSet<&CacheId> = self.caches.iter().collect();
        let new = next.caches.iter().filter(|cache| !known.contains(cache));
        let new: Vec<CacheId> = new.cloned().collect();
        self.caches.extend(new);
    }
}

/// The outcome, later.
pub type Reconciling<'a> = Pin<Box<dyn Future<Output = Result<Reconciled, Fault>> + Send + 'a>>;

/// Reconciles a new master with what this process knows to have written.
pub trait Reconcile: Debug + Send + Sync + 'static {
    /// Undoes what a loss of recent writes has brought back, on a session that nobody else uses yet.
    ///
    /// # Errors
    /// The session must not be used.
    fn reconcile<'a>(&'a self, session: &'a Arc<Session>) -> Reconciling<'a>;

    /// The session is in use: tells whoever must know what was lost.
    fn installed(&self, found: &Reconciled);
}

/// Has written nothing.
#[derive(Debug)]
pub struct Nothing;

impl Reconcile for Nothing {
    fn reconcile<'a>(&'a self, _: &'a Arc<Session>) -> Reconciling<'a> {
        Box::pin(async { Ok(Reconciled::default()) })
    }

    fn installed(&self, _: &Reconciled) {}
}
