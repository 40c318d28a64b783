//! What leads to Redis: sessions, the near cache, and the store on them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::cache::{Canary, Coherence, Flight, Remote, canary_key};
use crate::config::{Config, RedisConfig, SentinelConfig, Tls};
use crate::failover;
use crate::invalidation::{self, Directory, Hub, HubLimits, Intake};
use crate::model::{Cause, Fault, Master};
use crate::near::{Capacity, Near};
use crate::sentinel::{self, Election, Hints, WatchSettings};
use crate::telemetry::Registry;
use crate::upstream::{self, SessionSettings};

use super::{Floors, StartError};

/// How often the figures of the near cache are shown.
const FIGURES: Duration = Duration::from_secs(1);

/// So many polls of each Sentinel fit into the staleness bound, if that makes them more frequent.
const POLLS_PER_BOUND: u32 = 4;

/// What follows a master, and the store on it.
pub(super) struct Links {
    pub(super) store: Remote,
    pub(super) coherence: Coherence,
    pub(super) follower: watch::Receiver<failover::Status>,
    pub(super) elections: watch::Receiver<Election>,
}

pub(super) fn links(
    redis: &RedisConfig,
    sentinel: Option<&SentinelConfig>,
    config: &Config,
    registry: &Registry,
    floors: &Floors,
    hub: Arc<Hub>,
) -> Result<Links, StartError> {
    let coherence = Coherence {
        near: Arc::new(Near::<Flight>::new(Capacity(config.near.capacity))),
        hub,
        directory: Arc::new(Directory::default()),
        bound: config.near.staleness,
        audit_every: config.near.audit_every as u64,
    };
    let canary = canary_key(&redis.prefix, rand::random());
    let intake = Arc::new(Intake::new(
        coherence.near.clone(),
        coherence.hub.clone(),
        coherence.directory.clone(),
        canary.clone(),
    ));
    let settings = SessionSettings {
        redis: redis.clone(),
        tls: tls(redis.tls.as_ref())?,
        tasks: floors.links.clone(),
        metrics: Arc::new(registry.register(upstream::Metrics::register)),
        slots: config.limits.inflight_calls,
        tracker: intake.clone(),
        tracking: true,
        bound: config.near.staleness,
    };
    // What the sessions notice by themselves makes every Sentinel be asked at once.
    let hints = Hints::default();
    let elections = match sentinel {
        None => constant_election(redis),
        Some(sentinel) => watch_sentinels(sentinel, config, registry, floors, hints)?,
    };
    let (writer, lane) = upstream::lane();
    let metrics = registry.register(failover::Metrics::register);
    let (elected, tasks) = (elections.clone(), &floors.links);
    let follower = failover::start(elected, settings.clone(), writer, metrics, tasks);
    let (rules, kept) = (config.caches.clone(), coherence.clone());
    let store =
        registry.register(|| Remote::new(lane, &redis.prefix, rules, kept, floors.links.clone()));
    let watcher = Canary::new(&store, canary, &settings, intake.canary());
    floors.links.spawn("canary", watcher.run());
    Ok(Links {
        store,
        coherence,
        follower,
        elections,
    })
}

/// The hub, and the task that wakes its subscribers.
pub(super) fn hub(config: &Config, registry: &Registry, floors: &Floors) -> Arc<Hub> {
    let limits = HubLimits {
        subscribers: config.limits.subscribers,
        records: config.limits.replay_events,
        bound: config.near.staleness,
    };
    let metrics = registry.register(invalidation::Metrics::register);
    let hub = Arc::new(Hub::new(limits, std::time::SystemTime::now(), metrics));
    let pumped = hub.clone();
    floors
        .links
        .spawn("hub", async move { pumped.pump().await });
    hub
}

fn watch_sentinels(
    sentinel: &SentinelConfig,
    config: &Config,
    registry: &Registry,
    floors: &Floors,
    hints: Hints,
) -> Result<watch::Receiver<Election>, StartError> {
    let metrics = registry.register(|| sentinel::Metrics::register(&sentinel.endpoints));
    let often = config.near.staleness / POLLS_PER_BOUND;
    let watch = WatchSettings {
        sentinel: Arc::new(SentinelConfig {
            poll_interval: sentinel.poll_interval.min(often),
            ..sentinel.clone()
        }),
        tls: tls(sentinel.tls.as_ref())?,
    };
    Ok(sentinel::start(&watch, &floors.links, metrics, hints))
}

pub(super) fn show_figures(store: Remote, floors: &Floors) {
    floors.links.spawn("figures", async move {
        loop {
            store.show();
            tokio::time::sleep(FIGURES).await;
        }
    });
}

/// One Redis is its own majority.
fn constant_election(redis: &RedisConfig) -> watch::Receiver<Election> {
    let master = redis.endpoint.clone().map_or_else(
        || {
            Err(Fault::not_applied(
                Cause::NoSession,
                "no Redis address is configured",
            ))
        },
        |endpoint| Ok(Master { endpoint, epoch: 0 }),
    );
    let (_, standing) = watch::channel(Election::without_sentinels(master));
    standing
}

fn tls(tls: Option<&Tls>) -> Result<Option<Arc<tokio_rustls::rustls::ClientConfig>>, StartError> {
    tls.map(crate::dial::tls_config)
        .transpose()
        .map_err(StartError::Tls)
}
