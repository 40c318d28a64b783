//! Quotas of the embedded store.
//!
//! It counts by looking at every entry, and only before a write that adds something to a cache with a quota: so the count
//! is exact at any time, and nothing else here has to know of it.
//!
//! Invariants: an entry weighs for its quota what it would weigh in Redis.
//!
//! Not here: what the store itself can hold (`state`).

use crate::config::{Bound, Encoding, Quota};
use crate::model::{CacheId, Fault, Groups, Key, Value};

use super::super::quota::Whose;
use super::super::{frame, layout};
use super::entries::Entry;
use super::state::{Now, State};

/// Entries, and their bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Used(u64, u64);

impl State {
    /// Whether such an entry may take the place of that one.
    ///
    /// # Errors
    /// `Quota`.
    pub(super) fn check_quota(
        &self,
        (cache, key): (&CacheId, &Key),
        (value, groups): (&Value, &Groups),
        current: Option<&Entry>,
        now: Now,
    ) -> Result<(), Fault> {
        let Some(applying) = self.allowance.quotas().of_stored(cache) else {
            return Ok(());
        };
        let after = bytes(cache, key, value, groups);
        let before = current.map(|entry| bytes(cache, key, &entry.value, &entry.groups));
        let more = Used(
            u64::from(before.is_none()),
            after.saturating_sub(before.unwrap_or_default()),
        );
        let rules = [
            (Whose::Cache, applying.cache),
            (Whose::Tenant, applying.tenant),
        ];
        for (whose, quota) in rules {
            let Some(Quota { entries, bytes, .. }) = quota else {
                continue;
            };
            let used = self.used(cache, whose, now);
            let bounds = [
                (Bound::Entries, *entries, used.0, more.0),
                (Bound::Bytes, *bytes, used.1, more.1),
            ];
            for (bound, most, used, more) in bounds {
                if most.is_some_and(|most| more > 0 && used + more > most) {
                    return Err(self.allowance.exceeded((cache, whose), bound, used));
                }
            }
        }
        Ok(())
    }

    fn used(&self, cache: &CacheId, whose: Whose, now: Now) -> Used {
        let counts = |of: &CacheId| match whose {
            Whose::Cache => of == cache,
            Whose::Tenant => {
                let framed = self.rules.policy(&of.name).encoding == Encoding::Framed;
                of.tenant == cache.tenant && framed
            }
        };
        let live =
            (self.entries.iter()).filter(|(place, entry)| self.is_live(&place.cache, entry, now));
        let counted = live.filter(|(place, _)| counts(&place.cache));
        counted.fold(Used::default(), |Used(entries, sum), (place, entry)| {
            let bytes = bytes(&place.cache, &place.key, &entry.value, &entry.groups);
            Used(entries + 1, sum + bytes)
        })
    }
}

fn bytes(cache: &CacheId, key: &Key, value: &Value, groups: &Groups) -> u64 {
    (layout::entry_bytes(cache, key) + frame::framed_bytes(value, groups)) as u64
}
