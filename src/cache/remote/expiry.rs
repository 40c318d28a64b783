//! Expiry as arguments of the scripts.
//!
//! Invariants: a time to live is rounded up to a millisecond, so that nothing expires before its time; an absolute
//! deadline is rounded down.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::model::Expiry;

/// Kind and milliseconds, as `expire.lua` and `touch.lua` read them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arguments {
    /// `I`, `A`, `K`, `N`, or `D` for the default of the cache.
    pub(super) kind: Bytes,
    /// Milliseconds, or nothing.
    pub(super) ms: Bytes,
}

/// The arguments for an expiry, where the cache has this default.
pub(super) fn arguments(expiry: Expiry, default: Option<Duration>) -> Arguments {
    let (kind, ms) = match expiry {
        Expiry::In(ttl) => ("I", ms(ttl)),
        Expiry::At(deadline) => ("A", since_epoch(deadline)),
        Expiry::Keep => ("K", default.map_or(String::new(), ms)),
        Expiry::Never => ("N", String::new()),
        Expiry::CacheDefault => ("D", default.map_or(String::new(), ms)),
    };
    Arguments {
        kind: Bytes::from_static(kind.as_bytes()),
        ms: ms.into(),
    }
}

fn ms(ttl: Duration) -> String {
    Expiry::whole_millis(ttl).to_string()
}

fn since_epoch(deadline: SystemTime) -> String {
    deadline
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_to_live_round_up_and_deadlines_down() {
        let deadline = UNIX_EPOCH + Duration::from_micros(1_999);
        let hour = Some(Duration::from_secs(3600));
        for (expiry, default, kind, ms) in [
            (Expiry::In(Duration::from_nanos(1)), None, "I", "1"),
            (Expiry::In(Duration::from_micros(1_001)), None, "I", "2"),
            (Expiry::At(deadline), None, "A", "1"),
            (Expiry::Keep, hour, "K", "3600000"),
            (Expiry::Keep, None, "K", ""),
            (Expiry::Never, hour, "N", ""),
            (Expiry::CacheDefault, hour, "D", "3600000"),
            (Expiry::CacheDefault, None, "D", ""),
        ] {
            let expected = Arguments {
                kind: kind.into(),
                ms: ms.into(),
            };
            assert_eq!(arguments(expiry, default), expected, "{expiry:?}");
        }
    }
}
