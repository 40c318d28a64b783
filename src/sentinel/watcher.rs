//! Talks to one Sentinel: listens to its events and polls it.
//!
//! Invariants: an event makes every watcher poll at once; a poll that is not answered within [`ANSWER_LIMIT`]
//! is reported as silence and ends the connection; every connection is a new client, so that nothing of an old
//! one (a half-open socket, a lost subscription, a resolved name) survives.
//!
//! Not here: what follows from the answer (`topology`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fred::clients::SubscriberClient;
use fred::prelude::{ClientLike, EventInterface, PubsubInterface};
use fred::types::config::{
    Config, ConnectionConfig, PerformanceConfig, Server, ServerConfig, TcpConfig, TlsConfig,
    TlsConnector,
};
use fred::types::{Message, RespVersion};
use metrics::Counter;
use rand::Rng;
use secrecy::ExposeSecret;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::backoff::Backoff;
use crate::clock;
use crate::config::SentinelConfig;
use crate::dial::{Access, Secrets, dial, refusal};
use crate::model::{Cause, Endpoint, Fault};

use super::reply::{Answer, concerns, read_answer, unknown_name};

/// A Sentinel that takes longer is treated as silent. It normally answers within a millisecond; one that is
/// blocked on DNS or in a pause must not be waited for, because the others know.
const ANSWER_LIMIT: Duration = Duration::from_millis(500);

/// Bound on connecting, greeting included.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// The events that can announce a change of master, as patterns: `?` stands for `+` or `-`. (`[+-]` would be a range
/// to Redis, which ends at the bracket and matches nothing.)
const EVENTS: [&str; 6] = [
    "?switch-master",
    "?promoted-slave",
    "?failover-*",
    "?odown",
    "?config-update-from",
    "?reset-master",
];

/// What all watchers of a process share.
#[derive(Debug, Clone)]
pub struct WatchSettings {
    /// Names, intervals.
    pub sentinel: Arc<SentinelConfig>,
    /// Credentials and TLS, the newest of which each link is opened with.
    pub secrets: Secrets,
}

/// One Sentinel's seat at the table.
pub(super) struct Watcher {
    pub(super) seat: usize,
    pub(super) endpoint: Endpoint,
    pub(super) settings: WatchSettings,
    pub(super) reports: mpsc::Sender<(usize, Result<Answer, Fault>)>,
    /// Raised by any watcher that heard an event.
    pub(super) hints: Arc<watch::Sender<u64>>,
    pub(super) events_heard: Counter,
    pub(super) failures: Counter,
}

impl Watcher {
    /// Connects, polls and listens for ever.
    pub(super) async fn run(self) {
        let mut backoff = Backoff::new();
        let mut newer = None;
        loop {
            let link = match newer.take() {
                Some(link) => Ok(link),
                None => self.connect().await,
            };
            let fault = match link {
                Ok(link) => match self.watch(&link, &mut backoff).await {
                    Left::For(link) => {
                        newer = Some(link);
                        continue;
                    }
                    Left::Because(fault) => fault,
                },
                Err(fault) => fault,
            };
            self.settings.secrets.doubt(fault.cause);
            self.failures.increment(1);
            tracing::debug!(
                sentinel = %self.endpoint,
                reason = fault.cause.reason(),
                "{}",
                fault.detail
            );
            if self.reports.send((self.seat, Err(fault))).await.is_err() {
                return;
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    async fn connect(&self) -> Result<Link, Fault> {
        let access = self.settings.secrets.now();
        let client = self.client(&access);
        let link = Link {
            _router: AbortOnDropHandle::new(client.connect()),
            client,
            access,
        };
        match tokio::time::timeout(CONNECT_LIMIT * 2, link.client.wait_for_connect()).await {
            Ok(Ok(())) => Ok(link),
            Ok(Err(error)) => Err(self.diagnose(fault(&error), &link.access).await),
            Err(_) => {
                let fault = silent("accepts connections but does not answer");
                Err(self.diagnose(fault, &link.access).await)
            }
        }
    }

    /// A link with newer secrets, if there are any and they work. This one goes on until then.
    async fn renew(&self, link: &Link, renewal: &mut Renewal) -> Option<Link> {
        if self.settings.secrets.are_still(&link.access) || Instant::now() < renewal.next {
            return None;
        }
        let fault = match self.connect().await {
            Ok(newer) => return Some(newer),
            Err(fault) => fault,
        };
        self.settings.secrets.doubt(fault.cause);
        self.failures.increment(1);
        renewal.next = Instant::now() + renewal.backoff.next_delay();
        if renewal.told.replace(fault.cause) != Some(fault.cause) {
            tracing::warn!(
                sentinel = %self.endpoint,
                reason = fault.cause.reason(),
                "the link with the secrets from before is kept, because new ones do not work: {}",
                fault.detail
            );
        }
        None
    }

    /// fred does not tell a name that does not resolve, a port that does not speak TLS, or a certificate that is not
    /// accepted, from a refusal. We do, by dialling once more ourselves.
    async fn diagnose(&self, fault: Fault, access: &Access) -> Fault {
        if fault.cause != Cause::SentinelsUnreachable {
            return fault;
        }
        match dial(&self.endpoint, access.tls.as_ref(), CONNECT_LIMIT).await {
            Err(found) if found.cause != Cause::RedisUnreachable => found,
            Err(found) => silent(&found.detail),
            Ok(stream) => refusal(&self.endpoint, stream).await.unwrap_or(fault),
        }
    }

    fn client(&self, access: &Access) -> SubscriberClient {
        let mut server = Server::new(self.endpoint.host.clone(), self.endpoint.port);
        let name = access.tls.as_ref().and_then(|tls| tls.server_name.clone());
        server.tls_server_name = name.map(Into::into);
        let config = Config {
            fail_fast: true,
            username: access.credentials.username.clone(),
            password: access
                .credentials
                .password
                .as_ref()
                .map(|password| password.expose_secret().to_owned()),
            server: ServerConfig::Centralized { server },
            // RESP3 lets one connection carry both the events and the polls.
            version: RespVersion::RESP3,
            tls: access.tls.as_ref().map(|tls| {
                let connector = tokio_rustls::TlsConnector::from(tls.config.clone());
                TlsConfig::from(TlsConnector::from(connector))
            }),
            ..Config::default()
        };
        let performance = PerformanceConfig {
            default_command_timeout: ANSWER_LIMIT,
            ..PerformanceConfig::default()
        };
        let connection = ConnectionConfig {
            connection_timeout: CONNECT_LIMIT,
            internal_command_timeout: CONNECT_LIMIT,
            max_command_attempts: 1,
            disable_cluster_health_check: true,
            tcp: TcpConfig {
                nodelay: Some(true),
                ..TcpConfig::default()
            },
            ..ConnectionConfig::default()
        };
        // No reconnect policy: a connection that ends is replaced by `run`, with its delays.
        SubscriberClient::new(config, Some(performance), Some(connection), None)
    }

    /// Returns when the connection is no longer of use.
    async fn watch(&self, link: &Link, backoff: &mut Backoff) -> Left {
        let mut events = link.client.message_rx();
        let id = match answered(self.introduce(&link.client)).await {
            Ok(id) => id,
            Err(fault) => return Left::Because(fault),
        };
        let mut hints = self.hints.subscribe();
        let mut renewal = Renewal::new();
        loop {
            // Before the poll: a hint that comes while it runs asks for another one.
            hints.mark_unchanged();
            let answer = match answered(self.poll(&link.client, &id)).await {
                Ok(answer) => Ok(answer),
                // The Sentinel is there and will say the same for a while: keep the connection.
                Err(fault) if fault.cause == Cause::MasterNameUnknown => Err(fault),
                Err(fault) => return Left::Because(fault),
            };
            backoff.reset();
            if self.reports.send((self.seat, answer)).await.is_err() {
                return Left::Because(silent("the process is stopping"));
            }
            self.wait(&mut events, &mut hints).await;
            if let Some(newer) = self.renew(link, &mut renewal).await {
                return Left::For(newer);
            }
        }
    }

    /// Subscribes, and asks for the Sentinel's own id, by which it counts once under whatever name.
    async fn introduce(&self, client: &SubscriberClient) -> Result<Arc<str>, Fault> {
        if self.settings.sentinel.events {
            client
                .psubscribe(EVENTS.to_vec())
                .await
                .map_err(|error| fault(&error))?;
        }
        client
            .custom::<String, _>(fred::cmd!("SENTINEL"), vec!["MYID"])
            .await
            .map(Into::into)
            .map_err(|error| fault(&error))
    }

    /// Waits for the next reason to poll: an event here, a hint of another watcher, or the interval.
    async fn wait(
        &self,
        events: &mut broadcast::Receiver<Message>,
        hints: &mut watch::Receiver<u64>,
    ) {
        let interval = self.settings.sentinel.poll_interval;
        // Jitter keeps a fleet of sidecars from asking in step.
        let pause = interval.mul_f64(rand::rng().random_range(0.8..1.2));
        let deadline = Instant::now() + pause;
        loop {
            tokio::select! {
                biased;
                event = events.recv() => match event {
                    Ok(message) if self.is_ours(&message) => {
                        self.hints.send_modify(|count| *count = count.wrapping_add(1));
                        return;
                    }
                    Ok(_) => {}
                    // Some events were dropped: any of them may have been ours.
                    Err(broadcast::error::RecvError::Lagged(_)) => return,
                    // The client ended. The next poll will fail and say why.
                    Err(broadcast::error::RecvError::Closed) => {
                        tokio::time::sleep_until(deadline).await;
                        return;
                    }
                },
                _ = hints.changed() => return,
                () = tokio::time::sleep_until(deadline) => return,
            }
        }
    }

    fn is_ours(&self, message: &Message) -> bool {
        let payload = message.value.as_str().unwrap_or_default();
        let ours = concerns(
            &message.channel,
            &payload,
            &self.settings.sentinel.master_name,
        );
        if ours {
            self.events_heard.increment(1);
            tracing::debug!(sentinel = %self.endpoint, event = &*message.channel, "{payload}");
        }
        ours
    }

    async fn poll(&self, client: &SubscriberClient, id: &Arc<str>) -> Result<Answer, Fault> {
        let name = self.settings.sentinel.master_name.as_str();
        let asked = clock::now();
        // Both are queued before either is answered, so they travel together and in this order.
        let (master, address) = tokio::join!(
            client.custom::<HashMap<String, String>, _>(
                fred::cmd!("SENTINEL"),
                vec!["MASTER", name],
            ),
            client.custom::<Option<Vec<String>>, _>(
                fred::cmd!("SENTINEL"),
                vec!["GET-MASTER-ADDR-BY-NAME", name],
            ),
        );
        let master = match master {
            Ok(master) => master,
            Err(error) if error.details().contains("No such master") => {
                return Err(unknown_name(name));
            }
            Err(error) => return Err(fault(&error)),
        };
        let address = address.map_err(|error| fault(&error))?;
        read_answer(id, name, address.as_deref(), &master, asked)
    }
}

/// A connection. Dropping the client alone would leave its router, and with it the socket, alive for as long as TCP
/// is.
struct Link {
    client: SubscriberClient,
    /// What it was opened with.
    access: Arc<Access>,
    _router: AbortOnDropHandle<Result<(), fred::error::Error>>,
}

/// Why a link is not used any more.
enum Left {
    /// Another one has newer secrets.
    For(Link),
    /// It is of no use.
    Because(Fault),
}

/// Attempts to open a link with newer secrets.
struct Renewal {
    next: Instant,
    backoff: Backoff,
    /// Why the last one failed, which is told once.
    told: Option<Cause>,
}

impl Renewal {
    fn new() -> Self {
        Self {
            next: Instant::now(),
            backoff: Backoff::new(),
            told: None,
        }
    }
}

/// Bounds an exchange with a Sentinel, whatever fred's own timeouts do.
async fn answered<T>(exchange: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    tokio::time::timeout(ANSWER_LIMIT * 2, exchange)
        .await
        .unwrap_or_else(|_| Err(silent("has stopped to answer")))
}

fn silent(detail: &str) -> Fault {
    Fault::not_applied(Cause::SentinelsUnreachable, detail)
}

fn fault(error: &fred::error::Error) -> Fault {
    let details = error.details();
    let denied = ["NOAUTH", "WRONGPASS", "NOPERM", "without any password"];
    let cause = match error.kind() {
        fred::error::ErrorKind::Auth => Cause::SentinelAuthFailed,
        fred::error::ErrorKind::Tls => Cause::TlsFailed,
        _ if denied.iter().any(|word| details.contains(word)) => Cause::SentinelAuthFailed,
        _ => Cause::SentinelsUnreachable,
    };
    Fault::not_applied(cause, Fault::without_arguments(details))
}
