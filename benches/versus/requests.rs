//! Keys, values and requests: the same for every server, encoded before anything is measured.
//!
//! Invariants: a key names the size of its value, so that a server which makes values up (`serve::echo`) needs no store.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use vedetta::proto::v1;

use crate::wire::message::PREFIX;
use crate::wire::resp::command;

/// The sizes of values, in bytes.
pub(crate) const SIZES: [usize; 3] = [100, 1024, 16 * 1024];
/// How many keys a batch reads.
pub(crate) const BATCH: usize = 64;
/// The cache that is read, and the one that is written.
pub(crate) const READ: &str = "versus";
pub(crate) const WRITTEN: &str = "versus-written";

/// Requests that are sent in turn.
pub(crate) type Encoded = Arc<Vec<Vec<u8>>>;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// One value: `Get`, GET, get.
    Get,
    /// [`BATCH`] values: `GetMany`, MGET.
    GetMany,
    /// One value each, as many as possible in one write: `Pipeline`, pipelined GET.
    Pipeline,
    /// One value is stored: `Put`, SET.
    Put,
}

impl Operation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::GetMany => "get_many",
            Self::Pipeline => "pipeline",
            Self::Put => "put",
        }
    }

    /// How many keys a request is about.
    pub(crate) fn keys(self) -> u64 {
        match self {
            Self::GetMany => BATCH as u64,
            _ => 1,
        }
    }

    /// The rpc that it is.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Get => "/vedetta.v1.Cache/Get",
            Self::GetMany => "/vedetta.v1.Cache/GetMany",
            Self::Pipeline => "/vedetta.v1.Cache/Pipeline",
            Self::Put => "/vedetta.v1.Cache/Put",
        }
    }
}

/// How many values of a size there are: more than any processor's cache holds, and fewer than 64 MiB altogether.
pub(crate) fn count(size: usize) -> usize {
    if size > 4096 { 1_000 } else { 10_000 }
}

/// A key of 32 bytes.
pub(crate) fn key(size: usize, number: usize) -> String {
    format!("{size:05}-{number:026}")
}

pub(crate) fn keys(size: usize) -> Vec<String> {
    (0..count(size)).map(|number| key(size, number)).collect()
}

/// What each key of a size holds.
pub(crate) fn value(size: usize) -> Bytes {
    Bytes::from(vec![b'v'; size])
}

/// The requests of a gRPC operation, each behind its prefix; those of `Pipeline` without it, because their ids come
/// in between.
pub(crate) fn grpc(operation: Operation, size: usize) -> Encoded {
    let keys = keys(size);
    let encoded = match operation {
        Operation::Get => keys.iter().map(|key| prefixed(&get(key))).collect(),
        Operation::GetMany => keys
            .chunks_exact(BATCH)
            .map(|keys| prefixed(&get_many(READ, keys)))
            .collect(),
        Operation::Pipeline => keys.iter().map(|key| piped(key).encode_to_vec()).collect(),
        Operation::Put => keys[..count(size) / 10]
            .iter()
            .map(|key| prefixed(&put(key, size)))
            .collect(),
    };
    Arc::new(encoded)
}

pub(crate) fn get(key: &str) -> v1::GetRequest {
    v1::GetRequest {
        cache: READ.to_owned(),
        key: Bytes::copy_from_slice(key.as_bytes()),
        ..v1::GetRequest::default()
    }
}

pub(crate) fn get_many(cache: &str, keys: &[String]) -> v1::GetManyRequest {
    v1::GetManyRequest {
        cache: cache.to_owned(),
        keys: keys
            .iter()
            .map(|key| Bytes::copy_from_slice(key.as_bytes()))
            .collect(),
        ..v1::GetManyRequest::default()
    }
}

pub(crate) fn piped(key: &str) -> v1::PipelineRequest {
    v1::PipelineRequest {
        id: 0,
        timeout: None,
        call: Some(v1::pipeline_request::Call::Get(get(key))),
    }
}

pub(crate) fn put(key: &str, size: usize) -> v1::PutRequest {
    v1::PutRequest {
        cache: WRITTEN.to_owned(),
        key: Bytes::copy_from_slice(key.as_bytes()),
        content: Some(v1::put_request::Content::Value(value(size))),
        ..v1::PutRequest::default()
    }
}

/// A message as gRPC sends it.
pub(crate) fn prefixed(message: &impl Message) -> Vec<u8> {
    let mut out = Vec::with_capacity(PREFIX + message.encoded_len());
    let length = u32::try_from(message.encoded_len()).unwrap_or(u32::MAX);
    out.push(0);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&message.encode_to_vec());
    out
}

/// The commands of an operation for a Redis.
pub(crate) fn resp(operation: Operation, size: usize) -> Encoded {
    let (keys, value) = (keys(size), value(size));
    let encoded = match operation {
        Operation::Get | Operation::Pipeline => keys
            .iter()
            .map(|key| command(&[b"GET", key.as_bytes()]))
            .collect(),
        Operation::GetMany => keys
            .chunks_exact(BATCH)
            .map(|keys| {
                let mut parts: Vec<&[u8]> = vec![b"MGET"];
                parts.extend(keys.iter().map(String::as_bytes));
                command(&parts)
            })
            .collect(),
        Operation::Put => keys[..count(size) / 10]
            .iter()
            .map(|key| {
                let key = format!("{WRITTEN}::{key}");
                command(&[b"SET", key.as_bytes(), &value])
            })
            .collect(),
    };
    Arc::new(encoded)
}

/// The gets for a memcached.
pub(crate) fn memcached(size: usize) -> Encoded {
    let get = |key: &String| format!("get {key}\r\n").into_bytes();
    Arc::new(keys(size).iter().map(get).collect())
}
