//! Lists.

use bytes::Bytes;
use vedetta::proto::v1;

use super::{Client, Failure};

impl Client {
    /// Adds a member to a list.
    pub(crate) fn add_member(&self, cache: &str, key: &str, member: &str) -> Result<(), Failure> {
        let request = self.request(v1::ListEditRequest {
            cache: cache.to_owned(),
            tenant: self.tenant.clone(),
            key: Bytes::copy_from_slice(key.as_bytes()),
            add: vec![Bytes::copy_from_slice(member.as_bytes())],
            ..v1::ListEditRequest::default()
        });
        self.run(self.cache().list_edit(request)).map(|_| ())
    }
}
