//! Protobuf as far as the load program looks into it: the lengths of values and where they come from.
//!
//! A full decoder costs more than some servers. The numbers of fields are those of `proto/vedetta/v1`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Expected;

/// Bytes in front of each gRPC message: a flag and the length.
pub(crate) const PREFIX: usize = 5;

/// `Source::L1`, the near cache.
const NEAR: u64 = 1;

/// One field of a message.
#[derive(Debug, Clone, Copy)]
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// What is asked of the answers of a vedetta.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    /// What each holds.
    pub(crate) expected: Expected,
    /// Whether each value comes out of the near cache (true), or from the master (false); `None` where nobody cares.
    pub(crate) near: Option<bool>,
    /// Values that came from elsewhere.
    pub(crate) strays: Arc<AtomicU64>,
}

impl Check {
    /// Judges one answer of the rpc that goes with what is expected.
    ///
    /// # Errors
    /// Says what it holds instead.
    pub(crate) fn judge(&self, message: &[u8]) -> Result<(), String> {
        match self.expected {
            Expected::Value(size) => self.hit(message, size),
            Expected::Values(count, size) => {
                let mut items = 0;
                for field in fields(message) {
                    if let (1, Field::Bytes(item)) = field? {
                        self.hit(item, size)?;
                        items += 1;
                    }
                }
                (items == count)
                    .then_some(())
                    .ok_or_else(|| format!("{items} items instead of {count}"))
            }
            Expected::Written => bytes(message, 1)?
                .map(|_| ())
                .ok_or_else(|| format!("not stored: {}", message.escape_ascii())),
            Expected::Anything => Ok(()),
        }
    }

    /// A message whose field 1 is a hit with a value of that size.
    fn hit(&self, message: &[u8], size: usize) -> Result<(), String> {
        let hit =
            bytes(message, 1)?.ok_or_else(|| format!("no hit: {}", message.escape_ascii()))?;
        let (mut value, mut source) = (None, 0);
        for field in fields(hit) {
            match field? {
                (1, Field::Bytes(bytes)) => value = Some(bytes.len()),
                (5, Field::Number(number)) => source = number,
                _ => {}
            }
        }
        if value != Some(size) {
            return Err(format!("a value of {value:?} bytes instead of {size}"));
        }
        if self.near.is_some_and(|near| near != (source == NEAR)) {
            self.strays.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// One answer of Pipeline; its id.
    ///
    /// # Errors
    /// Says what it holds instead.
    pub(crate) fn judge_piped(&self, message: &[u8]) -> Result<u64, String> {
        let (mut id, mut answer) = (0, None);
        for field in fields(message) {
            match field? {
                (1, Field::Number(number)) => id = number,
                (2, Field::Bytes(get)) => answer = Some(get),
                _ => {}
            }
        }
        let get =
            answer.ok_or_else(|| format!("no answer to a get: {}", message.escape_ascii()))?;
        self.judge(get).map(|()| id)
    }
}

/// The last field of that number that is bytes.
fn bytes(message: &[u8], wanted: u32) -> Result<Option<&[u8]>, String> {
    let mut found = None;
    for field in fields(message) {
        if let (number, Field::Bytes(bytes)) = field?
            && number == wanted
        {
            found = Some(bytes);
        }
    }
    Ok(found)
}

fn fields(mut rest: &[u8]) -> impl Iterator<Item = Result<(u32, Field<'_>), String>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = next(&mut rest);
        if field.is_none() {
            rest = &[];
        }
        Some(field.ok_or_else(|| "no protobuf message".to_owned()))
    })
}

fn next<'a>(rest: &mut &'a [u8]) -> Option<(u32, Field<'a>)> {
    let tag = varint(rest)?;
    let field = match tag & 7 {
        0 => Field::Number(varint(rest)?),
        1 => Field::Bytes(take(rest, 8)?),
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            Field::Bytes(take(rest, length)?)
        }
        5 => Field::Bytes(take(rest, 4)?),
        _ => return None,
    };
    Some((u32::try_from(tag >> 3).ok()?, field))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, left) = rest.split_first()?;
        *rest = left;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
