//! One connection to one master, from ROLE check to end.
//!
//! Invariants: a session that was opened has answered ROLE = master. It ends once, for one reason, and never
//! comes back: the link broke, the heartbeat stayed unanswered, the node turned out to be a replica, or failover
//! retired it. Ending wakes whoever waits for it.
//!
//! Not here: tracking and leases, which come with the near cache; reconnecting (`failover`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, ProtocolVersion, PushInfo, PushKind, RedisConnectionInfo, Value,
};
use secrecy::ExposeSecret;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::Instant;
use tokio_rustls::rustls::ClientConfig;
use tokio_util::task::AbortOnDropHandle;

use crate::config::{Credentials, RedisConfig};
use crate::dial::dial;
use crate::drain::Tasks;
use crate::model::{Cause, Endpoint, Fault, Master};

use super::batch::{Batch, Effect, Operation, Reply};
use super::error::{classify, is_missing_script};
use super::metrics::Metrics;

/// Time between two heartbeats. A replica that was demoted behind our back is noticed after that at the latest.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// A session whose heartbeat is not answered for that long is ended.
const HEARTBEAT_LIMIT: Duration = Duration::from_secs(2);

/// How many batches may queue for the socket before callers wait.
const PIPELINE_BUFFER: usize = 1024;

/// Why and whether a session ended.
pub type Ended = Option<Fault>;

/// What every session of this process has in common.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// Timeouts and credentials.
    pub redis: RedisConfig,
    /// TLS, if the node speaks it.
    pub tls: Option<Arc<ClientConfig>>,
    /// Where the driver runs.
    pub tasks: Tasks,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Batches that may be on their way at a time.
    pub slots: usize,
}

/// An open connection to a master.
#[derive(Debug)]
pub struct Session {
    master: Master,
    generation: u64,
    connection: MultiplexedConnection,
    ended: Arc<watch::Sender<Ended>>,
    verified: AtomicBool,
    slots: Arc<Semaphore>,
    tasks: Tasks,
    metrics: Arc<Metrics>,
    // The driver owns the socket: dropping the session closes it.
    _driver: AbortOnDropHandle<()>,
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
        }
        opened
    }

    async fn open_unbounded(
        master: Master,
        generation: u64,
        settings: &SessionSettings,
    ) -> Result<Arc<Self>, Fault> {
        let redis = &settings.redis;
        let stream = dial(
            &master.endpoint,
            settings.tls.as_ref(),
            redis.connect_timeout,
        )
        .await?;
        let ended = Arc::new(watch::Sender::new(None));
        let on_push = {
            let ended = ended.clone();
            let endpoint = master.endpoint.clone();
            move |push: PushInfo| -> Result<(), redis::aio::SendError> {
                if push.kind == PushKind::Disconnection {
                    end(
                        &ended,
                        Cause::RedisUnreachable,
                        format!("{endpoint} closed the connection"),
                    );
                }
                Ok(())
            }
        };
        let configuration = AsyncConnectionConfig::new()
            .set_response_timeout(Some(redis.command_timeout))
            .set_pipeline_buffer_size(PIPELINE_BUFFER)
            .set_push_sender(on_push);
        let (connection, driver) = MultiplexedConnection::new_with_config(
            &credentials(&redis.credentials),
            stream,
            configuration,
        )
        .await
        .map_err(|error| handshake_fault(&master.endpoint, &error))?;
        let driver = {
            let (ended, endpoint) = (ended.clone(), master.endpoint.clone());
            async move {
                driver.await;
                // Some errors of the socket end the driver without the push above.
                let detail = format!("the link to {endpoint} is gone");
                end(&ended, Cause::RedisUnreachable, detail);
            }
        };
        let driver = settings.tasks.spawn("redis session", driver);
        let session = Self {
            master,
            generation,
            connection,
            ended,
            verified: AtomicBool::new(true),
            slots: Arc::new(Semaphore::new(settings.slots)),
            tasks: settings.tasks.clone(),
            metrics: settings.metrics.clone(),
            _driver: AbortOnDropHandle::new(driver),
        };
        session.check_role().await?;
        Ok(Arc::new(session))
    }

    /// The node it is connected to.
    pub fn master(&self) -> &Master {
        &self.master
    }

    /// Raised with every session of this process.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether its node is the elected master at this moment. Only `failover` knows.
    pub fn is_verified(&self) -> bool {
        self.verified.load(Ordering::Relaxed)
    }

    /// Takes note of whether its node is the elected master.
    pub fn set_verified(&self, verified: bool) {
        self.verified.store(verified, Ordering::Relaxed);
    }

    /// Why it ended, if it did.
    pub fn ended(&self) -> Ended {
        self.ended.borrow().clone()
    }

    /// Completes when the session has ended, with the reason.
    pub async fn wait_ended(&self) -> Fault {
        let mut ended = self.ended.subscribe();
        match ended.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(fault)) => fault.clone(),
            _ => Fault::not_applied(Cause::NoSession, "the session was dropped"),
        }
    }

    /// Ends it: no further call is sent on it. Those in flight still receive their replies while it lives.
    pub fn end(&self, cause: Cause, detail: impl Into<String>) {
        end(&self.ended, cause, detail.into());
    }

    /// Sends a batch in one write and returns a reply for each of its commands, in order.
    ///
    /// # Errors
    /// The link failed: for a write it is unknown whether it was applied.
    pub async fn execute(&self, batch: &Batch) -> Result<Vec<Reply>, Fault> {
        if let Some(fault) = self.ended() {
            return Err(Fault::not_applied(Cause::NoSession, fault.detail));
        }
        let began = Instant::now();
        let result = self.send(batch).await?;
        self.metrics
            .answered(batch.operation, began.elapsed().as_secs_f64());
        let replies = result.map_err(|error| {
            let fault = classify(&error, batch.effect);
            self.observe(&fault);
            fault
        })?;
        let replies: Vec<Reply> = replies
            .into_iter()
            .map(|value| Reply::from_value(value, batch.effect))
            .collect();
        for reply in &replies {
            if let Reply::Failed(fault) = reply {
                self.observe(fault);
            }
        }
        Ok(replies)
    }

    /// Sends the batch, and a single script call that the node does not know once more with its source.
    ///
    /// In a task of its own, with a slot of its own: a command that was sent is executed and answered also when its
    /// caller is gone, so the work on its way is bounded by slots and not by callers.
    async fn send(&self, batch: &Batch) -> Result<redis::RedisResult<Vec<Value>>, Fault> {
        let slot = self.slots.clone().try_acquire_owned().map_err(|_| {
            Fault::not_applied(
                Cause::Overloaded,
                "as many commands as limits.inflight_calls wait for Redis",
            )
        })?;
        let (pipeline, again, count) = (batch.pipeline(), batch.with_source(), batch.len());
        let mut connection = self.connection.clone();
        let (answer, answered) = oneshot::channel();
        self.tasks.spawn("redis batch", async move {
            let _slot = slot;
            let mut result = connection.req_packed_commands(&pipeline, 0, count).await;
            if let (Some(again), Ok(values)) = (again, &result)
                && values.first().is_some_and(is_missing_script)
            {
                result = connection.req_packed_commands(&again, 0, count).await;
            }
            // A caller that is gone does not read it.
            let _ = answer.send(result);
        });
        answered.await.map_err(|_| match batch.effect {
            Effect::Read => Fault::not_applied(Cause::ShuttingDown, "this vedetta is stopping"),
            Effect::Write => Fault::unknown(
                Cause::ShuttingDown,
                "this vedetta is stopping with the write in flight",
            ),
        })
    }

    /// Heartbeats until the session ends.
    pub async fn keep_alive(&self) {
        let mut last_answer = Instant::now();
        while self.ended().is_none() {
            tokio::select! {
                () = tokio::time::sleep(HEARTBEAT) => {}
                _ = self.wait_ended() => return,
            }
            let limit = HEARTBEAT_LIMIT.saturating_sub(last_answer.elapsed());
            match tokio::time::timeout(limit, self.check_role()).await {
                Ok(Ok(())) => last_answer = Instant::now(),
                Ok(Err(fault)) if fault.cause == Cause::NotAMaster => {
                    self.end(fault.cause, fault.detail);
                }
                // A busy or loading node answers; only silence ends the session.
                Ok(Err(fault)) if matches!(fault.cause, Cause::RedisBusy | Cause::RedisLoading) => {
                    last_answer = Instant::now();
                }
                Ok(Err(_)) if last_answer.elapsed() < HEARTBEAT_LIMIT => {}
                Ok(Err(_)) | Err(_) => self.end(
                    Cause::RedisUnreachable,
                    format!(
                        "{} has not answered for {HEARTBEAT_LIMIT:?}",
                        self.master.endpoint
                    ),
                ),
            }
        }
    }

    async fn check_role(&self) -> Result<(), Fault> {
        let mut batch = Batch::new(Operation::Heartbeat, Effect::Read);
        batch.command("ROLE", &[]);
        let replies = self.execute(&batch).await?;
        match replies.into_iter().next() {
            Some(Reply::Array(fields)) => match fields.first() {
                Some(Reply::Bytes(role)) if role.as_ref() == b"master" => Ok(()),
                Some(Reply::Bytes(role)) => Err(Fault::not_applied(
                    Cause::NotAMaster,
                    format!(
                        "{} has the role {}",
                        self.master.endpoint,
                        String::from_utf8_lossy(role)
                    ),
                )),
                _ => Err(Fault::not_applied(
                    Cause::RedisRefused,
                    "ROLE was answered without a role",
                )),
            },
            Some(Reply::Failed(fault)) => Err(fault),
            _ => Err(Fault::not_applied(
                Cause::RedisRefused,
                "ROLE was answered without a role",
            )),
        }
    }

    /// Evidence in an answer: a node that refuses writes as a replica, or no longer knows us, ends the session.
    fn observe(&self, fault: &Fault) {
        self.metrics.failed(fault.cause);
        if matches!(fault.cause, Cause::NotAMaster | Cause::RedisAuthFailed) {
            self.end(fault.cause, fault.detail.clone());
        }
    }
}

fn end(ended: &watch::Sender<Ended>, cause: Cause, detail: String) {
    ended.send_if_modified(|state| {
        let first = state.is_none();
        if first {
            *state = Some(Fault::not_applied(cause, detail));
        }
        first
    });
}

fn credentials(credentials: &Credentials) -> RedisConnectionInfo {
    let mut info = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name("vedetta", env!("CARGO_PKG_VERSION"));
    if let Some(username) = &credentials.username {
        info = info.set_username(username);
    }
    if let Some(password) = &credentials.password {
        info = info.set_password(password.expose_secret());
    }
    info
}

fn handshake_fault(endpoint: &Endpoint, error: &redis::RedisError) -> Fault {
    let mut fault = classify(error, Effect::Read);
    // HELLO without a password on a server that wants one is an error of another kind in some versions.
    if fault.cause == Cause::RedisRefused && error.to_string().contains("NOAUTH") {
        fault.cause = Cause::RedisAuthFailed;
    }
    fault.detail = format!("{endpoint}: {}", fault.detail);
    fault
}
