//! The keys of the measurements, who of a fleet holds which, and what each of them holds.
//!
//! Invariants: a value names the number of its write, so that an old one is told from a new one.

use bytes::Bytes;
use vedetta::proto::v1;

/// A raw cache: its entries are what any client of Redis writes.
pub(crate) const CACHE: &str = "fleet";
pub(crate) const KEYS: usize = 300;
/// How a problem begins that must end the run: it would mean that the near cache is not coherent.
pub(crate) const OLD: &str = "an old value";
const VALUE: usize = 100;

/// The part of a fleet that has a key in its near cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holders {
    Nobody,
    /// Each sidecar has a tenth of the keys, so each key is held by one of ten.
    Tenth,
    All,
}

impl Holders {
    pub(crate) const ALL: [Self; 3] = [Self::Nobody, Self::Tenth, Self::All];

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Tenth => "one of ten",
            Self::All => "all",
        }
    }

    /// The keys that this sidecar is to hold.
    pub(crate) fn of(self, sidecar: usize) -> Vec<usize> {
        let held = |number: &usize| match self {
            Self::Nobody => false,
            Self::Tenth => (sidecar + number).is_multiple_of(10),
            Self::All => true,
        };
        (0..KEYS).filter(held).collect()
    }
}

/// How often each key was written.
#[derive(Default)]
pub(crate) struct Keys {
    writes: Vec<u64>,
}

impl Keys {
    pub(crate) fn new() -> Self {
        Self {
            writes: vec![0; KEYS],
        }
    }

    /// As an application names it.
    pub(crate) fn name(&self, number: usize) -> Bytes {
        format!("{number:032}").into()
    }

    /// As Redis names it.
    pub(crate) fn stored(&self, number: usize) -> String {
        format!("{CACHE}::{number:032}")
    }

    /// A value for the next write, which is expected to be there from now on.
    pub(crate) fn next(&mut self, number: usize) -> Bytes {
        self.writes[number] += 1;
        self.value(number)
    }

    /// The value that was written last.
    pub(crate) fn value(&self, number: usize) -> Bytes {
        format!("{:0width$}", self.writes[number], width = VALUE).into()
    }

    /// Whether this is the value that was written last.
    pub(crate) fn judge(&self, number: usize, hit: &v1::Hit) -> Result<(), String> {
        match &hit.content {
            Some(v1::hit::Content::Value(found)) if *found == self.value(number) => Ok(()),
            _ => Err(format!(
                "{OLD}: key {number} was written {} times, but is {hit:?}",
                self.writes[number]
            )),
        }
    }
}
