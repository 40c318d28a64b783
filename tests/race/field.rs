//! The hot keys, and what is known about the writes to each of them.
//!
//! A spot is *single* if only one task ever writes it; then its values are numbered in the order of their
//! acknowledgements, so that every answer can be judged, also during the race.
//!
//! Invariants: no two writes of a field have the same value.
//!
//! Not here: choosing what to do (`mix`).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use vedetta::clock;
use vedetta::model::{Address, CacheId, CacheName, Key, Moment, Tenant};

/// Acknowledgements that are remembered for so long: longer than any proof is old.
const REMEMBERED: Duration = Duration::from_secs(5);

/// The caches of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    /// Bare bytes in Redis.
    Raw,
    /// Framed, and cleared now and then.
    Cleared,
    /// Framed, and never cleared.
    Kept,
}

impl Home {
    /// The name of the cache.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Cleared => "cleared",
            Self::Kept => "kept",
        }
    }

    /// The cache.
    pub(crate) fn cache(self) -> CacheId {
        CacheId {
            tenant: Tenant::primary(),
            name: CacheName::new(self.name()).expect("a legal name"),
        }
    }
}

/// One key.
#[derive(Debug)]
pub(crate) struct Spot {
    pub(crate) home: Home,
    pub(crate) address: Address,
    /// Its name in Redis.
    pub(crate) redis: String,
    /// Whether one task alone writes it.
    pub(crate) single: bool,
    begun: AtomicU64,
    finished: AtomicU64,
    reading: [AtomicU64; 2],
    acknowledged: Mutex<VecDeque<(Moment, u64)>>,
}

/// What was in flight when a read began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watch {
    finished: u64,
    alone: bool,
}

impl Spot {
    /// A spot of that number in a cache.
    pub(crate) fn new(home: Home, number: usize, single: bool) -> Self {
        let key = format!("k{number}");
        Self {
            home,
            redis: format!("{}::{key}", home.name()),
            address: Address {
                cache: home.cache(),
                key: Key::new(key.into()).expect("a legal key"),
            },
            single,
            begun: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            reading: [AtomicU64::new(0), AtomicU64::new(0)],
            acknowledged: Mutex::default(),
        }
    }

    /// A write begins.
    pub(crate) fn write_begins(&self) {
        self.begun.fetch_add(1, Ordering::SeqCst);
    }

    /// A write has ended, however.
    pub(crate) fn write_ends(&self) {
        self.finished.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether a write is under way.
    pub(crate) fn is_being_written(&self) -> bool {
        self.begun.load(Ordering::SeqCst) > self.finished.load(Ordering::SeqCst)
    }

    /// A read through that side begins.
    pub(crate) fn read_begins(&self, side: usize) -> Watch {
        Watch {
            alone: self.reading[side].fetch_add(1, Ordering::SeqCst) == 0,
            finished: self.finished.load(Ordering::SeqCst),
        }
    }

    /// A read has ended: whether it was under way at the same time as a write, and was not one that only waited for
    /// the read of another task.
    pub(crate) fn read_ends(&self, side: usize, watch: Watch) -> bool {
        self.reading[side].fetch_sub(1, Ordering::SeqCst);
        watch.alone && self.begun.load(Ordering::SeqCst) > watch.finished
    }

    /// The only writer had this number acknowledged.
    pub(crate) fn acknowledge(&self, number: u64) {
        let now = clock::now();
        let mut acknowledged = self.acknowledged.lock();
        acknowledged.push_back((now, number));
        while acknowledged.len() > 1 && now.since(acknowledged[1].0) > REMEMBERED {
            acknowledged.pop_front();
        }
    }

    /// The last number that was acknowledged that long before a moment.
    pub(crate) fn acknowledged(&self, moment: Moment, before: Duration) -> Option<u64> {
        let acknowledged = self.acknowledged.lock();
        let found = acknowledged
            .iter()
            .rev()
            .find(|(at, _)| *at + before < moment);
        found.map(|(_, number)| *number)
    }
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) spots: Vec<Spot>,
    next: AtomicU64,
}

impl Field {
    /// That many spots; in raw caches alone, or in framed ones as well.
    pub(crate) fn new(size: usize, framed: bool) -> Self {
        let spot = |number: usize| match number % 8 {
            0 | 4 => Spot::new(Home::Raw, number, true),
            3 if framed => Spot::new(Home::Kept, number, true),
            1 | 5 if framed => Spot::new(Home::Cleared, number, false),
            7 if framed => Spot::new(Home::Kept, number, false),
            _ => Spot::new(Home::Raw, number, false),
        };
        Self {
            spots: (0..size).map(spot).collect(),
            next: AtomicU64::new(1),
        }
    }

    /// A value that no other write has, and its number. Some are long enough for a copy to be confirmed.
    pub(crate) fn value(&self) -> (Bytes, u64) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let length = if number.is_multiple_of(2) { 300 } else { 24 };
        (format!("{number:0length$}").into(), number)
    }
}

/// The number of a value.
pub(crate) fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}
