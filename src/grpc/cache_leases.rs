//! The calls of `vedetta.v1.Cache` about leases.
//!
//! Not here: what all calls of that service have (`cache`).

use crate::cache::{Call, Filling, Store};
use crate::model::Address;
use crate::proto::v1;
use crate::proto::v1::get_or_lease_response::Result as Answered;

use super::cache::CacheService;
use super::convert;
use super::metrics::Outcome;
use super::request::Answer;

impl<S: Store> CacheService<S> {
    pub(super) async fn do_get_or_lease(
        &self,
        call: Call,
        request: v1::GetOrLeaseRequest,
    ) -> Answer<v1::GetOrLeaseResponse> {
        let mut check = self.checker();
        let cache = check.cache(&request.tenant, &request.cache);
        check.leased(self.encoding(cache.as_ref()));
        let wish = check.wish(&request);
        let key = check.key("key", request.key);
        let (address, wish) = check.finish(|| {
            let address = Address {
                cache: cache?,
                key: key?,
            };
            Some((address, wish?))
        })?;
        let filling = self.cache.get_or_lease(call, &address, &wish).await;
        let lease = |lease: &crate::model::Lease| lease.as_bytes().clone();
        let (result, refresh, outcome) = match filling? {
            Filling::Hit(hit, refresh) => {
                let refresh = refresh.as_ref().map(lease).unwrap_or_default();
                (Answered::Hit(convert::hit(hit)), refresh, Outcome::Hit)
            }
            Filling::Lease(given) => (
                Answered::Lease(lease(&given)),
                bytes::Bytes::new(),
                Outcome::Leased,
            ),
            Filling::Miss(evidence) => {
                let miss = Answered::Miss(convert::miss(evidence));
                (miss, bytes::Bytes::new(), Outcome::Miss)
            }
        };
        let answer = v1::GetOrLeaseResponse {
            result: Some(result),
            refresh,
        };
        Ok((answer, outcome))
    }

    pub(super) async fn do_release_lease(
        &self,
        call: Call,
        request: v1::ReleaseLeaseRequest,
    ) -> Answer<v1::ReleaseLeaseResponse> {
        let mut check = self.checker();
        let cache = check.cache(&request.tenant, &request.cache);
        check.leased(self.encoding(cache.as_ref()));
        let lease = check.lease(request.lease);
        let key = check.key("key", request.key);
        let (address, lease) = check.finish(|| {
            let address = Address {
                cache: cache?,
                key: key?,
            };
            Some((address, lease?))
        })?;
        let released = self.cache.release_lease(call, &address, &lease).await;
        let held = released?;
        let outcome = if held { Outcome::Done } else { Outcome::Absent };
        Ok((v1::ReleaseLeaseResponse { held }, outcome))
    }
}
