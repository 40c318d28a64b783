//! A connection to a running vedetta.

use std::path::Path;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

use super::effective::Environment;

/// Where it listens when nobody says otherwise. The defaults of `api.socket` and `api.listen`.
const SOCKET: &str = "/run/vedetta/vedetta.sock";
const TCP: &str = "http://127.0.0.1:17070";

/// Messages may be as large as a batch of the largest values.
pub(super) const LARGEST_MESSAGE: usize = 1 << 30;

/// The address to talk to: as given, else `VEDETTA_ADDRESS`, else the socket if there is one, else TCP.
pub(super) fn address(given: Option<&str>, environment: &Environment) -> String {
    if let Some(address) = given.or_else(|| environment.get("VEDETTA_ADDRESS")) {
        return address.to_owned();
    }
    let socket = environment.get("VEDETTA_SOCKET").unwrap_or(SOCKET);
    if Path::new(socket).exists() {
        return format!("unix:{socket}");
    }
    match environment.get("VEDETTA_LISTEN") {
        Some(listen) if listen != "none" => format!("http://{listen}"),
        _ => TCP.to_owned(),
    }
}

/// Connects.
///
/// # Errors
/// One sentence for a person, and whether the address itself is wrong.
pub(super) async fn connect(address: &str, timeout: Duration) -> Result<Channel, ConnectError> {
    let failed = |problem: String| ConnectError::Unreachable {
        address: address.to_owned(),
        problem,
    };
    if let Some(path) = address.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path).to_owned();
        let connector = tower::service_fn(move |_: Uri| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        return Endpoint::from_static("http://localhost")
            .connect_timeout(timeout)
            .connect_with_connector(connector)
            .await
            .map_err(|error| failed(chain(&error)));
    }
    if !address.starts_with("http://") {
        return Err(ConnectError::BadAddress(address.to_owned()));
    }
    Endpoint::from_shared(address.to_owned())
        .map_err(|_| ConnectError::BadAddress(address.to_owned()))?
        .connect_timeout(timeout)
        .connect()
        .await
        .map_err(|error| failed(chain(&error)))
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("{0} is not an address; write unix:/path or http://host:port")]
    BadAddress(String),
    #[error(
        "no vedetta answers at {address}: {problem}; start one with `vedetta serve`, or set --address"
    )]
    Unreachable { address: String, problem: String },
}

/// The innermost cause says what happened; the outer ones say "transport error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_wins_over_the_environment() {
        let environment = |pairs: &[(&str, &str)]| {
            Environment(
                pairs
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
            )
        };
        let everything = environment(&[
            ("VEDETTA_ADDRESS", "http://a:1"),
            ("VEDETTA_SOCKET", "/nowhere/v.sock"),
            ("VEDETTA_LISTEN", "127.0.0.1:2"),
        ]);
        assert_eq!(address(Some("unix:/x"), &everything), "unix:/x");
        assert_eq!(address(None, &everything), "http://a:1");
        let no_address = environment(&[
            ("VEDETTA_SOCKET", "/nowhere/v.sock"),
            ("VEDETTA_LISTEN", "127.0.0.1:2"),
        ]);
        assert_eq!(address(None, &no_address), "http://127.0.0.1:2");
        let none = environment(&[
            ("VEDETTA_SOCKET", "/nowhere/v.sock"),
            ("VEDETTA_LISTEN", "none"),
        ]);
        assert_eq!(address(None, &none), TCP);
    }
}
