//! gRPC calls with one request and one reply, many at a time on one connection.
//!
//! Invariants: a call that ends without exactly the message that is expected ends the run; so does every error, because
//! it has none.

use std::collections::VecDeque;

use crate::requests::Encoded;

use super::Dialect;
use super::frame::{DATA, END_STREAM, Frame, HEADERS, Link};
use super::message::{Check, PREFIX};

struct Call {
    stream: u32,
    stamp: u64,
    message: Vec<u8>,
}

/// The client's side of one connection.
pub(crate) struct Unary {
    link: Link,
    requests: Encoded,
    turn: usize,
    check: Check,
    next: u32,
    flight: VecDeque<Call>,
    spare: Vec<Vec<u8>>,
}

impl Unary {
    /// Sends the requests in turn, from `turn` on. Each is a message behind its prefix.
    pub(crate) fn new(path: &str, requests: Encoded, turn: usize, check: Check) -> Self {
        Self {
            link: Link::new(path),
            requests,
            turn,
            check,
            next: 1,
            flight: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    /// The call that a frame belongs to.
    fn position(&self, stream: u32) -> Result<usize, String> {
        self.flight
            .iter()
            .position(|call| call.stream == stream)
            .ok_or_else(|| format!("a frame for stream {stream}, which is not open"))
    }

    /// The call is over; its stamp.
    fn finish(&mut self, stream: u32) -> Result<u64, String> {
        let position = self.position(stream)?;
        let Some(mut call) = self.flight.remove(position) else {
            return Err("no such call".to_owned());
        };
        let whole =
            call.message
                .split_first_chunk::<PREFIX>()
                .filter(|([flag, length @ ..], message)| {
                    *flag == 0 && u32::from_be_bytes(*length) as usize == message.len()
                });
        let (_, message) = whole.ok_or_else(|| {
            let bytes = call.message.len();
            format!("a call failed: it ended with {bytes} bytes instead of one message")
        })?;
        self.check.judge(message)?;
        call.message.clear();
        self.spare.push(call.message);
        Ok(call.stamp)
    }
}

impl Dialect for Unary {
    fn greet(&mut self, out: &mut Vec<u8>) {
        Link::greet(out);
    }

    fn send(&mut self, stamp: u64, out: &mut Vec<u8>) -> bool {
        let requests = self.requests.clone();
        let request = &requests[self.turn % requests.len()];
        let (first, now) = self.link.windows();
        if request.len() as i64 > now.min(first) || self.flight.len() >= self.link.streams() {
            return false;
        }
        self.turn += 1;
        self.link.write_headers(out, self.next);
        self.link.write_data(out, self.next, request, END_STREAM);
        self.flight.push_back(Call {
            stream: self.next,
            stamp,
            message: self.spare.pop().unwrap_or_default(),
        });
        self.next += 2;
        true
    }

    fn receive(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        done: &mut impl FnMut(u64),
    ) -> Result<usize, String> {
        let mut used = 0;
        while let Some((frame, length)) = Frame::read(&input[used..]) {
            used += length;
            self.link.obey(&frame, out)?;
            if frame.kind == DATA {
                self.link.took(&frame, false, out);
                let position = self.position(frame.stream)?;
                self.flight[position]
                    .message
                    .extend_from_slice(frame.payload);
            }
            if matches!(frame.kind, DATA | HEADERS) && frame.ends_stream() {
                done(self.finish(frame.stream)?);
            }
        }
        Ok(used)
    }
}
