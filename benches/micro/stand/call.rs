//! Calls of the service without a connection: what hyper would hand over goes in, what it would send comes out.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame};
use prost::Message;
use tonic::body::Body;
use tower::Service as _;
use vedetta::cache::Embedded;
use vedetta::grpc::CacheService;
use vedetta::proto::v1::cache_server::CacheServer;

/// What stands before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// The outcome of what need not wait.
pub(crate) fn at_once<T>(work: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match std::pin::pin!(work).poll(&mut context) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("the embedded store never waits"),
    }
}

/// A message as gRPC sends it.
pub(crate) fn frame(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(PREFIX + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).expect("a short message"));
    message.encode(&mut frame).expect("there is room");
    frame.freeze()
}

/// A body in one piece.
struct Whole(Option<Bytes>);

impl HttpBody for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
    }
}

/// The service as the server has it.
pub(crate) struct Server(CacheServer<CacheService<Embedded>>);

impl Server {
    pub(crate) fn new(service: CacheService<Embedded>) -> Self {
        Self(CacheServer::new(service))
    }

    /// Does a unary call; how many bytes were answered.
    pub(crate) fn call(&mut self, path: &'static str, frame: Bytes) -> usize {
        let request = http::Request::post(path)
            .header(http::header::CONTENT_TYPE, "application/grpc")
            .header(http::header::TE, "trailers")
            .body(Body::new(Whole(Some(frame))))
            .expect("a legal request");
        let Ok(response) = at_once(self.0.call(request));
        let mut body = response.into_body();
        let mut answered = 0;
        while let Some(Ok(frame)) = at_once(std::future::poll_fn(|context| {
            Pin::new(&mut body).poll_frame(context)
        })) {
            answered += frame.data_ref().map_or(0, Bytes::len);
        }
        answered
    }
}
