//! How an entry is written in Redis: framed with a header of ours, or raw.
//!
//! ```text
//!  0  4  magic F5 'v' 'd' 't'       F5 begins neither UTF-8 text nor JDK serialisation (AC ED)
//!  4  1  format, 1
//!  5  1  flags; bit 0: the value is null; bit 1: the header ends with the snapshot of the load that wrote the entry
//!  6  2  length of the whole header, big endian; readers skip what they do not know
//!  8 16  version, unique
//! 24 16  stamp of the cache at the time of writing
//! 40  1  number of groups, then as many groups (none yet)
//! ```
//!
//! Invariants: a framed entry is alive only while its stamp is the current one of its cache. Bytes without the
//! magic in a framed cache are a *foreign* entry, written by somebody else in the raw encoding. In the raw encoding
//! null is Spring's marker.
//!
//! Not here: reading the stamp (`remote`), which the scripts compare in Lua too (`remote/scripts`).

use bytes::{BufMut, Bytes, BytesMut};

use crate::model::{Value, Version};

/// How an entry of ours begins.
pub(super) const MAGIC: [u8; 4] = [0xF5, b'v', b'd', b't'];

/// Length of a stamp, in bytes.
pub(super) const STAMP_BYTES: usize = 16;

const FORMAT: u8 = 1;
const NULL_FLAG: u8 = 1;
const LOADED_FLAG: u8 = 2;

/// Digits of the snapshot that a loaded entry is of, which are the last of its header.
pub(super) const SNAPSHOT_BYTES: usize = 20;
const VERSION_AT: usize = 8;
const STAMP_AT: usize = VERSION_AT + Version::UNIQUE_BYTES;
const HEADER_BYTES: usize = STAMP_AT + STAMP_BYTES + 1;

/// What Spring's cache abstraction stores for null: `NullValue.INSTANCE`, JDK-serialised.
pub(super) const SPRING_NULL: &[u8] =
    b"\xAC\xED\x00\x05sr\x00\x2Borg.springframework.cache.support.NullValue\
\x00\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00xp";

/// The part of the header before the stamp, and after it, for a script that knows the stamp.
pub(super) fn header(value: &Value, version: &Version) -> (Bytes, Bytes) {
    let mut head = BytesMut::with_capacity(STAMP_AT);
    head.put_slice(&MAGIC);
    head.put_u8(FORMAT);
    head.put_u8(if *value == Value::Null { NULL_FLAG } else { 0 });
    head.put_u16(HEADER_BYTES as u16);
    head.put_slice(version.as_bytes());
    (head.freeze(), Bytes::from_static(&[0]))
}

/// The same parts for an entry of a load, which tells its snapshot.
pub(super) fn loaded_header(value: &Value, version: &Version, snapshot: u64) -> (Bytes, Bytes) {
    let (head, tail) = header(value, version);
    let mut head = BytesMut::from(head);
    head[5] |= LOADED_FLAG;
    let length = (HEADER_BYTES + SNAPSHOT_BYTES) as u16;
    head[6..8].copy_from_slice(&length.to_be_bytes());
    let tail = [&tail[..], snapshot_digits(snapshot).as_bytes()].concat();
    (head.freeze(), tail.into())
}

/// A snapshot as texts that compare as the numbers do, in whatever order the locale of Redis has letters.
pub(super) fn snapshot_digits(snapshot: u64) -> String {
    format!("{snapshot:020}")
}

/// The bytes of a value after the header.
pub(super) fn payload(value: &Value) -> Bytes {
    match value {
        Value::Null => Bytes::new(),
        Value::Data(data) => data.clone(),
    }
}

/// The bytes of a value in the raw encoding.
pub(super) fn raw(value: &Value) -> Bytes {
    match value {
        Value::Null => Bytes::from_static(SPRING_NULL),
        Value::Data(data) => data.clone(),
    }
}

/// What stored bytes turn out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stored {
    /// An entry of ours.
    Framed {
        /// Its content.
        value: Value,
        /// Its version.
        version: Version,
        /// The stamp its cache had.
        stamp: Bytes,
    },
    /// Somebody else's entry.
    Foreign(Value, Version),
    /// An entry of a later format, or a damaged one: to be treated as absent.
    Unreadable,
}

/// Reads bytes of a framed cache.
pub(super) fn read_framed(bytes: &Bytes) -> Stored {
    if !bytes.starts_with(&MAGIC) {
        let (value, version) = read_raw(bytes);
        return Stored::Foreign(value, version);
    }
    if bytes.len() < HEADER_BYTES || bytes[4] != FORMAT {
        return Stored::Unreadable;
    }
    let length = usize::from(u16::from_be_bytes([bytes[6], bytes[7]]));
    let Some(version) = Version::from_caller(bytes.slice(VERSION_AT..STAMP_AT)) else {
        return Stored::Unreadable;
    };
    if length < HEADER_BYTES || bytes.len() < length {
        return Stored::Unreadable;
    }
    let value = if bytes[5] & NULL_FLAG == 0 {
        Value::Data(bytes.slice(length..))
    } else {
        Value::Null
    };
    Stored::Framed {
        value,
        version,
        stamp: bytes.slice(STAMP_AT..STAMP_AT + STAMP_BYTES),
    }
}

/// Reads bytes of a raw cache.
pub(super) fn read_raw(bytes: &Bytes) -> (Value, Version) {
    let value = if bytes.as_ref() == SPRING_NULL {
        Value::Null
    } else {
        Value::Data(bytes.clone())
    };
    (value, Version::digest(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STAMP: &[u8; STAMP_BYTES] = b"0123456789abcdef";

    fn framed(value: &Value, version: &Version) -> Bytes {
        let (head, tail) = header(value, version);
        [head, Bytes::from_static(STAMP), tail, payload(value)]
            .concat()
            .into()
    }

    proptest! {
        #[test]
        fn a_framed_entry_reads_back(data: Vec<u8>, null: bool, epoch: u64, micros: u64, random: u64) {
            let value = if null { Value::Null } else { Value::Data(data.into()) };
            let version = Version::unique(epoch, micros, random);
            let expected = Stored::Framed {
                value: value.clone(),
                version: version.clone(),
                stamp: Bytes::from_static(STAMP),
            };
            prop_assert_eq!(read_framed(&framed(&value, &version)), expected);
        }

        #[test]
        fn no_bytes_make_reading_panic(bytes: Vec<u8>, magic: bool) {
            let bytes = if magic { [&MAGIC[..], &bytes].concat() } else { bytes };
            let _ = read_framed(&bytes.into());
        }
    }

    #[test]
    fn a_loaded_entry_reads_back_and_ends_its_header_with_its_snapshot() {
        let (value, version) = (
            Value::Data(Bytes::from_static(b"v")),
            Version::unique(1, 2, 3),
        );
        let (head, tail) = loaded_header(&value, &version, u64::MAX);
        let bytes: Bytes = [head, Bytes::from_static(STAMP), tail, payload(&value)]
            .concat()
            .into();
        let length = usize::from(u16::from_be_bytes([bytes[6], bytes[7]]));
        assert_eq!(
            &bytes[length - SNAPSHOT_BYTES..length],
            b"18446744073709551615"
        );
        let expected = Stored::Framed {
            value,
            version,
            stamp: Bytes::from_static(STAMP),
        };
        assert_eq!(read_framed(&bytes), expected);
    }

    #[test]
    fn a_longer_header_of_a_later_version_is_skipped() {
        let version = Version::unique(1, 2, 3);
        let mut bytes = framed(&Value::Data(Bytes::from_static(b"v")), &version).to_vec();
        bytes.splice(HEADER_BYTES..HEADER_BYTES, *b"new field");
        bytes[6..8].copy_from_slice(&(HEADER_BYTES as u16 + 9).to_be_bytes());
        assert!(matches!(
            read_framed(&bytes.into()),
            Stored::Framed { value: Value::Data(data), .. } if data.as_ref() == b"v"
        ));
    }

    #[test]
    fn a_later_format_and_a_cut_header_are_unreadable() {
        let whole = framed(&Value::Null, &Version::unique(1, 2, 3));
        let mut later = whole.to_vec();
        later[4] = 2;
        assert_eq!(read_framed(&later.into()), Stored::Unreadable);
        for end in MAGIC.len()..HEADER_BYTES {
            assert_eq!(
                read_framed(&whole.slice(..end)),
                Stored::Unreadable,
                "{end}"
            );
        }
    }

    #[test]
    fn bytes_of_others_are_foreign_and_springs_marker_is_null() {
        let text = Bytes::from_static(b"\xAC\xED\x00\x05t\x00\x01v");
        assert!(
            matches!(read_framed(&text), Stored::Foreign(Value::Data(data), _) if data == text)
        );
        let null = Bytes::from_static(SPRING_NULL);
        assert!(matches!(
            read_framed(&null),
            Stored::Foreign(Value::Null, _)
        ));
        assert_eq!(raw(&Value::Null), null);
        // Class name of 43 bytes, two bytes of length before it.
        assert_eq!(SPRING_NULL.len(), 4 + 2 + 2 + 43 + 8 + 1 + 2 + 2);
    }
}
