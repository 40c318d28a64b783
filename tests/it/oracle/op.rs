//! The calls of a history: how they are drawn, sent, and what of their answers is compared.

use std::fmt::{Display, Formatter};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rand::Rng;
use rand::rngs::StdRng;
use tonic::Status;
use vedetta::proto::v1;
use vedetta::proto::v1::condition::{Absent, MustBe, Present};
use vedetta::proto::v1::expiry::{CacheDefault, Keep, When};
use vedetta::proto::v1::{
    consistency, get_response, get_ttl_response, hit, put_request, put_response,
};

use super::{Client, lease};

const HOUR: u64 = 3600;

/// What a call may do, with everything about it that is drawn.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Get,
    Ttl,
    Put(Bytes, Until, If),
    PutIfAbsent(Bytes, Until),
    Evict,
    Touch(Until),
    Increment(i64, Option<i64>),
    ListEdit(Vec<Bytes>, Vec<Bytes>),
    /// In so many hours; 0 has passed.
    SetDeadline(u64),
    /// GetOrLease that does not wait.
    Lease,
    /// A Put under the lease that was given last, into the group of the key or into none.
    Fill(Bytes, Until, bool),
    /// The group of the key.
    Flush,
}

/// An expiry, in hours where it has a length.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until {
    Ttl(u64),
    Deadline(u64),
    Keep,
    Never,
    Default,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum If {
    Always,
    Absent,
    Present,
    /// It has the version that was seen last.
    Seen,
}

/// What is compared.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) version: Option<Bytes>,
    /// It is another one each time, so it is not compared.
    pub(super) lease: Option<Bytes>,
}

impl Display for Answer {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}, version {version:02x}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// A key, and what is known of it.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    pub(super) cache: String,
    pub(super) key: Bytes,
    seen: Bytes,
    pub(super) lease: Bytes,
}

impl Spot {
    pub(super) fn new(cache: &str, key: String) -> Self {
        Self {
            cache: cache.to_owned(),
            key: key.into(),
            seen: Bytes::from_static(b"none"),
            lease: Bytes::from_static(&[0; 16]),
        }
    }

    /// Remembers the version that a look at the entry told, and the lease.
    pub(super) fn saw<'a>(&mut self, answers: impl IntoIterator<Item = &'a Answer>) {
        for answer in answers {
            if let Some(version) = &answer.version {
                self.seen = version.clone();
            }
            if let Some(lease) = &answer.lease {
                self.lease = lease.clone();
            }
        }
    }
}

fn any<T: Clone>(rng: &mut StdRng, of: &[T]) -> T {
    of[rng.random_range(0..of.len())].clone()
}

impl Until {
    fn draw(rng: &mut StdRng) -> Self {
        let all = [
            Self::Default,
            Self::Default,
            Self::Keep,
            Self::Never,
            Self::Ttl(3),
            Self::Deadline(7),
            Self::Deadline(0),
        ];
        any(rng, &all)
    }

    pub(super) fn message(self) -> Option<v1::Expiry> {
        let when = match self {
            Self::Ttl(hours) => {
                let ttl = Duration::from_secs(hours * HOUR);
                When::Ttl(ttl.try_into().expect("a duration"))
            }
            Self::Deadline(hours) => When::Deadline(moment(hours)),
            Self::Keep => When::Keep(Keep {}),
            Self::Never => When::None(v1::NoExpiry {}),
            Self::Default => When::CacheDefault(CacheDefault {}),
        };
        Some(v1::Expiry { when: Some(when) })
    }
}

impl Op {
    pub(super) fn draw(rng: &mut StdRng) -> Self {
        let values = ["1", "41", "text", "\n\u{1}a", "\n\u{1}b\n\u{1}a", ""];
        let value = Bytes::from_static(any(rng, &values).as_bytes());
        let until = Until::draw(rng);
        let names = |rng: &mut StdRng| -> Vec<Bytes> {
            let count = rng.random_range(0..3);
            (0..count)
                .map(|_| Bytes::from_static(any(rng, &["a", "b", "c"]).as_bytes()))
                .collect()
        };
        match rng.random_range(0..26) {
            0 => Self::Get,
            1..=4 => {
                let condition = any(rng, &[If::Always, If::Absent, If::Present, If::Seen]);
                Self::Put(value, until, condition)
            }
            5 => Self::PutIfAbsent(value, until),
            6 | 7 => Self::Evict,
            8 | 9 => match until {
                Until::Keep => Self::Touch(Until::Default),
                until => Self::Touch(until),
            },
            10..=12 => Self::Increment(
                rng.random_range(-2..3),
                any(rng, &[None, None, Some(5), Some(60)]),
            ),
            13..=16 => {
                let (remove, mut add) = (names(rng), names(rng));
                if remove.is_empty() && add.is_empty() {
                    add.push(Bytes::from_static(b"a"));
                }
                Self::ListEdit(remove, add)
            }
            17 | 18 => Self::SetDeadline(any(rng, &[0, 11, 13])),
            19..=22 => Self::Fill(value, until, rng.random()),
            23 | 24 => Self::Flush,
            _ => Self::Ttl,
        }
    }
}

/// In so many hours; 0 is long ago.
fn moment(hours: u64) -> prost_types::Timestamp {
    match hours {
        0 => SystemTime::UNIX_EPOCH.into(),
        hours => (SystemTime::now() + Duration::from_secs(hours * HOUR)).into(),
    }
}

fn hours(ttl: Option<&prost_types::Duration>) -> String {
    match ttl {
        None => "for ever".to_owned(),
        Some(ttl) => format!("{} h", (ttl.seconds + 1800) / 3600),
    }
}

pub(super) fn told(text: impl Into<String>, version: Option<Bytes>) -> Answer {
    Answer {
        text: text.into(),
        version,
        lease: None,
    }
}

fn refused(status: &Status) -> Answer {
    told(format!("{:?}: {}", status.code(), status.message()), None)
}

/// The answer to a call.
pub(super) async fn send(client: &mut Client, spot: &Spot, op: &Op) -> Answer {
    let done = match op {
        Op::Get => get(client, spot).await,
        Op::Ttl => ttl(client, spot).await,
        Op::Put(value, until, condition) => put(client, spot, value, *until, *condition).await,
        Op::PutIfAbsent(value, until) => put_if_absent(client, spot, value, *until).await,
        Op::ListEdit(remove, add) => edit(client, spot, remove, add).await,
        Op::Lease => lease::ask(client, spot).await,
        Op::Fill(value, until, grouped) => lease::fill(client, spot, value, *until, *grouped).await,
        Op::Flush => lease::flush(client, spot).await,
        other => change(client, spot, other).await,
    };
    done.unwrap_or_else(|status| refused(&status))
}

pub(super) fn hit(found: v1::Hit) -> Answer {
    let content = match found.content {
        Some(hit::Content::Value(value)) => format!("{value:?}"),
        other => format!("{other:?}"),
    };
    let text = format!("{content} {}", hours(found.remaining_ttl.as_ref()));
    told(text, Some(found.version))
}

async fn get(client: &mut Client, spot: &Spot) -> Result<Answer, Status> {
    let level = consistency::Level::Master(consistency::Master {});
    let request = v1::GetRequest {
        cache: spot.cache.clone(),
        key: spot.key.clone(),
        consistency: Some(v1::Consistency { level: Some(level) }),
        ..v1::GetRequest::default()
    };
    Ok(match client.get(request).await?.into_inner().result {
        Some(get_response::Result::Hit(found)) => hit(found),
        _ => told("a miss", None),
    })
}

async fn ttl(client: &mut Client, spot: &Spot) -> Result<Answer, Status> {
    let request = v1::GetTtlRequest {
        cache: spot.cache.clone(),
        key: spot.key.clone(),
        ..v1::GetTtlRequest::default()
    };
    let answer = client.get_ttl(request).await?.into_inner();
    let deadline = answer.deadline.map(|deadline| deadline.passed);
    let text = match &answer.result {
        Some(get_ttl_response::Result::Remaining(ttl)) => hours(Some(ttl)),
        Some(get_ttl_response::Result::NoExpiry(_)) => hours(None),
        _ => "a miss".to_owned(),
    };
    Ok(told(format!("{text}, deadline passed {deadline:?}"), None))
}

async fn put(
    client: &mut Client,
    spot: &Spot,
    value: &Bytes,
    until: Until,
    condition: If,
) -> Result<Answer, Status> {
    let must_be = match condition {
        If::Always => None,
        If::Absent => Some(MustBe::Absent(Absent {})),
        If::Present => Some(MustBe::Present(Present {})),
        If::Seen => Some(MustBe::Version(spot.seen.clone())),
    };
    let request = v1::PutRequest {
        cache: spot.cache.clone(),
        key: spot.key.clone(),
        content: Some(put_request::Content::Value(value.clone())),
        expiry: until.message(),
        condition: must_be.map(|must_be| v1::Condition {
            must_be: Some(must_be),
        }),
        ..v1::PutRequest::default()
    };
    Ok(match client.put(request).await?.into_inner().result {
        Some(put_response::Result::Stored(stored)) => told("stored", Some(stored.version)),
        Some(put_response::Result::NotStored(not)) => told("not stored", Some(not.current_version)),
        None => told("nothing", None),
    })
}

async fn put_if_absent(
    client: &mut Client,
    spot: &Spot,
    value: &Bytes,
    until: Until,
) -> Result<Answer, Status> {
    use v1::put_if_absent_response::Result;
    let request = v1::PutIfAbsentRequest {
        cache: spot.cache.clone(),
        key: spot.key.clone(),
        content: Some(v1::put_if_absent_request::Content::Value(value.clone())),
        expiry: until.message(),
        ..v1::PutIfAbsentRequest::default()
    };
    let answer = client.put_if_absent(request).await?.into_inner();
    Ok(match answer.result {
        Some(Result::Existing(found)) => hit(found),
        Some(Result::Stored(stored)) => told("stored", Some(stored.version)),
        None => told("nothing", None),
    })
}

/// Everything that has little to say.
async fn change(client: &mut Client, spot: &Spot, op: &Op) -> Result<Answer, Status> {
    let (cache, key) = (spot.cache.clone(), spot.key.clone());
    let tenant = String::new();
    let text = match op {
        Op::Touch(until) => {
            let expiry = until.message();
            let request = v1::TouchRequest {
                cache,
                tenant,
                key,
                expiry,
            };
            format!("{:?}", client.touch(request).await?.into_inner())
        }
        Op::SetDeadline(hours) => {
            let deadline = Some(moment(*hours));
            let request = v1::SetDeadlineRequest {
                cache,
                tenant,
                key,
                deadline,
            };
            format!("{:?}", client.set_deadline(request).await?.into_inner())
        }
        Op::Increment(delta, floor) => {
            let request = v1::IncrementRequest {
                cache,
                key,
                delta: *delta,
                floor: *floor,
                ..v1::IncrementRequest::default()
            };
            client
                .increment(request)
                .await?
                .into_inner()
                .value
                .to_string()
        }
        _ => {
            let request = v1::EvictRequest {
                cache,
                key,
                ..v1::EvictRequest::default()
            };
            client
                .evict(request)
                .await?
                .into_inner()
                .existed
                .to_string()
        }
    };
    Ok(told(text, None))
}

async fn edit(
    client: &mut Client,
    spot: &Spot,
    remove: &[Bytes],
    add: &[Bytes],
) -> Result<Answer, Status> {
    let request = v1::ListEditRequest {
        cache: spot.cache.clone(),
        key: spot.key.clone(),
        remove: remove.to_vec(),
        add: add.to_vec(),
        ..v1::ListEditRequest::default()
    };
    let answer = client.list_edit(request).await?.into_inner();
    Ok(told(format!("{:?}", answer.members), Some(answer.version)))
}
