//! What a read asks for: how fresh, how long it waits, and of which history.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::{Consistency, Token};
use crate::near::Want;
use crate::upstream::Session;

use super::super::store::Read;

/// A read without a deadline, or with a later one, waits that long for a master: longer than a failover takes.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// So long before the deadline of the call the wait for a master ends, so that the caller is told why there is none.
const MARGIN: Duration = Duration::from_millis(20);

/// What a read asks for, in the terms of the near cache.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) want: Want,
    /// The oldest answer that will do if there is none that is fresh.
    pub(super) stale: Option<Duration>,
    /// How long ago a read that is joined may have begun.
    pub(super) join: Option<Duration>,
    pub(super) until: Instant,
}

impl Terms {
    /// Until when a session is waited for at a time. Whoever takes an old answer does not wait for a new one while there
    /// is no master.
    pub(super) fn patience(&self) -> Instant {
        match self.stale {
            Some(_) => Instant::now(),
            None => self.until,
        }
    }

    /// `None` for a read that goes past the near cache.
    pub(super) fn new(read: &Read, bound: Duration) -> Option<Self> {
        let until = read.until();
        let fresh = |bound, token: Option<Token>, stale| Self {
            want: Want { bound, token },
            stale,
            // What another call has begun to read may be older than the token.
            join: token.is_none().then_some(bound),
            until,
        };
        match read.consistency {
            // More than the bound cannot be proven.
            Consistency::Fresh(wanted) => {
                Some(fresh(wanted.map_or(bound, |w| w.min(bound)), None, None))
            }
            Consistency::AtLeast(token) => Some(fresh(bound, Some(token), None)),
            Consistency::StaleOk(age) => Some(fresh(bound.min(age), None, Some(age))),
            Consistency::Master => None,
        }
    }
}

impl Read {
    /// Until when a master is waited for.
    pub(super) fn until(&self) -> Instant {
        let latest = Instant::now() + LONGEST_WAIT;
        let told = |at: Instant| at.checked_sub(MARGIN).unwrap_or(at).min(latest);
        self.deadline.map_or(latest, told)
    }

    /// Whether a session reads from the history that the read's token belongs to, if it has one.
    pub(super) fn is_of(&self, session: &Session) -> bool {
        !matches!(self.consistency, Consistency::AtLeast(token) if token.lineage != session.lineage())
    }
}
