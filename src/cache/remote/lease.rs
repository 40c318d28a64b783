//! Leases on the master.
//!
//! A lease is bound to everything that its value may be made from: the stamp of the cache, the flush clock, the version
//! of the entry, and the history, since a new master may have lost a removal and have kept the lease.
//!
//! Invariants: whatever writes or removes an entry removes the lease on it, in the same step and behind the entry, so
//! that whoever is woken by the end of the lease reads what came after it. One that is given when its caller has gone is
//! given back.
//!
//! Not here: waiting for a lease (`cache::lease`); a Put under one (`write`).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::failover::Repeat;
use crate::model::{Address, Applied, CacheId, Cause, Expiry, Fault, Key, Lease};
use crate::upstream::{Batch, Effect, Operation, Reply, Session};

use super::super::store::{Granting, LeaseRequest, Write};
use super::judged::{Declared, Item};
use super::write::{only, truth};
use super::{Core, new_stamp, strange};

/// A lease that was given, or may have been, until somebody has it. Dropped before that, it is given back.
struct Unclaimed {
    core: Arc<Core>,
    at: Address,
    lease: Option<Lease>,
}

impl Unclaimed {
    /// Nobody has the lease that was answered so.
    fn of(
        core: &Arc<Core>,
        at: &Address,
        lease: &Lease,
        answer: &Result<Granting, Fault>,
    ) -> Option<Self> {
        let given = match answer {
            Ok(granting) => *granting == Granting::Granted,
            Err(fault) => fault.applied != Applied::No,
        };
        given.then(|| Self {
            core: core.clone(),
            at: at.clone(),
            lease: Some(lease.clone()),
        })
    }

    fn claim(mut self) {
        self.lease = None;
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else {
            return;
        };
        let (core, at) = (self.core.clone(), self.at.clone());
        self.core.tasks.spawn("unclaimed lease", async move {
            let back = core.give_back(&at.cache, &at.key, &lease, Write::default());
            if let Err(fault) = back.await {
                let reason = fault.cause.reason();
                tracing::debug!(cache = %at.cache, reason, "a lease stays: {}", fault.detail);
            }
        });
    }
}

impl Core {
    pub(super) async fn grant(
        self: &Arc<Self>,
        cache: &CacheId,
        key: &Key,
        request: &LeaseRequest,
    ) -> Result<Granting, Fault> {
        let patience = self
            .passage
            .patience(request.deadline, key.as_bytes().len() as u64);
        let at = &Address {
            cache: cache.clone(),
            key: key.clone(),
        };
        let attempt = |session| self.grant_once(session, at, request);
        // A lease that was given without an answer is known by its name.
        let granting = (self.passage)
            .persist(patience, Repeat::Harmless, attempt)
            .await;
        if granting.is_err() {
            drop(Unclaimed::of(self, at, &request.lease, &granting));
        }
        granting
    }

    /// In a task of its own, since what was sent is executed whether or not somebody still waits for the answer.
    async fn grant_once(
        self: &Arc<Self>,
        session: Arc<Session>,
        at: &Address,
        request: &LeaseRequest,
    ) -> Result<Granting, Fault> {
        let (answer, answered) = oneshot::channel();
        let (core, at, request) = (self.clone(), at.clone(), request.clone());
        self.tasks.spawn("lease", async move {
            let granting = core.ask_for_lease(&session, &at, &request).await;
            let unclaimed = Unclaimed::of(&core, &at, &request.lease, &granting);
            // Where nobody waits any more, it is dropped.
            let _ = answer.send((granting, unclaimed));
        });
        let Ok((granting, unclaimed)) = answered.await else {
            let detail = "this vedetta is stopping with the lease in flight";
            return Err(Fault::unknown(Cause::ShuttingDown, detail));
        };
        if let Some(unclaimed) = unclaimed {
            unclaimed.claim();
        }
        granting
    }

    async fn ask_for_lease(
        &self,
        session: &Arc<Session>,
        Address { cache, key }: &Address,
        request: &LeaseRequest,
    ) -> Result<Granting, Fault> {
        let ms = |duration| Expiry::whole_millis(duration).to_string();
        let add = |batch: &mut Batch, _, declared: &Declared| {
            let keys = vec![
                self.layout.entry(cache, key),
                self.layout.stamp(cache),
                self.layout.lease(cache, key),
                self.layout.flushes(cache),
            ];
            let arguments = vec![
                request.lease.as_bytes().clone(),
                ms(request.hold).into(),
                request.refresh_within.map_or(String::new(), ms).into(),
                new_stamp(),
                super::history(session),
            ];
            let script = &self.scripts.lease;
            declared.call(batch, script, (keys, arguments), (&self.layout, cache));
        };
        let item = Item {
            key,
            judges: true,
            declared: Declared::default(),
        };
        let what = (Operation::Lease, cache);
        let sent = self.send_judged(session, what, vec![item], add).await?;
        let fields = match only(sent.replies)? {
            Reply::Array(fields) => fields,
            reply => return Err(strange(reply)),
        };
        match fields.as_slice() {
            [Reply::Int(0)] => Ok(Granting::Alive),
            [Reply::Int(1)] => Ok(Granting::Granted),
            [Reply::Int(2), Reply::Int(left)] => {
                let left = u64::try_from(*left).unwrap_or_default();
                Ok(Granting::Held(Duration::from_millis(left)))
            }
            _ => Err(strange(Reply::Array(fields))),
        }
    }

    pub(super) async fn give_back(
        &self,
        cache: &CacheId,
        key: &Key,
        lease: &Lease,
        write: Write,
    ) -> Result<bool, Fault> {
        let attempt = |session: Arc<Session>| async move {
            let mut batch = Batch::new(Operation::Lease, Effect::Write);
            let (keys, name) = ([self.layout.lease(cache, key)], [lease.as_bytes().clone()]);
            batch.script(&self.scripts.release, &keys, &name);
            truth(only(self.send(&session, batch).await?)?)
        };
        let patience = self.patience(&write, key.as_bytes().len() as u64);
        self.passage
            .persist(patience, Repeat::Harmless, attempt)
            .await
    }
}
