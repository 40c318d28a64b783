//! Leases: one caller in the whole fleet fills an entry, the others wait for it or take what there still is.
//!
//! The right is a key beside the entry, which the store gives to one caller for a time (NSDI 2013, "Scaling Memcache at
//! Facebook", §3.2.1). It ends when anybody writes or removes the entry, so a Put under it that comes later is refused:
//! what it would store may have been read before that. Whoever waits is woken by the end of the lease, after the near
//! cache was told of the new entry.
//!
//! Invariants: of the callers in this process that wait for one entry, one asks the store at a time; nobody waits longer
//! than it asked for; a caller that has a live entry in hand never waits for a lease to refresh it.
//!
//! Not here: what a lease is bound to (the stores); loading, which is the caller's.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use quick_cache::sync::Cache as Recent;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::call::Call;
use crate::invalidation::Bell;
use crate::model::{Address, Consistency, Evidence, Fault, Hit, Lease, Lookup};

use super::path::Cache;
use super::store::{Granting, LeaseRequest, Store, Write};

/// So long before the deadline of a call its wait ends, so that the caller learns that there was nothing.
const MARGIN: Duration = Duration::from_millis(20);

/// How long a caller that has an entry in hand is kept to learn whether it is to refresh it. A lease that is given after
/// that holds until its end, and refreshes nothing.
const ASKED_WITHIN: Duration = Duration::from_millis(500);

/// An entry that somebody else refreshes is asked about that often at most.
const QUIET: Duration = Duration::from_secs(1);

/// The most entries of which is remembered when they were asked about.
const REMEMBERED: usize = 4096;

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

/// Who waits in this process.
#[derive(Debug)]
pub(super) struct Waiting {
    bell: Arc<Bell>,
    turns: Mutex<HashMap<Bytes, Weak<Turn>>>,
    /// Until when nobody asks about refreshing an entry.
    quiet: Recent<Bytes, Instant>,
}

/// The callers that wait for one lease.
#[derive(Debug)]
struct Turn {
    bell: Arc<Bell>,
    key: Bytes,
    /// For the one that asks.
    rope: Arc<Notify>,
    asking: tokio::sync::Mutex<()>,
    /// For the others.
    news: Notify,
}

impl Waiting {
    pub(super) fn new(bell: Arc<Bell>) -> Self {
        Self {
            bell,
            turns: Mutex::default(),
            quiet: Recent::new(REMEMBERED),
        }
    }

    fn turn(&self, key: Bytes) -> Arc<Turn> {
        let mut turns = self.turns.lock();
        if let Some(turn) = turns.get(&key).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::new(Turn {
            bell: self.bell.clone(),
            rope: self.bell.hang(key.clone()),
            key: key.clone(),
            asking: tokio::sync::Mutex::default(),
            news: Notify::new(),
        });
        turns.insert(key, Arc::downgrade(&turn));
        turn
    }

    fn is_quiet(&self, key: &Bytes) -> bool {
        self.quiet
            .get(key)
            .is_some_and(|until| Instant::now() < until)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.bell.take_down(&self.key, &self.rope);
    }
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
            Lookup::Hit(hit) => Ok(self.refreshed(call, at, wish, hit).await),
            Lookup::Miss(_) => call.read(self.wait_or_fill(call, at, wish)).await,
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
        self.waiting.quiet.insert(key, now + quiet);
        Filling::Hit(hit, None)
    }

    async fn wait_or_fill(&self, call: Call, at: &Address, wish: &Wish) -> Result<Filling, Fault> {
        let until = until(call, wish.max_wait);
        let turn = self.waiting.turn(self.store.lease_key(&at.cache, &at.key));
        let mut consistency = wish.consistency;
        loop {
            // Before the look, so that no news is missed.
            let news = turn.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            let evidence = match self.look(call, at, consistency).await? {
                Lookup::Hit(hit) => return Ok(Filling::Hit(hit, None)),
                Lookup::Miss(evidence) => evidence,
            };
            let looked = std::mem::replace(&mut consistency, wish.consistency);
            let asking = tokio::select! {
                biased;
                asking = turn.asking.lock() => asking,
                () = news => continue,
                () = tokio::time::sleep_until(until) => return Ok(Filling::Miss(evidence)),
            };
            let request = request(wish, None, call.deadline());
            let granting = self.store.lease(&at.cache, &at.key, &request).await?;
            let now = Instant::now();
            let late = now >= until;
            match granting {
                Granting::Granted => return Ok(Filling::Lease(request.lease)),
                Granting::Held(_) if late => return Ok(Filling::Miss(evidence)),
                // It comes and goes.
                Granting::Alive if late && looked == Consistency::Master => {
                    return Ok(Filling::Miss(evidence));
                }
                // What was just read is not.
                Granting::Alive => consistency = Consistency::Master,
                Granting::Held(left) => {
                    let gone = turn.rope.notified();
                    let _ = tokio::time::timeout_at(until.min(now + left), gone).await;
                }
            }
            drop(asking);
            turn.news.notify_waiters();
        }
    }
}

/// Until when a caller waits that waits so long at most.
fn until(call: Call, longest: Duration) -> Instant {
    let longest = Instant::now() + longest;
    match call.deadline() {
        Some(deadline) => longest.min(deadline.checked_sub(MARGIN).unwrap_or(deadline)),
        None => longest,
    }
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
    }
}
