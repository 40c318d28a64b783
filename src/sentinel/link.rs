//! One connection to one Sentinel.
//!
//! Invariants: it is made within [`CONNECT_LIMIT`] twice, or a fault says why not; nothing of it outlives the value.
//!
//! Not here: what is asked over it (`watcher`).

use std::sync::Arc;
use std::time::Duration;

use fred::clients::SubscriberClient;
use fred::prelude::{ClientLike, EventInterface};
use fred::types::RespVersion;
use fred::types::config::{
    Config, ConnectionConfig, PerformanceConfig, Server, ServerConfig, TcpConfig, TlsConfig,
    TlsConnector,
};
use secrecy::ExposeSecret;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::backoff::Backoff;
use crate::dial::{Access, dial, refusal};
use crate::model::{Cause, Endpoint, Fault};

use super::watcher::WatchSettings;

/// A Sentinel that takes longer is treated as silent. It normally answers within a millisecond; one that is
/// blocked on DNS or in a pause must not be waited for, because the others know.
const ANSWER_LIMIT: Duration = Duration::from_millis(500);

/// Bound on connecting, greeting included.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);

/// A connection. Dropping the client alone would leave its router, and with it the socket, alive for as long as TCP
/// is.
pub(super) struct Link {
    pub(super) client: SubscriberClient,
    /// What it was opened with.
    access: Arc<Access>,
    _router: AbortOnDropHandle<Result<(), fred::error::Error>>,
}

impl Link {
    /// Connects, resolving the name anew.
    pub(super) async fn open(endpoint: &Endpoint, settings: &WatchSettings) -> Result<Self, Fault> {
        let access = settings.secrets.now();
        let client = client(endpoint, &access);
        let link = Self {
            _router: AbortOnDropHandle::new(client.connect()),
            client,
            access,
        };
        let fault =
            match tokio::time::timeout(CONNECT_LIMIT * 2, link.client.wait_for_connect()).await {
                Ok(Ok(())) => return Ok(link),
                Ok(Err(error)) => fault(&error),
                Err(_) => silent("accepts connections but does not answer"),
            };
        Err(diagnose(fault, endpoint, &link.access).await)
    }

    /// Waits until the other side has closed it. A command that is under way then, or sent later, would be answered by
    /// fred only when its time is over.
    pub(super) async fn broken(&self) -> Fault {
        match self.client.error_rx().recv().await {
            Ok((error, _)) => fault(&error),
            Err(_) => silent("the connection has ended"),
        }
    }
}

/// Why a link is not used any more.
pub(super) enum Left {
    /// Another one has newer secrets.
    For(Link),
    /// It is of no use.
    Because(Fault),
}

/// Attempts to open a link with newer secrets.
pub(super) struct Renewal {
    next: Instant,
    backoff: Backoff,
    /// Why the last one failed, which is told once.
    told: Option<Cause>,
}

impl Renewal {
    pub(super) fn new() -> Self {
        Self {
            next: Instant::now(),
            backoff: Backoff::new(),
            told: None,
        }
    }

    /// A link with newer secrets, if there are any, or that they do not work. The one before goes on until then.
    pub(super) async fn attempt(
        &mut self,
        link: &Link,
        endpoint: &Endpoint,
        settings: &WatchSettings,
    ) -> Option<Result<Link, ()>> {
        if settings.secrets.are_still(&link.access) || Instant::now() < self.next {
            return None;
        }
        let fault = match Link::open(endpoint, settings).await {
            Ok(newer) => return Some(Ok(newer)),
            Err(fault) => fault,
        };
        settings.secrets.doubt(fault.cause);
        self.next = Instant::now() + self.backoff.next_delay();
        if self.told.replace(fault.cause) != Some(fault.cause) {
            tracing::warn!(
                sentinel = %endpoint,
                reason = fault.cause.reason(),
                "the link with the secrets from before is kept, because new ones do not work: {}",
                fault.detail
            );
        }
        Some(Err(()))
    }
}

/// fred does not tell a name that does not resolve, a port that does not speak TLS, or a certificate that is not
/// accepted, from a refusal. We do, by dialling once more ourselves.
async fn diagnose(fault: Fault, endpoint: &Endpoint, access: &Access) -> Fault {
    if fault.cause != Cause::SentinelsUnreachable {
        return fault;
    }
    match dial(endpoint, access.tls.as_ref(), CONNECT_LIMIT).await {
        Err(found) if found.cause != Cause::RedisUnreachable => found,
        Err(found) => silent(&found.detail),
        Ok(stream) => refusal(endpoint, stream).await.unwrap_or(fault),
    }
}

fn client(endpoint: &Endpoint, access: &Access) -> SubscriberClient {
    let mut server = Server::new(endpoint.host.clone(), endpoint.port);
    let name = access.tls.as_ref().and_then(|tls| tls.server_name.clone());
    server.tls_server_name = name.map(Into::into);
    let credentials = &access.credentials;
    let config = Config {
        fail_fast: true,
        username: credentials.username.clone(),
        password: credentials
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

/// Bounds an exchange with a Sentinel, whatever fred's own timeouts do.
pub(super) async fn answered<T>(
    exchange: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    tokio::time::timeout(ANSWER_LIMIT * 2, exchange)
        .await
        .unwrap_or_else(|_| Err(silent("has stopped to answer")))
}

pub(super) fn silent(detail: &str) -> Fault {
    Fault::not_applied(Cause::SentinelsUnreachable, detail)
}

pub(super) fn fault(error: &fred::error::Error) -> Fault {
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
