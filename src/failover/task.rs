//! Performs what `machine` decides: one loop, one owner.
//!
//! Invariants: the loop never waits for a dial, it selects on it; a session is installed before the change is
//! announced; a change of the phase is logged once.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::clock;
use crate::config::FenceConfig;
use crate::drain::Tasks;
use crate::model::{Cause, Fault, Master, Moment, Signal};
use crate::sentinel::Election;
use crate::upstream::{Lane, LaneWriter, Session, SessionSettings};

use super::chronicle::{Chronicle, LOOK, Proven};
use super::fence::Shut;
use super::machine::{Action, Event, Machine, Phase};
use super::metrics::Metrics;
use super::passage::{Bounds, Passage, Porter, passage};
use super::reconcile::{Reconcile, Reconciled};
use super::report::Report;
use super::shown::Told;

/// A session that ends before it is that old is not replaced without a delay.
const YOUNG: Duration = Duration::from_secs(1);

/// What others see of the follower.
#[derive(Debug, Clone)]
pub struct Status {
    /// Where it stands.
    pub phase: Phase,
    /// Since when.
    pub since: SystemTime,
    /// How often the master changed.
    pub changes: u64,
    /// How many sessions were opened.
    pub generation: u64,
    /// Whether the first attempt has come to an end, good or bad.
    pub settled: bool,
    /// Why writes are held, and since when; `None` while they are not.
    pub shut: Option<(Shut, SystemTime)>,
    /// What happened to the master, newest first.
    pub reports: Arc<[Report]>,
}

/// Follows the elections for ever.
pub struct Follower {
    pub(super) machine: Machine,
    pub(super) elections: watch::Receiver<Election>,
    settings: SessionSettings,
    lane: LaneWriter,
    pub(super) status: watch::Sender<Status>,
    metrics: Metrics,
    backoff: Backoff,
    generation: u64,
    last: Option<Master>,
    dial: Option<Dial>,
    dialed: Option<Dialed>,
    pub(super) porter: Porter,
    reconcile: Arc<dyn Reconcile>,
    pub(super) serving: Option<(Arc<Session>, Instant)>,
    wake: Option<Instant>,
    pub(super) told: Option<Told>,
    chronicle: Chronicle,
    noticed: watch::Receiver<Option<Signal>>,
    /// When an open report is looked at again.
    look: Option<Instant>,
    /// Why the last attempt to renew the session failed, which is told once.
    kept: Option<Cause>,
}

type Dialed = (Arc<Session>, Reconciled);
type Dial = Pin<Box<dyn Future<Output = (Master, Result<Dialed, Fault>)> + Send>>;

/// What a follower follows, and how.
pub struct Following {
    /// Whom.
    pub elections: watch::Receiver<Election>,
    /// How sessions are opened.
    pub settings: SessionSettings,
    /// Where they are installed and found.
    pub lane: (LaneWriter, Lane),
    /// What is done before that.
    pub reconcile: Arc<dyn Reconcile>,
    /// When writes are held.
    pub fence: FenceConfig,
    /// How many calls may wait, and how long.
    pub bounds: Bounds,
    /// What sessions notice by themselves.
    pub noticed: watch::Receiver<Option<Signal>>,
    /// Whether the near cache is proven.
    pub proven: Proven,
    /// What is counted.
    pub metrics: Metrics,
}

/// Starts to follow; the receiver shows where it stands, and calls take the passage.
pub fn start(following: Following, tasks: &Tasks) -> (watch::Receiver<Status>, Passage) {
    let (elections, metrics) = (following.elections, following.metrics);
    let (lane, reads) = following.lane;
    let (porter, passage) = passage(reads, elections.clone(), following.fence, following.bounds);
    let machine = Machine::new();
    let (status, receiver) = watch::channel(Status {
        phase: machine.phase().clone(),
        since: SystemTime::now(),
        changes: 0,
        generation: 0,
        settled: false,
        shut: None,
        reports: Arc::new([]),
    });
    let follower = Follower {
        machine,
        elections,
        settings: following.settings,
        porter,
        reconcile: following.reconcile,
        lane,
        status,
        metrics,
        backoff: Backoff::new(),
        generation: 0,
        last: None,
        dial: None,
        dialed: None,
        serving: None,
        wake: None,
        told: None,
        chronicle: Chronicle::new(passage.meanwhile().clone(), following.proven),
        noticed: following.noticed,
        look: None,
        kept: None,
    };
    tasks.spawn("failover", follower.run());
    (receiver, passage)
}

impl Follower {
    async fn run(mut self) {
        let first = self.elections.borrow_and_update().clone();
        self.step(Event::Elected(first.master));
        loop {
            match self.select().await {
                Some(event) => self.step(event),
                None => self.record(),
            }
        }
    }

    /// Waits for the next thing to happen.
    async fn select(&mut self) -> Option<Event> {
        let event = tokio::select! {
            election = next_election(&mut self.elections) => Event::Elected(election.master),
            signal = next_signal(&mut self.noticed) => {
                self.chronicle.noticed(signal);
                return None;
            }
            () = sleep_until(self.look) => return None,
            (master, result) = poll_dial(&mut self.dial) => {
                self.dial = None;
                let outcome = match result {
                    Ok(dialed) => {
                        let generation = dialed.0.generation();
                        self.dialed = Some(dialed);
                        Ok(generation)
                    }
                    Err(fault) => Err(fault),
                };
                Event::Dialed(master, outcome)
            }
            ended = session_end(self.serving.as_ref()) => ended,
            () = self.settings.secrets.changed() => Event::Renew,
            () = sleep_until(self.wake) => {
                self.wake = None;
                Event::DelayOver
            }
        };
        if let Event::SessionEnded { .. } = event {
            self.chronicle.noticed(Signal::LinkLost);
        }
        Some(event)
    }

    fn step(&mut self, event: Event) {
        let settles = matches!(event, Event::Dialed(..) | Event::SessionEnded { .. });
        let before = self.machine.phase().clone();
        for action in self.machine.on(event) {
            self.perform(action);
        }
        self.verify();
        let settled = settles || self.elections.borrow().settled && self.dial.is_none();
        self.chronicle.heard(&self.elections.borrow());
        self.publish(&before, settled);
        self.record();
    }

    /// Goes on with an open report.
    fn record(&mut self) {
        let session = self.serving.as_ref().map(|(session, _)| &**session);
        let reports = self.chronicle.look(&self.elections.borrow(), session);
        self.look = self.chronicle.is_open().then(|| Instant::now() + LOOK);
        if let Some(reports) = reports {
            self.show(reports);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Dial(master) => {
                self.wake = None;
                // Counts only when installed: a dial that fails or is discarded raises nothing.
                let (generation, settings) = (self.generation + 1, self.settings.clone());
                let reconcile = self.reconcile.clone();
                self.dial = Some(Box::pin(async move {
                    let dialed = async {
                        let session = Session::open(master.clone(), generation, &settings).await?;
                        let found = reconcile.reconcile(&session).await?;
                        Ok((session, found))
                    };
                    let dialed = dialed.await;
                    (master, dialed)
                }));
            }
            Action::Install => self.install(),
            Action::Keep(fault) => self.keep(&fault),
            Action::Discard => self.dialed = None,
            Action::Retire(fault) => {
                if let Some((session, _)) = self.serving.take() {
                    session.end(fault.cause, fault.detail.clone());
                }
                self.metrics.lost();
                self.lane.remove(fault);
            }
            Action::Delay => {
                self.wake = Some(Instant::now() + self.backoff.next_delay());
            }
            Action::ResetDelay => {
                self.wake = None;
                self.backoff.reset();
            }
        }
    }

    fn install(&mut self) {
        let Some((session, found)) = self.dialed.take() else {
            return;
        };
        self.generation = session.generation();
        let changed = self
            .last
            .as_ref()
            .is_some_and(|last| last != session.master());
        self.last = Some(session.master().clone());
        session.begin();
        // Before anybody can use it: a read that bears this generation was sent after it began.
        let before = self.serving.take();
        let begin = || {
            self.settings.tracker.began(
                session.generation(),
                session.lineage(),
                session.master(),
                self.named(session.master()),
            );
        };
        match before {
            None => begin(),
            Some((before, _)) => {
                before.hand_over(&session, begin);
                self.metrics.renewed();
                self.kept = None;
            }
        }
        // It may have ended between the dial and now, when there was nothing to end yet.
        if session.ended().is_some() {
            self.settings.tracker.ended(session.generation());
        }
        self.reconcile.installed(&found);
        self.chronicle.serving(&session, &found);
        self.lane.install(session.clone());
        let heart = session.clone();
        self.settings
            .tasks
            .spawn("redis heartbeat", async move { heart.keep_alive().await });
        self.metrics.serving(session.generation(), changed);
        self.status.send_modify(|status| {
            status.generation = session.generation();
            status.changes += u64::from(changed);
        });
        self.serving = Some((session, Instant::now()));
    }

    fn keep(&mut self, fault: &Fault) {
        self.metrics.kept();
        if self.kept.replace(fault.cause) != Some(fault.cause) {
            tracing::warn!(
                reason = fault.cause.reason(),
                "the session with the secrets from before is kept, because new ones do not work: {}",
                fault.detail
            );
        }
    }

    /// The majority lease goes on while the node that the session leads to is the elected one.
    fn verify(&mut self) {
        let master = self.serving.as_ref().map(|(session, _)| session.master());
        let election = self.elections.borrow();
        self.porter.look(&election, master, clock::now());
        drop(election);
        if let Some((session, _)) = &self.serving
            && let Some(named) = self.named(session.master())
        {
            self.settings.tracker.named(session.generation(), named);
        }
    }

    /// When a majority was last polled that names this master; `None` without Sentinels.
    fn named(&self, master: &Master) -> Option<Moment> {
        let election = self.elections.borrow();
        let elected = election.master.as_ref() == Ok(master);
        election
            .named
            .map(|named| if elected { named } else { Moment::START })
    }
}

/// The next signal; none ever where nobody raises any.
async fn next_signal(noticed: &mut watch::Receiver<Option<Signal>>) -> Signal {
    loop {
        if noticed.changed().await.is_err() {
            return pending().await;
        }
        let signal = *noticed.borrow_and_update();
        if let Some(signal) = signal {
            return signal;
        }
    }
}

/// The next election. One that nobody can change any more, as with a single Redis, stands for ever.
async fn next_election(elections: &mut watch::Receiver<Election>) -> Election {
    match elections.changed().await {
        Ok(()) => elections.borrow_and_update().clone(),
        Err(_) => pending().await,
    }
}

async fn poll_dial(dial: &mut Option<Dial>) -> (Master, Result<Dialed, Fault>) {
    match dial {
        Some(dial) => dial.await,
        None => pending().await,
    }
}

async fn session_end(session: Option<&(Arc<Session>, Instant)>) -> Event {
    match session {
        Some((session, began)) => {
            let fault = session.wait_ended().await;
            Event::SessionEnded {
                generation: session.generation(),
                // Without pushes the next session will end for the same reason, as soon as that can be known.
                young: began.elapsed() < YOUNG || fault.cause == Cause::PushesStopped,
                fault,
            }
        }
        None => pending().await,
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => pending().await,
    }
}
