//! One connection of the load program: a socket that does not block, a dialect, and what is on its way.
//!
//! Invariants: a read that fills less than it could has emptied the socket, as `epoll(7)` says of streams.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};

use crate::process::Door;
use crate::wire::Dialect;

/// How much is read at a time.
const READ: usize = 256 * 1024;

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }

    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(buffer),
            Self::Unix(stream) => stream.write(buffer),
        }
    }
}

/// A connection to a server.
pub(crate) struct Connection<D> {
    socket: Socket,
    pub(super) dialect: D,
    input: Vec<u8>,
    filled: usize,
    output: Vec<u8>,
    written: usize,
    /// Requests without a reply.
    pub(super) flight: usize,
    /// Requests that are due, by their stamps, and have not found room in the peer's window.
    pub(super) due: std::collections::VecDeque<u64>,
}

impl<D: Dialect> Connection<D> {
    /// Connects and greets.
    ///
    /// # Errors
    /// Nobody listens.
    pub(crate) fn open(door: &Door, mut dialect: D) -> Result<Self, String> {
        let failed = |error: io::Error| format!("cannot connect to {door:?}: {error}");
        let socket = match door {
            Door::Tcp(address) => {
                let stream = std::net::TcpStream::connect(address).map_err(failed)?;
                stream.set_nodelay(true).map_err(failed)?;
                stream.set_nonblocking(true).map_err(failed)?;
                Socket::Tcp(TcpStream::from_std(stream))
            }
            Door::Unix(path) => {
                let stream = std::os::unix::net::UnixStream::connect(path).map_err(failed)?;
                stream.set_nonblocking(true).map_err(failed)?;
                Socket::Unix(UnixStream::from_std(stream))
            }
        };
        let mut output = Vec::new();
        dialect.greet(&mut output);
        Ok(Self {
            socket,
            dialect,
            input: vec![0; READ],
            filled: 0,
            output,
            written: 0,
            flight: 0,
            due: std::collections::VecDeque::new(),
        })
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match &mut self.socket {
            Socket::Tcp(stream) => registry.register(stream, token, interest),
            Socket::Unix(stream) => registry.register(stream, token, interest),
        }
    }

    /// Sends what is due, as far as there is room, and the bytes of earlier requests.
    ///
    /// # Errors
    /// The connection is lost.
    pub(super) fn send(&mut self) -> Result<(), String> {
        while let Some(stamp) = self.due.front() {
            if !self.dialect.send(*stamp, &mut self.output) {
                break;
            }
            self.due.pop_front();
            self.flight += 1;
        }
        self.dialect.flush(&mut self.output);
        while self.written < self.output.len() {
            match self.socket.write(&self.output[self.written..]) {
                Ok(sent) => self.written += sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot send: {error}")),
            }
        }
        self.output.clear();
        self.written = 0;
        Ok(())
    }

    /// Reads once; whether there may be more to read.
    ///
    /// # Errors
    /// The connection is lost, or a reply is not what was expected.
    pub(super) fn read(&mut self, mut done: impl FnMut(u64)) -> Result<bool, String> {
        if self.filled == self.input.len() {
            // A reply that is larger than everything before it.
            self.input.resize(2 * self.filled, 0);
        }
        let space = self.input.len() - self.filled;
        let more = match self.socket.read(&mut self.input[self.filled..]) {
            Ok(0) => return Err("the server has closed the connection".to_owned()),
            Ok(read) => {
                self.filled += read;
                read == space
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(format!("cannot read: {error}")),
        };
        let mut replies = 0;
        let used =
            self.dialect
                .receive(&self.input[..self.filled], &mut self.output, &mut |stamp| {
                    replies += 1;
                    done(stamp);
                })?;
        self.flight -= replies;
        self.input.copy_within(used..self.filled, 0);
        self.filled -= used;
        Ok(more)
    }
}
