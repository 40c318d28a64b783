//! Reads of single entries on their way to the master: what is asked for at one time leaves together.
//!
//! To hand a read to the link and to be woken by its answer costs several times as much as the read itself.
//!
//! Invariants: a token is registered before it comes here, a session is looked for when the batch leaves, and after it the
//! moment `sent` (DESIGN §5, rule 2); every flight lands, or is given up when the process stops.
//!
//! Not here: who leads a read, and who joins it (`reader`).

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::Semaphore;

use crate::clock;
use crate::drain::{Gathered, Turn};
use crate::model::{Fault, Moment};
use crate::near::Fill;
use crate::upstream::Session;

use super::Core;
use super::flight::Pilot;
use super::membership::{Claim, Stamps};
use super::reader::Place;

/// Batches on their way to the master at a time. After a failover everything is asked for again.
const BATCHES: usize = 8;

/// Entries of a batch. Its answers come together, so one that is small waits for those that are large.
const TOGETHER: usize = 16;

/// A read that somebody leads.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) place: Place,
    pub(super) fill: Fill,
    pub(super) pilot: Pilot,
    pub(super) stamps: Stamps,
}

/// What waits to be sent.
#[derive(Debug)]
pub(super) struct Fills {
    waiting: Gathered<Asked>,
    turns: Semaphore,
}

impl Fills {
    pub(super) fn new() -> Self {
        Self {
            waiting: Gathered::default(),
            turns: Semaphore::new(BATCHES),
        }
    }
}

impl Core {
    /// Reads in a task of its own, for whoever waits by then.
    pub(super) fn take_off(self: &Arc<Self>, asked: Asked) {
        if let Some(turn) = self.fills.waiting.put(asked) {
            self.take(turn);
        }
    }

    fn take(self: &Arc<Self>, turn: Turn<Asked>) {
        let core = self.clone();
        self.tasks.spawn("fill", async move {
            // The semaphore is never closed.
            let _place = core.fills.turns.acquire().await;
            let (batch, rest) = turn.take(|taken, _| taken.len() < TOGETHER);
            if let Some(rest) = rest {
                core.take(rest);
            }
            core.fill(batch).await;
        });
    }

    async fn fill(&self, batch: Vec<Asked>) {
        let session = match self.lane.session() {
            Ok(session) => session,
            Err(fault) => return self.give_up(batch, &fault),
        };
        let sent = clock::now();
        // What is only to be confirmed is asked by a script of its own.
        let (old, new): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .partition(|asked| asked.fill.held.is_some());
        let confirmed = old
            .into_iter()
            .map(|asked| self.confirm_one(&session, sent, asked));
        futures_util::join!(join_all(confirmed), self.fill_new(&session, sent, new));
    }

    async fn confirm_one(&self, session: &Arc<Session>, sent: Moment, asked: Asked) {
        let claim = match &asked.fill.held {
            Some(held) => self.confirm(session, &asked.place, held).await,
            None => return,
        };
        self.land(session, sent, asked, claim).await;
    }

    async fn fill_new(&self, session: &Arc<Session>, sent: Moment, asked: Vec<Asked>) {
        if asked.is_empty() {
            return;
        }
        let places: Vec<&Place> = asked.iter().map(|asked| &asked.place).collect();
        let claims = match self.read_places(session, &places).await {
            Ok(claims) => claims,
            Err(fault) => return self.give_up(asked, &fault),
        };
        let landing = |(asked, claim)| self.land(session, sent, asked, claim);
        join_all(asked.into_iter().zip(claims).map(landing)).await;
    }

    /// Judges what was found, and hands it to whoever waits.
    async fn land(
        &self,
        session: &Arc<Session>,
        sent: Moment,
        asked: Asked,
        claim: Result<Claim, Fault>,
    ) {
        let Asked {
            place,
            fill,
            pilot,
            stamps,
        } = asked;
        let seen = match claim {
            Ok(claim) => self.judge(session, &place.cache, claim, stamps).await,
            Err(fault) => Err(fault),
        };
        pilot.land(match seen {
            Ok(seen) => Ok(self.take_in(fill, seen, session, sent, clock::now())),
            Err(fault) => {
                self.coherence.near.abandon(&fill);
                Err(fault)
            }
        });
    }

    fn give_up(&self, batch: Vec<Asked>, fault: &Fault) {
        for asked in batch {
            self.coherence.near.abandon(&asked.fill);
            asked.pilot.land(Err(fault.clone()));
        }
    }
}
