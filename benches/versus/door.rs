//! Where a server listens.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Of all interfaces only the loopback one, or a socket.
#[derive(Debug, Clone)]
pub(crate) enum Door {
    Tcp(SocketAddr),
    Unix(PathBuf),
}
