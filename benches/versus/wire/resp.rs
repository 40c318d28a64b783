//! RESP: GET, MGET and SET, one after the other or pipelined.
//!
//! Not here: keys and values (`crate::requests`).

use super::Expected;
use super::in_order::Replies;

/// Replies of a Redis.
pub(crate) struct Resp(pub(crate) Expected);

impl Replies for Resp {
    fn reply(&self, input: &[u8]) -> Result<Option<usize>, String> {
        match self.0 {
            Expected::Value(size) => bulk(input, size),
            Expected::Values(count, size) => {
                let Some((kind, items, mut at)) = head(input)? else {
                    return Ok(None);
                };
                if kind != b'*' || items != count {
                    return Err(unexpected(input));
                }
                for _ in 0..count {
                    match bulk(&input[at..], size)? {
                        Some(length) => at += length,
                        None => return Ok(None),
                    }
                }
                Ok(Some(at))
            }
            Expected::Written | Expected::Anything => match input {
                [b'+', b'O', b'K', b'\r', b'\n', ..] => Ok(Some(5)),
                _ if input.len() < 5 => Ok(None),
                _ => Err(unexpected(input)),
            },
        }
    }
}

/// The bytes that make a command.
pub(crate) fn command(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", parts.len()).into_bytes();
    for part in parts {
        out.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// A bulk string of exactly that size.
fn bulk(input: &[u8], size: usize) -> Result<Option<usize>, String> {
    let Some((kind, length, at)) = head(input)? else {
        return Ok(None);
    };
    if kind != b'$' || length != size {
        return Err(unexpected(input));
    }
    let end = at + size + 2;
    Ok((input.len() >= end).then_some(end))
}

/// The kind, the number and the length of a first line.
fn head(input: &[u8]) -> Result<Option<(u8, usize, usize)>, String> {
    let Some(end) = input.iter().take(32).position(|byte| *byte == b'\r') else {
        return if input.len() < 32 {
            Ok(None)
        } else {
            Err(unexpected(input))
        };
    };
    let number = input[1..end].iter().try_fold(0_usize, |number, byte| {
        byte.is_ascii_digit()
            .then(|| number * 10 + usize::from(byte - b'0'))
    });
    number
        .map(|number| Some((input[0], number, end + 2)))
        .ok_or_else(|| unexpected(input))
}

fn unexpected(input: &[u8]) -> String {
    let shown = &input[..input.len().min(80)];
    format!("Redis answers {}", shown.escape_ascii())
}
