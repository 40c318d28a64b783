//! The application of a pod: calls of its vedetta, and the way the old plugin did with a get and a put what is one call
//! now.
//!
//! Invariants: without a fault that a story makes, every call succeeds; only `try_get` tells of one that does not.
//!
//! Not here: what a story concludes.

use std::time::Duration;

use bytes::Bytes;
use tonic::transport::Channel;
use tonic::{Request, Status};
use vedetta::proto::v1;
use vedetta::proto::v1::cache_client::CacheClient;
use vedetta::proto::v1::consistency::{Level, Master};
use vedetta::proto::v1::durability;
use vedetta::proto::v1::get_many_response::item::Result as Item;
use vedetta::proto::v1::get_response::Result as Answer;

use crate::support::Vedetta;

const DEADLINE: Duration = Duration::from_secs(15);
/// As many keys as one batch takes.
const BATCH: usize = 1_000;

/// An application next to its vedetta.
#[derive(Debug, Clone)]
pub(super) struct App {
    client: CacheClient<Channel>,
}

/// What a read showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// `None` is a miss.
    pub(super) text: Option<String>,
    /// Whether vedetta had it in its own memory.
    pub(super) near: bool,
}

/// Where a read may be answered from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// As a caller who asks for nothing special.
    Anywhere,
    Master,
}

impl App {
    /// Must be called in a runtime.
    pub(super) fn of(vedetta: &Vedetta) -> Self {
        let channel = Channel::from_shared(format!("http://{}", vedetta.api())).expect("address");
        Self {
            client: CacheClient::new(channel.connect_lazy()),
        }
    }

    fn client(&self) -> CacheClient<Channel> {
        self.client.clone()
    }

    pub(super) async fn try_get(&self, cache: &str, key: &str) -> Result<Seen, Status> {
        let message = v1::GetRequest {
            cache: cache.to_owned(),
            key: bytes(key),
            ..v1::GetRequest::default()
        };
        let answer = self.client().get(request(message)).await?.into_inner();
        Ok(match answer.result {
            Some(Answer::Hit(hit)) => Seen::hit(hit),
            Some(Answer::Miss(miss)) => Seen::miss(&miss),
            other => panic!("an answer that nobody asked for: {other:?}"),
        })
    }

    pub(super) async fn get(&self, cache: &str, key: &str) -> Seen {
        self.try_get(cache, key).await.expect("a read")
    }

    /// In the order of the keys.
    pub(super) async fn get_all(&self, cache: &str, keys: &[String], from: From) -> Vec<Seen> {
        let level = (from == From::Master).then_some(Level::Master(Master {}));
        let mut all = Vec::new();
        for keys in keys.chunks(BATCH) {
            let message = v1::GetManyRequest {
                cache: cache.to_owned(),
                keys: keys.iter().map(|key| bytes(key)).collect(),
                consistency: level
                    .clone()
                    .map(|level| v1::Consistency { level: Some(level) }),
                ..v1::GetManyRequest::default()
            };
            let answer = self.client().get_many(request(message)).await;
            let items = answer.expect("a batch").into_inner().items;
            assert_eq!(items.len(), keys.len());
            all.extend(items.into_iter().map(|item| match item.result {
                Some(Item::Hit(hit)) => Seen::hit(hit),
                Some(Item::Miss(miss)) => Seen::miss(&miss),
                other => panic!("a read of a batch: {other:?}"),
            }));
        }
        all
    }

    pub(super) async fn put(&self, cache: &str, key: &str, text: &str, groups: &[&str]) {
        self.put_at(cache, key, text, groups, None).await;
    }

    /// A put that every replica has when it is answered.
    pub(super) async fn put_to_all(&self, cache: &str, key: &str, text: &str, groups: &[&str]) {
        let timeout = DEADLINE.try_into().ok();
        let level = durability::Level::All(durability::All { timeout });
        self.put_at(cache, key, text, groups, Some(level)).await;
    }

    async fn put_at(
        &self,
        cache: &str,
        key: &str,
        text: &str,
        groups: &[&str],
        level: Option<durability::Level>,
    ) {
        let message = v1::PutRequest {
            cache: cache.to_owned(),
            key: bytes(key),
            content: Some(v1::put_request::Content::Value(bytes(text))),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            durability: level.map(|level| v1::Durability { level: Some(level) }),
            ..v1::PutRequest::default()
        };
        self.client().put(request(message)).await.expect("a put");
    }

    pub(super) async fn evict(&self, cache: &str, key: &str) {
        let message = v1::EvictRequest {
            cache: cache.to_owned(),
            key: bytes(key),
            ..v1::EvictRequest::default()
        };
        let evicted = self.client().evict(request(message)).await;
        evicted.expect("an eviction");
    }

    pub(super) async fn add_to_group(&self, cache: &str, key: &str, group: &str) {
        let message = v1::AddToGroupsRequest {
            cache: cache.to_owned(),
            key: bytes(key),
            groups: vec![group.to_owned()],
            ..v1::AddToGroupsRequest::default()
        };
        let added = self.client().add_to_groups(request(message)).await;
        added.expect("a membership");
    }

    pub(super) async fn flush_group(&self, cache: &str, group: &str) {
        let message = v1::FlushGroupsRequest {
            cache: cache.to_owned(),
            groups: vec![group.to_owned()],
            ..v1::FlushGroupsRequest::default()
        };
        let flushed = self.client().flush_groups(request(message)).await;
        flushed.expect("a flush");
    }

    pub(super) async fn clear(&self, cache: &str) {
        let message = v1::ClearRequest {
            cache: cache.to_owned(),
            ..v1::ClearRequest::default()
        };
        let cleared = self.client().clear(request(message)).await;
        cleared.expect("a clear");
    }

    /// The next number of a counter, above the floor if one is given.
    pub(super) async fn next_number(&self, cache: &str, key: &str, floor: Option<i64>) -> i64 {
        let message = v1::IncrementRequest {
            cache: cache.to_owned(),
            key: bytes(key),
            delta: 1,
            floor,
            ..v1::IncrementRequest::default()
        };
        let answer = self.client().increment(request(message)).await;
        answer.expect("a number").into_inner().value
    }
}

/// As the old plugin does it: what several pods share is got, changed, and put back.
impl App {
    pub(super) async fn add_to_list(&self, cache: &str, list: &str, member: &str) {
        let text = self.get(cache, list).await.text.unwrap_or_default();
        self.put(cache, list, &format!("{text}{member}\n"), &[])
            .await;
    }

    pub(super) async fn evict_list(&self, cache: &str, list: &str) {
        let text = self.get(cache, list).await.text.unwrap_or_default();
        for member in text.lines() {
            self.evict(cache, member).await;
        }
        self.evict(cache, list).await;
    }

    pub(super) async fn next_number_by_put(&self, cache: &str, key: &str) -> i64 {
        let text = self.get(cache, key).await.text;
        let number = text.and_then(|text| text.parse::<i64>().ok());
        let next = number.expect("a number") + 1;
        self.put(cache, key, &next.to_string(), &[]).await;
        next
    }
}

impl Seen {
    fn hit(hit: v1::Hit) -> Self {
        let near = hit.source() == v1::Source::L1;
        let Some(v1::hit::Content::Value(value)) = hit.content else {
            panic!("nobody puts a null here");
        };
        Self {
            text: Some(String::from_utf8_lossy(&value).into_owned()),
            near,
        }
    }

    fn miss(miss: &v1::Miss) -> Self {
        Self {
            text: None,
            near: miss.source() == v1::Source::L1,
        }
    }
}

fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(DEADLINE);
    request
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}
