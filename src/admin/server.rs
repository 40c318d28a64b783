//! The HTTP listener of the admin room, on a thread and runtime of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::telemetry::{Registry, UPKEEP_INTERVAL};

use super::probe::{Probes, Verdict};

/// The media type of the Prometheus text format.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

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

/// Binds, and serves until the process ends. Returns the address it really has.
///
/// # Errors
/// The address is taken, or the thread cannot be started.
pub fn start(
    address: SocketAddr,
    probes: Probes,
    registry: Arc<Registry>,
    config: String,
) -> Result<SocketAddr, BindError> {
    let failed = |source| BindError { address, source };
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
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
    Ok(bound)
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
    let serving = async { axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await };
    tokio::select! {
        () = upkeep => {}
        result = serving => {
            if let Err(error) = result {
                tracing::error!("metrics and probes are gone: {error}");
            }
        }
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
