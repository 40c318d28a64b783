//! The race: tasks that read and write a few hot keys through two sides and past them, in rounds. After each round the
//! writers stop, every side proves that it has applied the last write, and all copies are compared with the server.
//!
//! Invariants: a single spot is written by one task alone; a round begins with whatever the one before left in the
//! copies.
//!
//! Not here: the comparison (`verdict`); what goes wrong meanwhile (`trouble`, `failovers`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vedetta::clock;
use vedetta::model::Moment;

use crate::field::{Field, Spot, number};
use crate::foreign::Foreign;
use crate::mix::{Deed, Dice, Loss, Plan, seed};
use crate::side::{From, Side};
use crate::tally::Tally;
use crate::verdict;

/// A round ends then, however few pairs raced.
const LONGEST_ROUND: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(2);

/// After a call that failed: what is broken is not asked at full speed.
const PACE: Duration = Duration::from_millis(3);

/// A race in progress.
pub(crate) struct Program<S>(Arc<Shared<S>>);

/// What the tasks share.
pub(crate) struct Shared<S> {
    pub(crate) sides: [Arc<S>; 2],
    pub(crate) foreign: Foreign,
    pub(crate) field: Field,
    pub(crate) plan: Plan,
    pub(crate) tally: Tally,
    seed: u64,
    started: Instant,
}

impl<S: Side> Program<S> {
    /// Between these.
    pub(crate) fn new(plan: Plan, sides: [Arc<S>; 2], foreign: Foreign) -> Self {
        Self(Arc::new(Shared {
            sides,
            foreign,
            field: Field::new(plan.spots, plan.framed),
            plan,
            tally: Tally::default(),
            seed: seed(),
            started: Instant::now(),
        }))
    }

    /// What has been counted.
    pub(crate) fn tally(&self) -> &Tally {
        &self.0.tally
    }

    /// Whether pairs are still to race.
    pub(crate) fn wants_more(&self) -> bool {
        self.0.tally.pairs.get() < self.0.plan.pairs
    }

    /// One round, which lasts until enough pairs have raced and the trouble is over. Trouble that would go on for
    /// ever ends when `enough` is cancelled.
    pub(crate) async fn round(&self, enough: CancellationToken, trouble: impl Future<Output = ()>) {
        let shared = &self.0;
        let (no_writes, no_reads) = (CancellationToken::new(), CancellationToken::new());
        let (mut writers, mut readers) = (JoinSet::new(), JoinSet::new());
        let first = shared.tally.rounds.get() * 1000;
        for side in 0..2 {
            for task in 0..shared.plan.readers {
                let dice = Dice::new(shared.seed, first + (side * 100 + task) as u64);
                readers.spawn(shared.clone().read(side, dice, no_reads.clone()));
            }
            for task in 0..shared.plan.writers {
                let seat = side * shared.plan.writers + task;
                let dice = Dice::new(shared.seed, first + 200 + seat as u64);
                writers.spawn(shared.clone().write(seat, dice, no_writes.clone()));
            }
        }
        for task in 0..shared.plan.foreign {
            let dice = Dice::new(shared.seed, first + 300 + task as u64);
            writers.spawn(shared.clone().write_past(dice, no_writes.clone()));
        }
        tokio::join!(shared.until_enough(&enough), trouble);
        no_writes.cancel();
        drain(writers).await;
        let last_write = clock::now();
        for side in &shared.sides {
            side.settle(last_write).await;
        }
        no_reads.cancel();
        drain(readers).await;
        shared.tally.rounds.up();
        verdict::compare(shared).await;
    }

    /// Prints the figures.
    pub(crate) fn print(&self) {
        let shared = &self.0;
        let rejected: u64 = shared.sides.iter().map(|side| side.rejected()).sum();
        println!(
            "{}, {:.1} s, VEDETTA_SEED={}, {rejected} fills overtaken: {}",
            shared.plan.name,
            shared.started.elapsed().as_secs_f64(),
            shared.seed,
            shared.tally,
        );
    }

    /// Prints the figures and fails the test unless nothing is stuck, nobody saw the past, and there was a race.
    pub(crate) fn finish(&self) {
        self.print();
        let Shared {
            tally, plan, sides, ..
        } = &*self.0;
        assert_eq!(tally.stuck.get(), 0, "entries are stuck");
        assert_eq!(tally.outliving.get(), 0, "copies outlive their entries");
        assert_eq!(tally.own_violations.get(), 0, "own writes were not read");
        assert_eq!(tally.older.get(), 0, "answers are older than they say");
        let kept = tally.kept.get() as f64 / tally.compared.get().max(1) as f64;
        assert!(kept >= plan.kept, "only {kept:.2} of it came from copies");
        assert!(tally.hits.get() > 0, "no copy answered in the race");
        let rejected: u64 = sides.iter().map(|side| side.rejected()).sum();
        assert!(rejected > 0, "no fill was overtaken");
    }
}

impl<S: Side> Shared<S> {
    async fn until_enough(&self, enough: &CancellationToken) {
        let (target, began) = (self.tally.pairs.get() + self.plan.per_round, Instant::now());
        while self.tally.pairs.get() < target && began.elapsed() < LONGEST_ROUND {
            tokio::time::sleep(LOOK).await;
        }
        enough.cancel();
    }

    async fn read(self: Arc<Self>, side: usize, mut dice: Dice, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let spot = match dice.once_in(4) {
                true => dice.spot(&self.field),
                false => dice.contended(&self.field),
            };
            let asked = clock::now();
            let watch = spot.read_begins(side);
            let seen = self.sides[side].get(spot).await;
            let raced = spot.read_ends(side, watch);
            self.tally.reads.up();
            match seen {
                Err(words) => {
                    self.tally.failed_reads.up(&words);
                    tokio::time::sleep(PACE).await;
                }
                Ok(seen) => {
                    if let From::Near(age) = seen.from {
                        self.tally.hits.up();
                        self.judge(spot, seen.value.as_deref(), asked, age);
                    } else if raced {
                        self.tally.pairs.up();
                    }
                    // A hit does not wait for anything, and the others want to run too.
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// A copy reflects what was acknowledged before its proof.
    fn judge(&self, spot: &Spot, value: Option<&[u8]>, asked: Moment, age: Duration) {
        if !spot.single || self.plan.loss == Loss::Writes {
            return;
        }
        let Some(least) = spot.acknowledged(asked, age) else {
            return;
        };
        let older = match value.and_then(number) {
            Some(found) => found < least,
            None if self.plan.loss == Loss::Entries => return,
            None => true,
        };
        self.tally.judged.up();
        if older {
            self.tally.older.up();
        }
    }

    async fn write(self: Arc<Self>, seat: usize, mut dice: Dice, stop: CancellationToken) {
        let side = &self.sides[seat / self.plan.writers];
        let seats = 2 * self.plan.writers;
        let singles: Vec<usize> = (0..self.field.spots.len())
            .filter(|at| self.field.spots[*at].single)
            .collect();
        let own: Vec<usize> = singles.into_iter().skip(seat).step_by(seats).collect();
        let mut turn = 0;
        while !stop.is_cancelled() {
            if dice.once_in(3) && !own.is_empty() {
                turn += 1;
                let spot = &self.field.spots[own[turn % own.len()]];
                self.write_own(side, spot).await;
                continue;
            }
            let spot = dice.shared(&self.field);
            let deed = dice.deed(spot, self.plan.expiring);
            let (value, _) = self.field.value();
            spot.write_begins();
            let done = match deed {
                Deed::Put(ttl) => side.put(spot, value, ttl).await,
                Deed::Evict => side.evict(spot).await,
                Deed::Clear => side.clear(spot).await,
            };
            spot.write_ends();
            self.count_write(&done).await;
        }
    }

    /// A write of a spot that nobody else writes, and a read that must see it.
    async fn write_own(&self, side: &Arc<S>, spot: &Spot) {
        let (value, written) = self.field.value();
        spot.write_begins();
        let done = side.put(spot, value, None).await;
        spot.write_ends();
        self.count_write(&done).await;
        if done.is_err() {
            return;
        }
        spot.acknowledge(written);
        let Ok(seen) = side.get(spot).await else {
            return;
        };
        let seen = seen.value.as_deref().map(number);
        let violated = match (seen, self.plan.loss) {
            (_, Loss::Writes) | (None, Loss::Entries) => return,
            (None, Loss::None) => true,
            (Some(found), _) => found != Some(written),
        };
        self.tally.own_reads.up();
        if violated {
            self.tally.own_violations.up();
        }
    }

    async fn write_past(self: Arc<Self>, mut dice: Dice, stop: CancellationToken) {
        let foreign = self.foreign.clone();
        while !stop.is_cancelled() {
            let spot = dice.shared(&self.field);
            let (value, _) = self.field.value();
            let deed = dice.deed(spot, self.plan.expiring);
            spot.write_begins();
            let done = past(&foreign, spot, &value, deed).await;
            spot.write_ends();
            self.tally.foreign_writes.up();
            if let Err(words) = done {
                self.tally.failed_writes.up(&words);
                tokio::time::sleep(PACE).await;
            }
        }
    }

    async fn count_write(&self, done: &Result<(), String>) {
        self.tally.writes.up();
        if let Err(words) = done {
            self.tally.failed_writes.up(words);
            tokio::time::sleep(PACE).await;
        }
    }
}

async fn past(foreign: &Foreign, spot: &Spot, value: &Bytes, deed: Deed) -> Result<(), String> {
    let key = spot.redis.as_bytes();
    let done = match deed {
        Deed::Put(None) => foreign.call(&[b"SET", key, value]).await,
        Deed::Put(Some(ttl)) => {
            let ms = ttl.as_millis().to_string();
            let words: [&[u8]; 5] = [b"SET", key, value, b"PX", ms.as_bytes()];
            foreign.call(&words).await
        }
        Deed::Evict | Deed::Clear => foreign.call(&[b"DEL", key]).await,
    };
    done.map(|_: redis::Value| ())
}

async fn drain(mut tasks: JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        ended.expect("a task of the race panicked");
    }
}
