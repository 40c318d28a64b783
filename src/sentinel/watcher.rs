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
use tokio_rustls::rustls::ClientConfig;
use tokio_util::task::AbortOnDropHandle;

use crate::backoff::Backoff;
use crate::clock;
use crate::config::SentinelConfig;
use crate::dial::dial;
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
    /// Names, credentials, intervals.
    pub sentinel: Arc<SentinelConfig>,
    /// TLS, if the Sentinels speak it.
    pub tls: Option<Arc<ClientConfig>>,
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
        loop {
            let fault = match self.connect().await {
                Ok(link) => self.watch(&link, &mut backoff).await,
                Err(fault) => fault,
            };
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
        let client = self.client();
        let link = Link {
            _router: AbortOnDropHandle::new(client.connect()),
            client,
        };
        match tokio::time::timeout(CONNECT_LIMIT * 2, link.client.wait_for_connect()).await {
            Ok(Ok(())) => Ok(link),
            Ok(Err(error)) => Err(self.diagnose(fault(&error)).await),
            Err(_) => {
                let fault = silent("accepts connections but does not answer");
                Err(self.diagnose(fault).await)
            }
        }
    }

    /// fred does not tell a name that does not resolve, or a port that does not speak TLS, from a refusal. We do, by
    /// dialling once more ourselves.
    async fn diagnose(&self, fault: Fault) -> Fault {
        if fault.cause != Cause::SentinelsUnreachable {
            return fault;
        }
        match dial(&self.endpoint, self.settings.tls.as_ref(), CONNECT_LIMIT).await {
            Err(found) if found.cause != Cause::RedisUnreachable => found,
            Err(found) => silent(&found.detail),
            Ok(_) => fault,
        }
    }

    fn client(&self) -> SubscriberClient {
        let sentinel = &self.settings.sentinel;
        let config = Config {
            fail_fast: true,
            username: sentinel.credentials.username.clone(),
            password: sentinel
                .credentials
                .password
                .as_ref()
                .map(|password| password.expose_secret().to_owned()),
            server: ServerConfig::Centralized {
                server: Server::new(self.endpoint.host.clone(), self.endpoint.port),
            },
            // RESP3 lets one connection carry both the events and the polls.
            version: RespVersion::RESP3,
            tls: self.settings.tls.as_ref().map(|tls| {
                let connector = tokio_rustls::TlsConnector::from(tls.clone());
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
    async fn watch(&self, link: &Link, backoff: &mut Backoff) -> Fault {
        let mut events = link.client.message_rx();
        let id = match answered(self.introduce(&link.client)).await {
            Ok(id) => id,
            Err(fault) => return fault,
        };
        let mut hints = self.hints.subscribe();
        loop {
            // Before the poll: a hint that comes while it runs asks for another one.
            hints.mark_unchanged();
            let answer = match answered(self.poll(&link.client, &id)).await {
                Ok(answer) => Ok(answer),
                // The Sentinel is there and will say the same for a while: keep the connection.
                Err(fault) if fault.cause == Cause::MasterNameUnknown => Err(fault),
                Err(fault) => return fault,
            };
            backoff.reset();
            if self.reports.send((self.seat, answer)).await.is_err() {
                return silent("the process is stopping");
            }
            self.wait(&mut events, &mut hints).await;
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
        let deadline = tokio::time::Instant::now() + pause;
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
    _router: AbortOnDropHandle<Result<(), fred::error::Error>>,
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
