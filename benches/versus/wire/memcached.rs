//! The text protocol of memcached: `get`, one after the other or pipelined.
//!
//! Not here: `set`, which only fills (`crate::fill`).

use super::in_order::Replies;

const END: &[u8] = b"\r\nEND\r\n";

/// Replies of a memcached, with values of so many bytes.
pub(crate) struct Memcached(pub(crate) usize);

impl Replies for Memcached {
    fn reply(&self, input: &[u8]) -> Result<Option<usize>, String> {
        let unexpected = || {
            let shown = &input[..input.len().min(80)];
            Err(format!("memcached answers {}", shown.escape_ascii()))
        };
        let Some(line) = input.iter().take(300).position(|byte| *byte == b'\r') else {
            return if input.len() < 300 {
                Ok(None)
            } else {
                unexpected()
            };
        };
        let size = input[..line]
            .strip_prefix(b"VALUE ")
            .and_then(|line| line.rsplit(|byte| *byte == b' ').next())
            .and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<usize>().ok());
        if size != Some(self.0) {
            return unexpected();
        }
        let (data, end) = (line + 2, line + 2 + self.0 + END.len());
        if input.len() < end {
            return Ok(None);
        }
        if &input[data + self.0..end] != END {
            return unexpected();
        }
        Ok(Some(end))
    }
}
