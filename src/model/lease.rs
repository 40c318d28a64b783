//! A lease: the right of one caller in the whole fleet to fill an entry.
//!
//! Invariants: random, so that no other lease is ever equal.
//!
//! Not here: what it is bound to (`cache::lease`).

use bytes::Bytes;

/// Names a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease(Bytes);

impl Lease {
    /// Its length in bytes.
    pub const BYTES: usize = 16;

    /// One that nobody has.
    pub fn random() -> Self {
        Self(Bytes::copy_from_slice(&rand::random::<[u8; Self::BYTES]>()))
    }

    /// What a caller sent back; `None` if it is no lease.
    pub fn from_caller(bytes: Bytes) -> Option<Self> {
        (bytes.len() == Self::BYTES).then_some(Self(bytes))
    }

    /// The bytes that travel.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}
