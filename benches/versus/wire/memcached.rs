//! The text protocol of memcached: `get`, one after the other or pipelined.
//!
//! Not here: `set`, which only fills (`crate::fill`).

use std::collections::VecDeque;

use crate::requests::Encoded;

use super::Dialect;

const END: &[u8] = b"\r\nEND\r\n";

/// The client's side of one connection to a memcached.
pub(crate) struct Memcached {
    requests: Encoded,
    turn: usize,
    size: usize,
    flight: VecDeque<u64>,
}

impl Memcached {
    /// Sends the requests in turn, from `turn` on, and expects values of `size` bytes.
    pub(crate) fn new(requests: Encoded, turn: usize, size: usize) -> Self {
        Self {
            requests,
            turn,
            size,
            flight: VecDeque::new(),
        }
    }

    /// The length of the reply at the beginning of `input`; `None` while it is not whole.
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
        if size != Some(self.size) {
            return unexpected();
        }
        let (data, end) = (line + 2, line + 2 + self.size + END.len());
        if input.len() < end {
            return Ok(None);
        }
        if &input[data + self.size..end] != END {
            return unexpected();
        }
        Ok(Some(end))
    }
}

impl Dialect for Memcached {
    fn greet(&mut self, _out: &mut Vec<u8>) {}

    fn send(&mut self, stamp: u64, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(&self.requests[self.turn % self.requests.len()]);
        self.turn += 1;
        self.flight.push_back(stamp);
        true
    }

    fn receive(
        &mut self,
        input: &[u8],
        _out: &mut Vec<u8>,
        done: &mut impl FnMut(u64),
    ) -> Result<usize, String> {
        let mut used = 0;
        while let Some(length) = self.reply(&input[used..])? {
            used += length;
            done(self.flight.pop_front().ok_or("a reply to no request")?);
        }
        Ok(used)
    }
}
