//! One connection to one Sentinel.
//!
//! Invariants: it is made within [`CONNECT_LIMIT`] twice, or a fault says why not; nothing of it outlives the value.
//!
//! Not here: what is asked over it (`watcher`).

use std::time::Duration;

use fred::clients::SubscriberClient;
use fred::prelude::{ClientLike, EventInterface};
use fred::types::RespVersion;
use fred::types::config::{
    Config, ConnectionConfig, PerformanceConfig, Server, ServerConfig, TcpConfig, TlsConfig,
    TlsConnector,
};
use secrecy::ExposeSecret;
use tokio_util::task::AbortOnDropHandle;

use crate::dial::dial;
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
    _router: AbortOnDropHandle<Result<(), fred::error::Error>>,
}

impl Link {
    /// Connects, resolving the name anew.
    pub(super) async fn open(endpoint: &Endpoint, settings: &WatchSettings) -> Result<Self, Fault> {
        let client = client(endpoint, settings);
        let link = Self {
            _router: AbortOnDropHandle::new(client.connect()),
            client,
        };
        let fault =
            match tokio::time::timeout(CONNECT_LIMIT * 2, link.client.wait_for_connect()).await {
                Ok(Ok(())) => return Ok(link),
                Ok(Err(error)) => fault(&error),
                Err(_) => silent("accepts connections but does not answer"),
            };
        Err(diagnose(fault, endpoint, settings).await)
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

/// fred does not tell a name that does not resolve, or a port that does not speak TLS, from a refusal. We do, by
/// dialling once more ourselves.
async fn diagnose(fault: Fault, endpoint: &Endpoint, settings: &WatchSettings) -> Fault {
    if fault.cause != Cause::SentinelsUnreachable {
        return fault;
    }
    match dial(endpoint, settings.tls.as_ref(), CONNECT_LIMIT).await {
        Err(found) if found.cause != Cause::RedisUnreachable => found,
        Err(found) => silent(&found.detail),
        Ok(_) => fault,
    }
}

fn client(endpoint: &Endpoint, settings: &WatchSettings) -> SubscriberClient {
    let sentinel = &settings.sentinel;
    let config = Config {
        fail_fast: true,
        username: sentinel.credentials.username.clone(),
        password: sentinel
            .credentials
            .password
            .as_ref()
            .map(|password| password.expose_secret().to_owned()),
        server: ServerConfig::Centralized {
            server: Server::new(endpoint.host.clone(), endpoint.port),
        },
        // RESP3 lets one connection carry both the events and the polls.
        version: RespVersion::RESP3,
        tls: settings.tls.as_ref().map(|tls| {
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
