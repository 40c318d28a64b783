//! The smallest client of Redis and Sentinel: one connection, one command at a time, RESP2.
//!
//! It shares no code with what is tested, so it cannot be wrong in the same way.
//!
//! Not here: what is asked (`redis`, `sentinel_set`, `switches`).

use std::fmt;
use std::io::{self, BufRead, BufReader, Error, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(2);

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Nil,
    Error(String),
    Integer(i64),
    Bytes(Vec<u8>),
    Many(Vec<Self>),
}

impl Reply {
    /// The value that follows a name in a flat list of names and values.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let Self::Many(parts) = self else {
            return None;
        };
        let at = parts
            .iter()
            .step_by(2)
            .position(|n| n.to_string() == name)?;
        parts.get(2 * at + 1).map(ToString::to_string)
    }
}

/// As `redis-cli` prints it into a pipe: elements one per line, nil as an empty line.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => Ok(()),
            Self::Error(text) => write!(f, "ERROR {text}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Bytes(bytes) => f.write_str(&String::from_utf8_lossy(bytes)),
            Self::Many(parts) => {
                let lines: Vec<String> = parts.iter().map(ToString::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
        }
    }
}

/// A connection.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects, and authenticates if there is a password.
    ///
    /// # Errors
    /// Of the socket, or the server's refusal of the password.
    pub(crate) fn open(address: SocketAddr, password: Option<&str>) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let mut connection = Self {
            stream: BufReader::new(stream),
        };
        if let Some(password) = password {
            match connection.call(&["AUTH", password])? {
                Reply::Error(text) => return Err(Error::other(text)),
                _ => return Ok(connection),
            }
        }
        Ok(connection)
    }

    /// Sends one command and reads its reply.
    ///
    /// # Errors
    /// Of the socket. What the server refuses is a reply.
    pub(crate) fn call(&mut self, arguments: &[impl AsRef<[u8]>]) -> io::Result<Reply> {
        let mut command = format!("*{}\r\n", arguments.len()).into_bytes();
        for argument in arguments {
            let argument = argument.as_ref();
            command.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
            command.extend_from_slice(argument);
            command.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&command)?;
        self.read()
    }

    /// Reads the next reply or push, for as long as it takes.
    ///
    /// # Errors
    /// Of the socket; `UnexpectedEof` when the server is gone or [`Hangup`] was used.
    pub(crate) fn read_patiently(&mut self) -> io::Result<Reply> {
        self.stream.get_ref().set_read_timeout(None)?;
        self.read()
    }

    /// What ends this connection from another thread.
    pub(crate) fn hangup(&self) -> io::Result<Hangup> {
        Ok(Hangup(self.stream.get_ref().try_clone()?))
    }

    fn read(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = line.trim_end_matches(['\r', '\n']);
        let (kind, rest) = text.split_at_checked(1).ok_or_else(|| malformed(text))?;
        match kind {
            "+" => Ok(Reply::Bytes(rest.as_bytes().to_vec())),
            "-" => Ok(Reply::Error(rest.to_owned())),
            ":" => rest
                .parse()
                .map(Reply::Integer)
                .map_err(|_| malformed(text)),
            "$" => match length(rest)? {
                None => Ok(Reply::Nil),
                Some(length) => {
                    let mut bytes = vec![0; length + 2];
                    self.stream.read_exact(&mut bytes)?;
                    bytes.truncate(length);
                    Ok(Reply::Bytes(bytes))
                }
            },
            "*" => match length(rest)? {
                None => Ok(Reply::Nil),
                Some(length) => (0..length)
                    .map(|_| self.read())
                    .collect::<io::Result<_>>()
                    .map(Reply::Many),
            },
            _ => Err(malformed(text)),
        }
    }
}

/// Ends a connection that another thread reads from.
pub(crate) struct Hangup(TcpStream);

impl Drop for Hangup {
    fn drop(&mut self) {
        // An error means that the server was faster.
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }
}

/// A length; `None` for -1, which stands for nil.
fn length(text: &str) -> io::Result<Option<usize>> {
    match text {
        "-1" => Ok(None),
        _ => text.parse().map(Some).map_err(|_| malformed(text)),
    }
}

fn malformed(line: &str) -> Error {
    Error::other(format!("not RESP: {line:?}"))
}
