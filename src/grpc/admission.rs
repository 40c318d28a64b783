//! Admits calls to the cache before their message is read, and holds their place until the answer has been sent.
//!
//! So that a stalled upload and a slow reader count as calls in flight: both hold memory.
//!
//! Not here: the bound (`limit`). Health, status and reflection are small and are not counted, so that they are
//! answered while the cache is overloaded.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::{Either, Ready, ready};
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use super::limit::{Inflight, Place};
use super::status::status;

/// Calls whose path begins so are counted.
const COUNTED: &str = "/vedetta.v1.Cache/";

/// Admits, or answers by itself.
#[derive(Debug, Clone)]
pub(super) struct Admission<S> {
    pub(super) inner: S,
    pub(super) inflight: Inflight,
}

impl<S, B> Service<Request<B>> for Admission<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<Admitted<S::Future>, Ready<Result<Response<Body>, Infallible>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let place = if request.uri().path().starts_with(COUNTED) {
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
        Either::Left(Admitted {
            answer: Box::pin(self.inner.call(request)),
            place,
        })
    }
}

/// A call that was admitted.
pub(super) struct Admitted<F> {
    answer: Pin<Box<F>>,
    place: Option<Place>,
}

impl<F> Future for Admitted<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Poll::Ready(Ok(answer)) = self.answer.as_mut().poll(cx) else {
            return Poll::Pending;
        };
        let place = self.place.take();
        Poll::Ready(Ok(answer.map(|body| {
            Body::new(Held {
                body,
                _place: place,
            })
        })))
    }
}

/// The body of an answer, and the place of its call.
struct Held {
    body: Body,
    _place: Option<Place>,
}

impl HttpBody for Held {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
