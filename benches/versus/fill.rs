//! Puts the same values into every server, and asks each of them once as an ordinary client does.
//!
//! What the light load program only measures is judged here: the value itself, and why a call is refused.

use std::io::{Read, Write};

use bytes::Bytes;
use tonic::transport::Channel;
use tonic::{Code, Status};
use vedetta::proto::v1;
use vedetta::proto::v1::cache_client::CacheClient;

use crate::channel::{self, LARGEST, failed};
use crate::door::Door;
use crate::requests::{self, Operation, READ, SIZES, key, keys, value};
use crate::wire::resp::command;

/// Entries in one batch, and bytes of values in it.
const ITEMS: usize = 500;
const BYTES: usize = 4 << 20;
/// Commands that are on their way to a Redis or memcached while it is filled.
const COMMANDS: usize = 100;

/// An ordinary client of a vedetta.
pub(crate) struct Client {
    runtime: tokio::runtime::Runtime,
    cache: CacheClient<Channel>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Nobody answers.
    pub(crate) fn connect(door: &Door) -> Result<Self, String> {
        let (runtime, channel) = channel::connect(door)?;
        Ok(Self {
            runtime,
            cache: CacheClient::new(channel).max_decoding_message_size(LARGEST),
        })
    }

    /// Stores values of that size under these keys.
    ///
    /// # Errors
    /// A call or an item is refused.
    pub(crate) fn put_all(&self, cache: &str, keys: &[String], size: usize) -> Result<(), String> {
        let item = |key: &String| v1::put_many_request::Item {
            key: Bytes::copy_from_slice(key.as_bytes()),
            content: Some(v1::put_many_request::item::Content::Value(value(size))),
            ..v1::put_many_request::Item::default()
        };
        for keys in keys.chunks((BYTES / size).clamp(1, ITEMS)) {
            let request = v1::PutManyRequest {
                cache: cache.to_owned(),
                items: keys.iter().map(item).collect(),
                ..v1::PutManyRequest::default()
            };
            let mut client = self.cache.clone();
            let answer = self.runtime.block_on(client.put_many(request));
            let stored = |item: &v1::put_many_response::Item| {
                matches!(
                    item.result,
                    Some(v1::put_many_response::item::Result::Stored(_))
                )
            };
            let items = answer.map_err(failed)?.into_inner().items;
            if let Some(refused) = items.iter().find(|item| !stored(item)) {
                return Err(format!("an item was not stored: {refused:?}"));
            }
        }
        Ok(())
    }

    /// Reads these keys once, so that a near cache holds them.
    ///
    /// # Errors
    /// A value is missing.
    pub(crate) fn read_all(&self, cache: &str, keys: &[String], size: usize) -> Result<(), String> {
        for keys in keys.chunks((BYTES / size).clamp(1, ITEMS)) {
            let request = requests::get_many(cache, keys);
            let mut client = self.cache.clone();
            let answer = self.runtime.block_on(client.get_many(request));
            for item in answer.map_err(failed)?.into_inner().items {
                match item.result {
                    Some(v1::get_many_response::item::Result::Hit(found)) => judge(&found, size)?,
                    other => return Err(format!("not found: {other:?}")),
                }
            }
        }
        Ok(())
    }

    /// Does an operation once; why it is refused, if this server does not have it.
    ///
    /// # Errors
    /// It fails, or the answer is not what was stored.
    pub(crate) fn probe(
        &self,
        operation: Operation,
        size: usize,
    ) -> Result<Option<String>, String> {
        let (mut cache, first) = (self.cache.clone(), key(size, 0));
        let outcome: Result<Result<(), String>, Status> = self.runtime.block_on(async {
            match operation {
                Operation::Get => {
                    let answer = cache.get(requests::get(&first)).await?;
                    Ok(judge_get(&answer.into_inner(), size))
                }
                Operation::GetMany => {
                    let request = requests::get_many(READ, &keys(size)[..requests::BATCH]);
                    let items = cache.get_many(request).await?.into_inner().items;
                    Ok(items.iter().try_for_each(|item| match &item.result {
                        Some(v1::get_many_response::item::Result::Hit(hit)) => judge(hit, size),
                        other => Err(format!("not found: {other:?}")),
                    }))
                }
                Operation::Put => {
                    cache.put(requests::put(&first, size)).await?;
                    Ok(Ok(()))
                }
                Operation::Pipeline => {
                    let request = tokio_stream::iter([requests::piped(&first)]);
                    let mut answers = cache.pipeline(request).await?.into_inner();
                    Ok(
                        match answers.message().await?.and_then(|answer| answer.answer) {
                            Some(v1::pipeline_response::Answer::Get(got)) => judge_get(&got, size),
                            other => Err(format!("no answer to a get: {other:?}")),
                        },
                    )
                }
            }
        });
        match outcome {
            Ok(judged) => judged.map(|()| None),
            Err(status) if status.code() == Code::Unimplemented => Ok(Some(failed(status))),
            Err(status) => Err(failed(status)),
        }
    }
}

fn judge_get(answer: &v1::GetResponse, size: usize) -> Result<(), String> {
    match &answer.result {
        Some(v1::get_response::Result::Hit(hit)) => judge(hit, size),
        other => Err(format!("not found: {other:?}")),
    }
}

fn judge(hit: &v1::Hit, size: usize) -> Result<(), String> {
    match &hit.content {
        Some(v1::hit::Content::Value(found)) if *found == value(size) => Ok(()),
        _ => Err(format!(
            "another value than the one of {size} bytes that was stored"
        )),
    }
}

/// Fills a Redis.
///
/// # Errors
/// It does not take a value.
pub(crate) fn redis(door: &Door) -> Result<(), String> {
    for size in SIZES {
        let value = value(size);
        let set = |key: String| command(&[b"SET", key.as_bytes(), &value]);
        pour(door, keys(size).into_iter().map(set).collect(), b"+OK\r\n")?;
    }
    Ok(())
}

/// Fills a memcached.
///
/// # Errors
/// It does not take a value.
pub(crate) fn memcached(door: &Door) -> Result<(), String> {
    for size in SIZES {
        let value = value(size);
        let set = |key: String| {
            let head = format!("set {key} 0 0 {size}\r\n");
            [head.as_bytes(), &value, b"\r\n"].concat()
        };
        pour(
            door,
            keys(size).into_iter().map(set).collect(),
            b"STORED\r\n",
        )?;
    }
    Ok(())
}

fn pour(door: &Door, commands: Vec<Vec<u8>>, reply: &[u8]) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("filling {door:?}: {error}");
    let mut socket: Box<dyn ReadWrite> = match door {
        Door::Tcp(address) => Box::new(std::net::TcpStream::connect(address).map_err(failed)?),
        Door::Unix(path) => {
            Box::new(std::os::unix::net::UnixStream::connect(path).map_err(failed)?)
        }
    };
    for commands in commands.chunks(COMMANDS) {
        socket.write_all(&commands.concat()).map_err(failed)?;
        let mut replies = vec![0; reply.len() * commands.len()];
        socket.read_exact(&mut replies).map_err(failed)?;
        if replies != reply.repeat(commands.len()) {
            return Err(format!("filling {door:?}: {}", replies.escape_ascii()));
        }
    }
    Ok(())
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}
