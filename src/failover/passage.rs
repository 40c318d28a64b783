//! How a call gets to the master: at once, or after a wait that is bounded in time, number and bytes.
//!
//! Invariants: nobody waits longer than its own deadline or `limits.wait`; at most `limits.waiting_calls` calls with
//! `limits.waiting_bytes` of payload wait at once, and the next one is refused at once; a write is let through only if
//! the fence is open for the very session that it gets.
//!
//! Not here: whether it is open (`fence`); sending again what may be sent again (`attempt`).

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use crate::clock;
use crate::config::{FenceConfig, FenceMode, Limits};
use crate::model::{Cause, Fault, Master, Moment};
use crate::sentinel::Election;
use crate::upstream::{Lane, Session};

use super::fence::{self, Shut};
use super::meanwhile::Meanwhile;

/// The unit in which waiting payload is counted, in bytes.
const UNIT: u64 = 1024;

/// Tells writes that wait at the fence to look again.
#[derive(Debug)]
pub(super) struct Porter {
    opened: watch::Sender<u64>,
    config: FenceConfig,
    before: Option<(Election, Master)>,
}

/// How many calls may wait for a master, and how long.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How long each of them.
    pub wait: Duration,
    /// How many.
    pub calls: usize,
    /// How much payload they have in all, in bytes.
    pub bytes: u64,
}

impl From<&Limits> for Bounds {
    fn from(limits: &Limits) -> Self {
        Self {
            wait: limits.wait,
            calls: limits.waiting_calls,
            bytes: limits.waiting_bytes,
        }
    }
}

/// The way to the master.
#[derive(Debug, Clone)]
pub struct Passage {
    lane: Lane,
    elections: watch::Receiver<Election>,
    opened: watch::Receiver<u64>,
    fence: FenceConfig,
    longest: Duration,
    room: Arc<Room>,
    meanwhile: Arc<Meanwhile>,
}

/// What a call is, as far as waiting is concerned.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Until when it waits.
    pub until: Instant,
    /// Its payload, in bytes.
    pub weight: u64,
    /// Whether it asks that every replica has it, so that it may go where no majority stands behind the master.
    pub to_all: bool,
}

/// Where calls wait.
#[derive(Debug)]
struct Room {
    seats: Arc<Semaphore>,
    units: Arc<Semaphore>,
    most_units: u32,
    waiting: Gauge,
    waited: Counter,
    overflows: Counter,
}

/// One call waits.
struct Seat<'a> {
    room: &'a Room,
    _seat: OwnedSemaphorePermit,
    _units: OwnedSemaphorePermit,
}

/// The way to the sessions of that lane, as the elections allow; and whoever wakes those that wait at the fence.
pub(super) fn passage(
    lane: Lane,
    elections: watch::Receiver<Election>,
    fence: FenceConfig,
    bounds: Bounds,
) -> (Porter, Passage) {
    let (opened, opens) = watch::channel(0);
    let porter = Porter {
        opened,
        config: fence,
        before: None,
    };
    let passage = Passage {
        lane,
        elections,
        opened: opens,
        fence,
        longest: bounds.wait,
        room: Arc::new(Room::new(bounds)),
        meanwhile: Arc::default(),
    };
    (porter, passage)
}

impl Porter {
    /// Looks at the fence before and after an election, at one moment: what opened in between wakes the writes.
    pub(super) fn look(&mut self, election: &Election, master: Option<&Master>, now: Moment) {
        let after = master.map(|master| (election.clone(), master.clone()));
        let open = |view: &Option<(Election, Master)>| {
            view.as_ref().is_some_and(|(election, master)| {
                fence::judge(&self.config, election, master, now).is_ok()
            })
        };
        if open(&after) && !open(&self.before) {
            self.opened
                .send_modify(|times| *times = times.wrapping_add(1));
        }
        self.before = after;
    }
}

impl Porter {
    /// Why writes to that master are held; `None` if they are not, or if there is none.
    pub(super) fn shut(
        &self,
        election: &Election,
        master: Option<&Master>,
        now: Moment,
    ) -> Option<Shut> {
        if self.config.mode == FenceMode::Off {
            return None;
        }
        fence::judge(&self.config, election, master?, now).err()
    }
}

impl Passage {
    /// Whether and where sessions are.
    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Where calls are counted.
    pub fn meanwhile(&self) -> &Arc<Meanwhile> {
        &self.meanwhile
    }

    /// How long a call waits at most, whatever its deadline.
    pub(super) fn longest(&self) -> Duration {
        self.longest
    }

    /// Until when a call with that deadline waits.
    pub fn until(&self, deadline: Option<Instant>) -> Instant {
        let latest = Instant::now() + self.longest;
        deadline.map_or(latest, |deadline| deadline.min(latest))
    }

    /// The most replicas that any Sentinel knows of; `None` without Sentinels.
    pub fn replicas(&self) -> Option<usize> {
        let election = self.elections.borrow();
        election.named.map(|_| election.replicas)
    }

    /// A session to read from.
    ///
    /// # Errors
    /// Why there is none, in time; nothing was applied.
    pub async fn readable(&self, patience: Patience) -> Result<Arc<Session>, Fault> {
        match self.lane.session() {
            Ok(session) => Ok(session),
            Err(fault) if Instant::now() >= patience.until => Err(fault),
            Err(_) => {
                let _seat = self.enter(patience.weight)?;
                let session = self.lane.ready(patience.until).await;
                session.inspect_err(|fault| self.meanwhile.failed(fault))
            }
        }
    }

    fn enter(&self, weight: u64) -> Result<Seat<'_>, Fault> {
        self.meanwhile.waits();
        self.room.enter(weight)
    }

    /// A session to write to.
    ///
    /// # Errors
    /// Why there is none, in time: `Fenced` if there is one that must not be used. Nothing was applied.
    pub async fn writable(&self, patience: Patience) -> Result<Arc<Session>, Fault> {
        let (mut opened, mut lane) = (self.opened.clone(), self.lane.clone());
        let mut seat = None;
        loop {
            opened.mark_unchanged();
            lane.mark_seen();
            let fault = match self.lane.session() {
                Ok(session) => match self.judge(&session, patience.to_all) {
                    Ok(()) => return Ok(session),
                    Err(shut) => shut.fault(session.master()),
                },
                Err(fault) => fault,
            };
            let refused = match self.fence.mode {
                FenceMode::Fail if fault.cause == Cause::Fenced => true,
                _ => fault.cause != Cause::Fenced && !Lane::passes(fault.cause),
            };
            if refused || Instant::now() >= patience.until {
                return Err(fault);
            }
            if seat.is_none() {
                seat = Some(self.enter(patience.weight)?);
            }
            tokio::select! {
                Ok(()) = opened.changed() => {}
                Ok(()) = lane.changed() => {}
                () = tokio::time::sleep_until(patience.until) => {}
                else => return Err(fault),
            }
        }
    }

    fn judge(&self, session: &Session, to_all: bool) -> Result<(), Shut> {
        if self.fence.mode == FenceMode::Off {
            return Ok(());
        }
        let election = self.elections.borrow();
        match fence::judge(&self.fence, &election, session.master(), clock::now()) {
            // A replica that was promoted no longer acknowledges what the old master sends, so ALL fails there.
            Err(Shut::Unconfirmed(_)) if to_all && self.fence.all_unconfirmed => Ok(()),
            verdict => verdict,
        }
    }
}

impl Room {
    fn new(bounds: Bounds) -> Self {
        describe_gauge!(
            "vedetta_waiting_calls",
            "Calls that wait for a master, or for the fence to open"
        );
        describe_counter!(
            "vedetta_waited_calls_total",
            "Calls that had to wait for a master, or for the fence to open"
        );
        describe_counter!(
            "vedetta_waiting_overflows_total",
            "Calls that were refused because too many, or too large ones, were waiting"
        );
        let units = u32::try_from(bounds.bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        Self {
            seats: Arc::new(Semaphore::new(bounds.calls)),
            units: Arc::new(Semaphore::new(units as usize)),
            most_units: units,
            waiting: gauge!("vedetta_waiting_calls"),
            waited: counter!("vedetta_waited_calls_total"),
            overflows: counter!("vedetta_waiting_overflows_total"),
        }
    }

    fn enter(&self, weight: u64) -> Result<Seat<'_>, Fault> {
        let units = u32::try_from(weight.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let full = |what: &str| {
            self.overflows.increment(1);
            let detail = format!("there is no master, and as much as {what} waits for one already");
            Fault::not_applied(Cause::Overloaded, detail)
        };
        let seat = self.seats.clone().try_acquire_owned();
        let seat = seat.map_err(|_| full("limits.waiting_calls"))?;
        // One that is larger than the room may wait alone.
        let units = units.min(self.most_units);
        let units = self.units.clone().try_acquire_many_owned(units);
        let units = units.map_err(|_| full("limits.waiting_bytes"))?;
        self.waiting.increment(1.0);
        self.waited.increment(1);
        Ok(Seat {
            room: self,
            _seat: seat,
            _units: units,
        })
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.room.waiting.decrement(1.0);
    }
}
