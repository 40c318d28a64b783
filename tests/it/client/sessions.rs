//! Calls about sessions, for the stories.

use bytes::Bytes;
use vedetta::proto::v1;
use vedetta::proto::v1::sessions_client::SessionsClient;

use super::{Client, Failure, Transport};

impl Client {
    fn sessions(&self) -> SessionsClient<Transport> {
        SessionsClient::with_origin(self.transport.clone(), self.origin.clone())
    }

    /// The id of a new session; `operation` empty for none.
    pub(crate) fn create(
        &self,
        principal: &str,
        max_inactive: prost_types::Duration,
        operation: &str,
    ) -> Result<String, Failure> {
        let request = self.request(v1::CreateSessionRequest {
            tenant: self.tenant.clone(),
            principal: principal.to_owned(),
            max_inactive: Some(max_inactive),
            operation_id: Bytes::copy_from_slice(operation.as_bytes()),
            ..v1::CreateSessionRequest::default()
        });
        let answer = self.run(self.sessions().create(request))?;
        Ok(answer.session.expect("a session").id)
    }

    pub(crate) fn load(&self, id: &str) -> Result<Option<v1::Session>, Failure> {
        let request = self.request(v1::LoadSessionRequest {
            tenant: self.tenant.clone(),
            id: id.to_owned(),
        });
        Ok(self.run(self.sessions().load(request))?.session)
    }

    /// Sets and removes attributes, and gives the session to somebody if a principal is named.
    pub(crate) fn save(
        &self,
        id: &str,
        set: &[(String, String)],
        remove: &[String],
        principal: Option<&str>,
    ) -> Result<bool, Failure> {
        let pair = |(name, value): &(String, String)| (name.clone(), value.clone().into());
        let request = self.request(v1::SaveSessionRequest {
            tenant: self.tenant.clone(),
            id: id.to_owned(),
            set: set.iter().map(pair).collect(),
            remove: remove.to_vec(),
            principal: principal.map(str::to_owned),
            ..v1::SaveSessionRequest::default()
        });
        Ok(self.run(self.sessions().save(request))?.existed)
    }

    pub(crate) fn touch_session(&self, id: &str) -> Result<bool, Failure> {
        let request = self.request(v1::TouchSessionRequest {
            tenant: self.tenant.clone(),
            id: id.to_owned(),
        });
        Ok(self.run(self.sessions().touch(request))?.existed)
    }

    /// The new id, if there is such a session.
    pub(crate) fn change_id(&self, id: &str) -> Result<Option<String>, Failure> {
        let request = self.request(v1::ChangeSessionIdRequest {
            tenant: self.tenant.clone(),
            id: id.to_owned(),
            ..v1::ChangeSessionIdRequest::default()
        });
        let id = self.run(self.sessions().change_id(request))?.id;
        Ok((!id.is_empty()).then_some(id))
    }

    pub(crate) fn delete(&self, id: &str) -> Result<bool, Failure> {
        let request = self.request(v1::DeleteSessionRequest {
            tenant: self.tenant.clone(),
            id: id.to_owned(),
            durability: None,
        });
        Ok(self.run(self.sessions().delete(request))?.existed)
    }

    pub(crate) fn find(&self, principal: &str) -> Result<Vec<String>, Failure> {
        let request = self.request(v1::FindByPrincipalRequest {
            tenant: self.tenant.clone(),
            principal: principal.to_owned(),
        });
        Ok(self.run(self.sessions().find_by_principal(request))?.ids)
    }
}
