//! `Pipeline`: one stream on one connection, many requests in one DATA frame, answers by their ids.
//!
//! Invariants: an id is used again only when its answer has come.

use crate::requests::Encoded;

use super::Dialect;
use super::frame::{DATA, Frame, HEADERS, Link};
use super::message::{Check, PREFIX};

const PATH: &str = "/vedetta.v1.Cache/Pipeline";
/// The field `id` of a request, as a number.
const ID: u8 = 1 << 3;
const STREAM: u32 = 1;

/// The client's side of one connection.
pub(crate) struct Pipeline {
    link: Link,
    /// What follows the id: the field `get` of each request.
    requests: Encoded,
    turn: usize,
    check: Check,
    /// By id; those that are free are in `free`.
    stamps: Vec<u64>,
    free: Vec<usize>,
    gathered: Vec<u8>,
    window: i64,
    partial: Vec<u8>,
}

impl Pipeline {
    /// Sends the requests in turn, from `turn` on.
    pub(crate) fn new(requests: Encoded, turn: usize, check: Check) -> Self {
        let link = Link::new(PATH);
        let (window, _) = link.windows();
        Self {
            link,
            requests,
            turn,
            check,
            stamps: Vec::new(),
            free: Vec::new(),
            gathered: Vec::new(),
            window,
            partial: Vec::new(),
        }
    }

    /// Tells of every whole message; how many bytes they were.
    fn answers(&mut self, input: &[u8], done: &mut impl FnMut(u64)) -> Result<usize, String> {
        let mut used = 0;
        while let Some(([flag, length @ ..], rest)) = input[used..].split_first_chunk::<PREFIX>() {
            let length = u32::from_be_bytes(*length) as usize;
            let Some(message) = rest.get(..length) else {
                break;
            };
            if *flag != 0 {
                return Err("a compressed message that nobody asked for".to_owned());
            }
            let id = self.check.judge_piped(message)? as usize;
            done(*self.stamps.get(id).ok_or("an answer with an unknown id")?);
            self.free.push(id);
            used += PREFIX + length;
        }
        Ok(used)
    }

    fn take(&mut self, payload: &[u8], done: &mut impl FnMut(u64)) -> Result<(), String> {
        if self.partial.is_empty() {
            let used = self.answers(payload, done)?;
            self.partial.extend_from_slice(&payload[used..]);
            return Ok(());
        }
        let mut partial = std::mem::take(&mut self.partial);
        partial.extend_from_slice(payload);
        let used = self.answers(&partial, done)?;
        partial.drain(..used);
        self.partial = partial;
        Ok(())
    }
}

impl Dialect for Pipeline {
    fn greet(&mut self, out: &mut Vec<u8>) {
        Link::greet(out);
        self.link.write_headers(out, STREAM);
    }

    fn send(&mut self, stamp: u64, _out: &mut Vec<u8>) -> bool {
        let id = self.free.pop().unwrap_or_else(|| {
            self.stamps.push(0);
            self.stamps.len() - 1
        });
        self.stamps[id] = stamp;
        let request = &self.requests[self.turn % self.requests.len()];
        self.turn += 1;
        // Two bytes hold any number of requests in flight that is measured.
        let id = [ID, (id & 0x7F) as u8 | 0x80, (id >> 7) as u8];
        let length = u32::try_from(id.len() + request.len()).unwrap_or(u32::MAX);
        self.gathered.push(0);
        self.gathered.extend_from_slice(&length.to_be_bytes());
        self.gathered.extend_from_slice(&id);
        self.gathered.extend_from_slice(request);
        true
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        let room = self.window.min(self.link.windows().1).max(0);
        let sent = self.gathered.len().min(usize::try_from(room).unwrap_or(0));
        self.link.write_data(out, STREAM, &self.gathered[..sent], 0);
        self.window -= sent as i64;
        self.gathered.drain(..sent);
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
            self.window += self.link.obey(&frame, out)?;
            if frame.kind == DATA {
                self.link.took(&frame, true, out);
                self.take(frame.payload, done)?;
            }
            if matches!(frame.kind, DATA | HEADERS) && frame.ends_stream() {
                return Err("the stream ended".to_owned());
            }
        }
        Ok(used)
    }
}
