//! What leads to Redis: sessions, the near cache, and the store on them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use metrics::{describe_gauge, gauge};
use tokio::sync::watch;

use crate::cache::{
    Allowance, Canary, ClearsAgain, Coherence, Flight, Journal, Remote, Writing, canary_key,
};
use crate::clock;
use crate::config::{Config, Credentials, RedisConfig, SentinelConfig, Tls};
use crate::dial::{Access, SecretFiles, Secrets};
use crate::events::{self, Events, EventsLimits, Log, RemoteLog};
use crate::failover::{self, Examiner, Following, Passage, Weakness};
use crate::invalidation::{self, Bell, Directory, Hub, HubLimits, Intake};
use crate::model::{Cause, Fault, Master, Signal};
use crate::near::{Capacity, Near};
use crate::sentinel::{self, Election, Hints, WatchSettings};
use crate::sessions::{self, Serving};
use crate::telemetry::Registry;
use crate::upstream::{self, Alarm, SessionSettings, Witnesses};

use super::{Floors, StartError, session_bounds};

/// How often the figures of the near cache are shown.
const FIGURES: Duration = Duration::from_secs(1);

/// So many polls of each Sentinel fit into the staleness bound, if that makes them more frequent.
const POLLS_PER_BOUND: u32 = 4;

/// What follows a master, and the store on it.
pub(super) struct Links {
    pub(super) store: Remote,
    pub(super) sessions: sessions::Remote,
    pub(super) coherence: Coherence,
    pub(super) events: Arc<Events>,
    pub(super) follower: watch::Receiver<failover::Status>,
    pub(super) elections: watch::Receiver<Election>,
    pub(super) weaknesses: watch::Receiver<Arc<[Weakness]>>,
    /// Rung when what is waited for may be there.
    pub(super) bell: Arc<Bell>,
    /// What quotas leave.
    pub(super) allowance: Arc<Allowance>,
}

pub(super) fn links(
    redis: &RedisConfig,
    sentinel: Option<&SentinelConfig>,
    config: &Config,
    registry: &Registry,
    floors: &Floors,
    hub: Arc<Hub>,
) -> Result<Links, StartError> {
    let (of_redis, of_sentinels) = secrets(redis, sentinel, registry, floors)?;
    let coherence = coherence(config, hub);
    let canary = canary_key(&redis.prefix, rand::random());
    let bell = Arc::new(Bell::default());
    let intake = intake(&coherence, canary.clone(), bell.clone());
    let hints = Hints::default();
    let (signals, noticed) = watch::channel(None);
    let signals = Arc::new(signals);
    let settings = SessionSettings {
        redis: redis.clone(),
        secrets: of_redis,
        tasks: floors.links.clone(),
        metrics: Arc::new(registry.register(upstream::Metrics::register)),
        slots: config.limits.inflight_calls,
        tracker: intake.clone(),
        tracking: true,
        alarm: alarm(&hints, &signals),
        bound: config.near.staleness,
    };
    let elections = match sentinel {
        None => constant_election(redis),
        Some(sentinel) => watch_sentinels(sentinel, of_sentinels, config, registry, floors, hints),
    };
    let journal = Journal::new(&redis.prefix, &config.quotas, coherence.hub.clone());
    let following = Following {
        elections: elections.clone(),
        settings: settings.clone(),
        lane: upstream::lane(),
        reconcile: journal.0.clone(),
        fence: config.fence,
        bounds: (&config.limits).into(),
        noticed,
        proven: proven(&coherence),
        metrics: registry.register(failover::Metrics::register),
    };
    let (follower, passage) = registry.register(|| failover::start(following, &floors.links));
    let (lane, elected) = (passage.lane().clone(), elections.clone());
    let (examiner, weaknesses) = registry.register(|| Examiner::new(lane, elected, config.fence));
    floors.links.spawn("examiner", examiner.run());
    let writing = (passage, Witnesses::start(&settings, &floors.links));
    let log = RemoteLog::new(writing.clone(), &redis.prefix, config.events);
    let events = events(Log::Remote(log), bell.clone(), config, registry, floors);
    let allowance = registry.register(|| Arc::new(Allowance::new(config.quotas.clone())));
    let kept = (&settings, &coherence, &allowance);
    let (store, sessions) = stores(writing, journal, kept, config, registry, floors);
    let watcher = Canary::new(&store, canary, &settings, intake.canary());
    floors.links.spawn("canary", watcher.run());
    Ok(Links {
        store,
        sessions,
        coherence,
        events,
        follower,
        elections,
        weaknesses,
        bell,
        allowance,
    })
}

/// Entries and sessions, on the master that the passage leads to.
fn stores(
    (passage, witnesses): (Passage, Witnesses),
    journal: (Arc<Journal>, ClearsAgain),
    (settings, coherence, allowance): (&SessionSettings, &Coherence, &Arc<Allowance>),
    config: &Config,
    registry: &Registry,
    floors: &Floors,
) -> (Remote, sessions::Remote) {
    let prefix = settings.redis.prefix.clone();
    let (near, bound) = (coherence.near.clone(), coherence.bound);
    let sessions = sessions::Remote::new(Serving {
        passage: passage.clone(),
        witnesses: witnesses.clone(),
        prefix: prefix.clone(),
        bounds: session_bounds(config),
        judge: Arc::new(move |generation, asked| {
            near.evidence(generation, asked, bound, clock::now())
        }),
    });
    let writing = Writing {
        passage,
        journal,
        witnesses,
        prefix,
        allowance: allowance.clone(),
    };
    let (rules, kept) = (config.caches.clone(), coherence.clone());
    let store = registry.register(|| Remote::new(writing, rules, kept, floors.links.clone()));
    (store, sessions)
}

/// Who hears of the sessions and their pushes.
fn intake(coherence: &Coherence, canary: Bytes, bell: Arc<Bell>) -> Arc<Intake<Flight>> {
    let intake = Intake::new(
        coherence.near.clone(),
        coherence.hub.clone(),
        coherence.directory.clone(),
        canary,
    );
    Arc::new(intake.listening(vec![RemoteLog::KEYS, Remote::LEASES], bell))
}

fn coherence(config: &Config, hub: Arc<Hub>) -> Coherence {
    Coherence {
        near: Arc::new(Near::<Flight>::new(Capacity(config.near.capacity))),
        hub,
        directory: Arc::new(Directory::default()),
        bound: config.near.staleness,
        audit_every: config.near.audit_every as u64,
    }
}

/// What the sessions notice by themselves makes every Sentinel be asked at once, and begins a report.
fn alarm(hints: &Hints, noticed: &Arc<watch::Sender<Option<Signal>>>) -> Alarm {
    let (hints, noticed) = (hints.clone(), noticed.clone());
    Alarm::new(move |signal| {
        hints.raise(signal);
        noticed.send_replace(Some(signal));
    })
}

/// Whether answers may be called FRESH.
fn proven(coherence: &Coherence) -> failover::Proven {
    let (near, bound) = (coherence.near.clone(), coherence.bound);
    Arc::new(move |now| {
        let standing = near.standing();
        let based = standing.base.is_some_and(|base| now.since(base) <= bound);
        based && standing.quarantine <= now
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

/// The channels over that log, which rings that bell.
pub(super) fn events(
    log: Log,
    bell: Arc<Bell>,
    config: &Config,
    registry: &Registry,
    floors: &Floors,
) -> Arc<Events> {
    let limits = EventsLimits {
        subscribers: config.limits.subscribers,
        config: config.events,
    };
    let metrics = registry.register(events::Metrics::register);
    let tasks = floors.links.clone();
    Arc::new(Events::new(log, bell, limits, metrics, tasks))
}

fn watch_sentinels(
    sentinel: &SentinelConfig,
    secrets: Secrets,
    config: &Config,
    registry: &Registry,
    floors: &Floors,
    hints: Hints,
) -> watch::Receiver<Election> {
    let metrics = registry.register(|| sentinel::Metrics::register(&sentinel.endpoints));
    let often = config.near.staleness / POLLS_PER_BOUND;
    let watch = WatchSettings {
        sentinel: Arc::new(SentinelConfig {
            poll_interval: sentinel.poll_interval.min(often),
            ..sentinel.clone()
        }),
        secrets,
    };
    sentinel::start(&watch, &floors.links, metrics, hints)
}

pub(super) fn show_figures(store: Remote, registry: &Registry, floors: &Floors) {
    let running = registry.register(|| {
        describe_gauge!(
            "vedetta_tasks",
            "Tasks that run in this process, calls not counted"
        );
        gauge!("vedetta_tasks")
    });
    let (links, serving) = (floors.links.clone(), floors.serving.clone());
    floors.links.spawn("figures", async move {
        loop {
            store.show();
            running.set((links.count() + serving.count()) as f64);
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

/// What the links to Redis, and those to the Sentinels, are opened with; their files are read again while running.
/// Every file that cannot be used is named at once.
fn secrets(
    redis: &RedisConfig,
    sentinel: Option<&SentinelConfig>,
    registry: &Registry,
    floors: &Floors,
) -> Result<(Secrets, Secrets), StartError> {
    let open = |section, credentials: &Credentials, tls: Option<&Tls>| {
        let (secrets, files) =
            registry.register(|| SecretFiles::open(section, credentials, tls))?;
        floors.links.spawn("secrets", files.run());
        Ok(secrets)
    };
    let of_redis = open("redis", &redis.credentials, redis.tls.as_ref());
    let of_sentinels = match sentinel {
        None => Ok(Secrets::fixed(Access::default())),
        Some(sentinel) => open("sentinel", &sentinel.credentials, sentinel.tls.as_ref()),
    };
    match (of_redis, of_sentinels) {
        (Ok(of_redis), Ok(of_sentinels)) => Ok((of_redis, of_sentinels)),
        (one, other) => {
            let problems: Vec<String> = [one.err(), other.err()].into_iter().flatten().collect();
            Err(StartError::Secrets(problems.join("; ")))
        }
    }
}
