//! The caller's deadline, from the `grpc-timeout` header to a value that the handlers can see.
//!
//! tonic's own timeout answers CANCELLED where a caller expects DEADLINE_EXCEEDED, and cannot say whether a write was
//! applied. It lives in `tonic::transport::Server`, which is one reason why `server` serves the routes itself.
//!
//! Source: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md> ("Timeout").

use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, Request};
use tokio::time::Instant;
use tower::Service;

/// The header, as the protocol names it.
const HEADER: &str = "grpc-timeout";

/// When the caller gives up. Counted from the headers on, so that a slow upload of the message does not prolong it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deadline(pub(super) Instant);

/// Puts [`Deadline`] into the extensions of each request that has one.
#[derive(Debug, Clone)]
pub(super) struct WithDeadline<S>(pub(super) S);

impl<S, B> Service<Request<B>> for WithDeadline<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        // A timeout too long for the clock is no timeout.
        let deadline =
            read(request.headers()).and_then(|timeout| Instant::now().checked_add(timeout));
        if let Some(deadline) = deadline {
            request.extensions_mut().insert(Deadline(deadline));
        }
        self.0.call(request)
    }
}

/// One to eight digits and a unit. A header that is not that is ignored, as the protocol allows.
fn read(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(HEADER)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeout(text: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, text.parse().expect("header"));
        read(&headers)
    }

    #[test]
    fn the_units_of_the_protocol() {
        for (text, expected) in [
            ("2H", Duration::from_secs(7200)),
            ("3M", Duration::from_secs(180)),
            ("1S", Duration::from_secs(1)),
            ("99999999m", Duration::from_millis(99_999_999)),
            ("250u", Duration::from_micros(250)),
            ("0n", Duration::ZERO),
        ] {
            assert_eq!(timeout(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_timeout() {
        for text in ["", "S", "1", "1s", "-1S", "123456789S", "1.5S", "1é"] {
            let value = http::HeaderValue::from_bytes(text.as_bytes()).expect("header");
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, value);
            assert_eq!(read(&headers), None, "{text:?}");
        }
    }
}
