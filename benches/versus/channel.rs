//! The way of an ordinary client to a vedetta.

use hyper_util::rt::TokioIo;
use tokio::runtime::{Builder, Runtime};
use tonic::Status;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::door::Door;

/// A reply to a batch of the largest values.
pub(crate) const LARGEST: usize = 64 << 20;

/// Why a call was refused.
pub(crate) fn failed(status: Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

/// A channel, and what it runs on.
///
/// # Errors
/// Nobody answers.
pub(crate) fn connect(door: &Door) -> Result<(Runtime, Channel), String> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("runtime: {error}"))?;
    let endpoint = Endpoint::from_static("http://localhost");
    let door = door.clone();
    let connector = tower::service_fn(move |_: Uri| {
        let door = door.clone();
        async move {
            match door {
                Door::Unix(path) => tokio::net::UnixStream::connect(path)
                    .await
                    .map(|stream| TokioIo::new(Box::new(stream) as Box<dyn Stream>)),
                Door::Tcp(address) => tokio::net::TcpStream::connect(address)
                    .await
                    .map(|stream| TokioIo::new(Box::new(stream) as Box<dyn Stream>)),
            }
        }
    });
    let channel = runtime
        .block_on(endpoint.connect_with_connector(connector))
        .map_err(|error| format!("cannot connect: {error}"))?;
    Ok((runtime, channel))
}

trait Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Stream for T {}
