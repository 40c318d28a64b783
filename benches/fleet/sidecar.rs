//! One `vedetta serve` and an ordinary client of it.
//!
//! Invariants: every value that is read is compared with the one that was written last.

use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Status, Streaming};
use vedetta::proto::v1;
use vedetta::proto::v1::cache_client::CacheClient;
use vedetta::proto::v1::watch_client::WatchClient;

use crate::door::Door;
use crate::keys::{CACHE, Keys};
use crate::meter;
use crate::process::{Process, free_address};

/// Keys in one batch.
const BATCH: usize = 500;

/// A running sidecar.
pub(crate) struct Sidecar {
    process: Process,
    cache: CacheClient<Channel>,
    watch: WatchClient<Channel>,
}

fn failed(status: Status) -> String {
    format!("a call failed: {:?}: {}", status.code(), status.message())
}

impl Sidecar {
    /// Starts one in front of the master that these Sentinels name.
    pub(crate) async fn start(vedetta: &Path, sentinels: &str) -> Result<Self, String> {
        let admin = free_address()?.to_string();
        let mut socket = PathBuf::new();
        let process = Process::start("vedetta", |directory| {
            socket = directory.join("socket");
            let mut command = Command::new(vedetta);
            command
                .arg("serve")
                .env("VEDETTA_WORKERS", "1")
                .env("VEDETTA_SOCKET", &socket)
                .env("VEDETTA_LISTEN", "none")
                .env("VEDETTA_ADMIN_LISTEN", &admin)
                .env("VEDETTA_SENTINEL_ADDRESSES", sentinels)
                // Fifty of them share a processor, on which none may be served for a while.
                .env("VEDETTA_REDIS_COMMAND_TIMEOUT", "10s")
                .env("VEDETTA_CACHES", format!("{CACHE}:raw"));
            Ok((command, vec![Door::Unix(socket.clone())]))
        })?;
        let connector = tower::service_fn(move |_: Uri| {
            let stream = tokio::net::UnixStream::connect(socket.clone());
            async move { stream.await.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://localhost")
            .connect_with_connector(connector)
            .await
            .map_err(|error| format!("cannot connect to a vedetta: {error}"))?;
        Ok(Self {
            process,
            cache: CacheClient::new(channel.clone()),
            watch: WatchClient::new(channel),
        })
    }

    pub(crate) fn cpu(&self) -> Result<u64, String> {
        meter::cpu(self.process.id())
    }

    /// In KiB.
    pub(crate) fn resident(&self) -> Result<u64, String> {
        meter::resident(self.process.id())
    }

    /// Reads these keys, so that its near cache holds them.
    pub(crate) async fn read(&self, keys: &Keys, numbers: &[usize]) -> Result<(), String> {
        for numbers in numbers.chunks(BATCH) {
            let request = v1::GetManyRequest {
                cache: CACHE.to_owned(),
                keys: numbers.iter().map(|number| keys.name(*number)).collect(),
                ..v1::GetManyRequest::default()
            };
            let answer = self.cache.clone().get_many(request).await.map_err(failed)?;
            for (number, item) in numbers.iter().zip(answer.into_inner().items) {
                match item.result {
                    Some(v1::get_many_response::item::Result::Hit(hit)) => {
                        keys.judge(*number, &hit)?;
                    }
                    other => return Err(format!("key {number} was not found: {other:?}")),
                }
            }
        }
        Ok(())
    }

    /// Reads one; whether it came from its near cache. `check` is off where writes run beside.
    pub(crate) async fn get(
        &self,
        keys: &Keys,
        number: usize,
        check: bool,
    ) -> Result<bool, String> {
        let request = v1::GetRequest {
            cache: CACHE.to_owned(),
            key: keys.name(number),
            ..v1::GetRequest::default()
        };
        let answer = self.cache.clone().get(request).await.map_err(failed)?;
        match answer.into_inner().result {
            Some(v1::get_response::Result::Hit(hit)) => {
                if check {
                    keys.judge(number, &hit)?;
                }
                Ok(hit.source() == v1::Source::L1)
            }
            other => Err(format!("key {number} was not found: {other:?}")),
        }
    }

    /// Writes one.
    pub(crate) async fn put(&self, key: Bytes, value: Bytes) -> Result<(), String> {
        let request = v1::PutRequest {
            cache: CACHE.to_owned(),
            key,
            content: Some(v1::put_request::Content::Value(value)),
            ..v1::PutRequest::default()
        };
        let answer = self.cache.clone().put(request).await.map_err(failed)?;
        match answer.into_inner().result {
            Some(v1::put_response::Result::Stored(_)) => Ok(()),
            other => Err(format!("not stored: {other:?}")),
        }
    }

    /// Everything that it tells about the cache from now on.
    pub(crate) async fn watch(&self) -> Result<Told, String> {
        let request = v1::WatchRequest {
            caches: vec![CACHE.to_owned()],
            ..v1::WatchRequest::default()
        };
        let stream = self.watch.clone().watch(request).await.map_err(failed)?;
        Ok(Told(stream.into_inner()))
    }
}

/// What a sidecar tells.
pub(crate) struct Told(Streaming<v1::WatchResponse>);

impl Told {
    /// The next event other than a proof.
    async fn next(&mut self) -> Result<v1::watch_response::Event, String> {
        use v1::watch_response::Event;
        loop {
            let message = self.0.message().await.map_err(failed)?;
            match message.ok_or("a Watch has ended")?.event {
                Some(Event::Proven(_)) | None => {}
                Some(event) => return Ok(event),
            }
        }
    }

    /// Waits for the Discontinuity with which a Watch begins.
    pub(crate) async fn begun(&mut self) -> Result<(), String> {
        match self.next().await? {
            v1::watch_response::Event::Discontinuity(_) => Ok(()),
            other => Err(format!("a Watch has begun with {other:?}")),
        }
    }

    /// Waits until it is told that this key has changed.
    pub(crate) async fn changed(&mut self, key: &Bytes) -> Result<(), String> {
        loop {
            match self.next().await? {
                v1::watch_response::Event::Invalidated(of) if of.keys.contains(key) => {
                    return Ok(());
                }
                v1::watch_response::Event::Invalidated(_) => {}
                other => return Err(format!("a Watch was interrupted: {other:?}")),
            }
        }
    }
}
