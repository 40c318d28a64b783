//! A list as the value of an entry: the protobuf message `ListValue { repeated bytes members = 1; }`, so that every
//! client can read and write one. Each member is the byte `0A`, its length as a varint, and its bytes.
//!
//! Invariants: canonical encoding only, so that equal lists are equal bytes. What `list_edit.lua` does is done here by
//! value.

use std::collections::HashSet;

use bytes::{BufMut, Bytes, BytesMut};

use crate::model::{Cause, Fault};

use super::store::ListEdit;

/// The most members of a list: reading and writing it again is one step of Redis, which must be short.
pub const MOST_MEMBERS: usize = 10_000;

/// Field 1, length-delimited.
const TAG: u8 = 0x0A;

/// The bytes of a list.
pub fn encode(members: &[Bytes]) -> Bytes {
    let mut bytes = BytesMut::new();
    for member in members {
        bytes.put_u8(TAG);
        let mut length = member.len();
        while length >= 0x80 {
            bytes.put_u8((length & 0x7F) as u8 | 0x80);
            length >>= 7;
        }
        bytes.put_u8(length as u8);
        bytes.put_slice(member);
    }
    bytes.freeze()
}

/// The members of a list.
///
/// # Errors
/// `NotAList`, or `ListTooLarge`.
pub(super) fn decode(bytes: &Bytes) -> Result<Vec<Bytes>, Fault> {
    let mut members = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if members.len() == MOST_MEMBERS {
            return Err(too_large());
        }
        if bytes[at] != TAG {
            return Err(not_a_list());
        }
        let (length, begin) = length(bytes, at + 1).ok_or_else(not_a_list)?;
        let end = begin + length;
        if end > bytes.len() {
            return Err(not_a_list());
        }
        members.push(bytes.slice(begin..end));
        at = end;
    }
    Ok(members)
}

/// A length of up to 28 bits in as few bytes as it needs, and where it ends.
fn length(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut length = 0;
    for place in 0..4 {
        let byte = *bytes.get(at + place)?;
        length |= usize::from(byte & 0x7F) << (7 * place);
        if byte < 0x80 {
            return (byte > 0 || place == 0).then_some((length, at + place + 1));
        }
    }
    None
}

/// The list after the edit.
pub(super) fn edit(before: &[Bytes], edit: &ListEdit) -> Vec<Bytes> {
    let goes: HashSet<&Bytes> = edit.remove.iter().collect();
    let stays = before.iter().filter(|member| !goes.contains(member));
    let mut members: Vec<Bytes> = stays.cloned().collect();
    let mut present: HashSet<Bytes> = members.iter().cloned().collect();
    for member in &edit.add {
        if present.insert(member.clone()) {
            // A copy of its own: what arrives is a slice of the message it came in.
            members.push(Bytes::copy_from_slice(member));
        }
    }
    members
}

/// Refuses a list that is too large.
pub(super) fn check(members: &[Bytes], bytes: &Bytes, largest: u64) -> Result<(), Fault> {
    if members.len() > MOST_MEMBERS || bytes.len() as u64 > largest {
        return Err(too_large());
    }
    Ok(())
}

/// The fault of a list that is none.
pub(super) fn not_a_list() -> Fault {
    Fault::not_applied(
        Cause::NotAList,
        "the entry is not a `ListValue` in canonical encoding; put one, or evict the entry to start anew",
    )
}

/// The fault of a list that has or would have too much.
pub(super) fn too_large() -> Fault {
    Fault::not_applied(
        Cause::ListTooLarge,
        format!(
            "the list has or would have more than {MOST_MEMBERS} members or limits.value bytes; remove members, or \
             divide the list"
        ),
    )
}

#[cfg(test)]
mod tests {
    use crate::model::Key;

    use super::*;

    fn bytes(texts: &[&'static str]) -> Vec<Bytes> {
        texts
            .iter()
            .map(|text| Bytes::from_static(text.as_bytes()))
            .collect()
    }

    /// tests/it/lists.rs reads lists with a protobuf library.
    #[test]
    fn a_list_is_the_protobuf_message() {
        for (length, head) in [
            (0, &b"\x0A\x00"[..]),
            (127, b"\x0A\x7F"),
            (128, b"\x0A\x80\x01"),
            (16_383, b"\x0A\xFF\x7F"),
            (16_384, b"\x0A\x80\x80\x01"),
            (2_097_152, b"\x0A\x80\x80\x80\x01"),
        ] {
            let member = Bytes::from(vec![b'x'; length]);
            let members = vec![member.clone(), Bytes::from_static(b"y")];
            let encoded = encode(&members);
            assert_eq!(encoded, [head, &member, b"\x0A\x01y"].concat(), "{length}");
            assert_eq!(decode(&encoded), Ok(members), "{length}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        for strange in [
            &b"text"[..],
            b"\x0A",
            b"\x0A\x02a",
            b"\x0A\x81\x00a",
            b"\x0A\x80\x00",
            b"\x12\x01a",
            b"\x0A\x01a\x12\x01b",
            b"\x0A\xFF\xFF\xFF\xFF\x0F",
        ] {
            let found = decode(&Bytes::from_static(strange));
            assert_eq!(
                found.map_err(|fault| fault.cause),
                Err(Cause::NotAList),
                "{strange:?}"
            );
        }
        let many = encode(&vec![Bytes::new(); MOST_MEMBERS + 1]);
        assert_eq!(
            decode(&many).map_err(|fault| fault.cause),
            Err(Cause::ListTooLarge)
        );
    }

    #[test]
    fn an_edit_removes_every_equal_member_and_appends_what_is_absent() {
        let change = |before: &[&'static str], remove: &[&'static str], add: &[&'static str]| {
            let of = ListEdit {
                key: Key::new(Bytes::from_static(b"k")).expect("key"),
                remove: bytes(remove),
                add: bytes(add),
                operation_id: Bytes::new(),
                largest: 100,
            };
            edit(&bytes(before), &of)
        };
        assert_eq!(change(&[], &["a"], &["b", "a", "b"]), bytes(&["b", "a"]));
        assert_eq!(change(&["a", "b", "a"], &["a"], &[]), bytes(&["b"]));
        assert_eq!(change(&["a", "b"], &["a"], &["b", "a"]), bytes(&["b", "a"]));
        assert_eq!(change(&["a", "a"], &[], &["a"]), bytes(&["a", "a"]));
    }
}
