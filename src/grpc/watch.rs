//! The service `vedetta.v1.Watch`: check, subscribe, convert.
//!
//! Not here: what is told, and when (`crate::invalidation`); how a stream ends (`stream`).

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio_util::sync::CancellationToken;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use crate::clock;
use crate::config::{Encoding, Limits};
use crate::invalidation::{Delivery, Event, Hub, Position, Reason, Scope, Subscription};
use crate::model::{CacheId, CacheName, Fault, GroupName, Tenant};
use crate::proto::v1;
use crate::proto::v1::watch_response::{self as answer, Event as Told};

use super::check::Checker;
use super::convert::{duration, timestamp};
use super::metrics::{Method, Metrics, Outcome};
use super::status::Refusal;
use super::stream::{Source, answers};

/// Serves the hub.
#[derive(Debug, Clone)]
pub struct WatchService {
    hub: Arc<Hub>,
    admit: Admit,
    limits: Limits,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
}

/// Whether a cache of that name may be used, and how it keeps its entries.
#[derive(Clone)]
pub struct Admit {
    /// One sentence that says why not.
    pub judge: Arc<Judge>,
    /// Whether its entries can be in groups.
    pub encoding: Arc<Encodings>,
}

/// See [`Admit::judge`].
type Judge = dyn Fn(&CacheId) -> Result<(), String> + Send + Sync;

/// See [`Admit::encoding`].
type Encodings = dyn Fn(&CacheId) -> Encoding + Send + Sync;

impl std::fmt::Debug for Admit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Admit")
    }
}

impl WatchService {
    /// Serves this hub until `stop`.
    pub fn new(
        hub: Arc<Hub>,
        admit: Admit,
        limits: Limits,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            hub,
            admit,
            limits,
            metrics,
            stop,
        }
    }

    fn subscribe(&self, request: v1::WatchRequest) -> Result<Subscription, Refusal> {
        let admit = |cache: &CacheId| (self.admit.judge)(cache);
        let mut check = Checker::new(&self.limits, admit);
        let tenant = check.tenant(&request.tenant);
        let caches = check.caches(&request.tenant, &request.caches);
        let keys = check.watched_keys(request.keys, request.caches.len());
        let groups = self.groups(
            &mut check,
            &request.groups,
            caches.as_deref(),
            tenant.as_ref(),
        );
        let scope = check.finish(|| {
            Some(Scope {
                tenant: tenant?,
                caches: caches?,
                keys: keys?,
                groups: groups?,
            })
        })?;
        let resume = request.resume_after.map(|position| Position {
            generation: position.generation,
            sequence: position.sequence,
        });
        Ok(self.hub.subscribe(scope, resume)?)
    }

    fn groups(
        &self,
        check: &mut Checker<'_, impl Fn(&CacheId) -> Result<(), String>>,
        names: &[String],
        caches: Option<&[CacheName]>,
        tenant: Option<&Tenant>,
    ) -> Option<Vec<GroupName>> {
        let caches = caches?;
        let cache = caches.first().zip(tenant).map(|(name, tenant)| CacheId {
            tenant: tenant.clone(),
            name: name.clone(),
        });
        let encoding = cache.map(|cache| (self.admit.encoding)(&cache));
        check.watched_groups(names, caches.len(), encoding)
    }
}

#[tonic::async_trait]
impl v1::watch_server::Watch for WatchService {
    type WatchStream = BoxStream<v1::WatchResponse>;

    async fn watch(
        &self,
        request: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let began = Instant::now();
        let result = self
            .subscribe(request.into_inner())
            .map(|subscription| (subscription, Outcome::Done));
        let subscription = self
            .metrics
            .count(Method::Watch, began, result)?
            .into_inner();
        Ok(Response::new(answers(subscription, self.stop.clone())))
    }
}

impl Source for Subscription {
    type Answer = v1::WatchResponse;

    async fn next(&mut self) -> Result<Self::Answer, Fault> {
        let delivery = self.next().await?;
        Ok(response(delivery, self.bound()))
    }
}

fn response(delivery: Delivery, bound: Duration) -> v1::WatchResponse {
    let (position, told) = match delivery {
        Delivery::Event(position, event) => (position, told(event)),
        Delivery::Proven(position, until) => {
            // The wall first: if this process is held up in between, both limits come out too early, not too late.
            let wall = SystemTime::now();
            let left = until.since(clock::now());
            let proven = answer::Proven {
                until: Some(timestamp(wall + left)),
                valid_for: Some(duration(left)),
                bound: Some(duration(bound)),
            };
            (position, Told::Proven(proven))
        }
    };
    v1::WatchResponse {
        position: Some(v1::Position {
            generation: position.generation,
            sequence: position.sequence,
        }),
        event: Some(told),
    }
}

fn told(event: Event) -> Told {
    match event {
        Event::Invalidated { cache, keys } => Told::Invalidated(answer::Invalidated {
            cache: cache.name.as_str().to_owned(),
            keys: keys.iter().map(|key| key.as_bytes().clone()).collect(),
        }),
        Event::GroupsFlushed { cache, groups } => Told::GroupsFlushed(answer::GroupsFlushed {
            cache: cache.name.as_str().to_owned(),
            groups: groups
                .iter()
                .map(|group| group.as_str().to_owned())
                .collect(),
        }),
        Event::Cleared(cache) => Told::Cleared(answer::Cleared {
            cache: cache.name.as_str().to_owned(),
        }),
        Event::Discontinuity(why) => Told::Discontinuity(answer::Discontinuity {
            reason: reason(why).into(),
        }),
        Event::FailoverStarted => Told::FailoverStarted(answer::FailoverStarted {}),
        Event::FailoverFinished { master } => {
            Told::FailoverFinished(answer::FailoverFinished { master })
        }
        Event::DataLoss { caches, since } => Told::DataLoss(answer::DataLoss {
            caches: caches
                .iter()
                .map(|cache| cache.name.as_str().to_owned())
                .collect(),
            since: since.map(timestamp),
        }),
    }
}

fn reason(reason: Reason) -> answer::discontinuity::Reason {
    match reason {
        Reason::Started => answer::discontinuity::Reason::Started,
        Reason::ResumeTooOld => answer::discontinuity::Reason::ResumeTooOld,
        Reason::SessionLost => answer::discontinuity::Reason::SessionLost,
        Reason::MasterChanged => answer::discontinuity::Reason::MasterChanged,
        Reason::Flushed => answer::discontinuity::Reason::Flushed,
        Reason::TooManyCaches => answer::discontinuity::Reason::TooManyCaches,
    }
}
