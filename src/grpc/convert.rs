//! The vocabulary of `model` as protobuf.
//!
//! Not here: the way in (`check`), errors (`status`).

use std::time::{Duration, SystemTime};

use crate::cache::{IfAbsent, Written};
use crate::config::{CachePolicy, Encoding};
use crate::model::{
    CacheId, Evidence, Fault, Freshness, Hit, Lookup, PutOutcome, Source, Token, TtlLookup, Value,
};
use crate::proto::v1;

use super::metrics::Outcome;
use super::status::item_error;

/// The contents of requests, each a `oneof` of its own.
macro_rules! value_from {
    ($($module:path),+) => {$(
        const _: () = {
            use $module as content;
            impl From<content::Content> for Value {
                fn from(content: content::Content) -> Self {
                    match content {
                        content::Content::Value(data) => Self::Data(data),
                        content::Content::Null(_) => Self::Null,
                    }
                }
            }
        };
    )+};
}

value_from!(
    v1::put_request,
    v1::put_if_absent_request,
    v1::put_many_request::item
);

/// A duration as protobuf; beyond its range, the end of it.
pub(super) fn duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: duration.subsec_nanos().cast_signed(),
    }
}

/// A moment as protobuf.
pub(super) fn timestamp(time: SystemTime) -> prost_types::Timestamp {
    time.into()
}

fn source(source: Source) -> i32 {
    match source {
        Source::L1 => v1::Source::L1,
        Source::Master => v1::Source::Master,
    }
    .into()
}

pub(super) fn freshness(freshness: Freshness) -> i32 {
    match freshness {
        Freshness::Fresh => v1::Freshness::Fresh,
        Freshness::Stale => v1::Freshness::Stale,
        Freshness::Unverified => v1::Freshness::Unverified,
    }
    .into()
}

pub(super) fn hit(hit: Hit) -> v1::Hit {
    v1::Hit {
        content: Some(match hit.value {
            Value::Null => v1::hit::Content::Null(v1::Null {}),
            Value::Data(data) => v1::hit::Content::Value(data),
        }),
        version: hit.version.into_bytes(),
        remaining_ttl: hit.ttl.map(duration),
        source: source(hit.evidence.source),
        freshness: freshness(hit.evidence.freshness),
        age_bound: Some(duration(hit.evidence.age_bound)),
    }
}

pub(super) fn miss(evidence: Evidence) -> v1::Miss {
    v1::Miss {
        source: source(evidence.source),
        freshness: freshness(evidence.freshness),
        age_bound: Some(duration(evidence.age_bound)),
    }
}

/// The answer to Get; `known` is the version that the caller already has.
pub(super) fn get(lookup: Lookup, known: &[u8]) -> (v1::GetResponse, Outcome) {
    use v1::get_response::{NotModified, Result};
    let (result, outcome) = match lookup {
        Lookup::Miss(evidence) => (Result::Miss(miss(evidence)), Outcome::Miss),
        Lookup::Hit(found) if !known.is_empty() && found.version.as_bytes() == known => {
            let not_modified = NotModified {
                remaining_ttl: found.ttl.map(duration),
                source: source(found.evidence.source),
                freshness: freshness(found.evidence.freshness),
                age_bound: Some(duration(found.evidence.age_bound)),
            };
            (Result::NotModified(not_modified), Outcome::NotModified)
        }
        Lookup::Hit(found) => (Result::Hit(hit(found)), Outcome::Hit),
    };
    let answer = v1::GetResponse {
        result: Some(result),
    };
    (answer, outcome)
}

pub(super) fn get_item(item: Result<Lookup, Fault>) -> v1::get_many_response::Item {
    use v1::get_many_response::item::Result;
    v1::get_many_response::Item {
        result: Some(match item {
            Ok(Lookup::Hit(found)) => Result::Hit(hit(found)),
            Ok(Lookup::Miss(evidence)) => Result::Miss(miss(evidence)),
            Err(fault) => Result::Error(item_error(&fault)),
        }),
    }
}

/// A token as it travels; empty where there is none.
pub(super) fn token(token: Option<Token>) -> bytes::Bytes {
    token.map_or_else(bytes::Bytes::new, Token::to_bytes)
}

fn stored(version: &crate::model::Version, after: Option<Token>) -> v1::Stored {
    v1::Stored {
        version: version.as_bytes().clone(),
        token: token(after),
    }
}

fn not_stored(current: Option<crate::model::Version>) -> v1::put_response::NotStored {
    v1::put_response::NotStored {
        current_version: current
            .map_or_else(bytes::Bytes::new, |version| version.as_bytes().clone()),
    }
}

pub(super) fn put(written: Written<PutOutcome>) -> (v1::PutResponse, Outcome) {
    use v1::put_response::Result;
    let (result, counted) = match written.answer {
        PutOutcome::Stored(version) => (
            Result::Stored(stored(&version, written.token)),
            Outcome::Stored,
        ),
        PutOutcome::NotStored(current) => {
            (Result::NotStored(not_stored(current)), Outcome::NotStored)
        }
    };
    let answer = v1::PutResponse {
        result: Some(result),
    };
    (answer, counted)
}

pub(super) fn put_item(
    item: Result<PutOutcome, Fault>,
    after: Option<Token>,
) -> v1::put_many_response::Item {
    use v1::put_many_response::item::Result;
    v1::put_many_response::Item {
        result: Some(match item {
            Ok(PutOutcome::Stored(version)) => Result::Stored(stored(&version, after)),
            Ok(PutOutcome::NotStored(current)) => Result::NotStored(not_stored(current)),
            Err(fault) => Result::Error(item_error(&fault)),
        }),
    }
}

pub(super) fn if_absent(written: Written<IfAbsent>) -> (v1::PutIfAbsentResponse, Outcome) {
    use v1::put_if_absent_response::Result;
    let (result, counted) = match written.answer {
        IfAbsent::Stored(version) => (
            Result::Stored(stored(&version, written.token)),
            Outcome::Stored,
        ),
        IfAbsent::Existing(found) => (Result::Existing(hit(found)), Outcome::Existing),
    };
    let answer = v1::PutIfAbsentResponse {
        result: Some(result),
    };
    (answer, counted)
}

pub(super) fn evict_item(item: Result<bool, Fault>) -> v1::evict_many_response::Item {
    use v1::evict_many_response::item::Result;
    v1::evict_many_response::Item {
        result: Some(match item {
            Ok(existed) => Result::Existed(existed),
            Err(fault) => Result::Error(item_error(&fault)),
        }),
    }
}

pub(super) fn ttl(lookup: TtlLookup) -> (v1::GetTtlResponse, Outcome) {
    use v1::get_ttl_response::Result;
    let deadline = match lookup {
        TtlLookup::Waiting(at) | TtlLookup::Passed(at) => Some(v1::get_ttl_response::Deadline {
            at: Some(timestamp(at)),
            passed: matches!(lookup, TtlLookup::Passed(_)),
        }),
        _ => None,
    };
    let (result, counted) = match lookup {
        TtlLookup::Remaining(ttl) => (Result::Remaining(duration(ttl)), Outcome::Hit),
        TtlLookup::Never => (Result::NoExpiry(v1::NoExpiry {}), Outcome::Hit),
        TtlLookup::Miss | TtlLookup::Waiting(_) | TtlLookup::Passed(_) => {
            (Result::Miss(v1::Miss::default()), Outcome::Miss)
        }
    };
    let answer = v1::GetTtlResponse {
        result: Some(result),
        deadline,
    };
    (answer, counted)
}

pub(super) fn cache_info(cache: &CacheId, policy: CachePolicy) -> v1::CacheInfo {
    v1::CacheInfo {
        name: cache.name.as_str().to_owned(),
        encoding: match policy.encoding {
            Encoding::Framed => v1::cache_info::Encoding::Framed,
            Encoding::Raw => v1::cache_info::Encoding::Raw,
        }
        .into(),
        default_ttl: policy.ttl.map(duration),
    }
}
