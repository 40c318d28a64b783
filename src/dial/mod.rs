//! From an endpoint to a usable byte stream: resolve, connect, TLS, socket options.
//!
//! Invariants: a name is resolved anew at every dial; every step has a bound; a failure says which step it was.
//!
//! Not here: AUTH and HELLO, which speak RESP (`upstream::session`, `sentinel::watcher`).

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::config::Tls;
use crate::model::{Cause, Endpoint, Fault};

/// How long sent bytes may stay unacknowledged before the kernel gives the connection up. Under load a silent
/// partition fills the send buffer, where neither keepalive nor a heartbeat gets through.
const USER_TIMEOUT: Duration = Duration::from_secs(2);

/// Keepalive finds a dead peer of an idle connection.
const KEEPALIVE: Duration = Duration::from_secs(5);

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
    tls: Option<&Arc<ClientConfig>>,
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
    let Some(config) = tls else {
        return Ok(Stream::Plain(tcp));
    };
    tokio::time::timeout(timeout, handshake(endpoint, tcp, config.clone()))
        .await
        // A plain port says nothing to a greeting that it does not understand.
        .unwrap_or_else(|_| {
            Err(tls_failed(
                endpoint,
                &format!("no answer within {timeout:?}"),
            ))
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

async fn handshake(
    endpoint: &Endpoint,
    tcp: TcpStream,
    config: Arc<ClientConfig>,
) -> Result<Stream, Fault> {
    let name = ServerName::try_from(endpoint.host.clone())
        .map_err(|error| tls_failed(endpoint, &error.to_string()))?;
    TlsConnector::from(config)
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

/// Builds the client side of TLS: the given CA file, or else the system's roots.
///
/// # Errors
/// One sentence naming the file that cannot be used.
pub fn tls_config(tls: &Tls) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    match &tls.ca_file {
        Some(path) => add_file(&mut roots, path)?,
        None => {
            let system = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(system.certs);
            if roots.is_empty() {
                return Err("this system has no root certificates".to_owned());
            }
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("cannot read the CA file {}: {error}", path.display()))?;
    if certificates.is_empty() {
        return Err(format!(
            "the CA file {} holds no certificate",
            path.display()
        ));
    }
    for certificate in certificates {
        roots
            .add(certificate)
            .map_err(|error| format!("the CA file {} is not usable: {error}", path.display()))?;
    }
    Ok(())
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
