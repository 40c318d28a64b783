//! The parts of requests about leases.
//!
//! Not here: what all requests have (`check`).

use std::time::Duration;

use bytes::Bytes;

use crate::cache::Wish;
use crate::config::Encoding;
use crate::model::{CacheId, Lease};
use crate::proto::v1;

use super::check::Checker;

/// How long others wait, and how long filling may take, where nothing is said.
const USUAL: Duration = Duration::from_secs(10);

/// The longest that filling may take, and that anybody waits for it.
const LONGEST_HOLD: Duration = Duration::from_secs(600);

/// Why a raw cache has none.
const RAW: &str = "is a raw cache, where foreign writers could not end a lease; use Get and Put, or make the cache framed \
                   (caches)";

impl<Admit: Fn(&CacheId) -> Result<(), String>> Checker<'_, Admit> {
    /// The lease of a Put, if it has one.
    pub(super) fn put_lease(
        &mut self,
        lease: Bytes,
        encoding: Option<Encoding>,
    ) -> Option<Option<Lease>> {
        if lease.is_empty() {
            return Some(None);
        }
        self.leased(encoding);
        self.lease(lease).map(Some)
    }

    pub(super) fn lease(&mut self, lease: Bytes) -> Option<Lease> {
        match Lease::from_caller(lease) {
            Some(lease) => Some(lease),
            None => self.refuse("lease", "is no lease; send what GetOrLease answered"),
        }
    }

    /// That leases are possible there.
    pub(super) fn leased(&mut self, encoding: Option<Encoding>) {
        if encoding == Some(Encoding::Raw) {
            self.refuse::<()>("cache", RAW);
        }
    }

    pub(super) fn wish(&mut self, request: &v1::GetOrLeaseRequest) -> Option<Wish> {
        let consistency = self.consistency(request.consistency.clone());
        let mut part = |field, duration: &Option<prost_types::Duration>| match duration {
            None => Some(None),
            Some(duration) => self.duration(field, *duration).map(Some),
        };
        let max_wait = part("max_wait", &request.max_wait);
        let hold = part("hold", &request.hold);
        let refresh_within = part("refresh_within", &request.refresh_within);
        let hold = hold?.unwrap_or(USUAL);
        if hold.is_zero() || hold > LONGEST_HOLD {
            let problem = format!(
                "must be more than 0 and at most {} s",
                LONGEST_HOLD.as_secs()
            );
            return self.refuse("hold", problem);
        }
        Some(Wish {
            consistency: consistency?,
            max_wait: max_wait?.unwrap_or(USUAL).min(LONGEST_HOLD),
            hold,
            refresh_within: refresh_within?,
        })
    }
}
