//! A subscriber in a thread of its own, and what it was told; and publishing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};
use vedetta::proto::v1;
use vedetta::proto::v1::events_client::EventsClient;
use vedetta::proto::v1::subscribe_response::Kind;
use vedetta::proto::v1::subscribe_response::gap::Reason;

use crate::client::callers;
use crate::support::{Vedetta, wait};

/// Shorter than the interval at which a log is read without a push, which would hide that pushes are not heard.
const PATIENCE: Duration = Duration::from_secs(25);

/// What was told, in order.
#[derive(Debug, Default)]
struct Told {
    started: usize,
    /// Ids and payloads.
    messages: Vec<(String, String)>,
    /// After which id, why, and how many messages came before.
    gaps: Vec<(String, Reason)>,
    ended: bool,
}

/// A subscriber. It ends with the vedetta that it has subscribed to.
pub(super) struct Listener {
    channels: usize,
    told: Arc<Mutex<Told>>,
    _thread: JoinHandle<()>,
}

impl Listener {
    /// Subscribes to a channel of the primary tenant, from now or after an id.
    pub(super) fn start(vedetta: &Vedetta, channel: &str, after: Option<String>) -> Self {
        Self::of(vedetta, "", &[channel], after)
    }

    /// Subscribes to channels of a tenant; the id is one of the first of them.
    pub(super) fn of(
        vedetta: &Vedetta,
        tenant: &str,
        channels: &[&str],
        after: Option<String>,
    ) -> Self {
        let told = Arc::new(Mutex::new(Told::default()));
        let (api, request) = (vedetta.api(), subscribe(tenant, channels, after));
        let into = told.clone();
        let thread = callers::in_a_thread(async move {
            let stream = connect(api).await.subscribe(request).await;
            let mut stream = stream.expect("a stream").into_inner();
            while let Ok(Some(answer)) = stream.message().await {
                into.lock().add(answer);
            }
            into.lock().ended = true;
        });
        Self {
            channels: channels.len(),
            told,
            _thread: thread,
        }
    }

    /// Waits until everything that is published from now on will be told.
    pub(super) fn wait_started(&self) {
        self.wait("a stream", |told| told.started >= self.channels);
    }

    /// Waits for so many messages in all.
    pub(super) fn wait_for(&self, messages: usize) {
        self.wait("messages", |told| told.messages.len() >= messages);
    }

    /// Waits for a message.
    pub(super) fn wait_for_payload(&self, payload: &str) {
        self.wait(payload, |told| {
            told.messages.iter().any(|(_, told)| told == payload)
        });
    }

    /// Waits until the stream is over.
    pub(super) fn wait_ended(&self) {
        self.wait("the end", |told| told.ended);
    }

    pub(super) fn payloads(&self) -> Vec<String> {
        let told = self.told.lock();
        told.messages.iter().map(|(_, text)| text.clone()).collect()
    }

    pub(super) fn ids(&self) -> Vec<String> {
        let told = self.told.lock();
        told.messages.iter().map(|(id, _)| id.clone()).collect()
    }

    pub(super) fn last_id(&self) -> String {
        self.ids().pop().expect("a message")
    }

    pub(super) fn gaps(&self) -> Vec<(String, Reason)> {
        self.told.lock().gaps.clone()
    }

    fn wait(&self, what: &str, such: impl Fn(&Told) -> bool) {
        wait::until(what, PATIENCE, || {
            let told = self.told.lock();
            if such(&told) {
                return Ok(());
            }
            let (messages, ended) = (told.messages.len(), told.ended);
            Err(format!(
                "{messages} messages, ended: {ended}, gaps {:?}",
                told.gaps
            ))
        });
    }
}

impl Told {
    fn add(&mut self, answer: v1::SubscribeResponse) {
        match answer.kind.expect("a kind") {
            Kind::Started(_) => self.started += 1,
            Kind::Gap(gap) => self.gaps.push((gap.after.clone(), gap.reason())),
            Kind::Message(message) => {
                let text = String::from_utf8_lossy(&message.payload).into_owned();
                self.messages.push((message.id, text));
            }
        }
    }
}

/// For calls of a test.
pub(super) fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("runtime")
}

/// A client of that API.
pub(super) async fn connect(api: SocketAddr) -> EventsClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{api}")).expect("address");
    EventsClient::new(endpoint.connect().await.expect("a connection"))
}

/// A stream of that channel.
pub(super) async fn open(
    api: SocketAddr,
    channel: &str,
    after: Option<String>,
) -> Streaming<v1::SubscribeResponse> {
    let request = subscribe("", &[channel], after);
    let stream = connect(api).await.subscribe(request).await;
    stream.expect("a stream").into_inner()
}

/// The request of a subscriber.
pub(super) fn subscribe(
    tenant: &str,
    channels: &[&str],
    after: Option<String>,
) -> v1::SubscribeRequest {
    let resume_after = after.map(|id| (channels[0].to_owned(), id));
    v1::SubscribeRequest {
        tenant: tenant.to_owned(),
        channels: channels.iter().map(|name| (*name).to_owned()).collect(),
        resume_after: resume_after.into_iter().collect(),
    }
}

/// The request of a publisher.
pub(super) fn request(channel: &str, payload: &str, operation_id: &str) -> v1::PublishRequest {
    v1::PublishRequest {
        tenant: String::new(),
        channel: channel.to_owned(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        operation_id: Bytes::copy_from_slice(operation_id.as_bytes()),
        durability: None,
    }
}

/// Publishes one message without an operation id; its id.
pub(super) fn publish(vedetta: &Vedetta, channel: &str, payload: &str) -> String {
    let published = runtime().block_on(async {
        let mut client = connect(vedetta.api()).await;
        client.publish(request(channel, payload, "")).await
    });
    published.expect("published").into_inner().id
}
