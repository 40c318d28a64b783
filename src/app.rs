//! The composition root: the only place that knows every room.
//!
//! Order of a start: bind, so that a taken address is an error before anything else; build; spawn; serve. Order of a
//! stop: not ready, no new calls, calls in flight finish, then the links to Redis and the Sentinels go.
//!
//! Invariants: a start does not wait for Redis and does not fail because of it.

mod health;
mod links;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::admin;
use crate::cache::{Allowance, Cache, Embedded, Loads, Store};
use crate::clock;
use crate::config::{Api, Config, Loaded, RedisConfig, SentinelConfig, StoreConfig};
use crate::drain::Tasks;
use crate::events::{EmbeddedLog, Events, Log};
use crate::failover;
use crate::grpc::{
    self, Admit, BindError, CacheService, Draining, EventsService, Health, Inflight, Listeners,
    Services, SessionsService, Socket, StatusService, StatusSources, WatchService, Workers,
};
use crate::invalidation::{Bell, Hub};
use crate::proto::v1::get_status_response as status;
use crate::sessions::{self, Bounds, Sessions};
use crate::telemetry::Registry;

use health::{follow_health, probes};
use links::{events, hub, links, show_figures};

/// How long the links get to end after the last call. Nothing is lost with them.
const LINKS_GRACE: Duration = Duration::from_millis(500);

/// Why the process cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The Unix socket.
    #[error(transparent)]
    Socket(#[from] BindError),
    /// The TCP port of the API.
    #[error("cannot listen on {address} for the API: {source}; set VEDETTA_LISTEN")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The admin port.
    #[error(transparent)]
    Admin(#[from] admin::BindError),
    /// Passwords, authorities, certificates and keys.
    #[error(
        "the secrets of the links cannot be used: {0}; correct these files, or the settings that name them"
    )]
    Secrets(String),
    /// The threads that serve.
    #[error("cannot start a thread: {0}; lower VEDETTA_WORKERS, or allow the process more threads")]
    Worker(std::io::Error),
    /// A task of the process has panicked.
    #[error("a task has failed, see the log; please report this")]
    Task,
    /// A defect of the build.
    #[error("vedetta cannot start: {0}; please report this")]
    Defect(String),
}

/// Two sets of tasks, because calls in flight need the links until they are answered.
struct Floors {
    serving: Tasks,
    links: Tasks,
}

/// Serves until `stop` completes; returns after the drain.
///
/// # Errors
/// See [`StartError`].
pub async fn serve(
    loaded: Loaded,
    stop: impl Future<Output = &'static str>,
) -> Result<(), StartError> {
    for notice in &loaded.notices {
        tracing::info!("{notice}");
    }
    let config = &loaded.config;
    let registry = Registry::new().map_err(|error| StartError::Defect(error.to_string()))?;
    let registry = Arc::new(registry);
    let listeners = bind(&config.api).await?;
    let admin = admin::bind(config.admin.listen)?;
    announce(&listeners);
    let floors = Floors {
        serving: Tasks::new(),
        links: Tasks::new(),
    };
    let (health, serving) = match &config.store {
        StoreConfig::Embedded { capacity } => {
            embedded(*capacity, config, &registry, &floors, listeners).await?
        }
        StoreConfig::Redis(redis) => {
            remote(redis, None, config, &registry, &floors, listeners).await?
        }
        StoreConfig::Sentinel(redis, sentinel) => {
            remote(redis, Some(sentinel), config, &registry, &floors, listeners).await?
        }
    };
    let probes = probes(&serving, &floors);
    let shown = show(&loaded);
    let admin = admin::start(admin, probes.clone(), registry, shown)?;
    tracing::info!(%admin, "metrics and probes");
    follow_health(health, serving, &floors);

    let reason = tokio::select! {
        reason = stop => Ok(reason),
        () = floors.serving.failed() => Err(StartError::Task),
        () = floors.links.failed() => Err(StartError::Task),
    };
    tracing::info!(
        "stopping: {}",
        reason
            .as_ref()
            .map_or("a task has failed", |reason| *reason)
    );
    probes.stop();
    let late = floors.serving.stop(config.api.drain + LINKS_GRACE).await;
    let late = [late, floors.links.stop(LINKS_GRACE).await].concat();
    if late.is_empty() {
        tracing::info!("stopped");
    } else {
        tracing::warn!("stopped without waiting for {}", late.join(", "));
    }
    reason.map(|_| ())
}

/// Where the follower stands; `None` with the embedded store, which is always there.
type Serving = Option<watch::Receiver<failover::Status>>;

async fn bind(api: &Api) -> Result<Listeners, StartError> {
    let socket = match &api.socket {
        None => None,
        Some(path) => match Socket::bind(path) {
            Ok(socket) => Some(socket),
            // A laptop without the default directory is no reason not to start; a taken socket is.
            Err(error @ BindError::Io { .. }) if !api.socket_required && api.listen.is_some() => {
                tracing::warn!("serving without a Unix socket: {error}");
                None
            }
            Err(error) => return Err(error.into()),
        },
    };
    let tcp = match api.listen {
        None => None,
        Some(address) => Some(
            TcpListener::bind(address)
                .await
                .map_err(|source| StartError::Listen { address, source })?,
        ),
    };
    Ok(Listeners { socket, tcp })
}

fn announce(listeners: &Listeners) {
    if let Some(socket) = &listeners.socket {
        tracing::info!("API on unix:{}", socket.path().display());
    }
    if let Some(Ok(address)) = listeners.tcp.as_ref().map(TcpListener::local_addr) {
        tracing::info!("API on http://{address}");
    }
}

async fn embedded(
    capacity: u64,
    config: &Config,
    registry: &Arc<Registry>,
    floors: &Floors,
    listeners: Listeners,
) -> Result<(Health, Serving), StartError> {
    tracing::info!(
        "no Redis is configured: serving from an embedded store of {capacity} bytes in this process; \
         nothing is shared or kept (set REDIS_ADDRESS or REDIS_ADDRESSES to use Redis)"
    );
    let hub = hub(config, registry, floors);
    // Nobody else writes, so nothing can be missed.
    hub.prove_always();
    let bell = Arc::new(Bell::default());
    let (rules, heard) = (config.caches.clone(), (hub.clone(), bell.clone()));
    let allowance = registry.register(|| Arc::new(Allowance::new(config.quotas.clone())));
    let store = registry.register(|| Embedded::new(capacity, rules, heard));
    let store = store.allowing(allowance.clone());
    let (rules, bounds) = (config.caches.clone(), (&config.limits).into());
    let cache = registry.register(|| Cache::new(store, rules, bounds, bell.clone()));
    let cache = Arc::new(cache.allowing(allowance));
    let swept = cache.clone();
    floors.links.spawn("embedded sweep", async move {
        swept.store().keep_swept().await;
    });
    let bounds = session_bounds(config);
    let store = registry.register(|| sessions::Embedded::new(capacity, bounds));
    let sessions = kept(store, config);
    let swept = sessions.clone();
    floors.links.spawn("session sweep", async move {
        loop {
            swept.store().sweep();
            tokio::time::sleep(sessions::SWEEP_INTERVAL).await;
        }
    });
    let shown = cache.clone();
    let sources = StatusSources::Embedded(Arc::new(move || {
        let figures = shown.store().figures();
        status::Embedded {
            entries: figures.entries,
            weight_bytes: figures.weight,
            capacity_bytes: figures.capacity,
            evictions: figures.evictions,
        }
    }));
    let log = Log::Embedded(EmbeddedLog::new(bell.clone(), config.events));
    let opening = Opening {
        cache,
        sessions,
        hub,
        events: events(log, bell, config, registry, floors),
        sources,
    };
    let health = open(opening, config, registry, floors, listeners).await?;
    Ok((health, None))
}

async fn remote(
    redis: &RedisConfig,
    sentinel: Option<&SentinelConfig>,
    config: &Config,
    registry: &Arc<Registry>,
    floors: &Floors,
    listeners: Listeners,
) -> Result<(Health, Serving), StartError> {
    let hub = hub(config, registry, floors);
    let links = links(redis, sentinel, config, registry, floors, hub.clone())?;
    show_figures(links.store.clone(), registry, floors);
    let (rules, bounds) = (config.caches.clone(), (&config.limits).into());
    let cache = registry.register(|| Cache::new(links.store, rules, bounds, links.bell));
    let cache = Arc::new(cache.allowing(links.allowance));
    let sessions = kept(links.sessions, config);
    let coherence = links.coherence;
    let show: grpc::ShowNear = Arc::new(move || {
        let base = coherence.near.standing().base;
        grpc::show_near(
            &coherence.near.figures(),
            base,
            coherence.bound,
            clock::now(),
        )
    });
    let sources = match sentinel {
        None => StatusSources::Redis(links.follower.clone(), links.weaknesses, show),
        Some(_) => StatusSources::Sentinel(
            links.follower.clone(),
            links.elections,
            links.weaknesses,
            show,
        ),
    };
    let opening = Opening {
        cache,
        sessions,
        hub,
        events: links.events,
        sources,
    };
    let health = open(opening, config, registry, floors, listeners).await?;
    Ok((health, Some(links.follower)))
}

/// How large a session may be.
fn session_bounds(config: &Config) -> Bounds {
    Bounds {
        attributes: config.limits.session_attributes as u64,
        bytes: config.limits.session,
    }
}

fn kept<T: sessions::Store>(store: T, config: &Config) -> Arc<Sessions<T>> {
    let most = config.limits.sessions_found;
    Arc::new(Sessions::new(store, config.sessions.active, most))
}

/// What is to be served.
struct Opening<S, T> {
    cache: Arc<Cache<S>>,
    sessions: Arc<Sessions<T>>,
    hub: Arc<Hub>,
    events: Arc<Events>,
    sources: StatusSources,
}

async fn open<S: Store, T: sessions::Store>(
    opening: Opening<S, T>,
    config: &Config,
    registry: &Arc<Registry>,
    floors: &Floors,
    listeners: Listeners,
) -> Result<Health, StartError> {
    let (metrics, loads, inflight) = registry.register(|| {
        (
            Arc::new(grpc::Metrics::register()),
            Loads::register(),
            Inflight::new(config.limits.inflight_calls),
        )
    });
    let Opening {
        cache,
        sessions,
        hub,
        events,
        sources,
    } = opening;
    let (admitting, encoding) = (cache.clone(), cache.clone());
    let admit = Admit {
        judge: Arc::new(move |name| admitting.admit(name)),
        encoding: Arc::new(move |name| encoding.policy(name).encoding),
    };
    let (limits, stopping) = (&config.limits, floors.serving.stopping());
    let streams = (inflight.clone(), stopping.clone());
    let cache = CacheService::new(cache, loads.clone(), limits, metrics.clone(), streams);
    let life = config.sessions.max_inactive;
    let sessions = SessionsService::new(sessions, limits.clone(), life, metrics.clone());
    let (watched, told) = (metrics.clone(), metrics.clone());
    let watch = WatchService::new(hub, admit, limits.clone(), watched, stopping.clone());
    let events = EventsService::new(events, config.events, limits.clone(), told, stopping);
    let status = StatusService::new(sources, config, loads, metrics);
    let draining = Draining {
        grace: config.api.drain,
        inflight,
    };
    let registry = registry.clone();
    let within = move |serve: &mut dyn FnMut()| registry.register(serve);
    let workers = Workers::start(config.api.workers, within).map_err(StartError::Worker)?;
    grpc::serve(
        listeners,
        Services {
            cache,
            sessions,
            status,
            watch,
            events,
        },
        limits,
        (&floors.serving, workers),
        draining,
    )
    .await
    .map_err(|error| StartError::Defect(error.to_string()))
}

/// The effective configuration as `/config` shows it.
fn show(loaded: &Loaded) -> String {
    loaded
        .effective
        .iter()
        .map(|line| format!("{} = {}  # {}\n", line.key, line.value, line.origin))
        .collect()
}
