//! Protocols whose replies come in the order of their requests.
//!
//! Not here: what a reply looks like (`resp`, `memcached`).

use std::collections::VecDeque;

use crate::requests::Encoded;

use super::Dialect;

/// Tells replies apart.
pub(crate) trait Replies {
    /// The length of the reply at the beginning of `input`; `None` while it is not whole.
    ///
    /// # Errors
    /// It is not the one that was asked for.
    fn reply(&self, input: &[u8]) -> Result<Option<usize>, String>;
}

/// The client's side of one connection.
pub(crate) struct InOrder<R> {
    requests: Encoded,
    turn: usize,
    replies: R,
    flight: VecDeque<u64>,
}

impl<R> InOrder<R> {
    /// Sends the requests in turn, from `turn` on.
    pub(crate) fn new(requests: Encoded, turn: usize, replies: R) -> Self {
        Self {
            requests,
            turn,
            replies,
            flight: VecDeque::new(),
        }
    }
}

impl<R: Replies> Dialect for InOrder<R> {
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
        while let Some(length) = self.replies.reply(&input[used..])? {
            used += length;
            done(self.flight.pop_front().ok_or("a reply to no request")?);
        }
        Ok(used)
    }
}
