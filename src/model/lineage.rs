//! The identity of a history of writes, and a point in it.
//!
//! Invariants: offsets compare within one lineage only. Two lineages are equal only if they are the same history: same
//! config epoch, same `master_replid`. That id changes with a restart of the master and with a promotion, hence also
//! where a master comes back with older data at the same address and epoch.
//!
//! Not here: reading the id (`upstream::Session`).

use bytes::{BufMut, Bytes, BytesMut};
use sha1::{Digest, Sha1};

const ID_BYTES: usize = 8;
const TOKEN_BYTES: usize = 1 + ID_BYTES + 8;
const FORMAT: u8 = 1;

/// A history of writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lineage([u8; ID_BYTES]);

impl Lineage {
    /// That of a master with this replication id, elected at this epoch.
    pub fn new(epoch: u64, replication_id: &str) -> Self {
        let mut digest = Sha1::new();
        digest.update(epoch.to_be_bytes());
        digest.update(replication_id.as_bytes());
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&digest.finalize()[..ID_BYTES]);
        Self(id)
    }

    /// The bytes that tell it from others.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What a write returns, so that a later read can ask for nothing older.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// The history that the write is part of.
    pub lineage: Lineage,
    /// The replication offset of the master after the write, in bytes.
    pub offset: u64,
}

impl Token {
    /// The bytes that travel; opaque to callers.
    pub fn to_bytes(self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(TOKEN_BYTES);
        bytes.put_u8(FORMAT);
        bytes.put_slice(&self.lineage.0);
        bytes.put_u64(self.offset);
        bytes.freeze()
    }

    /// What a caller sent back; `None` if it is no token of ours.
    pub fn from_caller(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; TOKEN_BYTES] = bytes.try_into().ok()?;
        let (head, offset) = bytes.split_last_chunk::<8>()?;
        let (format, lineage) = head.split_first()?;
        (*format == FORMAT).then_some(Self {
            lineage: Lineage(lineage.try_into().ok()?),
            offset: u64::from_be_bytes(*offset),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lineage_is_an_epoch_and_a_replication_id() {
        let first = Lineage::new(1, "abc");
        assert_eq!(first, Lineage::new(1, "abc"));
        assert_ne!(first, Lineage::new(2, "abc"));
        assert_ne!(first, Lineage::new(1, "abd"));
    }

    #[test]
    fn tokens_travel_and_strangers_are_told_apart() {
        let token = Token {
            lineage: Lineage::new(7, "x"),
            offset: 1 << 40,
        };
        let bytes = token.to_bytes();
        assert_eq!(Token::from_caller(&bytes), Some(token));
        assert_eq!(Token::from_caller(&bytes[1..]), None);
        assert_eq!(Token::from_caller(&[9; TOKEN_BYTES]), None);
        assert_eq!(Token::from_caller(b""), None);
    }
}
