//! Leases: one caller in the whole fleet fills an entry, the others wait for it or take what there still is.
//!
//! The right is a key beside the entry, which the store gives to one caller for a time (NSDI 2013, "Scaling Memcache at
//! Facebook", §3.2.1). It ends when anybody writes or removes the entry, so a Put under it that comes later is refused:
//! what it would store may have been read before that. Whoever waits is woken by the end of the lease, after the near
//! cache was told of the new entry.
//!
//! Invariants: of the callers in this process that wait for one entry, one asks the store at a time; nobody who has
//! begun to wait waits longer than it asked for; those who wait are so few that the one who fills finds room; a caller
//! that has a live entry in hand never waits for a lease to refresh it.
//!
//! Not here: who is woken, and when (`waiting`); what a lease is bound to (the stores); loading, which is the caller's.

mod waiting;

use std::time::Duration;

use tokio::time::Instant;

use crate::call::Call;
use crate::model::{Address, Consistency, Evidence, Fault, Hit, Lease, Lookup};

use super::path::Cache;
use super::store::{Granting, LeaseRequest, Store, Write};
pub(super) use waiting::Waiting;
use waiting::{Next, Wait};

/// So long before the deadline of a call its wait ends, so that the caller learns that there was nothing; of a call that
/// has less than twice that, half of what it has.
const MARGIN: Duration = Duration::from_millis(20);

/// How long a caller that has an entry in hand is kept to learn whether it is to refresh it. A lease that is given after
/// that holds until its end, and refreshes nothing.
const ASKED_WITHIN: Duration = Duration::from_millis(500);

/// An entry that somebody else refreshes is asked about that often at most.
const QUIET: Duration = Duration::from_secs(1);

/// What a caller wants who can fill an entry.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// What may be returned.
    pub consistency: Consistency,
    /// How long to wait for another one who fills it.
    pub max_wait: Duration,
    /// How long filling may take.
    pub hold: Duration,
    /// A live entry that ends so soon is to be filled anew.
    pub refresh_within: Option<Duration>,
}

/// What it gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filling {
    /// An entry, and maybe a lease to refresh it with.
    Hit(Hit, Option<Lease>),
    /// Nothing, and a lease.
    Lease(Lease),
    /// Nothing, and somebody else still has the lease.
    Miss(Evidence),
}

impl<S: Store> Cache<S> {
    /// Reads an entry; where there is none, one caller in the whole fleet gets a lease to fill it with.
    ///
    /// # Errors
    /// See [`Fault`]. A wait that ends without an entry is no fault.
    pub async fn get_or_lease(
        &self,
        call: Call,
        at: &Address,
        wish: &Wish,
    ) -> Result<Filling, Fault> {
        match self.get(call, at, wish.consistency).await? {
            // Both apart, because they are large, and most calls need neither.
            Lookup::Hit(hit) => Ok(Box::pin(self.refreshed(call, at, wish, hit)).await),
            Lookup::Miss(evidence) => {
                let filling = Box::pin(self.wait_or_fill(call, at, wish, evidence));
                call.read(filling).await
            }
        }
    }

    /// Gives a lease back that is not used; whether it held until now.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn release_lease(
        &self,
        call: Call,
        at: &Address,
        lease: &Lease,
    ) -> Result<bool, Fault> {
        let write = Write {
            deadline: call.deadline(),
            ..Write::default()
        };
        let released = self.store.release(&at.cache, &at.key, lease, write);
        call.write(released).await
    }

    /// A live entry, with a lease if it is to be refreshed and nobody does. The entry is there in any case, so a store
    /// that cannot be asked now is nobody's concern.
    async fn refreshed(&self, call: Call, at: &Address, wish: &Wish, hit: Hit) -> Filling {
        let due = (wish.refresh_within.zip(hit.ttl)).is_some_and(|(within, left)| left <= within);
        if !due {
            return Filling::Hit(hit, None);
        }
        let key = self.store.lease_key(&at.cache, &at.key);
        if self.waiting.is_quiet(&key) {
            return Filling::Hit(hit, None);
        }
        let now = Instant::now();
        let request = request(wish, wish.refresh_within, Some(now));
        let until = until(call, ASKED_WITHIN);
        let asked = self.store.lease(&at.cache, &at.key, &request);
        let quiet = match tokio::time::timeout_at(until, asked).await {
            Ok(Ok(Granting::Granted)) => return Filling::Hit(hit, Some(request.lease)),
            Ok(Ok(Granting::Held(left))) => left.min(QUIET),
            Ok(Ok(Granting::Alive) | Err(_)) | Err(_) => QUIET,
        };
        self.waiting.keep_quiet(key, now + quiet);
        Filling::Hit(hit, None)
    }

    /// `evidence` is of the miss that was seen last.
    async fn wait_or_fill(
        &self,
        call: Call,
        at: &Address,
        wish: &Wish,
        mut evidence: Evidence,
    ) -> Result<Filling, Fault> {
        let key = self.store.lease_key(&at.cache, &at.key);
        let turn = self.waiting.turn(key);
        let mut wait = Wait::new(&self.waiting, &turn, until(call, wish.max_wait));
        let mut consistency = wish.consistency;
        loop {
            // Before the look, so that no news is missed.
            let mut news = std::pin::pin!(turn.news());
            news.as_mut().enable();
            match in_time(wait.limit(), self.look(call, at, consistency)).await? {
                Some(Lookup::Hit(hit)) => return Ok(Filling::Hit(hit, None)),
                Some(Lookup::Miss(seen)) => evidence = seen,
                None => return Ok(Filling::Miss(evidence)),
            }
            let looked = std::mem::replace(&mut consistency, wish.consistency);
            let asking = match wait.for_turn(news).await {
                Next::Ask(asking) => asking,
                Next::Look => continue,
                Next::Over => return Ok(Filling::Miss(evidence)),
            };
            let request = request(wish, None, call.deadline());
            let asked = self.store.lease(&at.cache, &at.key, &request);
            match in_time(wait.limit(), asked).await? {
                Some(Granting::Granted) => return Ok(Filling::Lease(request.lease)),
                // It comes and goes.
                Some(Granting::Alive) if wait.is_over() && looked == Consistency::Master => {
                    return Ok(Filling::Miss(evidence));
                }
                // What was just read is not.
                Some(Granting::Alive) => consistency = Consistency::Master,
                Some(Granting::Held(left)) if wait.for_end(left).await => {}
                Some(Granting::Held(_)) | None => return Ok(Filling::Miss(evidence)),
            }
            drop(asking);
            turn.tell();
        }
    }
}

/// What comes before `limit`; `None` if that is nothing.
async fn in_time<T>(
    limit: Option<Instant>,
    work: impl Future<Output = Result<T, Fault>> + Send,
) -> Result<Option<T>, Fault> {
    match limit {
        None => work.await.map(Some),
        Some(limit) => tokio::time::timeout_at(limit, work).await.ok().transpose(),
    }
}

/// Until when a caller waits that waits so long at most.
fn until(call: Call, longest: Duration) -> Instant {
    let now = Instant::now();
    let left = call.deadline().map_or(longest, |deadline| {
        let left = deadline.saturating_duration_since(now);
        longest.min(left - MARGIN.min(left / 2))
    });
    now + left
}

fn request(
    wish: &Wish,
    refresh_within: Option<Duration>,
    deadline: Option<Instant>,
) -> LeaseRequest {
    LeaseRequest {
        lease: Lease::random(),
        hold: wish.hold,
        refresh_within,
        deadline,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_with_the_call_or_before() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let call = |seconds: Option<u32>| Call::until(seconds.map(|n| now + second * n));
        assert_eq!(until(call(None), second), now + second);
        assert_eq!(until(call(Some(5)), second), now + second);
        assert_eq!(until(call(Some(1)), second * 5), now + second - MARGIN);
        let hasty = Call::until(Some(now + MARGIN / 2));
        assert_eq!(until(hasty, second), now + MARGIN / 4);
    }
}
