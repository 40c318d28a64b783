//! Services that a later version serves: each rpc says so.

use tonic::{Request, Response, Status};

use crate::proto::v1;

use super::status::missing;

/// Stands for the services that are not there yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Later;

macro_rules! later {
    ($service:path { $($rpc:ident, $name:literal, $request:ty, $response:ty;)+ }) => {
        #[tonic::async_trait]
        impl $service for Later {
            $(async fn $rpc(&self, _: Request<$request>) -> Result<Response<$response>, Status> {
                Err(missing($name))
            })+
        }
    };
}

later! {
    v1::sessions_server::Sessions {
        create, "Sessions/Create", v1::CreateSessionRequest, v1::CreateSessionResponse;
        load, "Sessions/Load", v1::LoadSessionRequest, v1::LoadSessionResponse;
        save, "Sessions/Save", v1::SaveSessionRequest, v1::SaveSessionResponse;
        touch, "Sessions/Touch", v1::TouchSessionRequest, v1::TouchSessionResponse;
        change_id, "Sessions/ChangeId", v1::ChangeSessionIdRequest, v1::ChangeSessionIdResponse;
        delete, "Sessions/Delete", v1::DeleteSessionRequest, v1::DeleteSessionResponse;
        find_by_principal, "Sessions/FindByPrincipal",
            v1::FindByPrincipalRequest, v1::FindByPrincipalResponse;
    }
}
