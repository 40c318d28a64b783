//! Calls about whole caches: Clear and ListCaches.
//!
//! Not here: those about entries (`cache`), and those in streams (`bulk`).

use crate::cache::{Call, Store};
use crate::proto::v1;

use super::cache::CacheService;
use super::convert;
use super::metrics::Outcome;
use super::request::Answer;

impl<S: Store> CacheService<S> {
    pub(super) async fn do_clear(
        &self,
        call: Call,
        request: v1::ClearRequest,
    ) -> Answer<v1::ClearResponse> {
        let mut check = self.checker();
        let durability = check.durability(request.durability);
        let cache = check.cache(&request.tenant, &request.cache);
        let (cache, durability) = check.finish(|| Some((cache?, durability?)))?;
        let call = call.durable(durability);
        let written = self.cache.clear(call, &cache).await?;
        let answer = v1::ClearResponse {
            removed: written.answer,
            token: convert::token(written.token),
        };
        Ok((answer, Outcome::Done))
    }

    pub(super) async fn do_list_caches(
        &self,
        call: Call,
        request: v1::ListCachesRequest,
    ) -> Answer<v1::ListCachesResponse> {
        let mut check = self.checker();
        let tenant = check.tenant(&request.tenant);
        let tenant = check.finish(|| tenant)?;
        let caches = self.cache.caches(call, &tenant).await?;
        let caches = caches
            .iter()
            .map(|cache| convert::cache_info(cache, self.cache.policy(cache)))
            .collect();
        Ok((v1::ListCachesResponse { caches }, Outcome::Done))
    }
}
