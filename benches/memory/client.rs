//! An ordinary client that stores and reads in batches.

use std::path::Path;

use bytes::Bytes;
use tonic::transport::Channel;
use vedetta::proto::v1;
use vedetta::proto::v1::cache_client::CacheClient;
use vedetta::proto::v1::status_client::StatusClient;

use crate::channel::{self, LARGEST, failed};
use crate::door::Door;

/// Entries in one batch, and bytes of values in it.
const ITEMS: usize = 500;
const BYTES: usize = 4 << 20;
const CACHE: &str = "memory";

/// Entries by their numbers, and how large each of them is.
#[derive(Clone, Copy)]
pub(crate) struct Entries<'a> {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) size: &'a dyn Fn(usize) -> usize,
}

/// The length of every key.
pub(crate) const KEY: usize = 32;

fn key(number: usize) -> Bytes {
    Bytes::from(format!("{number:0KEY$}"))
}

fn value(size: usize) -> Bytes {
    Bytes::from(vec![b'v'; size])
}

/// A client.
pub(crate) struct Client {
    runtime: tokio::runtime::Runtime,
    cache: CacheClient<Channel>,
    status: StatusClient<Channel>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Nobody answers.
    pub(crate) fn connect(socket: &Path) -> Result<Self, String> {
        let (runtime, channel) = channel::connect(&Door::Unix(socket.to_owned()))?;
        Ok(Self {
            runtime,
            cache: CacheClient::new(channel.clone()).max_decoding_message_size(LARGEST),
            status: StatusClient::new(channel),
        })
    }

    /// What it says about itself.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn status(&mut self) -> Result<v1::GetStatusResponse, String> {
        let answer = self.status.get_status(v1::GetStatusRequest {});
        let answer = self.runtime.block_on(answer);
        Ok(answer.map_err(failed)?.into_inner())
    }

    /// Stores a batch from the first on; how many they were.
    ///
    /// # Errors
    /// The call or an item is refused.
    pub(crate) fn put(&mut self, entries: Entries<'_>) -> Result<usize, String> {
        use v1::put_many_request::{Item, item::Content};
        use v1::put_many_response::item::Result as Put;
        let numbers = batch(entries);
        let item = |number| Item {
            key: key(number),
            content: Some(Content::Value(value((entries.size)(number)))),
            ..Item::default()
        };
        let request = v1::PutManyRequest {
            cache: CACHE.to_owned(),
            items: numbers.clone().map(item).collect(),
            ..v1::PutManyRequest::default()
        };
        let answer = self.runtime.block_on(self.cache.put_many(request));
        let items = answer.map_err(failed)?.into_inner().items;
        let stored =
            |item: &v1::put_many_response::Item| matches!(item.result, Some(Put::Stored(_)));
        match items.iter().find(|item| !stored(item)) {
            Some(refused) => Err(format!("an item was not stored: {refused:?}")),
            None => Ok(numbers.len()),
        }
    }

    /// Reads a batch from the first on; how many they were.
    ///
    /// # Errors
    /// The call is refused, or what is read is not what was stored.
    pub(crate) fn get(&mut self, entries: Entries<'_>) -> Result<usize, String> {
        use v1::get_many_response::item::Result as Got;
        let numbers = batch(entries);
        let request = v1::GetManyRequest {
            cache: CACHE.to_owned(),
            keys: numbers.clone().map(key).collect(),
            ..v1::GetManyRequest::default()
        };
        let answer = self.runtime.block_on(self.cache.get_many(request));
        let items = answer.map_err(failed)?.into_inner().items;
        for (number, item) in numbers.clone().zip(items) {
            let content = match item.result {
                Some(Got::Hit(hit)) => hit.content,
                other => return Err(format!("entry {number} was not found: {other:?}")),
            };
            if content != Some(v1::hit::Content::Value(value((entries.size)(number)))) {
                return Err(format!("entry {number} is not what was stored"));
            }
        }
        Ok(numbers.len())
    }
}

/// The first of them, as many as fit into a batch, and at least one.
fn batch(entries: Entries<'_>) -> std::ops::Range<usize> {
    let mut bytes = 0;
    let fits = |number: &usize| {
        bytes += (entries.size)(*number);
        bytes <= BYTES
    };
    let most = entries.to.min(entries.from + ITEMS);
    let some = (entries.from..most).take_while(fits).count().max(1);
    entries.from..(entries.from + some).min(entries.to)
}
