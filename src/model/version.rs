//! The version of an entry: opaque to callers, equal only for equal content.
//!
//! Two kinds, told apart by length. *Unique* (16 bytes, framed entries): config epoch, microseconds and
//! randomness, so that versions of one key order by epoch and then by time, which the journal of recent
//! writes relies on. *Digest* (20 bytes, raw entries): the SHA-1 of the stored bytes, which Redis scripts
//! can compute too (`redis.sha1hex`). SHA-1 serves as a fingerprint here, not as a defence.
//!
//! Not here: clock and randomness, which the caller passes in.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{BufMut, Bytes, BytesMut};
use sha1::{Digest, Sha1};

/// An opaque version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version(Bytes);

impl Version {
    /// Length of the version of a framed entry, in bytes.
    pub const UNIQUE_BYTES: usize = 16;

    /// The version of a new framed entry. `micros` since the Unix epoch; 48 bits of it are kept (8.9 years
    /// of order before it wraps, which is far longer than the journal looks back).
    pub fn unique(epoch: u64, micros: u64, random: u64) -> Self {
        let mut bytes = BytesMut::with_capacity(Self::UNIQUE_BYTES);
        bytes.put_u16((epoch & 0xFFFF) as u16);
        bytes.put_uint(micros & 0xFFFF_FFFF_FFFF, 6);
        bytes.put_u64(random);
        Self(bytes.freeze())
    }

    /// The version of a framed entry that is written at that time.
    pub fn made_at(epoch: u64, wall: SystemTime, random: u64) -> Self {
        let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        Self::unique(epoch, micros, random)
    }

    /// The version of a raw entry with these bytes.
    pub fn digest(stored: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(&Sha1::digest(stored)))
    }

    /// What a caller sent; any bytes, at least one. A version that no entry has simply never matches.
    pub fn from_caller(bytes: Bytes) -> Option<Self> {
        (!bytes.is_empty()).then_some(Self(bytes))
    }

    /// The bytes that travel.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The same, handed on.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unique_versions_order_by_epoch_then_time() {
        let old = Version::unique(1, 1000, u64::MAX);
        let newer = Version::unique(1, 1001, 0);
        let newest = Version::unique(2, 0, 0);
        assert!(old.as_bytes() < newer.as_bytes());
        assert!(newer.as_bytes() < newest.as_bytes());
        assert_eq!(old.as_bytes().len(), Version::UNIQUE_BYTES);
    }

    #[test]
    fn the_digest_is_the_sha1_that_redis_computes() {
        let expected = [
            0xda, 0x39, 0xa3, 0xee, 0x5e, 0x6b, 0x4b, 0x0d, 0x32, 0x55, 0xbf, 0xef, 0x95, 0x60,
            0x18, 0x90, 0xaf, 0xd8, 0x07, 0x09,
        ];
        assert_eq!(Version::digest(b"").as_bytes().as_ref(), expected);
    }
}
