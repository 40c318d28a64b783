//! HTTP/2 frames (RFC 9113) as far as a client of one gRPC method needs them.
//!
//! Invariants: windows of the peer are kept, and so is the number of calls that it takes at a time; its SETTINGS and PINGs are answered; GOAWAY and RST_STREAM are errors. Own
//! windows are so large that the server never waits for an update.
//!
//! Not here: decoding HPACK. A call that fails has no message, which is noticed; why it failed is what an ordinary
//! client is asked before the measurement (`crate::fill`).

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

pub(crate) const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
/// Calls at a time on one connection until the peer has said how many it takes.
const STREAMS: usize = 100;
/// What a peer takes in one frame unless it says more.
const FRAME: usize = 16_384;
const DEFAULT_WINDOW: i64 = 65_535;
/// Half of the largest window there is: another update of that size always fits once it has been used.
const OWN_WINDOW: u32 = 1 << 30;

/// A frame as it came.
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame at the beginning of `input` and its length; `None` while it is not whole.
    pub(crate) fn read(input: &'a [u8]) -> Option<(Self, usize)> {
        let (head, rest) = input.split_first_chunk::<9>()?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let payload = rest.get(..length)?;
        let frame = Self {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5] & 0x7F, head[6], head[7], head[8]]),
            payload,
        };
        Some((frame, 9 + length))
    }

    pub(crate) fn ends_stream(&self) -> bool {
        self.flags & END_STREAM != 0
    }
}

fn write_head(out: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    let [_, a, b, c] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    out.extend_from_slice(&[a, b, c, kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
}

fn write_update(out: &mut Vec<u8>, stream: u32, more: u32) {
    write_head(out, 4, WINDOW_UPDATE, 0, stream);
    out.extend_from_slice(&more.to_be_bytes());
}

/// What both kinds of calls share: windows and everything that is not HEADERS or DATA.
pub(crate) struct Link {
    /// Fields that every call begins with, in HPACK, literally and without an index.
    fields: Vec<u8>,
    window: i64,
    first_window: i64,
    streams: usize,
    /// Bytes that came since the last update of the own windows.
    taken: u32,
}

impl Link {
    /// For calls of one method.
    pub(crate) fn new(path: &str) -> Self {
        // :method POST and :scheme http are in the static table, and so are the names of the next three.
        let mut fields = vec![0x83, 0x86];
        literal(&mut fields, &[0x04], path);
        literal(&mut fields, &[0x01], "localhost");
        literal(&mut fields, &[0x0F, 0x10], "application/grpc");
        literal(&mut fields, &[0x00, 2, b't', b'e'], "trailers");
        Self {
            fields,
            window: DEFAULT_WINDOW,
            first_window: DEFAULT_WINDOW,
            streams: STREAMS,
            taken: 0,
        }
    }

    pub(crate) fn greet(out: &mut Vec<u8>) {
        out.extend_from_slice(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        write_head(out, 6, SETTINGS, 0, 0);
        out.extend_from_slice(&INITIAL_WINDOW_SIZE.to_be_bytes());
        out.extend_from_slice(&OWN_WINDOW.to_be_bytes());
        write_update(out, 0, OWN_WINDOW);
    }

    /// What the peer takes on a stream that is new, and what it takes at all just now.
    pub(crate) fn windows(&self) -> (i64, i64) {
        (self.first_window, self.window)
    }

    /// Calls that the peer takes at a time.
    pub(crate) fn streams(&self) -> usize {
        self.streams
    }

    pub(crate) fn write_headers(&self, out: &mut Vec<u8>, stream: u32) {
        write_head(out, self.fields.len(), HEADERS, END_HEADERS, stream);
        out.extend_from_slice(&self.fields);
    }

    /// Writes data for which there is room in the windows.
    pub(crate) fn write_data(&mut self, out: &mut Vec<u8>, stream: u32, data: &[u8], flags: u8) {
        let mut chunks = data.chunks(FRAME).peekable();
        while let Some(chunk) = chunks.next() {
            let flags = if chunks.peek().is_none() { flags } else { 0 };
            write_head(out, chunk.len(), DATA, flags, stream);
            out.extend_from_slice(chunk);
        }
        self.window -= data.len() as i64;
    }

    /// Counts data that came on a stream; `endless` if it will never end.
    pub(crate) fn took(&mut self, frame: &Frame<'_>, endless: bool, out: &mut Vec<u8>) {
        self.taken += u32::try_from(frame.payload.len()).unwrap_or(u32::MAX);
        if self.taken >= OWN_WINDOW / 2 {
            write_update(out, 0, self.taken);
            if endless {
                write_update(out, frame.stream, self.taken);
            }
            self.taken = 0;
        }
    }

    /// Obeys any other frame. By how much the window of its stream has grown.
    ///
    /// # Errors
    /// The peer gives up a call or the connection.
    pub(crate) fn obey(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> Result<i64, String> {
        if matches!(frame.kind, DATA | HEADERS) && frame.flags & PADDED != 0 {
            return Err("a padded frame, which this load program does not read".to_owned());
        }
        match (frame.kind, frame.payload) {
            (SETTINGS, settings) if frame.flags & ACK == 0 => {
                let grown = self.settle(settings);
                write_head(out, 0, SETTINGS, ACK, 0);
                return Ok(grown);
            }
            (PING, data) if frame.flags & ACK == 0 => {
                write_head(out, data.len(), PING, ACK, 0);
                out.extend_from_slice(data);
            }
            (WINDOW_UPDATE, [a, b, c, d]) => {
                let more = i64::from(u32::from_be_bytes([*a, *b, *c, *d]));
                if frame.stream != 0 {
                    return Ok(more);
                }
                self.window += more;
            }
            (GOAWAY | RST_STREAM, data) => {
                return Err(format!(
                    "the server gives up (frame {}): {}",
                    frame.kind,
                    data.escape_ascii()
                ));
            }
            _ => {}
        }
        Ok(0)
    }

    /// By how much the window of each open stream grows with these settings.
    fn settle(&mut self, settings: &[u8]) -> i64 {
        let before = self.first_window;
        for setting in settings.chunks_exact(6) {
            let [a, b, c, d, e, f] = setting else {
                continue;
            };
            let value = u32::from_be_bytes([*c, *d, *e, *f]);
            match u16::from_be_bytes([*a, *b]) {
                INITIAL_WINDOW_SIZE => self.first_window = i64::from(value),
                MAX_CONCURRENT_STREAMS => self.streams = value as usize,
                _ => {}
            }
        }
        self.first_window - before
    }
}

/// A field without indexing and without Huffman's code; values are shorter than 127 bytes.
fn literal(out: &mut Vec<u8>, name: &[u8], value: &str) {
    out.extend_from_slice(name);
    out.push(u8::try_from(value.len()).unwrap_or(126).min(126));
    out.extend_from_slice(value.as_bytes());
}
