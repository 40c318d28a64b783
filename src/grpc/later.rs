//! Services that a later version serves: each rpc says so.

use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use crate::proto::v1;

use super::status::missing;

/// Stands for the services that are not there yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Later;

macro_rules! later {
    ($service:path { [$($stream:ident = $item:ty)?] $($rpc:ident, $name:literal, $request:ty, $response:ty;)+ }) => {
        #[tonic::async_trait]
        impl $service for Later {
            $(type $stream = BoxStream<$item>;)?

            $(async fn $rpc(&self, _: Request<$request>) -> Result<Response<$response>, Status> {
                Err(missing($name))
            })+
        }
    };
}

later! {
    v1::events_server::Events {
        [SubscribeStream = v1::SubscribeResponse]
        publish, "Events/Publish", v1::PublishRequest, v1::PublishResponse;
        subscribe, "Events/Subscribe", v1::SubscribeRequest, Self::SubscribeStream;
    }
}
