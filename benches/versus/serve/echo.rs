//! `Cache/Get` as a service that answers a hit without looking anything up: what tonic costs at least.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, StdError};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use vedetta::proto::v1;

use crate::requests::{SIZES, key, value};

/// The service alone.
pub(super) fn echo() -> Echo {
    let answer = |size| (Bytes::from(key(size, 0)).slice(..5), hit(value(size)));
    Echo(Arc::new(SIZES.into_iter().map(answer).collect()))
}

/// An answer with every field that vedetta's answers have.
fn hit(value: Bytes) -> v1::GetResponse {
    v1::GetResponse {
        result: Some(v1::get_response::Result::Hit(v1::Hit {
            content: Some(v1::hit::Content::Value(value)),
            version: Bytes::from_static(&[7; 16]),
            remaining_ttl: None,
            source: v1::Source::Master.into(),
            freshness: v1::Freshness::Fresh.into(),
            age_bound: Some(prost_types::Duration::default()),
        })),
    }
}

/// The answers by the first five bytes of the key, which say the size.
#[derive(Clone)]
pub(super) struct Echo(Arc<HashMap<Bytes, v1::GetResponse>>);

impl NamedService for Echo {
    const NAME: &'static str = "vedetta.v1.Cache";
}

impl UnaryService<v1::GetRequest> for Echo {
    type Response = v1::GetResponse;
    type Future = Ready<Result<tonic::Response<Self::Response>, Status>>;

    fn call(&mut self, request: tonic::Request<v1::GetRequest>) -> Self::Future {
        let key = request.into_inner().key;
        let answer = key.get(..5).and_then(|size| self.0.get(size)).cloned();
        ready(
            answer
                .map(tonic::Response::new)
                .ok_or_else(|| Status::new(Code::NotFound, "no value of that size")),
        )
    }
}

impl<B> tower::Service<Request<B>> for Echo
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<StdError> + Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let echo = self.clone();
        let get = request.uri().path() == "/vedetta.v1.Cache/Get";
        Box::pin(async move {
            if !get {
                return Ok(Status::unimplemented("this server only knows Get").into_http());
            }
            Ok(Grpc::new(ProstCodec::default()).unary(echo, request).await)
        })
    }
}
