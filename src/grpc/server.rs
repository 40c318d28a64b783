//! Listens on the Unix socket and on loopback, and serves the routes over HTTP/2.
//!
//! The routes are tonic's; the connections are hyper's, because tonic's own server answers an expired deadline with
//! CANCELLED (see `deadline`) and cannot be told otherwise.
//!
//! Invariants: at stop, no new connection is accepted, connections are told to go away, and calls in flight get the
//! grace; then whatever is left is dropped.
//!
//! Not here: what is served (`cache`, `status_service`); HTTP for probes and metrics (`admin`).

use std::io;
use std::time::Duration;

use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::cache::Store;
use crate::config::Limits;
use crate::drain::Tasks;
use crate::proto::v1::cache_server::CacheServer;
use crate::proto::v1::events_server::EventsServer;
use crate::proto::v1::sessions_server::SessionsServer;
use crate::proto::v1::status_server::StatusServer;
use crate::proto::v1::watch_server::WatchServer;
use crate::sessions;

use super::cache::CacheService;
use super::coalesce::gather;
use super::connection::{Hot, Served, connection};
use super::events::EventsService;
use super::greeting::Greeting;
use super::limit::Inflight;
use super::sessions::SessionsService;
use super::socket::Socket;
use super::status_service::StatusService;
use super::watch::WatchService;
use super::workers::{Moved, Workers};

/// Connections at a time on one listener. One client needs one or two; each costs some tens of KiB.
const CONNECTIONS: usize = 1024;

/// After an error of accept (no file descriptors left, say) the next attempt waits that long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// After the last call has been answered, its connection gets that long to send the answer off.
const FLUSH: Duration = Duration::from_millis(300);

/// Messages of up to this many times the limits are decoded, so that the handlers can refuse them by field. Larger
/// ones are refused by their length, before they take memory.
const DECODE_FACTOR: u64 = 2;

/// Requests about sessions of at least half that size are decoded, however small sessions have to be.
const LEAST: u64 = 2 << 20;

/// The doors of the API. At least one is open.
#[derive(Debug)]
pub struct Listeners {
    /// The Unix socket.
    pub socket: Option<Socket>,
    /// Loopback TCP.
    pub tcp: Option<TcpListener>,
}

/// Sets what `grpc.health.v1` answers.
#[derive(Clone)]
pub struct Health(tonic_health::server::HealthReporter);

impl Health {
    /// The service `vedetta.v1.Cache` has a writable master, or not. The process itself is always serving.
    pub async fn set_cache(&self, serving: bool) {
        let status = if serving {
            tonic_health::ServingStatus::Serving
        } else {
            tonic_health::ServingStatus::NotServing
        };
        self.0.set_service_status("vedetta.v1.Cache", status).await;
    }
}

/// What is served.
pub struct Services<S, T> {
    /// Entries.
    pub cache: CacheService<S>,
    /// HTTP sessions.
    pub sessions: SessionsService<T>,
    /// What the process says about itself.
    pub status: StatusService,
    /// What changes.
    pub watch: WatchService,
    /// Messages between pods.
    pub events: EventsService,
}

/// How to stop.
#[derive(Debug, Clone)]
pub struct Draining {
    /// Calls in flight get that long.
    pub grace: Duration,
    /// Who is in flight. Streams that only watch (health, reflection) do not count, and are not waited for.
    pub inflight: Inflight,
}

/// Starts to serve on every listener until the tasks are stopped.
///
/// # Errors
/// The descriptors of the API are damaged, which is a defect of the build.
pub async fn serve<S: Store, T: sessions::Store>(
    listeners: Listeners,
    services: Services<S, T>,
    limits: &Limits,
    (tasks, workers): (&Tasks, Workers),
    draining: Draining,
) -> Result<Health, tonic_reflection::server::Error> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let largest =
        usize::try_from(DECODE_FACTOR * limits.batch_bytes.max(limits.value)).unwrap_or(usize::MAX);
    let cache = CacheServer::new(services.cache)
        .max_decoding_message_size(largest)
        .max_encoding_message_size(usize::MAX);
    let events = EventsServer::new(services.events).max_decoding_message_size(largest);
    let largest = usize::try_from(DECODE_FACTOR * limits.session.max(LEAST)).unwrap_or(usize::MAX);
    let sessions = SessionsServer::new(services.sessions)
        .max_decoding_message_size(largest)
        .max_encoding_message_size(usize::MAX);
    let descriptors = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(crate::proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // So that grpcurl and its like can show the details of errors.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let routes = Routes::new(StatusServer::new(services.status))
        .add_service(WatchServer::new(services.watch))
        .add_service(events)
        .add_service(sessions)
        .add_service(health)
        .add_service(descriptors().build_v1()?)
        .add_service(descriptors().build_v1alpha()?)
        .prepare();
    let served = Served { hot: cache, routes };
    serve_all(listeners, served, (tasks, workers), draining);
    Ok(Health(reporter))
}

/// Serves anything in the same way, so that its price can be measured without that of what is served.
pub fn serve_all<C: Hot>(
    listeners: Listeners,
    served: Served<C>,
    (tasks, workers): (&Tasks, Workers),
    draining: Draining,
) {
    let stop = tasks.stopping();
    if let Some(socket) = listeners.socket {
        let served = (served.clone(), workers.clone());
        let (stop, draining) = (stop.clone(), draining.clone());
        tasks.spawn_draining("grpc socket", async move {
            let (listener, _claim) = socket.into_parts();
            accept_loop(UnixListenerStream::new(listener), served, stop, draining).await;
        });
    }
    if let Some(tcp) = listeners.tcp {
        tasks.spawn_draining("grpc tcp", async move {
            let incoming = TcpListenerStream::new(tcp).map(|stream| {
                // Fails only where the peer is gone already, which is nobody else's concern.
                stream.inspect(|stream| drop(stream.set_nodelay(true)))
            });
            accept_loop(incoming, (served, workers), stop, draining).await;
        });
    }
}

async fn accept_loop<IO, C: Hot>(
    mut incoming: impl Stream<Item = io::Result<IO>> + Unpin,
    (served, workers): (Served<C>, Workers),
    stop: CancellationToken,
    draining: Draining,
) where
    IO: AsyncRead + AsyncWrite + Moved + Unpin + Send + 'static,
{
    let graceful = GracefulShutdown::new();
    // Dropping the set drops the connections that outlive the grace.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let full = connections.len() >= CONNECTIONS;
        let stream = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            // A connection too many waits in the backlog until one ends.
            Some(stream) = incoming.next(), if !full => stream,
        };
        let worker = workers.next();
        match stream.and_then(|stream| stream.onto(worker)) {
            Ok(stream) => {
                let (served, inflight) = (served.clone(), draining.inflight.clone());
                let watcher = graceful.watcher();
                let serving = async move {
                    let (stream, greeting) = Greeting::watch(stream);
                    let served = gather(stream, |stream| {
                        watcher.watch(connection(stream, served, inflight))
                    });
                    tokio::select! {
                        served = served => if let Err(error) = served {
                            tracing::debug!("a connection ended with an error: {error}");
                        },
                        () = greeting.missing() => {}
                    }
                };
                connections.spawn_on(serving, worker);
            }
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    draining.inflight.close();
    let drained = async {
        tokio::select! {
            () = graceful.shutdown() => {}
            () = async {
                draining.inflight.idle().await;
                tokio::time::sleep(FLUSH).await;
            } => {}
        }
    };
    if tokio::time::timeout(draining.grace, drained).await.is_err() {
        tracing::warn!(
            "calls were still in flight {:?} after the stop",
            draining.grace
        );
    }
}
