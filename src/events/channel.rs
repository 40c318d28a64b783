//! Follows the log of one channel for all its subscribers: one read when the bell rings, however many they are.
//!
//! Invariants: while a channel has subscribers there is one task that reads its log, and none after; it waits for no
//! subscriber. What was read is in the ring before anybody is woken.
//!
//! Not here: what is told when something was missed (`chain`); at what pace it is taken (`subscription`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::backoff::Backoff;
use crate::drain::Tasks;
use crate::invalidation::Bell;
use crate::model::Fault;

use super::point::Point;
use super::reader::Reader;
use super::ring::{Record, Ring};

/// A log is read that often without a ring. Nothing depends on it: it bounds what a push could cost that a proxy or a
/// defect has swallowed, and that the canary of another key does not notice.
const REREAD: Duration = Duration::from_secs(30);

/// A channel that is followed, until the last subscriber lets go of it.
#[derive(Debug)]
pub(super) struct Channel {
    progress: Arc<Mutex<Progress>>,
    pub(super) reader: Reader,
    bell: Arc<Bell>,
    key: Bytes,
    rope: Arc<Notify>,
    _follower: AbortOnDropHandle<()>,
}

/// How far the log is known.
#[derive(Debug)]
enum Progress {
    /// It was not read yet; why not, if that was tried.
    Unread(Option<Fault>),
    /// From its end at that time on.
    Followed(Ring),
}

impl Channel {
    /// Follows from now on; `progressed` is told of everything that was read.
    pub(super) fn follow(
        reader: Reader,
        key: Bytes,
        bell: Arc<Bell>,
        progressed: watch::Sender<u64>,
        tasks: &Tasks,
    ) -> Self {
        let rope = bell.hang(key.clone());
        let progress = Arc::new(Mutex::new(Progress::Unread(None)));
        let follower = Follower {
            progress: progress.clone(),
            reader: reader.clone(),
            rope: rope.clone(),
            progressed,
        };
        let follower = tasks.spawn("events channel", follower.run());
        Self {
            progress,
            reader,
            bell,
            key,
            rope,
            _follower: AbortOnDropHandle::new(follower),
        }
    }

    /// The sequence of the newest record and the point behind it; `None` while the log was not read yet.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn head(&self) -> Result<Option<(u64, Point)>, Fault> {
        match &*self.progress.lock() {
            Progress::Unread(None) => Ok(None),
            Progress::Unread(Some(fault)) => Err(fault.clone()),
            Progress::Followed(ring) => Ok(Some(ring.head())),
        }
    }

    /// As [`Ring::after`].
    pub(super) fn after(&self, sequence: u64, most: usize) -> Option<Vec<Arc<Record>>> {
        match &*self.progress.lock() {
            Progress::Unread(_) => Some(Vec::new()),
            Progress::Followed(ring) => ring.after(sequence, most),
        }
    }

    /// As [`Ring::find`].
    pub(super) fn find(&self, point: &Point) -> Option<u64> {
        match &*self.progress.lock() {
            Progress::Unread(_) => None,
            Progress::Followed(ring) => ring.find(point),
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.bell.take_down(&self.key, &self.rope);
    }
}

/// Reads.
struct Follower {
    progress: Arc<Mutex<Progress>>,
    reader: Reader,
    rope: Arc<Notify>,
    progressed: watch::Sender<u64>,
}

impl Follower {
    async fn run(self) {
        let mut backoff = Backoff::new();
        loop {
            let pause = match self.read().await {
                Ok(true) => continue,
                Ok(false) => {
                    backoff.reset();
                    REREAD
                }
                Err(fault) => {
                    self.failed(fault);
                    backoff.next_delay()
                }
            };
            // The end of the pause is as good a reason to read as the bell.
            let _ = tokio::time::timeout(pause, self.rope.notified()).await;
        }
    }

    /// One read; whether there may be more.
    async fn read(&self) -> Result<bool, Fault> {
        let point = match &*self.progress.lock() {
            Progress::Unread(_) => None,
            Progress::Followed(ring) => Some(ring.head().1),
        };
        let Some(point) = point else {
            let end = self.reader.end().await?;
            *self.progress.lock() = Progress::Followed(Ring::new(end));
            self.wake();
            return Ok(false);
        };
        let told = || match &*self.progress.lock() {
            Progress::Unread(_) => Vec::new(),
            Progress::Followed(ring) => ring.told(),
        };
        let (records, more) = self.reader.after(point, told).await?;
        if records.is_empty() {
            return Ok(false);
        }
        if let Progress::Followed(ring) = &mut *self.progress.lock() {
            for record in records {
                ring.append(record);
            }
        }
        self.wake();
        Ok(more)
    }

    fn failed(&self, fault: Fault) {
        if let Progress::Unread(trouble) = &mut *self.progress.lock() {
            *trouble = Some(fault);
        }
        self.wake();
    }

    fn wake(&self) {
        self.progressed
            .send_modify(|times| *times = times.wrapping_add(1));
    }
}
