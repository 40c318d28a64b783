//! One connection to one master, from ROLE check to end.
//!
//! Invariants: a session that was opened has answered ROLE = master, its node tracks what it reads in default mode
//! (not BCAST, not NOLOOP, not REDIRECT) if that was asked for, and the lineage of its node is known. It ends once, for one reason, and
//! never comes back: the link broke, the heartbeat stayed unanswered, the node turned out to be a replica, its pushes
//! stopped, or failover retired it. Ending tells the tracker first and then wakes whoever waits for it.
//!
//! Not here: how batches leave (`together`); what pushes and heartbeats mean (`tracker`); reconnecting (`failover`); the steps of opening (`greeting`).

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::config::RedisConfig;
use crate::dial::{Access, Secrets, dial};
use crate::drain::Tasks;
use crate::model::{Cause, Fault, History, HistoryId, Lineage, Master, Place, Token};

use super::alarm::Alarm;
use super::batch::{Batch, Sources};
use super::ending::{Ending, on_push};
use super::error::{classify, is_missing_script};
use super::greeting::{self, Past};
use super::heartbeat;
use super::introduction::{credentials, diagnose, handshake_fault};
use super::metrics::Metrics;
use super::reply::Reply;
use super::succession::{answers_still, unanswered};
use super::together::{Answer, Outbox};
use super::tracker::Tracker;
use super::traffic::{Listening, Received};

/// How many batches may queue for the socket before callers wait.
const PIPELINE_BUFFER: usize = 1024;

/// Why and whether a session ended.
pub type Ended = Option<Fault>;

/// What every session of this process has in common.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// Timeouts.
    pub redis: RedisConfig,
    /// Credentials and TLS, the newest of which each session is opened with.
    pub secrets: Secrets,
    /// Where the driver runs.
    pub tasks: Tasks,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Batches that may be on their way at a time.
    pub slots: usize,
    /// Who hears of pushes and heartbeats.
    pub tracker: Arc<dyn Tracker>,
    /// Whether the node is to track what is read.
    pub tracking: bool,
    /// Who hears of trouble.
    pub alarm: Alarm,
    /// How old the proof of the link may become.
    pub bound: Duration,
}

/// An open connection to a master.
#[derive(Debug)]
pub struct Session {
    pub(super) master: Master,
    pub(super) generation: u64,
    pub(super) connection: MultiplexedConnection,
    pub(super) access: Arc<Access>,
    /// Who took over, where nothing but the secrets changed.
    pub(super) successor: OnceLock<Arc<Self>>,
    pub(super) lineage: Lineage,
    history: History,
    pub(super) ending: Arc<Ending>,
    slots: Arc<Semaphore>,
    pub(super) outbox: Outbox,
    pub(super) tasks: Tasks,
    metrics: Arc<Metrics>,
    pub(super) interval: Duration,
    pub(super) received: Received,
    pub(super) alarm: Alarm,
    // The driver owns the socket: dropping the session closes it.
    driver: AbortOnDropHandle<()>,
}

impl Session {
    /// Dials, authenticates and asks for the role.
    ///
    /// # Errors
    /// Which step failed. Nothing was applied.
    pub async fn open(
        master: Master,
        generation: u64,
        settings: &SessionSettings,
    ) -> Result<Arc<Self>, Fault> {
        let limit = settings.redis.connect_timeout;
        let opening = Self::open_unbounded(master.clone(), generation, settings);
        let opened = tokio::time::timeout(limit * 2, opening)
            .await
            .unwrap_or_else(|_| {
                Err(Fault::not_applied(
                    Cause::RedisUnreachable,
                    format!(
                        "{} accepts connections but does not answer",
                        master.endpoint
                    ),
                ))
            });
        if let Err(fault) = &opened {
            settings.metrics.failed(fault.cause);
            settings.alarm.fault(fault.cause);
            settings.secrets.doubt(fault.cause);
        }
        opened
    }

    async fn open_unbounded(
        master: Master,
        generation: u64,
        settings: &SessionSettings,
    ) -> Result<Arc<Self>, Fault> {
        let (redis, access) = (&settings.redis, settings.secrets.now());
        let stream = dial(&master.endpoint, access.tls.as_ref(), redis.connect_timeout).await?;
        let ending = Arc::new(Ending {
            state: watch::Sender::new(None),
            tracker: settings.tracker.clone(),
            generation,
            alarm: settings.alarm.clone(),
            begun: AtomicBool::new(false),
        });
        let on_push = on_push(&ending, &master.endpoint, &settings.metrics);
        let configuration = AsyncConnectionConfig::new()
            .set_response_timeout(Some(redis.command_timeout))
            .set_pipeline_buffer_size(PIPELINE_BUFFER)
            .set_push_sender(on_push);
        let (stream, received) = Listening::new(stream);
        let info = credentials(&access.credentials);
        let greeted = MultiplexedConnection::new_with_config(&info, stream, configuration).await;
        let (connection, driver) = match greeted {
            Ok(opened) => opened,
            Err(error) => {
                let fault = handshake_fault(&master.endpoint, &error);
                let within = redis.connect_timeout;
                return Err(diagnose(fault, &master.endpoint, &access, within).await);
            }
        };
        let driver = {
            let (ending, endpoint) = (ending.clone(), master.endpoint.clone());
            async move {
                driver.await;
                // Some errors of the socket end the driver without the push of a disconnection.
                let detail = format!("the link to {endpoint} is gone");
                ending.end(Cause::RedisUnreachable, detail);
            }
        };
        let driver = settings.tasks.spawn("redis session", driver);
        let mut session = Self {
            lineage: Lineage::new(master.epoch, ""),
            history: History {
                id: HistoryId::new(""),
                before: None,
            },
            master,
            generation,
            connection,
            access,
            successor: OnceLock::new(),
            ending,
            slots: Arc::new(Semaphore::new(settings.slots)),
            outbox: Outbox::default(),
            tasks: settings.tasks.clone(),
            metrics: settings.metrics.clone(),
            interval: heartbeat::interval(settings.bound),
            received,
            alarm: settings.alarm.clone(),
            driver: AbortOnDropHandle::new(driver),
        };
        let past = session.greet(settings.tracking).await?;
        (session.lineage, session.history) = (past.lineage, past.history);
        Ok(Arc::new(session))
    }

    /// Checks the role, has the node track what is read here, and asks for the lineage.
    async fn greet(&self, tracking: bool) -> Result<Past, Fault> {
        let replies = self.run(&greeting::batch(tracking)).await?;
        greeting::read(replies, tracking, &self.master)
    }

    /// The node it is connected to.
    pub fn master(&self) -> &Master {
        &self.master
    }

    /// Raised with every session of this process.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The history that its node is part of.
    pub fn lineage(&self) -> Lineage {
        self.lineage
    }

    /// Which writes its node had when it was opened.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Asks for the replication id again, and ends the session if it is another one: tokens and losses are told by it.
    pub async fn check_history(&self) {
        let Ok(replies) = self.run(&greeting::batch(false)).await else {
            return;
        };
        if let Ok(past) = greeting::read(replies, false, &self.master)
            && past.lineage != self.lineage
        {
            let detail = format!("{} has begun another history", self.master.endpoint);
            self.end(Cause::LineageChanged, detail);
        }
    }

    /// From now on its end is told to the tracker: somebody is about to use it.
    pub fn begin(&self) {
        self.ending.begin();
    }

    /// Why it ended, if it did.
    pub fn ended(&self) -> Ended {
        self.ending.state.borrow().clone()
    }

    /// Completes when the session has ended, with the reason.
    pub async fn wait_ended(&self) -> Fault {
        let mut ended = self.ending.state.subscribe();
        match ended.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(fault)) => fault.clone(),
            _ => Fault::not_applied(Cause::NoSession, "the session was dropped"),
        }
    }

    /// Ends it: no further call is sent on it, and those in flight are given up.
    pub fn end(&self, cause: Cause, detail: impl Into<String>) {
        self.ending.end(cause, detail.into());
        if !answers_still(cause) {
            self.driver.abort();
        }
    }

    /// As [`Self::execute`], in the task of the caller, which sees to it that the answer is waited for.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub async fn execute_here(&self, batch: &Batch) -> Answer {
        let _slot = self.slot()?;
        self.run(batch).await
    }

    pub(super) fn slot(&self) -> Result<OwnedSemaphorePermit, Fault> {
        self.slots.clone().try_acquire_owned().map_err(|_| {
            Fault::not_applied(
                Cause::Overloaded,
                "as many commands as limits.inflight_calls wait for Redis",
            )
        })
    }

    pub(super) async fn run(&self, batch: &Batch) -> Answer {
        let answer = self.run_all(&[batch]).await.pop();
        answer.unwrap_or_else(|| {
            Err(Fault::unknown(
                Cause::Internal,
                "a batch was sent and has no answer",
            ))
        })
    }

    /// Sends batches in one write; each has its own answer.
    pub(super) async fn run_all(&self, batches: &[&Batch]) -> Vec<Answer> {
        match self.handed_to() {
            Ok(None) => self.perform(batches).await,
            Ok(Some(next)) => next.perform(batches).await,
            Err(fault) => batches.iter().map(|_| Err(fault.clone())).collect(),
        }
    }

    async fn perform(&self, batches: &[&Batch]) -> Vec<Answer> {
        let began = Instant::now();
        let mut answers = self.sent(batches, Sources::Needed).await;
        // A node that does not know a script has not run it.
        let unknown = |at: &usize| {
            let first = answers[*at].as_ref().ok().and_then(|values| values.first());
            batches[*at].is_single_script() && first.is_some_and(is_missing_script)
        };
        let again: Vec<usize> = (0..batches.len()).filter(unknown).collect();
        if !again.is_empty() {
            let batches: Vec<&Batch> = again.iter().map(|at| batches[*at]).collect();
            let sent = self.sent(&batches, Sources::All).await;
            for (at, answer) in again.into_iter().zip(sent) {
                answers[at] = answer;
            }
        }
        let took = began.elapsed().as_secs_f64();
        let answered = |(batch, values): (&&Batch, Result<_, Fault>)| {
            self.metrics.answered(batch.operation, took);
            Ok(self.observed(batch.replies(values?)))
        };
        batches.iter().zip(answers).map(answered).collect()
    }

    /// The values that each batch was answered with.
    async fn sent(&self, batches: &[&Batch], sources: Sources) -> Vec<Result<Vec<Value>, Fault>> {
        let sent = tokio::select! {
            biased;
            sent = self.send(batches, sources) => sent,
            fault = self.given_up() => {
                let lost = |batch: &&Batch| Err(unanswered(fault.clone(), batch.effect));
                return batches.iter().map(lost).collect();
            }
        };
        match sent {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            Err(error) => {
                let failed = |batch: &&Batch| {
                    let fault = classify(&error, batch.effect);
                    self.observe(&fault);
                    // The driver fails the first call in flight before it says that the link is gone.
                    if error.is_connection_dropped() {
                        self.end(Cause::RedisUnreachable, fault.detail.clone());
                    }
                    Err(fault)
                };
                batches.iter().map(failed).collect()
            }
        }
    }

    fn observed(&self, replies: Vec<Reply>) -> Vec<Reply> {
        for reply in &replies {
            if let Reply::Failed(fault) = reply {
                self.observe(fault);
            }
        }
        replies
    }

    /// The point of this history behind a write, from the answer to the ROLE that was sent with it.
    pub fn token(&self, role: &Reply) -> Option<Token> {
        Some(Token {
            lineage: self.lineage,
            offset: greeting::master_offset(Some(role), &self.master).ok()?,
        })
    }

    /// Where a write to its node is, as the next master can be asked about it; without a token it is in doubt.
    pub fn place(&self, token: Option<Token>) -> Place {
        Place {
            history: self.history.id,
            offset: token.map(|token| token.offset),
        }
    }

    /// Evidence in an answer: a node that refuses writes as a replica, or no longer knows us, ends the session.
    fn observe(&self, fault: &Fault) {
        self.metrics.failed(fault.cause);
        self.alarm.fault(fault.cause);
        if matches!(fault.cause, Cause::NotAMaster | Cause::RedisAuthFailed) {
            self.end(fault.cause, fault.detail.clone());
        }
    }
}
