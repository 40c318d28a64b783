//! The read path: the near cache, else one read of the master for everybody who wants the same.
//!
//! Invariants: a token is taken before a session is looked for, and a session before the moment `sent` (DESIGN §5,
//! rule 2); a call that waits for a session, or for a read, ends within its own deadline; nothing that is not provably
//! fresh is called FRESH.
//!
//! Not here: how single reads leave (`fills`); commands and replies (`read`); what may be served (`near`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::clock;
use crate::failover::is_read_again;
use crate::model::{CacheId, Cause, Fault, Key, Lookup, Moment};
use crate::near::{Begin, Fill, ReadBack, Slot};
use crate::upstream::Session;

use super::super::store::{Read, other_lineage};
use super::Core;
use super::answer::lookup;
use super::fills::Asked;
use super::flight::{Flight, Landed, Pilot, flight};
use super::membership::Stamps;
use super::read::Seen;
use super::terms::{Aim, LONGEST_JOIN, Terms};

/// What was answered from an old copy is confirmed within that time, not all at once.
const REFRESHED_WITHIN: Duration = Duration::from_millis(50);

/// One entry, under the name it has in Redis.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) cache: CacheId,
    pub(super) entry: Bytes,
    /// Where the stamp of its cache is kept: `None` in raw caches, and in one framed cache too many.
    pub(super) slot: Option<Arc<Slot>>,
    /// Whether its cache has a stamp.
    framed: bool,
}

impl Place {
    /// Whether the near cache must not keep it, since it could not tell a clear.
    pub(super) fn is_unkept(&self) -> bool {
        self.framed && self.slot.is_none()
    }
}

/// How a key is read.
pub(super) enum Boarding {
    /// Somebody else reads it.
    Joined(Flight),
    /// This call does.
    Leads(Fill, Pilot, Flight),
}

impl Core {
    pub(super) async fn get(
        self: &Arc<Self>,
        cache: &CacheId,
        key: &Key,
        read: Read,
    ) -> Result<Lookup, Fault> {
        let entry = self.layout.entry(cache, key);
        // What waits for the master is boxed, so that an answer of the near cache does not carry room for it.
        let Some(terms) = self.terms(&read) else {
            return Box::pin(self.ask(cache, key, &read)).await;
        };
        let figures = self.metrics.of(cache);
        if let Some(hit) = self.near_answer((cache, &figures), &entry, &terms.aim, clock::now()) {
            return Ok(hit);
        }
        figures.miss();
        let place = self.place(cache, entry);
        if place.is_unkept() {
            return Box::pin(self.ask(cache, key, &read)).await;
        }
        if !self.is_proven(clock::now())
            && let Some(stale) = self.old_answer(&place, &terms, clock::now())
        {
            self.refresh(&place);
            return Ok(stale);
        }
        let mut backoff = Backoff::new();
        loop {
            let generation = self.coherence.near.standing().generation;
            let fault = match Box::pin(self.board_and_land(&place, &terms)).await {
                Ok(found) => return Ok(found),
                Err(fault) => fault,
            };
            if let Some(stale) = self.old_answer(&place, &terms, clock::now()) {
                return Ok(stale);
            }
            self.wait_to_retry(generation, fault, &terms, &mut backoff)
                .await?;
        }
    }

    /// Waits before another attempt; a read whose session still stands is not repeated, whatever it failed with.
    ///
    /// # Errors
    /// The fault, where another attempt would not help.
    pub(super) async fn wait_to_retry(
        &self,
        generation: u64,
        fault: Fault,
        terms: &Terms,
        backoff: &mut Backoff,
    ) -> Result<(), Fault> {
        let stands = |session: &Arc<Session>| session.generation() == generation;
        let same = self.lane.session().is_ok_and(|session| stands(&session));
        // A node that does not answer is asked until its session has ended, and then the next one is.
        let refused = same && fault.cause != Cause::RedisUnreachable;
        if refused || !is_read_again(&fault) || Instant::now() >= terms.until {
            return Err(fault);
        }
        let again = Instant::now() + backoff.next_delay();
        tokio::time::sleep_until(again.min(terms.until)).await;
        Ok(())
    }

    /// Waits for a session and for one read on it.
    async fn board_and_land(
        self: &Arc<Self>,
        place: &Place,
        terms: &Terms,
    ) -> Result<Lookup, Fault> {
        let mut join = terms.aim.join;
        loop {
            self.passage
                .readable(terms.patience(place.entry.len()))
                .await?;
            let (flight, joined) = match self.board(place, join) {
                Boarding::Joined(flight) => {
                    self.metrics.joined();
                    (flight, true)
                }
                Boarding::Leads(fill, pilot, flight) => {
                    // The read that this call would have joined may have landed since it looked.
                    let (near, now) = (&self.coherence.near, clock::now());
                    if let Some(hit) = near.fresh(&place.entry, &place.cache, terms.aim.want, now) {
                        near.abandon(&fill);
                        return Ok(lookup(hit));
                    }
                    let stamps = Stamps::of(terms.aim.want.bound, terms.aim.want.token);
                    self.take_off(Asked {
                        place: place.clone(),
                        fill,
                        pilot,
                        stamps,
                    });
                    (flight, false)
                }
            };
            match flight.landing().await {
                // What somebody else asked for may have been asked too long before this call.
                Some(Ok(landed)) if joined && landed.is_older_than(terms.aim.want.bound) => {
                    join = None
                }
                Some(Ok(landed)) if landed.belongs_to(terms.aim.want.token) => {
                    return Ok(self.landed(&landed, clock::now()));
                }
                Some(Ok(_)) => return Err(other_lineage()),
                Some(Err(fault)) => return Err(fault),
                // Given up by the one who led it, for a reason of its own.
                None if self.tasks.stopping().is_cancelled() => {
                    let detail = "this vedetta is stopping";
                    return Err(Fault::not_applied(Cause::ShuttingDown, detail));
                }
                None => {}
            }
        }
    }

    pub(super) fn board(&self, place: &Place, join: Option<Duration>) -> Boarding {
        // Before any read is sent, so that no push for it can be told to nobody.
        self.coherence.directory.note(&place.entry, &place.cache);
        let (pilot, flight) = flight();
        let key = (&place.entry, &place.cache, place.slot.as_ref());
        let near = &self.coherence.near;
        match near.begin(key, join, clock::now(), flight.clone()) {
            Begin::Join(joined) => Boarding::Joined(joined),
            Begin::Lead(fill) => Boarding::Leads(fill, pilot, flight),
        }
    }

    /// After a stale answer: confirms or replaces what was answered, for those who come next.
    pub(super) fn refresh(self: &Arc<Self>, place: &Place) {
        if self.lane.session().is_ok()
            && let Boarding::Leads(fill, pilot, _) = self.board(place, Some(LONGEST_JOIN))
        {
            let (core, place) = (self.clone(), place.clone());
            // Whoever waits for it now does so for its own sake; the others spread over a while.
            let delay = REFRESHED_WITHIN.mul_f64(rand::random());
            self.tasks.spawn("refresh", async move {
                tokio::time::sleep(delay).await;
                core.take_off(Asked {
                    place,
                    fill,
                    pilot,
                    stamps: Stamps::Known,
                });
            });
        }
    }

    /// Offers what a read saw to the near cache, and keeps it for whoever waits.
    pub(super) fn take_in(
        &self,
        fill: Fill,
        seen: Seen,
        session: &Session,
        sent: Moment,
        received: Moment,
    ) -> Arc<Landed> {
        let read = ReadBack {
            found: seen.found,
            mark: seen.mark,
            members: seen.members,
            ttl: seen.ttl,
            sent,
            received,
            generation: session.generation(),
        };
        self.coherence.near.complete(fill, &read);
        Arc::new(Landed {
            found: read.found,
            ttl: read.ttl,
            sent,
            generation: read.generation,
            lineage: session.lineage(),
        })
    }

    pub(super) fn place(&self, cache: &CacheId, entry: Bytes) -> Place {
        let stamp_key = self.stamp_key(cache);
        Place {
            framed: stamp_key.is_some(),
            slot: stamp_key.and_then(|key| self.coherence.near.slot(&key, cache)),
            cache: cache.clone(),
            entry,
        }
    }

    /// What the master says to this call alone.
    async fn ask(
        self: &Arc<Self>,
        cache: &CacheId,
        key: &Key,
        read: &Read,
    ) -> Result<Lookup, Fault> {
        let place = self.place(cache, self.layout.entry(cache, key));
        self.coherence.directory.note(&place.entry, cache);
        let place = &place;
        let attempt = |session: Arc<Session>| async move {
            if !read.is_of(&session) {
                return Err(other_lineage());
            }
            let sent = clock::now();
            let seen = self.read_alone(&session, place).await?;
            Ok(self.answer(&session, sent, seen))
        };
        let patience = self
            .passage
            .patience(read.deadline, place.entry.len() as u64);
        self.passage.retrieve(patience, attempt).await
    }

    /// What a read asks for; `None` if it goes past the near cache.
    pub(super) fn terms(&self, read: &Read) -> Option<Terms> {
        let aim = self.aim(read)?;
        let until = self.passage.patience(read.deadline, 0).until;
        Some(Terms { aim, until })
    }

    /// The same, as far as the near cache goes.
    pub(super) fn aim(&self, read: &Read) -> Option<Aim> {
        Aim::new(read, self.coherence.bound)
    }
}
