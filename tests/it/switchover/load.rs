//! Callers of vedetta: each has one call on its way at a time, with a deadline of 15 s.
//!
//! Invariants: every write has a key of its own; a write counts as acknowledged only if its answer was OK.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tonic::Code;
use tonic::transport::Channel;
use vedetta::proto::v1;
use vedetta::proto::v1::cache_client::CacheClient;
use vedetta::proto::v1::durability::{All, Level};

use crate::client::callers;
use crate::support::wait;

/// A raw cache, so that what was written can be looked for with any client.
pub(super) const CACHE: &str = "raw";

const DEADLINE: Duration = Duration::from_secs(15);

const STARTED_WITHIN: Duration = Duration::from_secs(60);

/// How long copies are waited for: a killed node is missed for as long as it takes to come back.
const COPIES_WITHIN: Duration = Duration::from_millis(200);

/// Between two writes of one caller.
const PAUSE: Duration = Duration::from_millis(2);

const WRITERS: usize = 4;

/// One write.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) key: String,
    pub(crate) answered: Instant,
    pub(crate) to_all: bool,
    /// The code and the message of a failure.
    pub(crate) result: Result<(), (Code, String)>,
}

impl Write {
    pub(crate) fn acknowledged(&self) -> bool {
        self.result.is_ok()
    }

    /// Whether it failed; too few copies are no failure, because the answer says exactly that.
    pub(crate) fn failed(&self) -> bool {
        !matches!(&self.result, Ok(()) | Err((Code::Aborted, _)))
    }
}

/// Callers at work.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    writes: Arc<Mutex<Vec<Write>>>,
    reads_failed: Arc<AtomicU64>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Load {
    pub(crate) fn start(api: SocketAddr) -> Self {
        Self::start_with(api, Bytes::from_static(b"x"))
    }

    /// Values of 64 KiB, which fill the buffers of a link that says nothing any more.
    pub(crate) fn start_large(api: SocketAddr) -> Self {
        Self::start_with(api, Bytes::from(vec![b'x'; 64 << 10]))
    }

    fn start_with(api: SocketAddr, value: Bytes) -> Self {
        let load = Self {
            stop: Arc::default(),
            writes: Arc::default(),
            reads_failed: Arc::default(),
            thread: Mutex::default(),
        };
        let (stop, writes, failed) = (
            load.stop.clone(),
            load.writes.clone(),
            load.reads_failed.clone(),
        );
        let thread = callers::call(api, move |channel, callers| {
            for caller in 0..=WRITERS {
                let client = CacheClient::new(channel.clone());
                let (stop, writes) = (stop.clone(), writes.clone());
                let caller = (caller, caller == WRITERS, value.clone());
                callers.spawn(write(client, caller, stop, writes));
            }
            callers.spawn(read(CacheClient::new(channel), stop, failed));
        });
        *load.thread.lock() = Some(thread);
        load
    }

    /// Waits until a write is acknowledged that was not when this was called.
    pub(crate) fn is_under_way(&self) {
        let now = Instant::now();
        wait::until("writes", STARTED_WITHIN, || self.first_after(now));
    }

    /// The first write that was acknowledged after that.
    pub(crate) fn first_after(&self, at: Instant) -> Result<Instant, String> {
        let writes = self.writes.lock();
        let after = writes
            .iter()
            .filter(|write| write.acknowledged() && write.answered >= at);
        let first = after.map(|write| write.answered).min();
        first.ok_or_else(|| format!("none of {} writes", writes.len()))
    }

    /// Ends, and tells all writes.
    ///
    /// # Panics
    /// If a read has failed.
    pub(crate) fn stop(&self) -> Vec<Write> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.lock().take() {
            thread.join().expect("the callers");
        }
        assert_eq!(self.reads_failed.load(Ordering::Relaxed), 0, "reads failed");
        std::mem::take(&mut self.writes.lock())
    }
}

async fn write(
    mut client: CacheClient<Channel>,
    (caller, to_all, value): (usize, bool, Bytes),
    stop: Arc<AtomicBool>,
    writes: Arc<Mutex<Vec<Write>>>,
) {
    let run = rand::random::<u32>();
    let mut number = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let key = format!("{run:08x}-{caller}-{number}");
        let timeout = COPIES_WITHIN.try_into().expect("a duration");
        let durability = to_all.then_some(v1::Durability {
            level: Some(Level::All(All {
                timeout: Some(timeout),
            })),
        });
        let mut request = tonic::Request::new(v1::PutRequest {
            cache: CACHE.to_owned(),
            key: Bytes::from(key.clone()),
            content: Some(v1::put_request::Content::Value(value.clone())),
            durability,
            ..v1::PutRequest::default()
        });
        request.set_timeout(DEADLINE);
        let result = client.put(request).await;
        let write = Write {
            key,
            answered: Instant::now(),
            to_all,
            result: result
                .map(|_| ())
                .map_err(|status| (status.code(), status.message().to_owned())),
        };
        writes.lock().push(write);
        tokio::time::sleep(PAUSE).await;
    }
}

async fn read(mut client: CacheClient<Channel>, stop: Arc<AtomicBool>, failed: Arc<AtomicU64>) {
    while !stop.load(Ordering::Relaxed) {
        let mut request = tonic::Request::new(v1::GetRequest {
            cache: CACHE.to_owned(),
            key: Bytes::from_static(b"read"),
            ..v1::GetRequest::default()
        });
        request.set_timeout(DEADLINE);
        if let Err(status) = client.get(request).await {
            eprintln!("a read failed: {status:?}");
            failed.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
