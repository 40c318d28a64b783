//! From an endpoint to a usable byte stream: resolve, connect, TLS, socket options.
//!
//! `tls` is the client side of TLS, `secrets` what links are opened with and how it changes while running.
//!
//! Invariants: a name is resolved anew at every dial; every step has a bound; a failure says which step it was.
//!
//! Not here: AUTH and HELLO, which speak RESP (`upstream::session`, `sentinel::watcher`).

mod secrets;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls;

use crate::model::{Cause, Endpoint, Fault};

pub use secrets::{Access, SecretFiles, Secrets};
pub use tls::TlsClient;

/// How long sent bytes may stay unacknowledged before the kernel gives the connection up. Under load a silent
/// partition fills the send buffer, where neither keepalive nor a heartbeat gets through.
const USER_TIMEOUT: Duration = Duration::from_secs(2);

/// Keepalive finds a dead peer of an idle connection.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// How long somebody who refuses our certificate may take to say so.
const REFUSAL: Duration = Duration::from_millis(200);

/// A connected stream, plain or TLS.
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Dials an endpoint; each of the two steps may take that long.
///
/// # Errors
/// `AddressNotResolvable`, `RedisUnreachable` or `TlsFailed`; nothing was sent that could have been applied.
pub async fn dial(
    endpoint: &Endpoint,
    tls: Option<&TlsClient>,
    timeout: Duration,
) -> Result<Stream, Fault> {
    let tcp = tokio::time::timeout(timeout, connect(endpoint, timeout))
        .await
        .unwrap_or_else(|_| {
            Err(Fault::not_applied(
                Cause::RedisUnreachable,
                format!("{endpoint} did not accept a connection within {timeout:?}"),
            ))
        })?;
    let Some(tls) = tls else {
        return Ok(Stream::Plain(tcp));
    };
    tokio::time::timeout(timeout, handshake(endpoint, tcp, tls))
        .await
        // A plain port says nothing to a greeting that it does not understand.
        .unwrap_or_else(|_| {
            Err(tls_failed(
                endpoint,
                &format!("no answer within {timeout:?}"),
            ))
        })
}

/// Why the other side, which was dialled just now and told nothing yet, refuses our certificate or the lack of one.
///
/// With TLS 1.3 it says so only after the handshake is over for us, and whatever we send meanwhile may drown it. So a
/// link that failed for no reason is dialled once more, for nothing but to listen.
pub async fn refusal(endpoint: &Endpoint, mut stream: Stream) -> Option<Fault> {
    let mut byte = [0; 1];
    let heard = tokio::time::timeout(REFUSAL, stream.read(&mut byte)).await;
    let error = heard.ok()?.err()?;
    let alert = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    matches!(alert, rustls::Error::AlertReceived(_)).then(|| {
        let detail = format!("{endpoint} refuses our certificate, or that there is none: {alert}");
        Fault::not_applied(Cause::TlsFailed, detail)
    })
}

async fn connect(endpoint: &Endpoint, timeout: Duration) -> Result<TcpStream, Fault> {
    let addresses: Vec<SocketAddr> =
        tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port))
            .await
            .map_err(|error| not_resolvable(endpoint, &error.to_string()))?
            .collect();
    // Each address has its share, so that a dead first one leaves time for the others.
    let share = timeout / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut last = None;
    for address in addresses {
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => {
                set_options(&tcp).map_err(|error| refused(endpoint, &error))?;
                return Ok(tcp);
            }
            Ok(Err(error)) => last = Some(error),
            Err(elapsed) => last = Some(elapsed.into()),
        }
    }
    Err(match last {
        Some(error) => refused(endpoint, &error),
        None => not_resolvable(endpoint, "the name has no address"),
    })
}

fn set_options(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let socket = SockRef::from(tcp);
    // A connection that is given up takes what it has not sent with it. Otherwise a write that was repeated on the
    // next connection could arrive once more, after later ones.
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(KEEPALIVE)
            .with_interval(KEEPALIVE),
    )?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

async fn handshake(endpoint: &Endpoint, tcp: TcpStream, tls: &TlsClient) -> Result<Stream, Fault> {
    let name = tls
        .name_of(endpoint)
        .map_err(|problem| tls_failed(endpoint, &problem))?;
    TlsConnector::from(tls.config.clone())
        .connect(name, tcp)
        .await
        .map(|stream| Stream::Tls(Box::new(stream)))
        .map_err(|error| tls_failed(endpoint, &error.to_string()))
}

fn tls_failed(endpoint: &Endpoint, problem: &str) -> Fault {
    Fault::not_applied(
        Cause::TlsFailed,
        format!("TLS handshake with {endpoint} failed: {problem}; is it a TLS port?"),
    )
}

fn not_resolvable(endpoint: &Endpoint, problem: &str) -> Fault {
    Fault::not_applied(
        Cause::AddressNotResolvable,
        format!("cannot resolve {}: {problem}", endpoint.host),
    )
}

fn refused(endpoint: &Endpoint, error: &io::Error) -> Fault {
    Fault::not_applied(
        Cause::RedisUnreachable,
        format!("cannot connect to {endpoint}: {error}"),
    )
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
