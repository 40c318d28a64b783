//! What is measured, set up: the service over an embedded store, composed as `vedetta::app` does, and a hub.
//!
//! Not here: measuring; keys, values and a near cache (`benches/guard/copies.rs`).

mod call;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use vedetta::cache::{Cache, CacheBounds, Call, Embedded, Loads, Put};
use vedetta::config::{CacheRules, Limits, Sources};
use vedetta::grpc::{CacheService, Inflight, Metrics};
use vedetta::invalidation::{self, Hub, HubLimits};
use vedetta::model::{Address, Condition, Expiry, Groups, Key, Value};
use vedetta::proto::v1;
use vedetta::telemetry::Registry;

use crate::copies::CACHE;
pub(crate) use call::{Server, at_once, frame};

/// Enough for all entries.
const CAPACITY: u64 = 1 << 30;

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
