//! One stream of `Cache/Pipeline`: what is sent, and every answer that comes.
//!
//! Not here: what must come (`pipeline`).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use vedetta::proto::v1;
use vedetta::proto::v1::cache_client::CacheClient;
use vedetta::proto::v1::pipeline_request::Call;
use vedetta::proto::v1::pipeline_response::Answer;
use vedetta::proto::v1::put_request::Content;

use crate::client::Failure;

/// Longer than a failover, which calls wait for, so that what hangs fails its story and not the machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Pipe {
    runtime: Runtime,
    requests: mpsc::Sender<v1::PipelineRequest>,
    answers: Streaming<v1::PipelineResponse>,
    cache: String,
}

/// What came of a stream.
pub(crate) struct Rest {
    /// By id. One that is answered twice has two.
    pub(crate) answers: BTreeMap<u64, Vec<Answer>>,
    /// How it ended.
    pub(crate) end: Result<(), Failure>,
}

impl Rest {
    /// The only answer to a request.
    pub(crate) fn only(&self, id: u64) -> &Answer {
        match self.answers.get(&id).map(Vec::as_slice) {
            Some([answer]) => answer,
            other => panic!("{id} has {other:?}"),
        }
    }
}

impl Pipe {
    pub(crate) fn open(api: SocketAddr, cache: &str) -> Self {
        let runtime = Runtime::new().expect("runtime");
        let (requests, queue) = mpsc::channel(64);
        let answers = runtime.block_on(async {
            let client = CacheClient::connect(format!("http://{api}")).await;
            let mut client = client.expect("a vedetta");
            let answers = client.pipeline(ReceiverStream::new(queue)).await;
            answers.expect("a stream").into_inner()
        });
        Self {
            runtime,
            requests,
            answers,
            cache: cache.to_owned(),
        }
    }

    /// A message that vedetta takes no more is of no concern: what it has answered tells why.
    pub(crate) fn send(&self, id: u64, call: Call, timeout: Option<Duration>) {
        let timeout = timeout.map(|timeout| timeout.try_into().expect("a duration"));
        let request = v1::PipelineRequest {
            id,
            call: Some(call),
            timeout,
        };
        let _ = self.runtime.block_on(self.requests.send(request));
    }

    /// Sends all of them while nobody reads answers; false when that takes longer than `within`.
    pub(crate) fn fits(&self, calls: impl Iterator<Item = Call>, within: Duration) -> bool {
        let all = async {
            for (id, call) in (0..).zip(calls) {
                let request = v1::PipelineRequest {
                    id,
                    call: Some(call),
                    timeout: None,
                };
                self.requests.send(request).await.expect("a vedetta");
            }
        };
        self.runtime
            .block_on(async { tokio::time::timeout(within, all).await })
            .is_ok()
    }

    pub(crate) fn next(&mut self) -> v1::PipelineResponse {
        let next = async { tokio::time::timeout(PATIENCE, self.answers.message()).await };
        let next = self.runtime.block_on(next).expect("an answer in time");
        next.expect("no error").expect("an answer")
    }

    /// Sends these too while it reads, then closes its side and reads until the end.
    pub(crate) fn finish(self, calls: Vec<(u64, Call)>) -> Rest {
        let Self {
            runtime,
            requests,
            mut answers,
            ..
        } = self;
        runtime.spawn(async move {
            for (id, call) in calls {
                let request = v1::PipelineRequest {
                    id,
                    call: Some(call),
                    timeout: None,
                };
                if requests.send(request).await.is_err() {
                    return;
                }
            }
        });
        let mut rest = Rest {
            answers: BTreeMap::new(),
            end: Ok(()),
        };
        let reading = async {
            loop {
                match answers.message().await {
                    Ok(None) => return,
                    Ok(Some(answer)) => {
                        let kept = rest.answers.entry(answer.id).or_default();
                        kept.push(answer.answer.expect("an answer"));
                    }
                    Err(status) => {
                        rest.end = Err(status.into());
                        return;
                    }
                }
            }
        };
        let read = runtime.block_on(async { tokio::time::timeout(PATIENCE, reading).await });
        read.expect("the end of the stream in time");
        rest
    }

    pub(crate) fn get(&self, key: &str) -> Call {
        Call::Get(v1::GetRequest {
            cache: self.cache.clone(),
            key: key.to_owned().into(),
            ..v1::GetRequest::default()
        })
    }

    pub(crate) fn put(&self, key: &str, value: impl Into<bytes::Bytes>) -> Call {
        Call::Put(v1::PutRequest {
            cache: self.cache.clone(),
            key: key.to_owned().into(),
            content: Some(Content::Value(value.into())),
            ..v1::PutRequest::default()
        })
    }

    pub(crate) fn increment(&self, key: &str) -> Call {
        Call::Increment(v1::IncrementRequest {
            cache: self.cache.clone(),
            key: key.to_owned().into(),
            delta: 1,
            ..v1::IncrementRequest::default()
        })
    }
}
