//! A point in the log of a channel, as subscribers resume from it.
//!
//! Invariants: a point names one message of one history, or the beginning of an empty log in it; its text is opaque
//! to callers, and text that is not ours is refused.
//!
//! Not here: what comes after a point (`chain`).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::HistoryId;

const FORMAT: u8 = 1;

/// What a message has that no other one has: random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Mark(pub(super) [u8; 8]);

impl Mark {
    pub(super) fn random() -> Self {
        Self(rand::random())
    }
}

/// Which message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryId {
    /// When it was appended, in milliseconds since 1970, by the clock of Redis.
    pub(super) ms: u64,
    /// Which one within that millisecond.
    pub(super) number: u64,
    pub(super) mark: Mark,
}

impl EntryId {
    /// What rises along a log.
    pub(super) fn place(self) -> (u64, u64) {
        (self.ms, self.number)
    }
}

/// A point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// In which it was read.
    pub(super) history: HistoryId,
    /// The last message before it; `None` at the beginning of the log.
    pub(super) at: Option<EntryId>,
}

impl Point {
    /// The text that travels.
    pub fn to_text(self) -> String {
        let mut bytes = vec![FORMAT];
        bytes.extend(self.history.to_bytes());
        if let Some(EntryId { ms, number, mark }) = self.at {
            bytes.extend(ms.to_be_bytes());
            bytes.extend(number.to_be_bytes());
            bytes.extend(mark.0);
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What a caller sent back; `None` if it is no point of ours.
    pub fn from_caller(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (format, rest) = bytes.split_first()?;
        let (history, rest) = rest.split_first_chunk()?;
        let at = match rest {
            [] => None,
            rest => {
                let (ms, rest) = rest.split_first_chunk()?;
                let (number, mark) = rest.split_first_chunk()?;
                Some(EntryId {
                    ms: u64::from_be_bytes(*ms),
                    number: u64::from_be_bytes(*number),
                    mark: Mark(mark.try_into().ok()?),
                })
            }
        };
        (*format == FORMAT).then_some(Self {
            history: HistoryId::from_bytes(*history),
            at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_travel_and_strangers_are_told_apart() {
        let history = HistoryId::new("a");
        let at = EntryId {
            ms: 1_700_000_000_000,
            number: 7,
            mark: Mark([9; 8]),
        };
        for at in [None, Some(at)] {
            let point = Point { history, at };
            let text = point.to_text();
            assert_eq!(Point::from_caller(&text), Some(point));
            assert_eq!(Point::from_caller(&text[1..]), None);
            assert_eq!(Point::from_caller(&format!("{text}AAAA")), None);
        }
        for stranger in ["", "1700000000000-0", "AgICAgICAgIC", "=", "ü"] {
            assert_eq!(Point::from_caller(stranger), None, "{stranger}");
        }
    }
}
