//! A loader: one stream to one vedetta, a step at a time.
//!
//! Not here: what must come of it (`bulk`).

use std::net::SocketAddr;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use vedetta::proto::v1;
use vedetta::proto::v1::bulk_load_request::{Begin, End, Message, Mode};
use vedetta::proto::v1::bulk_load_response::{Event, Loaded};
use vedetta::proto::v1::cache_client::CacheClient;
use vedetta::proto::v1::put_many_request::{Item, item::Content};

use crate::client::Failure;

/// Longer than it takes until a dead loader is succeeded.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Loader {
    runtime: Runtime,
    messages: mpsc::Sender<v1::BulkLoadRequest>,
    answers: Streaming<v1::BulkLoadResponse>,
    sent: u64,
}

pub(crate) fn begin(cache: &str, mode: Mode, snapshot_version: u64) -> Begin {
    Begin {
        cache: cache.to_owned(),
        mode: mode.into(),
        snapshot_version,
        ..Begin::default()
    }
}

impl Loader {
    /// Asks for a load; what is answered is not waited for.
    pub(crate) fn start(api: SocketAddr, begin: Begin) -> Self {
        let runtime = Runtime::new().expect("runtime");
        let (messages, queue) = mpsc::channel(64);
        let answers = runtime.block_on(async {
            let first = v1::BulkLoadRequest {
                message: Some(Message::Begin(begin)),
            };
            messages.send(first).await.expect("room");
            let client = CacheClient::connect(format!("http://{api}")).await;
            let mut client = client.expect("a vedetta");
            let answers = client.bulk_load(ReceiverStream::new(queue));
            answers.await.expect("a stream").into_inner()
        });
        Self {
            runtime,
            messages,
            answers,
            sent: 0,
        }
    }

    /// As [`Self::start`], and the load runs.
    pub(crate) fn begun(api: SocketAddr, begin: Begin) -> Self {
        let mut loader = Self::start(api, begin);
        assert!(matches!(loader.answer(), Ok(Event::Begun(_))));
        loader
    }

    pub(crate) fn send(&mut self, key: &str, value: impl Into<bytes::Bytes>) {
        self.send_in(key, value, &[]);
    }

    pub(crate) fn send_in(&mut self, key: &str, value: impl Into<bytes::Bytes>, groups: &[&str]) {
        let item = Item {
            key: key.to_owned().into(),
            content: Some(Content::Value(value.into())),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..Item::default()
        };
        self.sent += 1;
        self.message(Message::Entry(item));
    }

    pub(crate) fn send_for_ever(&mut self, key: &str, value: &str) {
        let never = v1::expiry::When::None(v1::NoExpiry {});
        let item = Item {
            key: key.to_owned().into(),
            content: Some(Content::Value(value.to_owned().into())),
            expiry: Some(v1::Expiry { when: Some(never) }),
            ..Item::default()
        };
        self.sent += 1;
        self.message(Message::Entry(item));
    }

    /// Says that this was all.
    pub(crate) fn end(&mut self) {
        self.message(Message::End(End { entries: self.sent }));
    }

    /// A vedetta that has given up takes no more messages; its answer tells why.
    fn message(&self, message: Message) {
        let message = v1::BulkLoadRequest {
            message: Some(message),
        };
        let _ = self.runtime.block_on(self.messages.send(message));
    }

    pub(crate) fn answer(&mut self) -> Result<Event, Failure> {
        let answer = async { tokio::time::timeout(PATIENCE, self.answers.message()).await };
        let answer = self.runtime.block_on(answer).expect("an answer in time")?;
        Ok(answer.and_then(|answer| answer.event).expect("an event"))
    }

    pub(crate) fn loaded(self) -> Loaded {
        let loaded = self.outcome();
        loaded.unwrap_or_else(|failure| panic!("{failure:?}"))
    }

    /// As [`Self::loaded`], or why the load is over.
    pub(crate) fn outcome(mut self) -> Result<Loaded, Failure> {
        self.end();
        match self.answer()? {
            Event::Loaded(loaded) => Ok(loaded),
            other => panic!("{other:?}"),
        }
    }
}
