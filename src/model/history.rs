//! Which writes a node has, as far as replication ids and offsets tell.
//!
//! A master that was promoted says which history it continues, and up to which offset it has it (`master_replid2`,
//! `second_repl_offset` in INFO replication). Whatever was written later to the old master is lost, and what was
//! written before is not: no guess is needed.
//!
//! Source: <https://redis.io/docs/latest/operate/oss_and_stack/management/replication/> ("Replication ID explained").
//!
//! Not here: the lineage, which also distinguishes the reigns of one history (`lineage`).

use sha1::{Digest, Sha1};

/// The length of a replication id as it travels, in bytes.
const ID_BYTES: usize = 8;

/// A replication id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HistoryId([u8; ID_BYTES]);

impl HistoryId {
    /// From what Redis calls it: 40 hexadecimal digits.
    pub fn new(replication_id: &str) -> Self {
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&Sha1::digest(replication_id.as_bytes())[..ID_BYTES]);
        Self(id)
    }

    /// From what [`Self::to_bytes`] gave.
    pub fn from_bytes(bytes: [u8; ID_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes that travel.
    pub fn to_bytes(self) -> [u8; ID_BYTES] {
        self.0
    }
}

/// A point in a history: everything written at this offset or before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Which history.
    pub history: HistoryId,
    /// Bytes of the replication stream.
    pub offset: u64,
}

/// Where in a history a write is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Of the node that it was sent to.
    pub history: HistoryId,
    /// Behind it; `None` if nobody knows whether it was applied.
    pub offset: Option<u64>,
}

/// What a node says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// Its own history.
    pub id: HistoryId,
    /// The last point of another history that is part of it.
    pub before: Option<Point>,
}

impl History {
    /// Whether a node of this history provably has what was written up to that point.
    pub fn includes(&self, point: Point) -> bool {
        let inherited =
            |before: Point| before.history == point.history && point.offset <= before.offset;
        point.history == self.id || self.before.is_some_and(inherited)
    }

    /// Whether a node of this history may be without a write that another node has, or had.
    pub fn may_miss(&self, place: Place) -> bool {
        let includes = |offset| {
            self.includes(Point {
                history: place.history,
                offset,
            })
        };
        place.history != self.id && !place.offset.is_some_and(includes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promoted_node_has_what_it_had_received() {
        let (old, new) = (HistoryId::new("old"), HistoryId::new("new"));
        let at = |history, offset| Point { history, offset };
        let promoted = History {
            id: new,
            before: Some(at(old, 100)),
        };
        assert!(promoted.includes(at(old, 100)));
        assert!(!promoted.includes(at(old, 101)));
        assert!(promoted.includes(at(new, 5000)));
        assert!(!promoted.includes(at(HistoryId::new("older"), 1)));
        let placed = |history, offset| Place { history, offset };
        assert!(promoted.may_miss(placed(old, Some(101))));
        assert!(!promoted.may_miss(placed(old, Some(100))));
        // In doubt, but nothing of its own history is missing on a node.
        assert!(promoted.may_miss(placed(old, None)));
        assert!(!promoted.may_miss(placed(new, None)));
        let restarted = History {
            id: new,
            before: None,
        };
        assert!(!restarted.includes(at(old, 0)));
    }
}
