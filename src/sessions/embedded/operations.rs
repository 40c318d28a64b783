//! What was answered to calls that may be repeated.
//!
//! Invariants: an operation that is remembered is not done again; the memory is bounded in time and number.

use std::collections::{HashMap, VecDeque};
use std::time::{Instant, SystemTime};

use bytes::Bytes;

use crate::model::Tenant;

use super::super::session::SessionId;
use crate::failover::REMEMBERED;

/// Most operations remembered; the oldest are forgotten first.
const OPERATIONS: usize = 100_000;

/// One operation of one tenant, on one session if there is one already.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Named {
    tenant: Tenant,
    session: Option<SessionId>,
    operation: Bytes,
}

impl Named {
    pub(super) fn create(tenant: &Tenant, operation: &[u8]) -> Self {
        Self {
            tenant: tenant.clone(),
            session: None,
            operation: Bytes::copy_from_slice(operation),
        }
    }

    pub(super) fn change(tenant: &Tenant, session: &SessionId, operation: &[u8]) -> Self {
        Self {
            session: Some(session.clone()),
            ..Self::create(tenant, operation)
        }
    }
}

/// The session that came of it, and when.
type Answer = (SessionId, SystemTime);

/// Calls and answers.
#[derive(Debug, Default)]
pub(super) struct Operations {
    answers: HashMap<Named, Answer>,
    order: VecDeque<(Instant, Named)>,
}

impl Operations {
    pub(super) fn answer(&mut self, named: &Named, now: Instant) -> Option<Answer> {
        self.forget(now);
        self.answers.get(named).cloned()
    }

    pub(super) fn remember(&mut self, named: Named, answer: Answer, now: Instant) {
        self.answers.insert(named.clone(), answer);
        self.order.push_back((now, named));
        self.forget(now);
    }

    fn forget(&mut self, now: Instant) {
        while let Some((at, oldest)) = self.order.front()
            && (now.duration_since(*at) >= REMEMBERED || self.order.len() > OPERATIONS)
        {
            self.answers.remove(oldest);
            self.order.pop_front();
        }
    }
}
