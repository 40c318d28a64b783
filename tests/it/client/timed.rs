//! Calls with the moments at which they were sent and answered, for stories about how old an answer may be.
//!
//! Invariants: `sent` is taken before the call is made and `returned` after its answer was read, by one monotonic
//! clock; a call that is not answered in time counts as failed with nobody knowing what came of it.
//!
//! Not here: what follows from the times.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tonic::{Code, Response, Status};
use vedetta::proto::v1;
use vedetta::proto::v1::consistency::{self, Level};
use vedetta::proto::v1::status_client::StatusClient;
use vedetta::proto::v1::{Consistency, Freshness, Source};

use super::{Client, Failure};

/// The reason of a call that was given up.
const NO_ANSWER: &str = "NO_ANSWER";

/// What a read showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    Value {
        text: String,
        source: Source,
        freshness: Freshness,
    },
    Miss,
    Failed(Failure),
}

/// A read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) sent: Instant,
    pub(crate) returned: Instant,
    pub(crate) found: Found,
}

/// A write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) sent: Instant,
    pub(crate) returned: Instant,
    pub(crate) result: Result<(), Failure>,
}

impl Attempt {
    /// Whether it is certain that the write was not applied.
    pub(crate) fn not_applied(&self) -> bool {
        matches!(&self.result, Err(failure) if failure.applied == "NO")
    }
}

impl Client {
    /// Reads an entry as a caller does who asks for nothing special.
    pub(crate) fn look(&self, cache: &str, key: &str, patience: Duration) -> Look {
        self.look_with(cache, key, None, patience)
    }

    /// Reads an entry past L1.
    pub(crate) fn look_at_master(&self, cache: &str, key: &str) -> Look {
        let level = Level::Master(consistency::Master {});
        let consistency = Consistency { level: Some(level) };
        self.look_with(cache, key, Some(consistency), self.timeout)
    }

    fn look_with(
        &self,
        cache: &str,
        key: &str,
        consistency: Option<Consistency>,
        patience: Duration,
    ) -> Look {
        let request = self.request(v1::GetRequest {
            cache: cache.to_owned(),
            tenant: self.tenant.clone(),
            key: Bytes::copy_from_slice(key.as_bytes()),
            consistency,
            ..v1::GetRequest::default()
        });
        let mut client = self.cache();
        let sent = Instant::now();
        let result = self.run_within(patience, client.get(request));
        let returned = Instant::now();
        let found = match result.map(|answer| answer.result) {
            Ok(Some(v1::get_response::Result::Hit(hit))) => Found::Value {
                source: hit.source(),
                freshness: hit.freshness(),
                text: match hit.content {
                    Some(v1::hit::Content::Value(value)) => {
                        String::from_utf8_lossy(&value).into_owned()
                    }
                    _ => "(null)".to_owned(),
                },
            },
            Ok(_) => Found::Miss,
            Err(failure) => Found::Failed(failure),
        };
        Look {
            sent,
            returned,
            found,
        }
    }

    /// Stores a text, or removes the entry.
    pub(crate) fn attempt(
        &self,
        cache: &str,
        key: &str,
        text: Option<&str>,
        patience: Duration,
    ) -> Attempt {
        let (cache, tenant) = (cache.to_owned(), self.tenant.clone());
        let key = Bytes::copy_from_slice(key.as_bytes());
        let mut client = self.cache();
        let sent = Instant::now();
        let result = match text {
            Some(text) => {
                let value = Bytes::copy_from_slice(text.as_bytes());
                let put = self.request(v1::PutRequest {
                    cache,
                    tenant,
                    key,
                    content: Some(v1::put_request::Content::Value(value)),
                    ..v1::PutRequest::default()
                });
                self.run_within(patience, client.put(put)).map(|_| ())
            }
            None => {
                let evict = self.request(v1::EvictRequest {
                    cache,
                    tenant,
                    key,
                    ..v1::EvictRequest::default()
                });
                self.run_within(patience, client.evict(evict)).map(|_| ())
            }
        };
        Attempt {
            sent,
            returned: Instant::now(),
            result,
        }
    }

    /// What vedetta says of itself; nothing when it does not answer.
    pub(crate) fn status_within(&self, patience: Duration) -> Option<v1::GetStatusResponse> {
        let request = self.request(v1::GetStatusRequest {});
        let mut client = StatusClient::with_origin(self.transport.clone(), self.origin.clone());
        self.run_within(patience, client.get_status(request)).ok()
    }

    fn run_within<T>(
        &self,
        patience: Duration,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        let bounded = async { tokio::time::timeout(patience, call).await };
        match self.runtime.block_on(bounded) {
            Ok(answer) => Ok(answer?.into_inner()),
            Err(_) => Err(Failure {
                code: Code::Cancelled,
                reason: NO_ANSWER.to_owned(),
                applied: "UNKNOWN".to_owned(),
                message: format!("no answer within {patience:?}"),
            }),
        }
    }
}
