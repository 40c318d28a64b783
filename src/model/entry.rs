//! What an entry holds, when it ends, and the answers of a store about it.
//!
//! Not here: deadlines of calls (`cache::Call`); bytes in Redis (`cache::frame`).

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::{Token, Version};

/// What is cached. A cached null is a hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Present and null.
    Null,
    /// Present; may be empty.
    Data(Bytes),
}

impl Value {
    /// The number of payload bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Data(data) => data.len(),
        }
    }

    /// Whether there is no payload.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// When an entry stops existing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// From now; at least a millisecond.
    In(Duration),
    /// At that time; a past one removes the entry at once.
    At(SystemTime),
    /// As the existing entry has it; the cache's default if there is none.
    Keep,
    /// Not by itself.
    Never,
    /// As the cache is configured.
    CacheDefault,
}

impl Expiry {
    /// A time to live in whole milliseconds, as Redis needs it: rounded up, so that nothing expires before its time.
    pub fn whole_millis(ttl: Duration) -> u128 {
        ttl.as_nanos().div_ceil(1_000_000)
    }
}

/// What must hold for a write to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    None,
    /// No live entry.
    Absent,
    /// A live entry.
    Present,
    /// A live entry of this version.
    Version(Version),
}

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The near cache.
    L1,
    /// Redis, or the embedded store.
    Master,
}

/// What can be proven about the age of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Reflects every write acknowledged before now − age bound.
    Fresh,
    /// Possibly replaced already.
    Stale,
    /// Not provable at the moment.
    Unverified,
}

/// What a read may return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consistency {
    /// Reflects every write that was acknowledged that long ago; `None` is the configured bound.
    Fresh(Option<Duration>),
    /// What the master says now.
    Master,
    /// Nothing older than the write that returned the token.
    AtLeast(Token),
    /// Rather an entry of at most that age than none.
    StaleOk(Duration),
}

/// A live entry, as a read returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Its content.
    pub value: Value,
    /// Changes whenever the content does.
    pub version: Version,
    /// `None`: no expiry.
    pub ttl: Option<Duration>,
    /// Where it came from, and how old it can be.
    pub evidence: Evidence,
}

/// Where an answer came from, and what is proven about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// Who gave it.
    pub source: Source,
    /// What is proven about its age.
    pub freshness: Freshness,
    /// How old that proof is.
    pub age_bound: Duration,
}

impl Evidence {
    /// The store that everybody uses just said so.
    pub const FIRST_HAND: Self = Self {
        source: Source::Master,
        freshness: Freshness::Fresh,
        age_bound: Duration::ZERO,
    };
}

impl Hit {
    /// A hit that the master itself just gave.
    pub fn from_master(value: Value, version: Version, ttl: Option<Duration>) -> Self {
        Self {
            value,
            version,
            ttl,
            evidence: Evidence::FIRST_HAND,
        }
    }
}

/// The answer to a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// There is a live entry.
    Hit(Hit),
    /// There is none, on this evidence.
    Miss(Evidence),
}

/// The answer to a write with a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutOutcome {
    /// Done; the new version.
    Stored(Version),
    /// The condition was false; what is there instead.
    NotStored(Option<Version>),
}

/// The answer to "how long does it still live?".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TtlLookup {
    /// That long.
    Remaining(Duration),
    /// Until it is evicted.
    Never,
    /// There is no live entry, and no deadline was set for one.
    Miss,
    /// There is no live entry; one that is stored before that time ends then.
    Waiting(SystemTime),
    /// There is no live entry, and its deadline is over.
    Passed(SystemTime),
}
