//! The calls of `vedetta.v1.Cache` about lists and deadlines.
//!
//! Not here: what all calls of that service have (`cache`).

use crate::cache::{Call, Store};
use crate::model::Address;
use crate::proto::v1;

use super::cache::CacheService;
use super::convert;
use super::metrics::Outcome;
use super::request::Answer;

impl<S: Store> CacheService<S> {
    pub(super) async fn do_list_edit(
        &self,
        call: Call,
        request: v1::ListEditRequest,
    ) -> Answer<v1::ListEditResponse> {
        let mut check = self.checker();
        let durability = check.durability(request.durability);
        let cache = check.cache(&request.tenant, &request.cache);
        let edit = check.list_edit(
            request.key,
            request.remove,
            request.add,
            request.operation_id,
        );
        let (cache, edit, durability) = check.finish(|| Some((cache?, edit?, durability?)))?;
        let written = self
            .cache
            .edit_list(call.durable(durability), &cache, edit)
            .await?;
        let answer = v1::ListEditResponse {
            members: written.answer.members,
            version: written.answer.version.as_bytes().clone(),
            token: convert::token(written.token),
        };
        Ok((answer, Outcome::Done))
    }

    pub(super) async fn do_set_deadline(
        &self,
        call: Call,
        request: v1::SetDeadlineRequest,
    ) -> Answer<v1::SetDeadlineResponse> {
        let mut check = self.checker();
        let cache = check.cache(&request.tenant, &request.cache);
        let key = check.key("key", request.key);
        let deadline = check.moment("deadline", request.deadline);
        let (address, deadline) = check.finish(|| {
            let address = Address {
                cache: cache?,
                key: key?,
            };
            Some((address, deadline?))
        })?;
        let applied_to_entry = self.cache.set_deadline(call, &address, deadline).await?;
        let outcome = match applied_to_entry {
            true => Outcome::Touched,
            false => Outcome::Absent,
        };
        Ok((v1::SetDeadlineResponse { applied_to_entry }, outcome))
    }
}
