//! A small blocking client for the stories: one call, one answer or one failure.
//!
//! Not here: the table of behaviour, which has a client of its own that knows no generated code.

pub(crate) mod callers;
mod groups;
mod lists;
mod sessions;
pub(crate) mod timed;

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::runtime::{Builder, Runtime};
use tonic::body::Body;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;
use vedetta::proto::v1;
use vedetta::proto::v1::cache_client::CacheClient;
use vedetta::proto::v1::durability::{All, Level, Replicated};
use vedetta::proto::v1::status_client::StatusClient;

/// Longer than any story waits for one call, so that a call that hangs fails its story and not the machine.
const PATIENCE: Duration = Duration::from_secs(15);

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    /// `ErrorInfo.reason`.
    pub(crate) reason: String,
    /// `ErrorInfo.metadata["applied"]`.
    pub(crate) applied: String,
    pub(crate) message: String,
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let (reason, applied) = details.error_info().map_or_else(Default::default, |info| {
            let applied = info.metadata.get("applied").cloned().unwrap_or_default();
            (info.reason.clone(), applied)
        });
        Self {
            code: status.code(),
            reason,
            applied,
            message: status.message().to_owned(),
        }
    }
}

/// Not tonic's channel, which reads `grpc-timeout` too and gives up by itself before vedetta has answered.
type Transport = hyper_util::client::legacy::Client<HttpConnector, Body>;

/// A connection to one vedetta.
pub(crate) struct Client {
    runtime: Runtime,
    transport: Transport,
    origin: Uri,
    pub(crate) tenant: String,
    /// The deadline of each call, as `grpc-timeout` tells it to vedetta.
    pub(crate) timeout: Duration,
}

impl Client {
    pub(crate) fn connect(api: SocketAddr) -> Self {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("runtime");
        let mut connector = HttpConnector::new();
        // A header and a small message would otherwise wait 40 ms for each other.
        connector.set_nodelay(true);
        let transport = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .http2_only(true)
            .build(connector);
        Self {
            runtime,
            transport,
            origin: format!("http://{api}").parse().expect("address"),
            tenant: String::new(),
            timeout: PATIENCE,
        }
    }

    fn cache(&self) -> CacheClient<Transport> {
        CacheClient::with_origin(self.transport.clone(), self.origin.clone())
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let header = format!("{}m", self.timeout.as_millis());
        request
            .metadata_mut()
            .insert("grpc-timeout", header.parse().expect("header"));
        request
    }

    fn run<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, Failure> {
        let bounded = async { tokio::time::timeout(PATIENCE * 2, call).await };
        let answer = self.runtime.block_on(bounded).expect("an answer in time");
        Ok(answer?.into_inner())
    }

    /// The bytes of an entry; `None` is a miss, an inner `None` is null.
    pub(crate) fn get(&self, cache: &str, key: &str) -> Result<Option<Option<Bytes>>, Failure> {
        let request = self.request(v1::GetRequest {
            cache: cache.to_owned(),
            tenant: self.tenant.clone(),
            key: Bytes::copy_from_slice(key.as_bytes()),
            ..v1::GetRequest::default()
        });
        let answer = self.run(self.cache().get(request))?;
        Ok(match answer.result {
            Some(v1::get_response::Result::Hit(hit)) => Some(match hit.content {
                Some(v1::hit::Content::Value(value)) => Some(value),
                _ => None,
            }),
            _ => None,
        })
    }

    /// What came of each key of a batch: `hit`, `miss` or the reason of its error.
    pub(crate) fn get_many(&self, cache: &str, keys: &[&str]) -> Result<Vec<String>, Failure> {
        use v1::get_many_response::item::Result as Found;
        let request = self.request(v1::GetManyRequest {
            cache: cache.to_owned(),
            tenant: self.tenant.clone(),
            keys: keys
                .iter()
                .map(|key| Bytes::copy_from_slice(key.as_bytes()))
                .collect(),
            ..v1::GetManyRequest::default()
        });
        let mut client = self.cache().max_decoding_message_size(usize::MAX);
        let answer = self.run(client.get_many(request))?;
        let outcome = |item: v1::get_many_response::Item| match item.result {
            Some(Found::Hit(_)) => "hit".to_owned(),
            Some(Found::Miss(_)) => "miss".to_owned(),
            Some(Found::Error(error)) => error.reason,
            None => "nothing".to_owned(),
        };
        Ok(answer.items.into_iter().map(outcome).collect())
    }

    /// What is proven about the age of an entry that is there.
    pub(crate) fn freshness(&self, cache: &str, key: &str) -> v1::Freshness {
        let request = self.request(v1::GetRequest {
            cache: cache.to_owned(),
            tenant: self.tenant.clone(),
            key: Bytes::copy_from_slice(key.as_bytes()),
            ..v1::GetRequest::default()
        });
        match self.run(self.cache().get(request)).expect("get").result {
            Some(v1::get_response::Result::Hit(hit)) => hit.freshness(),
            other => panic!("no hit: {other:?}"),
        }
    }

    /// The text of an entry that is there and not null.
    pub(crate) fn text(&self, cache: &str, key: &str) -> Option<String> {
        let value = self.get(cache, key).expect("get")??;
        Some(String::from_utf8_lossy(&value).into_owned())
    }

    pub(crate) fn put(&self, cache: &str, key: &str, value: &str) -> Result<(), Failure> {
        let value = Bytes::copy_from_slice(value.as_bytes());
        self.put_content(cache, key, v1::put_request::Content::Value(value), None)
    }

    /// A put that every replica must have within that time.
    pub(crate) fn put_to_all(
        &self,
        cache: &str,
        key: &str,
        value: &str,
        within: Duration,
    ) -> Result<(), Failure> {
        let timeout = within.try_into().ok();
        let level = Level::All(All { timeout });
        self.put_durably(cache, key, value, level)
    }

    /// A put that one replica must have within that time.
    pub(crate) fn put_to_one(
        &self,
        cache: &str,
        key: &str,
        value: &str,
        within: Duration,
    ) -> Result<(), Failure> {
        let timeout = within.try_into().ok();
        let replicas = 1;
        self.put_durably(
            cache,
            key,
            value,
            Level::Replicated(Replicated { replicas, timeout }),
        )
    }

    fn put_durably(
        &self,
        cache: &str,
        key: &str,
        value: &str,
        level: Level,
    ) -> Result<(), Failure> {
        let request = self.request(v1::PutRequest {
            cache: cache.to_owned(),
            tenant: self.tenant.clone(),
            key: Bytes::copy_from_slice(key.as_bytes()),
            content: Some(v1::put_request::Content::Value(value.to_owned().into())),
            durability: Some(v1::Durability { level: Some(level) }),
            ..v1::PutRequest::default()
        });
        self.run(self.cache().put(request)).map(|_| ())
    }

    pub(crate) fn put_null(&self, cache: &str, key: &str) -> Result<(), Failure> {
        self.put_content(
            cache,
            key,
            v1::put_request::Content::Null(v1::Null {}),
            None,
        )
    }

    /// Stores `v` with a deadline, in seconds since 1970.
    pub(crate) fn put_until(&self, cache: &str, key: &str, seconds: i64) -> Result<(), Failure> {
        let deadline = v1::expiry::When::Deadline(prost_types::Timestamp { seconds, nanos: 0 });
        let value = v1::put_request::Content::Value(Bytes::from_static(b"v"));
        self.put_content(cache, key, value, Some(deadline))
    }

    /// Two values for one key in one batch: the first keeps the expiry, the second does not ask.
    pub(crate) fn put_keeping_then_plain(
        &self,
        cache: &str,
        key: &str,
        first: &'static str,
        last: &'static str,
    ) -> Result<(), Failure> {
        let item = |value: &'static str, when| v1::put_many_request::Item {
            key: Bytes::copy_from_slice(key.as_bytes()),
            content: Some(v1::put_many_request::item::Content::Value(value.into())),
            expiry: Some(v1::Expiry { when: Some(when) }),
            ..v1::put_many_request::Item::default()
        };
        let request = self.request(v1::PutManyRequest {
            cache: cache.to_owned(),
            items: vec![
                item(first, v1::expiry::When::Keep(v1::expiry::Keep {})),
                item(last, v1::expiry::When::None(v1::NoExpiry {})),
            ],
            ..v1::PutManyRequest::default()
        });
        self.run(self.cache().put_many(request)).map(|_| ())
    }

    /// Takes an entry's expiry away.
    pub(crate) fn touch(&self, cache: &str, key: &str) -> Result<bool, Failure> {
        let request = self.request(v1::TouchRequest {
            cache: cache.to_owned(),
            tenant: self.tenant.clone(),
            key: Bytes::copy_from_slice(key.as_bytes()),
            expiry: Some(v1::Expiry {
                when: Some(v1::expiry::When::None(v1::NoExpiry {})),
            }),
        });
        Ok(self.run(self.cache().touch(request))?.touched)
    }

    fn put_content(
        &self,
        cache: &str,
        key: &str,
        content: v1::put_request::Content,
        when: Option<v1::expiry::When>,
    ) -> Result<(), Failure> {
        let request = self.request(v1::PutRequest {
            cache: cache.to_owned(),
            tenant: self.tenant.clone(),
            key: Bytes::copy_from_slice(key.as_bytes()),
            content: Some(content),
            expiry: when.map(|when| v1::Expiry { when: Some(when) }),
            ..v1::PutRequest::default()
        });
        self.run(self.cache().put(request)).map(|_| ())
    }

    pub(crate) fn evict(&self, cache: &str, key: &str) -> Result<bool, Failure> {
        let request = self.request(v1::EvictRequest {
            cache: cache.to_owned(),
            tenant: self.tenant.clone(),
            key: Bytes::copy_from_slice(key.as_bytes()),
            ..v1::EvictRequest::default()
        });
        Ok(self.run(self.cache().evict(request))?.existed)
    }

    pub(crate) fn clear(&self, cache: &str) -> Result<Option<u64>, Failure> {
        let request = self.request(v1::ClearRequest {
            cache: cache.to_owned(),
            tenant: self.tenant.clone(),
            ..v1::ClearRequest::default()
        });
        Ok(self.run(self.cache().clear(request))?.removed)
    }

    /// Gives a key a deadline; whether there was an entry.
    pub(crate) fn set_deadline(
        &self,
        cache: &str,
        key: &str,
        within: Duration,
    ) -> Result<bool, Failure> {
        let request = self.request(v1::SetDeadlineRequest {
            cache: cache.to_owned(),
            tenant: self.tenant.clone(),
            key: Bytes::copy_from_slice(key.as_bytes()),
            deadline: Some((SystemTime::now() + within).into()),
        });
        let answer = self.run(self.cache().set_deadline(request))?;
        Ok(answer.applied_to_entry)
    }

    /// How long an entry still lives; `None` for ever, or if there is none.
    pub(crate) fn ttl(&self, cache: &str, key: &str) -> Result<Option<Duration>, Failure> {
        let request = self.request(v1::GetTtlRequest {
            cache: cache.to_owned(),
            tenant: self.tenant.clone(),
            key: Bytes::copy_from_slice(key.as_bytes()),
        });
        Ok(match self.run(self.cache().get_ttl(request))?.result {
            Some(v1::get_ttl_response::Result::Remaining(ttl)) => ttl.try_into().ok(),
            _ => None,
        })
    }

    /// Adds one to a counter, at least to that floor; the number.
    pub(crate) fn increment(
        &self,
        cache: &str,
        key: &str,
        floor: Option<i64>,
    ) -> Result<i64, Failure> {
        let request = self.request(v1::IncrementRequest {
            cache: cache.to_owned(),
            tenant: self.tenant.clone(),
            key: Bytes::copy_from_slice(key.as_bytes()),
            delta: 1,
            floor,
            ..v1::IncrementRequest::default()
        });
        Ok(self.run(self.cache().increment(request))?.value)
    }

    pub(crate) fn status(&self) -> v1::GetStatusResponse {
        let request = self.request(v1::GetStatusRequest {});
        let mut client = StatusClient::with_origin(self.transport.clone(), self.origin.clone());
        self.run(client.get_status(request)).expect("status")
    }
}
