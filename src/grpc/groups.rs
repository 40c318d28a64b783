//! The rpcs of `vedetta.v1.Cache` about groups: check, call, convert.
//!
//! Not here: the other rpcs (`cache`), what a flush means (`crate::cache`).

use crate::cache::{Call, Store};
use crate::model::Address;
use crate::proto::v1;

use super::cache::CacheService;
use super::convert;
use super::metrics::Outcome;
use super::request::Answer;

impl<S: Store> CacheService<S> {
    pub(super) async fn do_add_to_groups(
        &self,
        call: Call,
        request: v1::AddToGroupsRequest,
    ) -> Answer<v1::AddToGroupsResponse> {
        let mut check = self.checker();
        let cache = check.cache(&request.tenant, &request.cache);
        let key = check.key("key", request.key);
        let encoding = self.encoding(cache.as_ref());
        let groups = check.some_groups("groups", &request.groups, encoding);
        let (address, groups) = check.finish(|| {
            let address = Address {
                cache: cache?,
                key: key?,
            };
            Some((address, groups?))
        })?;
        let applied_to_entry = self.cache.add_to_groups(call, &address, &groups).await?;
        let outcome = if applied_to_entry {
            Outcome::Done
        } else {
            Outcome::Absent
        };
        Ok((v1::AddToGroupsResponse { applied_to_entry }, outcome))
    }

    pub(super) async fn do_flush_groups(
        &self,
        call: Call,
        request: v1::FlushGroupsRequest,
    ) -> Answer<v1::FlushGroupsResponse> {
        let mut check = self.checker();
        let durability = check.durability(request.durability);
        let cache = check.cache(&request.tenant, &request.cache);
        let encoding = self.encoding(cache.as_ref());
        let groups = check.flushed_groups("groups", &request.groups, encoding);
        let (cache, groups, durability) = check.finish(|| Some((cache?, groups?, durability?)))?;
        let written = self
            .cache
            .flush_groups(call.durable(durability), &cache, &groups)
            .await?;
        let answer = v1::FlushGroupsResponse {
            token: convert::token(written.token),
        };
        Ok((answer, Outcome::Done))
    }
}
