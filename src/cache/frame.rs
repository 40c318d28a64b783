//! How an entry is written in Redis: framed with a header of ours, or raw.
//!
//! ```text
//!  0  4  magic F5 'v' 'd' 't'       F5 begins neither UTF-8 text nor JDK serialisation (AC ED)
//!  4  1  format, 1
//!  5  1  flags; bit 0: the value is null; bit 1: the header ends with the snapshot of the load that wrote the entry
//!  6  2  length of the whole header, big endian; readers skip what they do not know
//!  8 16  version, unique
//! 24 16  stamp of the cache at the time of writing
//! 40  1  number of groups, at most 16
//! 41     of each: length of its name (1), name, stamp that the group had when the entry joined it (16)
//! ```
//!
//! Invariants: a framed entry is alive only while its stamp is the current one of its cache, and that of each of its
//! groups the current one of that group. Bytes without the
//! magic in a framed cache are a *foreign* entry, written by somebody else in the raw encoding. In the raw encoding
//! null is Spring's marker.
//!
//! Not here: reading stamps (`remote`), which the scripts compare in Lua too (`remote/scripts`).

use bytes::{BufMut, Bytes, BytesMut};

use crate::model::{GroupName, Groups, Value, Version};

/// How an entry of ours begins.
pub(super) const MAGIC: [u8; 4] = [0xF5, b'v', b'd', b't'];

/// Length of a stamp, in bytes.
pub(super) const STAMP_BYTES: usize = 16;

const FORMAT: u8 = 1;
const NULL_FLAG: u8 = 1;
const LOADED_FLAG: u8 = 2;

const FLAGS_AT: usize = 5;
const VERSION_AT: usize = 8;
const STAMP_AT: usize = VERSION_AT + Version::UNIQUE_BYTES;
const GROUPS_AT: usize = STAMP_AT + STAMP_BYTES;
const HEADER_BYTES: usize = GROUPS_AT + 1;

/// What Spring's cache abstraction stores for null: `NullValue.INSTANCE`, JDK-serialised.
pub(super) const SPRING_NULL: &[u8] =
    b"\xAC\xED\x00\x05sr\x00\x2Borg.springframework.cache.support.NullValue\
\x00\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00xp";

/// The part of the header before the stamp, for a script that knows the stamps; with groups it corrects the length.
pub(super) fn header(value: &Value, version: &Version) -> Bytes {
    let mut head = BytesMut::with_capacity(STAMP_AT);
    head.put_slice(&MAGIC);
    head.put_u8(FORMAT);
    head.put_u8(if *value == Value::Null { NULL_FLAG } else { 0 });
    head.put_u16(HEADER_BYTES as u16);
    head.put_slice(version.as_bytes());
    head.freeze()
}

/// The same part for an entry of a load, whose script ends the header with the snapshot.
pub(super) fn loaded_header(value: &Value, version: &Version) -> Bytes {
    let mut head = BytesMut::from(header(value, version));
    head[FLAGS_AT] |= LOADED_FLAG;
    head.freeze()
}

/// A snapshot as texts that compare as the numbers do, in whatever order the locale of Redis has letters.
pub(super) fn snapshot_digits(snapshot: u64) -> String {
    format!("{snapshot:020}")
}

/// How many bytes a framed entry has in these groups.
pub(super) fn framed_bytes(value: &Value, groups: &Groups) -> usize {
    HEADER_BYTES + groups.bytes() + groups.len() * (1 + STAMP_BYTES) + value.len()
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

/// A group of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Which.
    pub(super) group: GroupName,
    /// The stamp that it had when the entry joined it.
    pub(super) stamp: [u8; STAMP_BYTES],
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
        /// Its groups.
        members: Vec<Member>,
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
    let Some(members) = read_members(&bytes[GROUPS_AT..length]) else {
        return Stored::Unreadable;
    };
    let value = if bytes[5] & NULL_FLAG == 0 {
        Value::Data(bytes.slice(length..))
    } else {
        Value::Null
    };
    Stored::Framed {
        value,
        version,
        stamp: bytes.slice(STAMP_AT..GROUPS_AT),
        members,
    }
}

/// The groups at the beginning of that part of a header; `None` if they are damaged.
pub(super) fn read_members(mut tail: &[u8]) -> Option<Vec<Member>> {
    let count = usize::from(take(&mut tail, 1)?[0]);
    if count > Groups::MOST {
        return None;
    }
    let mut member = || {
        let length = usize::from(take(&mut tail, 1)?[0]);
        let name = std::str::from_utf8(take(&mut tail, length)?).ok()?;
        Some(Member {
            group: GroupName::new(name).ok()?,
            stamp: take(&mut tail, STAMP_BYTES)?.try_into().ok()?,
        })
    };
    (0..count).map(|_| member()).collect()
}

fn take<'a>(from: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(count)?;
    *from = rest;
    Some(taken)
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
        framed_in(value, version, &[])
    }

    fn framed_in(value: &Value, version: &Version, members: &[Member]) -> Bytes {
        let mut tail = vec![u8::try_from(members.len()).expect("few")];
        for member in members {
            let name = member.group.as_str().as_bytes();
            tail.push(u8::try_from(name.len()).expect("short"));
            tail.extend_from_slice(name);
            tail.extend_from_slice(&member.stamp);
        }
        let mut head = header(value, version).to_vec();
        let length = u16::try_from(GROUPS_AT + tail.len()).expect("short");
        head[6..8].copy_from_slice(&length.to_be_bytes());
        [&head[..], STAMP, &tail, &payload(value)].concat().into()
    }

    fn members(names: &[&str]) -> Vec<Member> {
        let member = |(place, name): (usize, &&str)| Member {
            group: GroupName::new(name).expect("a name"),
            stamp: [u8::try_from(place).expect("few"); STAMP_BYTES],
        };
        names.iter().enumerate().map(member).collect()
    }

    proptest! {
        #[test]
        fn a_framed_entry_reads_back(
            data: Vec<u8>,
            null: bool,
            epoch: u64,
            micros: u64,
            random: u64,
            names in prop::collection::vec("[a-z:à]{1,80}", 0..16),
        ) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let members = members(&names);
            let value = if null { Value::Null } else { Value::Data(data.into()) };
            let version = Version::unique(epoch, micros, random);
            let expected = Stored::Framed {
                value: value.clone(),
                version: version.clone(),
                stamp: Bytes::from_static(STAMP),
                members: members.clone(),
            };
            prop_assert_eq!(read_framed(&framed_in(&value, &version, &members)), expected);
        }

        #[test]
        fn no_bytes_make_reading_panic(bytes: Vec<u8>, magic: bool) {
            let bytes = if magic { [&MAGIC[..], &bytes].concat() } else { bytes };
            let _ = read_framed(&bytes.into());
        }
    }

    #[test]
    fn a_loaded_entry_reads_back_with_its_groups_before_its_snapshot() {
        let (value, version) = (Value::Null, Version::unique(1, 2, 3));
        let members = members(&["a", "b"]);
        let mut bytes = framed_in(&value, &version, &members).to_vec();
        bytes[..STAMP_AT].copy_from_slice(&loaded_header(&value, &version));
        bytes.extend_from_slice(snapshot_digits(u64::MAX).as_bytes());
        let length = u16::try_from(bytes.len()).expect("short");
        bytes[6..8].copy_from_slice(&length.to_be_bytes());
        assert!(bytes.ends_with(b"18446744073709551615"));
        let expected = Stored::Framed {
            value,
            version,
            stamp: Bytes::from_static(STAMP),
            members,
        };
        assert_eq!(read_framed(&bytes.into()), expected);
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
    fn groups_that_do_not_fit_the_header_make_it_unreadable() {
        let whole = framed_in(
            &Value::Null,
            &Version::unique(1, 2, 3),
            &members(&["a", "b"]),
        );
        for length in HEADER_BYTES..whole.len() {
            let mut cut = whole.to_vec();
            cut[6..8].copy_from_slice(&(length as u16).to_be_bytes());
            assert_eq!(read_framed(&cut.into()), Stored::Unreadable, "{length}");
        }
        let many: Vec<String> = (0..17).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let whole = framed_in(&Value::Null, &Version::unique(1, 2, 3), &members(&many));
        assert_eq!(read_framed(&whole), Stored::Unreadable);
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
