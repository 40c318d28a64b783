//! A sidecar inside the test: what `app` composes around a Redis or a Sentinel set, without listeners.
//!
//! Invariants: every sidecar has its own session, near cache and metrics; answers are not audited, because an audit
//! repairs what it finds.
//!
//! Not here: the race (`program`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::time::Instant;
use vedetta::cache::{
    Cache, CacheBounds, Call, Canary, Coherence, Flight, Journal, Put, Remote, Writing, canary_key,
};
use vedetta::clock;
use vedetta::config::{
    CachePolicy, CacheRule, CacheRules, Credentials, Encoding, FenceConfig, FenceMode, Quotas,
    RedisConfig, SentinelConfig, SentinelPolicy,
};
use vedetta::dial::{Access, Secrets};
use vedetta::drain::Tasks;
use vedetta::failover::{self, Bounds, Following, Phase, Status};
use vedetta::invalidation::{self, Directory, Hub, HubLimits, Intake};
use vedetta::model::{
    Condition, Consistency, Endpoint, Expiry, Fault, Freshness, Groups, Lookup, Master, Moment,
    Source, Token, Value,
};
use vedetta::near::{Capacity, Near};
use vedetta::sentinel::{self, Election, Hints, WatchSettings};
use vedetta::telemetry::Registry;
use vedetta::upstream::{self, Alarm, SessionSettings, Tracker, Witnesses};

use crate::field::{Home, Spot};
use crate::side::{From, Seen, Side};
use crate::support::{MASTER, Redis};
use crate::trouble::until;

/// As by default.
const FENCE: FenceConfig = FenceConfig {
    mode: FenceMode::Hold,
    period: Duration::from_secs(1),
    all_unconfirmed: false,
};

/// More than these programs ever need.
const BOUNDS: Bounds = Bounds {
    wait: Duration::from_secs(15),
    calls: 1024,
    bytes: 32 << 20,
};

/// Every call of a race gives up then.
const DEADLINE: Duration = Duration::from_secs(3);
const SERVING_WITHIN: Duration = Duration::from_secs(20);
const SETTLED_WITHIN: Duration = Duration::from_secs(30);
const CAPACITY: u64 = 64 << 20;
const BOUNDS_OF_CACHE: CacheBounds = CacheBounds {
    budget: 16 << 20,
    waiting: 64,
};
const SLOTS: usize = 4096;

/// Where the entries are.
#[derive(Debug, Clone)]
pub(crate) enum Upstream {
    /// One Redis.
    Redis(SocketAddr),
    /// Whichever master these name.
    Sentinels(Vec<SocketAddr>),
}

/// A running sidecar. Its tasks end with the runtime of the test.
pub(crate) struct Sidecar {
    pub(crate) cache: Cache<Remote>,
    pub(crate) near: Arc<Near<Flight>>,
    pub(crate) hub: Arc<Hub>,
    registry: Registry,
    tasks: Tasks,
    follower: watch::Receiver<Status>,
}

impl Sidecar {
    /// Starts one with that staleness bound, and waits until it serves.
    pub(crate) async fn start(upstream: &Upstream, bound: Duration) -> Arc<Self> {
        let registry = Registry::new().expect("the bounds of the buckets are usable");
        let tasks = Tasks::new();
        let hub = hub(&registry, &tasks, bound);
        let coherence = Coherence {
            near: Arc::new(Near::<Flight>::new(Capacity(CAPACITY))),
            hub: hub.clone(),
            directory: Arc::new(Directory::default()),
            bound,
            audit_every: 0,
        };
        let near = coherence.near.clone();
        let redis = redis_config(upstream);
        let canary = canary_key(&redis.prefix, rand::random());
        let directory = coherence.directory.clone();
        let intake = Arc::new(Intake::new(
            near.clone(),
            hub.clone(),
            directory,
            canary.clone(),
        ));
        let metrics = Arc::new(registry.register(upstream::Metrics::register));
        let settings = session_settings(redis, &tasks, metrics, intake.clone(), bound);
        let elections = elections(upstream, bound, &registry, &tasks);
        let journal = Journal::new("", &Quotas::default(), hub.clone());
        let following = Following {
            elections,
            settings: settings.clone(),
            lane: upstream::lane(),
            reconcile: journal.0.clone(),
            fence: FENCE,
            bounds: BOUNDS,
            noticed: watch::channel(None).1,
            proven: Arc::new(|_| true),
            metrics: registry.register(failover::Metrics::register),
        };
        let (follower, passage) = registry.register(|| failover::start(following, &tasks));
        let writing = Writing {
            passage,
            journal,
            witnesses: Witnesses::start(&settings, &tasks),
            prefix: settings.redis.prefix.clone(),
            allowance: Arc::default(),
        };
        let store =
            registry.register(|| Remote::new(writing, cache_rules(), coherence, tasks.clone()));
        let watcher = Canary::new(&store, canary, &settings, intake.canary());
        tasks.spawn("canary", watcher.run());
        let sidecar = Arc::new(Self {
            cache: Cache::new(store, cache_rules(), BOUNDS_OF_CACHE, Arc::default()),
            near,
            hub,
            registry,
            tasks,
            follower,
        });
        until("a sidecar serves", SERVING_WITHIN, || sidecar.serves()).await;
        sidecar
    }

    /// Whether it has a session.
    pub(crate) fn serves(&self) -> Result<(), String> {
        match &self.follower.borrow().phase {
            Phase::Serving { .. } => Ok(()),
            phase => Err(format!("{phase:?}")),
        }
    }

    /// How many sessions it has had.
    pub(crate) fn generation(&self) -> u64 {
        self.follower.borrow().generation
    }

    /// The value of a series of its metrics; 0 where there is none.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        let metrics = self.registry.render();
        let value = metrics.lines().find_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            (name == series).then(|| value.parse().ok()).flatten()
        });
        value.unwrap_or(0)
    }

    /// Fails the test if one of its tasks has panicked.
    pub(crate) fn check_tasks(&self) {
        let panicked = self.tasks.failed().now_or_never().is_some();
        assert!(!panicked, "a task of a sidecar has panicked");
    }

    /// Reads with a consistency and within a time.
    pub(crate) async fn read(
        &self,
        spot: &Spot,
        consistency: Consistency,
        within: Duration,
    ) -> Result<Lookup, Fault> {
        let call = Call::until(Some(Instant::now() + within));
        self.cache.get(call, &spot.address, consistency).await
    }

    /// Writes; the token behind the write.
    pub(crate) async fn write(
        &self,
        spot: &Spot,
        value: Bytes,
        expiry: Expiry,
    ) -> Result<Option<Token>, Fault> {
        let put = Put {
            key: spot.address.key.clone(),
            value: Value::Data(value),
            expiry,
            condition: Condition::None,
            groups: Groups::default(),
            lease: None,
        };
        let written = self.cache.put(in_time(), &spot.address.cache, put).await?;
        Ok(written.token)
    }
}

impl Side for Sidecar {
    async fn get(&self, spot: &Spot) -> Result<Seen, String> {
        let lookup = self.read(spot, Consistency::Fresh(None), DEADLINE).await;
        let (value, evidence, ttl) = match lookup.map_err(|fault| fault.to_string())? {
            Lookup::Miss(evidence) => (None, evidence, None),
            Lookup::Hit(hit) => (Some(data(hit.value)?), hit.evidence, hit.ttl),
        };
        let from = match (evidence.source, evidence.freshness) {
            (Source::L1, Freshness::Fresh) => From::Near(evidence.age_bound),
            (Source::L1, other) => return Err(format!("FRESH was answered {other:?}")),
            (Source::Master, _) => From::Server,
        };
        Ok(Seen { value, from, ttl })
    }

    async fn master(&self, spot: &Spot) -> Result<Option<Bytes>, String> {
        match self.read(spot, Consistency::Master, DEADLINE).await {
            Ok(Lookup::Miss(evidence)) if evidence.source == Source::Master => Ok(None),
            Ok(Lookup::Hit(hit)) if hit.evidence.source == Source::Master => {
                data(hit.value).map(Some)
            }
            Ok(_) => Err("MASTER was answered from a copy".to_owned()),
            Err(fault) => Err(fault.to_string()),
        }
    }

    async fn put(&self, spot: &Spot, value: Bytes, ttl: Option<Duration>) -> Result<(), String> {
        let expiry = ttl.map_or(Expiry::Never, Expiry::In);
        let written = self.write(spot, value, expiry).await;
        written.map(drop).map_err(|fault| fault.to_string())
    }

    async fn evict(&self, spot: &Spot) -> Result<(), String> {
        let written = self.cache.evict(in_time(), &spot.address).await;
        written.map(drop).map_err(|fault| fault.to_string())
    }

    async fn clear(&self, spot: &Spot) -> Result<(), String> {
        let written = self.cache.clear(in_time(), &spot.address.cache).await;
        written.map(drop).map_err(|fault| fault.to_string())
    }

    async fn settle(&self, after: Moment) {
        until("a lease proves the last write", SETTLED_WITHIN, || {
            let standing = self.near.standing();
            let proven = standing.base.is_some_and(|base| base > after);
            if proven && standing.quarantine <= clock::now() {
                Ok(())
            } else {
                Err(format!("{standing:?} at {:?}", clock::now()))
            }
        })
        .await;
    }

    fn rejected(&self) -> u64 {
        self.near.figures().rejected
    }
}

/// How often the server has executed a command.
pub(crate) fn calls(redis: &Redis, command: &str) -> u64 {
    let info = redis.cli(&["INFO", "commandstats"]);
    let start = format!("cmdstat_{command}:calls=");
    let line = info.lines().find_map(|line| line.strip_prefix(&start));
    let count = line.and_then(|rest| rest.split(',').next());
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

fn in_time() -> Call {
    Call::until(Some(Instant::now() + DEADLINE))
}

fn data(value: Value) -> Result<Bytes, String> {
    match value {
        Value::Data(data) => Ok(data),
        Value::Null => Err("a null that nobody wrote".to_owned()),
    }
}

fn hub(registry: &Registry, tasks: &Tasks, bound: Duration) -> Arc<Hub> {
    let limits = HubLimits {
        subscribers: 1,
        records: 1024,
        bound,
    };
    let metrics = registry.register(invalidation::Metrics::register);
    let hub = Arc::new(Hub::new(limits, SystemTime::now(), metrics));
    let pumped = hub.clone();
    tasks.spawn("hub", async move { pumped.pump().await });
    hub
}

fn cache_rules() -> CacheRules {
    CacheRules::new(vec![CacheRule {
        pattern: Home::Raw.name().to_owned(),
        policy: CachePolicy {
            encoding: Encoding::Raw,
            ttl: None,
            jitter: 0,
        },
    }])
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint {
        host: address.ip().to_string(),
        port: address.port(),
    }
}

fn redis_config(upstream: &Upstream) -> RedisConfig {
    RedisConfig {
        endpoint: match upstream {
            Upstream::Redis(address) => Some(endpoint(*address)),
            Upstream::Sentinels(_) => None,
        },
        prefix: String::new(),
        credentials: Credentials::default(),
        tls: None,
        connect_timeout: Duration::from_secs(1),
        command_timeout: Duration::from_secs(1),
    }
}

fn session_settings(
    redis: RedisConfig,
    tasks: &Tasks,
    metrics: Arc<upstream::Metrics>,
    tracker: Arc<dyn Tracker>,
    bound: Duration,
) -> SessionSettings {
    SessionSettings {
        redis,
        secrets: Secrets::fixed(Access::default()),
        tasks: tasks.clone(),
        metrics,
        slots: SLOTS,
        tracker,
        tracking: true,
        alarm: Alarm::silent(),
        bound,
    }
}

fn elections(
    upstream: &Upstream,
    bound: Duration,
    registry: &Registry,
    tasks: &Tasks,
) -> watch::Receiver<Election> {
    match upstream {
        Upstream::Redis(address) => {
            let master = Master {
                endpoint: endpoint(*address),
                epoch: 0,
            };
            watch::channel(Election::without_sentinels(Ok(master))).1
        }
        Upstream::Sentinels(addresses) => {
            let endpoints: Vec<Endpoint> = addresses.iter().copied().map(endpoint).collect();
            let metrics = registry.register(|| sentinel::Metrics::register(&endpoints));
            let settings = WatchSettings {
                sentinel: Arc::new(SentinelConfig {
                    endpoints,
                    master_name: MASTER.to_owned(),
                    credentials: Credentials::default(),
                    tls: None,
                    events: true,
                    poll_interval: bound / 4,
                    policy: SentinelPolicy::Majority,
                    discovery: true,
                }),
                secrets: Secrets::fixed(Access::default()),
            };
            sentinel::start(&settings, tasks, metrics, Hints::default())
        }
    }
}
