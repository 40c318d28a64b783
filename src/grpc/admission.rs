//! Admits calls that carry values before their message is read, and holds their place until the answer has been sent.
//!
//! So that a stalled upload and a slow reader count as calls in flight: both hold memory.
//!
//! Not here: the bound (`limit`). Health, status and reflection are small and are not counted, so that they are
//! answered while the cache is overloaded.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, Ready, ready};
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use crate::model::{Cause, Fault};

use super::deadline::Deadline;
use super::limit::{Inflight, Place};
use super::status::status;

/// An answer is handed to the connection in pieces of that size, each of which waits for the reader to make room. In
/// one piece it would lie in the connection's buffer, and its call would be over.
const PIECE: usize = 64 * 1024;

/// A call whose message is not even complete that long after its deadline is answered here. Any other is answered by
/// its handler, at the deadline.
const SLACK: Duration = Duration::from_millis(100);

/// Calls whose path begins so are counted.
const COUNTED: [&str; 3] = [
    "/vedetta.v1.Cache/",
    "/vedetta.v1.Sessions/",
    "/vedetta.v1.Events/Publish",
];

/// Admits, or answers by itself.
#[derive(Debug, Clone)]
pub(super) struct Admission<S> {
    pub(super) inner: S,
    pub(super) inflight: Inflight,
}

impl<S, B> Service<Request<B>> for Admission<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible, Future: Unpin>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<Admitted<S::Future>, Ready<Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        let place = if COUNTED.iter().any(|counted| path.starts_with(counted)) {
            match self.inflight.enter() {
                Ok(place) => Some(place),
                Err(fault) => {
                    let refused: Status = status(&fault);
                    return Either::Right(ready(Ok(refused.into_http())));
                }
            }
        } else {
            None
        };
        let deadline = request.extensions().get::<Deadline>().copied();
        Either::Left(Admitted {
            answer: self.inner.call(request),
            latest: deadline.map(|Deadline(at)| at + SLACK),
            late: None,
            place,
        })
    }
}

/// A call that was admitted.
pub(super) struct Admitted<F> {
    answer: F,
    latest: Option<Instant>,
    /// Until then, if it has to wait at all.
    late: Option<Pin<Box<Sleep>>>,
    place: Option<Place>,
}

impl<F> Future for Admitted<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let answer = match Pin::new(&mut self.answer).poll(cx) {
            Poll::Ready(Ok(answer)) => answer,
            Poll::Pending => {
                let Some(latest) = self.latest else {
                    return Poll::Pending;
                };
                let begin = || Box::pin(tokio::time::sleep_until(latest));
                let late = self.late.get_or_insert_with(begin);
                if late.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                let detail = "the deadline of the call has passed before its message was complete";
                let fault = Fault::unknown(Cause::Deadline, detail);
                return Poll::Ready(Ok(status(&fault).into_http()));
            }
        };
        let place = self.place.take();
        Poll::Ready(Ok(answer.map(|body| {
            Body::new(Held {
                body,
                rest: Bytes::new(),
                _place: place,
            })
        })))
    }
}

/// The body of an answer in pieces, and the place of its call.
struct Held {
    body: Body,
    rest: Bytes,
    _place: Option<Place>,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.rest.is_empty() {
            let frame = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => frame,
                other => return other,
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let mut hint = self.body.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    fn held(body: Body, inflight: &Inflight) -> Held {
        Held {
            body,
            rest: Bytes::new(),
            _place: Some(inflight.enter().expect("a place")),
        }
    }

    #[tokio::test]
    async fn a_large_answer_goes_in_pieces_and_keeps_its_place_until_the_last() {
        let inflight = Inflight::new(1);
        let whole = Bytes::from(vec![7; 2 * PIECE + 1]);
        let full = http_body_util::Full::new(whole.clone());
        let mut body = held(Body::new(full), &inflight);
        let mut received = Vec::new();
        for length in [PIECE, PIECE, 1] {
            assert_eq!(
                body.size_hint().exact(),
                Some((whole.len() - received.len()) as u64)
            );
            let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
            let piece = frame.await.expect("a piece").expect("no error");
            let piece = piece.into_data().expect("data");
            assert_eq!(piece.len(), length);
            received.extend_from_slice(&piece);
            assert!(inflight.enter().is_err());
        }
        assert_eq!(received, whole);
        drop(body);
        assert!(inflight.enter().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_whose_message_never_comes_is_answered_after_its_deadline() {
        let at = Instant::now() + Duration::from_secs(1);
        let inflight = Inflight::new(1);
        let mut admitted = Admitted {
            answer: std::future::pending::<Result<Response<Body>, Infallible>>(),
            latest: Some(at + SLACK),
            late: None,
            place: inflight.enter().ok(),
        };
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(poll!(&mut admitted).is_pending());
        tokio::time::advance(SLACK).await;
        let Ok(answer) = (&mut admitted).await;
        drop(admitted);
        let status = Status::from_header_map(answer.headers()).expect("a status");
        assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
        drop(answer);
        assert!(inflight.enter().is_ok());
    }
}
