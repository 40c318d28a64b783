//! The service `vedetta.v1.Cache`: check, call, convert.
//!
//! Not here: the rpcs that read (`cache_reads`), and those about groups (`groups`), lists (`cache_lists`) and leases
//! (`cache_leases`); what the calls mean (`crate::cache`).

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use crate::cache::{Cache, Call, Loads, Put, Store};
use crate::config::{Encoding, Limits};
use crate::model::{Address, CacheId, Condition, Value};
use crate::proto::v1;
use crate::proto::v1::cache_server;

use super::check::Checker;
use super::convert;
use super::limit::Inflight;
use super::metrics::{Method, Metrics, Outcome};
use super::names::Names;
use super::request::{Answer, open};
use super::status::Refusal;

/// Serves a cache over some store.
#[derive(Debug)]
pub struct CacheService<S> {
    pub(super) cache: Arc<Cache<S>>,
    pub(super) loads: Arc<Loads>,
    pub(super) limits: Limits,
    pub(super) metrics: Arc<Metrics>,
    names: Arc<Names>,
    pub(super) inflight: Inflight,
    pub(super) stop: CancellationToken,
}

impl<S> Clone for CacheService<S> {
    fn clone(&self) -> Self {
        Self {
            cache: self.cache.clone(),
            loads: self.loads.clone(),
            limits: self.limits.clone(),
            metrics: self.metrics.clone(),
            names: self.names.clone(),
            inflight: self.inflight.clone(),
            stop: self.stop.clone(),
        }
    }
}

impl<S: Store> CacheService<S> {
    /// Serves this cache within these limits; streams until `stop`, and what they begin among those in flight.
    pub fn new(
        cache: Arc<Cache<S>>,
        loads: Arc<Loads>,
        limits: &Limits,
        metrics: Arc<Metrics>,
        (inflight, stop): (Inflight, CancellationToken),
    ) -> Self {
        Self {
            cache,
            loads,
            limits: limits.clone(),
            metrics,
            names: Arc::new(Names::new()),
            inflight,
            stop,
        }
    }

    pub(super) fn checker(&self) -> Checker<'_, impl Fn(&CacheId) -> Result<(), String>> {
        Checker::new(&self.limits, |cache| self.cache.admit(cache)).knowing(&self.names)
    }

    /// How a cache, if it could be named, keeps its entries.
    pub(super) fn encoding(&self, cache: Option<&CacheId>) -> Option<Encoding> {
        cache.map(|cache| self.cache.policy(cache).encoding)
    }

    /// The parts that address one entry.
    pub(super) fn address(
        &self,
        mut check: Checker<'_, impl Fn(&CacheId) -> Result<(), String>>,
        tenant: &str,
        cache: &str,
        key: bytes::Bytes,
    ) -> Result<Address, Refusal> {
        let cache = check.cache(tenant, cache);
        let key = check.key("key", key);
        check.finish(|| {
            Some(Address {
                cache: cache?,
                key: key?,
            })
        })
    }

    pub(super) async fn do_put(
        &self,
        call: Call,
        request: v1::PutRequest,
    ) -> Answer<v1::PutResponse> {
        let mut check = self.checker();
        let durability = check.durability(request.durability);
        let cache = check.cache(&request.tenant, &request.cache);
        let lease = check.put_lease(request.lease, self.encoding(cache.as_ref()));
        let groups = check.groups("groups", &request.groups, self.encoding(cache.as_ref()));
        let key = check.key("key", request.key);
        let value = check.value("", request.content.map(Value::from));
        let expiry = check.expiry("", request.expiry);
        let condition = check.condition("", request.condition);
        let (cache, put, durability) = check.finish(|| {
            let put = Put {
                key: key?,
                value: value?,
                expiry: expiry?,
                condition: condition?,
                groups: groups?,
                lease: lease?,
            };
            Some((cache?, put, durability?))
        })?;
        let call = call.durable(durability);
        let outcome = self.cache.put(call, &cache, put).await?;
        Ok(convert::put(outcome))
    }

    pub(super) async fn do_put_many(
        &self,
        call: Call,
        request: v1::PutManyRequest,
    ) -> Answer<v1::PutManyResponse> {
        let mut check = self.checker();
        let durability = check.durability(request.durability);
        let cache = check.cache(&request.tenant, &request.cache);
        let puts = check.put_items(request.items, self.encoding(cache.as_ref()));
        let (cache, puts, durability) = check.finish(|| Some((cache?, puts?, durability?)))?;
        let written = self
            .cache
            .put_many(call.durable(durability), &cache, puts)
            .await?;
        let token = written.token;
        let items = written.answer.into_iter();
        let items = items.map(|item| convert::put_item(item, token)).collect();
        Ok((v1::PutManyResponse { items }, Outcome::Batch))
    }

    pub(super) async fn do_put_if_absent(
        &self,
        call: Call,
        request: v1::PutIfAbsentRequest,
    ) -> Answer<v1::PutIfAbsentResponse> {
        let mut check = self.checker();
        let durability = check.durability(request.durability);
        let cache = check.cache(&request.tenant, &request.cache);
        let groups = check.groups("groups", &request.groups, self.encoding(cache.as_ref()));
        let key = check.key("key", request.key);
        let value = check.value("", request.content.map(Value::from));
        let expiry = check.expiry("", request.expiry);
        let (cache, put, durability) = check.finish(|| {
            let put = Put {
                key: key?,
                value: value?,
                expiry: expiry?,
                condition: Condition::Absent,
                groups: groups?,
                lease: None,
            };
            Some((cache?, put, durability?))
        })?;
        let outcome = self
            .cache
            .put_if_absent(call.durable(durability), &cache, put)
            .await?;
        Ok(convert::if_absent(outcome))
    }

    pub(super) async fn do_evict(
        &self,
        call: Call,
        request: v1::EvictRequest,
    ) -> Answer<v1::EvictResponse> {
        let mut check = self.checker();
        let durability = check.durability(request.durability);
        let address = self.address(check, &request.tenant, &request.cache, request.key)?;
        let call = call.durable(durability.unwrap_or_default());
        let written = self.cache.evict(call, &address).await?;
        let existed = written.answer;
        let answer = v1::EvictResponse {
            existed,
            token: convert::token(written.token),
        };
        Ok((
            answer,
            if existed {
                Outcome::Evicted
            } else {
                Outcome::Absent
            },
        ))
    }

    pub(super) async fn do_evict_many(
        &self,
        call: Call,
        request: v1::EvictManyRequest,
    ) -> Answer<v1::EvictManyResponse> {
        let mut check = self.checker();
        let durability = check.durability(request.durability);
        let cache = check.cache(&request.tenant, &request.cache);
        let keys = check.keys(request.keys);
        let (cache, keys, durability) = check.finish(|| Some((cache?, keys?, durability?)))?;
        let written = self
            .cache
            .evict_many(call.durable(durability), &cache, &keys)
            .await?;
        let answer = v1::EvictManyResponse {
            items: written
                .answer
                .into_iter()
                .map(convert::evict_item)
                .collect(),
            token: convert::token(written.token),
        };
        Ok((answer, Outcome::Batch))
    }

    pub(super) async fn do_touch(
        &self,
        call: Call,
        request: v1::TouchRequest,
    ) -> Answer<v1::TouchResponse> {
        let mut check = self.checker();
        let cache = check.cache(&request.tenant, &request.cache);
        let key = check.key("key", request.key);
        let expiry = check.new_expiry(request.expiry);
        let (address, expiry) = check.finish(|| {
            let address = Address {
                cache: cache?,
                key: key?,
            };
            Some((address, expiry?))
        })?;
        let touched = self.cache.touch(call, &address, expiry).await?;
        let outcome = if touched {
            Outcome::Touched
        } else {
            Outcome::Absent
        };
        Ok((v1::TouchResponse { touched }, outcome))
    }

    pub(super) async fn do_increment(
        &self,
        call: Call,
        request: v1::IncrementRequest,
    ) -> Answer<v1::IncrementResponse> {
        let mut check = self.checker();
        let durability = check.durability(request.durability);
        let cache = check.cache(&request.tenant, &request.cache);
        let increment = check.increment(
            request.key,
            request.delta,
            request.floor,
            request.initial_expiry,
            request.operation_id,
        );
        let (cache, increment, durability) =
            check.finish(|| Some((cache?, increment?, durability?)))?;
        let written = self
            .cache
            .increment(call.durable(durability), &cache, increment)
            .await?;
        let answer = v1::IncrementResponse {
            value: written.answer,
            token: convert::token(written.token),
        };
        Ok((answer, Outcome::Done))
    }
}

/// The whole trait, because `async_trait` does not look into macros: each rpc is measured and done by the method of the
/// same meaning.
macro_rules! cache_service {
    (
        served { $($rpc:ident => $work:ident, $method:ident, $request:ident, $response:ident;)+ }
        streams { $($streaming:ident => $answers:ident, $stream:ident, $counted:ident, $sent:ty, $told:ty;)+ }
    ) => {
        #[tonic::async_trait]
        impl<S: Store> cache_server::Cache for CacheService<S> {
            $(async fn $rpc(
                &self,
                request: Request<v1::$request>,
            ) -> Result<Response<v1::$response>, Status> {
                let began = Instant::now();
                let (call, request) = open(request);
                let result = self.$work(call, request).await;
                self.metrics.count(Method::$method, began, result)
            })+

            $(type $stream = BoxStream<$told>;

            async fn $streaming(
                &self,
                request: Request<$sent>,
            ) -> Result<Response<Self::$stream>, Status> {
                let began = Instant::now();
                let (call, request) = open(request);
                let result = self.$answers(call, request).await;
                self.metrics.count(Method::$counted, began, result)
            })+
        }
    };
}

cache_service! {
    served {
        get => do_get, Get, GetRequest, GetResponse;
        get_many => do_get_many, GetMany, GetManyRequest, GetManyResponse;
        put => do_put, Put, PutRequest, PutResponse;
        put_many => do_put_many, PutMany, PutManyRequest, PutManyResponse;
        put_if_absent => do_put_if_absent, PutIfAbsent, PutIfAbsentRequest, PutIfAbsentResponse;
        get_or_lease => do_get_or_lease, GetOrLease, GetOrLeaseRequest, GetOrLeaseResponse;
        release_lease => do_release_lease, ReleaseLease, ReleaseLeaseRequest, ReleaseLeaseResponse;
        evict => do_evict, Evict, EvictRequest, EvictResponse;
        evict_many => do_evict_many, EvictMany, EvictManyRequest, EvictManyResponse;
        touch => do_touch, Touch, TouchRequest, TouchResponse;
        increment => do_increment, Increment, IncrementRequest, IncrementResponse;
        get_ttl => do_get_ttl, GetTtl, GetTtlRequest, GetTtlResponse;
        set_deadline => do_set_deadline, SetDeadline, SetDeadlineRequest, SetDeadlineResponse;
        list_edit => do_list_edit, ListEdit, ListEditRequest, ListEditResponse;
        add_to_groups => do_add_to_groups, AddToGroups, AddToGroupsRequest, AddToGroupsResponse;
        flush_groups => do_flush_groups, FlushGroups, FlushGroupsRequest, FlushGroupsResponse;
        clear => do_clear, Clear, ClearRequest, ClearResponse;
        list_caches => do_list_caches, ListCaches, ListCachesRequest, ListCachesResponse;
    }
    streams {
        bulk_load => do_bulk_load, BulkLoadStream, BulkLoad, Streaming<v1::BulkLoadRequest>, v1::BulkLoadResponse;
        scan => do_scan, ScanStream, Scan, v1::ScanRequest, v1::ScanResponse;
        pipeline => do_pipeline, PipelineStream, Pipeline, Streaming<v1::PipelineRequest>, v1::PipelineResponse;
    }
}
