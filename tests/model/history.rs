//! What was written where, and who has to know of it.
//!
//! Invariants: writes are numbered in the order of their execution, whichever node executes them, so a number stands
//! for a value and for the past that it implies.
//!
//! Not here: how a reader learns of a write.

use crate::state::{Age, Node};

/// The number of a write; 0 is what the key held before the first one.
pub(crate) type Version = u8;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Write {
    pub(crate) node: Node,
    /// When its writer could know of it; `None`: not yet.
    pub(crate) acked: Option<Age>,
}

/// Every write, in the order of execution.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct History {
    pub(crate) writes: Vec<Write>,
    /// Once the new node is promoted: the last write that had been replicated to it.
    pub(crate) kept: Option<Version>,
    pub(crate) flushed: bool,
}

impl History {
    pub(crate) fn last(&self) -> Version {
        Version::try_from(self.writes.len()).expect("a handful of writes")
    }

    /// What a read on that node finds.
    pub(crate) fn value(&self, node: Node) -> Version {
        let numbered = (1..).zip(&self.writes);
        let there = numbered.filter(|(_, write)| write.node == node);
        let inherited = match node {
            Node::Old => 0,
            Node::New => self.kept.unwrap_or(0),
        };
        there.last().map_or(inherited, |(version, _)| version)
    }

    /// Whether a write lies in the past of a value.
    pub(crate) fn includes(&self, value: Version, write: Version) -> bool {
        let node = |version: Version| self.writes[usize::from(version) - 1].node;
        write <= value && (node(write) == node(value) || self.is_replicated(write))
    }

    /// Whether a value reflects every write that was acknowledged longer ago than the bound, on the lineage of
    /// `reader` or a later one. What was not replicated is not on the lineage of the new node: Redis has lost it.
    pub(crate) fn is_reflected_by(&self, value: Version, reader: Node) -> bool {
        (1..).zip(&self.writes).all(|(version, write)| {
            let due = write.acked == Some(Age::OLD);
            let counts =
                reader == Node::Old || write.node == Node::New || self.is_replicated(version);
            !due || !counts || self.includes(value, version)
        })
    }

    fn is_replicated(&self, version: Version) -> bool {
        self.kept.is_some_and(|kept| version <= kept)
    }
}
