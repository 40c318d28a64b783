//! What is written down during a run.
//!
//! Invariants: all moments are of one monotonic clock and counted from the start of the run; `sent` is before, and
//! `returned` after whatever was asked. The writes of a key are numbered from 1 in the order in which its only writer
//! sent them, each after the answer to the one before, and each writes a text that no other write of any key has.
//!
//! Not here: what may be concluded (`check`).

use std::time::Duration;

use vedetta::proto::v1::{Freshness, Source};

/// Since the start of the run.
pub(crate) type Moment = Duration;

/// What a writer was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Acknowledged,
    NotApplied,
    Unknown,
}

/// A put, or an evict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) key: usize,
    pub(crate) number: u64,
    pub(crate) evict: bool,
    pub(crate) pod: usize,
    pub(crate) sent: Moment,
    pub(crate) returned: Moment,
    pub(crate) outcome: Outcome,
    /// The Redis that did it, where the pod had one and the same session before and after.
    pub(crate) node: Option<usize>,
}

/// What a reader was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The value of that write of the key.
    Value {
        number: u64,
        source: Source,
        freshness: Freshness,
    },
    /// Bytes that nobody wrote to this key.
    Alien(String),
    Miss,
    /// With this reason.
    Failed(String),
}

/// A read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) key: usize,
    pub(crate) pod: usize,
    pub(crate) sent: Moment,
    pub(crate) returned: Moment,
    pub(crate) answer: Answer,
}

/// The value that a Redis that called itself master held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) key: usize,
    pub(crate) number: u64,
    pub(crate) node: usize,
    pub(crate) sent: Moment,
    pub(crate) returned: Moment,
}

/// Between these two moments something happened, and we do not know when exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: Moment,
    pub(crate) until: Moment,
}

/// The node whose history counted, surely, from one moment to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reign {
    pub(crate) node: usize,
    pub(crate) from: Moment,
    pub(crate) until: Moment,
}

/// A whole run.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    pub(crate) writes: Vec<Write>,
    pub(crate) reads: Vec<Read>,
    pub(crate) seen: Vec<Seen>,
    /// When Redis may have lost writes that it had acknowledged.
    pub(crate) losses: Vec<Span>,
    pub(crate) reigns: Vec<Reign>,
    /// L of each pod.
    pub(crate) bounds: Vec<Duration>,
}

/// The text of a write; it can be found inside a frame.
pub(crate) fn text(key: usize, number: u64) -> String {
    format!("[key={key} number={number}]")
}

/// The number of the write of this key that wrote the text at the end of these bytes.
pub(crate) fn number(key: usize, bytes: &[u8]) -> Option<u64> {
    let begin = format!("[key={key} number=");
    let at = bytes
        .windows(begin.len())
        .rposition(|part| part == begin.as_bytes())?;
    let rest = std::str::from_utf8(&bytes[at + begin.len()..]).ok()?;
    rest.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_in_a_frame_and_for_its_key_only() {
        let framed = [b"\x00\xFF[key=", text(12, 345).as_bytes()].concat();
        assert_eq!(number(12, &framed), Some(345));
        assert_eq!(number(1, &framed), None);
        assert_eq!(number(12, b"[key=12 number=3"), None);
        assert_eq!(number(12, b"[key=12 number=x]"), None);
    }
}
