//! The service of vedetta over its embedded store, composed as `vedetta::app` does.

use std::sync::Arc;
use std::time::SystemTime;

use tokio_util::sync::CancellationToken;
use vedetta::cache::{Cache, CacheBounds, Embedded, Loads};
use vedetta::config::{CacheRules, Sources};
use vedetta::grpc::{CacheService, Inflight, Metrics};
use vedetta::invalidation::{self, Hub, HubLimits};
use vedetta::proto::v1::cache_server::CacheServer;
use vedetta::telemetry::Registry;

const CAPACITY: u64 = 1 << 30;

/// The service alone.
///
/// # Errors
/// The default configuration is refused, which is a defect.
pub(super) fn service() -> Result<CacheServer<CacheService<Embedded>>, String> {
    let sources = Sources {
        file: None,
        env: Vec::new(),
        flags: Vec::new(),
        read_secret: &|_| Err("none is configured".to_owned()),
    };
    let loaded = vedetta::config::load(&sources).map_err(|mistakes| mistakes.to_string())?;
    let (limits, staleness) = (loaded.config.limits, loaded.config.near.staleness);
    let registry = Registry::new().map_err(|error| error.to_string())?;
    let service = registry.register(|| {
        let hub_limits = HubLimits {
            subscribers: limits.subscribers,
            records: limits.replay_events,
            bound: staleness,
        };
        let metrics = invalidation::Metrics::register();
        let hub = Arc::new(Hub::new(hub_limits, SystemTime::now(), metrics));
        hub.prove_always();
        let store = Embedded::new(CAPACITY, CacheRules::default(), (hub, Arc::default()));
        let bounds = CacheBounds::from(&limits);
        let cache = Cache::new(store, CacheRules::default(), bounds, Arc::default());
        let metrics = Arc::new(Metrics::register());
        let streams = (
            Inflight::new(limits.inflight_calls),
            CancellationToken::new(),
        );
        CacheService::new(
            Arc::new(cache),
            Loads::register(),
            &limits,
            metrics,
            streams,
        )
    });
    Ok(CacheServer::new(service)
        .max_decoding_message_size(usize::MAX)
        .max_encoding_message_size(usize::MAX))
}
