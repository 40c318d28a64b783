//! One connection: HTTP/2 by hyper, on which the routes of tonic answer.
//!
//! Not here: who accepts it (`server`); when its writes leave (`coalesce`).

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::Either;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tower::Service;

use super::admission::Admission;
use super::deadline::WithDeadline;
use super::inline::Inline;
use super::limit::Inflight;

/// Calls at a time on one connection; more where `limits.inflight_calls` is, so that those who wait for leases, which are
/// half of that at most, leave room for the one who fills.
const STREAMS: u32 = 1024;

/// Lets a value of some MiB pass without stopping for a window update.
const STREAM_WINDOW: u32 = 1 << 20;

/// Many times that, so that streams which are not read for a while, as those of a pipeline in a failover, leave room for
/// others. Half of it is also what h2 tolerates of small frames that nobody has read: it charges 256 bytes less its
/// length for each, and closes the connection beyond, so a stream of small requests has to stop before by its own window.
const CONNECTION_WINDOW: u32 = 32 << 20;

/// A peer that does not answer a ping is gone. On one machine that is a frozen process.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// What answers: the service that most calls are for, and the routes to all others. The routes cost several allocations
/// for each call, as much as a hit does.
#[derive(Debug, Clone)]
pub struct Served<C> {
    /// Whatever is called by a path that begins with [`NamedService::NAME`] of it.
    pub hot: C,
    /// The rest.
    pub routes: Routes,
}

impl<C> Service<Request<Incoming>> for Served<C>
where
    C: Hot,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<C::Future, Pin<Box<<Routes as Service<Request<Incoming>>>::Future>>>;

    /// Both are always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let path = request.uri().path().strip_prefix('/');
        let method = path.and_then(|path| path.strip_prefix(C::NAME));
        match method {
            Some(method) if method.starts_with('/') => Either::Left(self.hot.call(request)),
            _ => Either::Right(Box::pin(self.routes.call(request))),
        }
    }
}

/// A service as tonic generates it.
pub trait Hot:
    Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send + Unpin>
    + NamedService
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<C> Hot for C where
    C: Service<
            Request<Incoming>,
            Response = Response<Body>,
            Error = Infallible,
            Future: Send + Unpin,
        > + NamedService
        + Clone
        + Send
        + Sync
        + 'static
{
}

type Http<C> = WithDeadline<Admission<Served<C>>>;
type Connection<IO, C> = http2::Connection<TokioIo<IO>, TowerToHyperService<Http<C>>, Inline>;

pub(super) fn connection<IO, C>(
    stream: IO,
    served: Served<C>,
    inflight: Inflight,
) -> Connection<IO, C>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    C: Hot,
{
    let streams = u32::try_from(inflight.most()).map_or(u32::MAX, |most| most.max(STREAMS));
    let http = WithDeadline(Admission {
        inner: served,
        inflight,
    });
    http2::Builder::new(Inline)
        .timer(TokioTimer::new())
        // Nobody reads it.
        .auto_date_header(false)
        .max_concurrent_streams(streams)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(http))
}
