//! What a read asks for: how fresh, how long it waits, and of which history.

use std::time::Duration;

use tokio::time::Instant;

use crate::failover::Patience;
use crate::model::{Consistency, Token};
use crate::near::Want;
use crate::upstream::Session;

use super::super::store::Read;

/// A read of another call that began longer ago is not joined by one that only refreshes.
pub(super) const LONGEST_JOIN: Duration = Duration::from_secs(10);

/// What a read asks of the near cache.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aim {
    pub(super) want: Want,
    /// The oldest answer that will do if there is none that is fresh.
    pub(super) stale: Option<Duration>,
    /// How long ago a read that is joined may have begun.
    pub(super) join: Option<Duration>,
}

/// What a read asks for that the near cache cannot answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) aim: Aim,
    /// Until when it waits.
    pub(super) until: Instant,
}

impl Terms {
    /// Until when a session is waited for at a time. Whoever takes an old answer does not wait for a new one while there
    /// is no master.
    pub(super) fn patience(&self, weight: usize) -> Patience {
        let until = match self.aim.stale {
            Some(_) => Instant::now(),
            None => self.until,
        };
        Patience {
            until,
            weight: weight as u64,
            to_all: false,
        }
    }
}

impl Aim {
    /// Whether an answer that no majority stands behind will do: the caller is told. One with a token wants proof, and
    /// one that takes an old answer is given that.
    pub(super) fn takes_unverified(&self) -> bool {
        self.want.token.is_none() && self.stale.is_none()
    }

    /// `None` for a read that goes past the near cache.
    pub(super) fn new(read: &Read, bound: Duration) -> Option<Self> {
        let fresh = |bound, token: Option<Token>, stale| Self {
            want: Want { bound, token },
            stale,
            // What another call has begun to read may be older than the token.
            join: token.is_none().then_some(bound),
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
    /// Whether a session reads from the history that the read's token belongs to, if it has one.
    pub(super) fn is_of(&self, session: &Session) -> bool {
        self.knows(session.lineage())
    }
}
