//! The HTTP listener of the admin room, on a thread and runtime of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;

use crate::telemetry::{Registry, UPKEEP_INTERVAL};

use super::probe::{Probes, Verdict};

/// The media type of the Prometheus text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Connections at a time. A kubelet and a few Prometheus servers need a handful.
const CONNECTIONS: usize = 64;

/// A connection that sends no request for that long is closed.
const PATIENCE: Duration = Duration::from_secs(5);

/// After an error of accept the next attempt waits that long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why there is no admin listener.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for metrics and probes: {source}; set VEDETTA_ADMIN_LISTEN")]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

#[derive(Clone)]
struct Admin {
    probes: Probes,
    registry: Arc<Registry>,
    config: Arc<str>,
}

/// An address that is taken and not served yet.
#[derive(Debug)]
pub struct Listener {
    listener: std::net::TcpListener,
    address: SocketAddr,
}

/// Takes the address.
///
/// # Errors
/// Somebody else has it.
pub fn bind(address: SocketAddr) -> Result<Listener, BindError> {
    let failed = |source| BindError { address, source };
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Listener { listener, address })
}

/// Serves until the process ends. Returns the address it really has.
///
/// # Errors
/// The thread cannot be started.
pub fn start(
    listener: Listener,
    probes: Probes,
    registry: Arc<Registry>,
    config: String,
) -> Result<SocketAddr, BindError> {
    let Listener { listener, address } = listener;
    let failed = |source| BindError { address, source };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let admin = Admin {
        probes,
        registry,
        config: config.into(),
    };
    std::thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || runtime.block_on(serve(listener, admin)))
        .map_err(failed)?;
    Ok(address)
}

async fn serve(listener: std::net::TcpListener, admin: Admin) {
    let registry = admin.registry.clone();
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route(
            "/livez",
            get(|admin: State<Admin>| async move { probe(admin.probes.live()) }),
        )
        .route(
            "/readyz",
            get(|admin: State<Admin>| async move { probe(admin.probes.ready()) }),
        )
        .route(
            "/startupz",
            get(|admin: State<Admin>| async move { probe(admin.probes.started()) }),
        )
        .route(
            "/config",
            get(|admin: State<Admin>| async move { admin.config.to_string() }),
        )
        .with_state(admin);
    let upkeep = async {
        loop {
            tokio::time::sleep(UPKEEP_INTERVAL).await;
            registry.upkeep();
        }
    };
    tokio::select! {
        () = upkeep => {}
        result = accept_loop(listener, router) => {
            if let Err(error) = result {
                tracing::error!("metrics and probes are gone: {error}");
            }
        }
    }
}

/// Not `axum::serve`, which bounds neither connections nor the patience with silent ones: this port is on the
/// network of the pod.
async fn accept_loop(listener: std::net::TcpListener, router: Router) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let full = connections.len() >= CONNECTIONS;
        let stream = tokio::select! {
            Some(_) = connections.join_next() => continue,
            stream = listener.accept(), if !full => stream,
        };
        let Ok((stream, _)) = stream else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .serve_connection(
                TokioIo::new(stream),
                TowerToHyperService::new(router.clone()),
            );
        // However it ends, it concerns nobody else.
        connections.spawn(async move { drop(connection.await) });
    }
}

async fn metrics(admin: State<Admin>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, PROMETHEUS)],
        admin.registry.render(),
    )
}

fn probe(verdict: Verdict) -> (StatusCode, String) {
    match verdict {
        Ok(word) => (StatusCode::OK, format!("{word}\n")),
        Err(word) => (StatusCode::SERVICE_UNAVAILABLE, format!("{word}\n")),
    }
}
