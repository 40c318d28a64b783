//! What is measured in one process, set up once: keys and values, a near cache under a lease, and the service over an
//! embedded store, composed as `vedetta::app` does. `benches/micro` and `benches/guard` share it.
//!
//! Not here: measuring.

mod call;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use vedetta::cache::{Cache, CacheBounds, Call, Embedded, Loads, Put};
use vedetta::clock;
use vedetta::config::{CacheRules, Limits, Sources};
use vedetta::grpc::{CacheService, Inflight, Metrics};
use vedetta::invalidation::{self, Hub, HubLimits};
use vedetta::model::{
    Address, CacheId, CacheName, Condition, Expiry, Groups, Key, Lineage, Moment, Tenant, Value,
    Version,
};
use vedetta::near::{Begin, Capacity, Found, Majority, Near, ReadBack};
use vedetta::proto::v1;
use vedetta::telemetry::Registry;

pub(crate) use call::{Server, at_once, frame};

/// How many entries there are: more than a processor's cache holds of 1 KiB each.
pub(crate) const ENTRIES: usize = 10_000;
const CAPACITY: u64 = 1 << 30;
const CACHE: &str = "bench";

/// The address of every entry, with keys of 32 bytes.
pub(crate) fn addresses() -> Vec<Address> {
    (0..ENTRIES)
        .map(|number| Address {
            cache: CacheId {
                tenant: Tenant::primary(),
                name: CacheName::new(CACHE).expect("a legal name"),
            },
            key: Key::new(Bytes::from(format!("key-{number:028}"))).expect("a key"),
        })
        .collect()
}

/// What each of them holds.
pub(crate) fn value(size: usize) -> Bytes {
    Bytes::from(vec![0x5A; size])
}

/// A near cache without entries, under a lease.
pub(crate) fn near() -> Near<()> {
    let near = Near::new(Capacity(CAPACITY));
    near.publish(1, Lineage::new(1, CACHE), Majority::Alone, Moment::START);
    near
}

/// What a read of the master found.
pub(crate) fn read_back(value: &Bytes) -> ReadBack {
    let now = clock::now();
    ReadBack {
        found: Found::Present(Value::Data(value.clone()), Version::unique(1, 1, 1)),
        mark: None,
        members: Some(Vec::new()),
        ttl: None,
        sent: now,
        received: now,
        generation: 1,
    }
}

/// Reads an entry into the near cache.
pub(crate) fn fill(near: &Near<()>, address: &Address, read: &ReadBack) -> bool {
    let key = address.key.as_bytes();
    match near.begin((key, &address.cache, None), None, read.sent, ()) {
        Begin::Lead(fill) => near.complete(fill, read),
        Begin::Join(()) => false,
    }
}

/// A write without any terms.
pub(crate) fn put(key: &Key, value: &Bytes) -> Put {
    Put {
        key: key.clone(),
        value: Value::Data(value.clone()),
        expiry: Expiry::Never,
        condition: Condition::None,
        groups: Groups::default(),
        lease: None,
    }
}

/// A hub for so many subscribers.
pub(crate) fn hub(subscribers: usize) -> Arc<Hub> {
    let limits = HubLimits {
        subscribers,
        records: 1024,
        bound: Duration::from_secs(1),
    };
    let metrics = invalidation::Metrics::register();
    Arc::new(Hub::new(limits, SystemTime::now(), metrics))
}

/// The cache, and the service on it; metrics are counted.
pub(crate) struct Service {
    pub(crate) cache: Arc<Cache<Embedded>>,
    pub(crate) service: CacheService<Embedded>,
    _registry: Registry,
}

impl Service {
    /// With every entry stored.
    pub(crate) fn filled(addresses: &[Address], value: &Bytes) -> Self {
        let registry = Registry::new().expect("usable buckets");
        let limits = limits();
        let (cache, service) = registry.register(|| {
            let rules = CacheRules::default();
            let store = Embedded::new(CAPACITY, rules.clone(), (hub(1), Arc::default()));
            let bounds = CacheBounds::from(&limits);
            let cache = Arc::new(Cache::new(store, rules, bounds, Arc::default()));
            let streams = (
                Inflight::new(limits.inflight_calls),
                CancellationToken::new(),
            );
            let metrics = Arc::new(Metrics::register());
            let loads = Loads::register();
            let service = CacheService::new(cache.clone(), loads, &limits, metrics, streams);
            (cache, service)
        });
        for address in addresses {
            let stored = cache.put(Call::until(None), &address.cache, put(&address.key, value));
            at_once(stored).expect("fits");
        }
        Self {
            cache,
            service,
            _registry: registry,
        }
    }
}

fn limits() -> Limits {
    let sources = Sources {
        file: None,
        env: Vec::new(),
        flags: Vec::new(),
        read_secret: &|_| Err("none is configured".to_owned()),
    };
    let loaded = vedetta::config::load(&sources).expect("the default configuration");
    loaded.config.limits
}

/// A Get as a client sends it.
pub(crate) fn get_request(address: &Address) -> v1::GetRequest {
    v1::GetRequest {
        cache: CACHE.to_owned(),
        key: address.key.as_bytes().clone(),
        ..v1::GetRequest::default()
    }
}
