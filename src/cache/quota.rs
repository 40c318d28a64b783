//! What quotas leave to a call, and the refusal of one that would be more.
//!
//! Calls are counted here, in this process, before anything is sent. Entries and bytes are counted where they are stored
//! (`remote/scripts/usage.lua`, `embedded/quota.rs`), in the same step as the write that adds them.
//!
//! Invariants: nothing is looked at where there are no quotas. What only removes is never refused, since a cache that
//! cannot be invalidated is wrong; it does take its share of the calls.
//!
//! Not here: the rules (`config::Quotas`); how a rate is kept (`rate`).

use std::fmt::{self, Display, Formatter};

use metrics::{Counter, counter, describe_counter};
use parking_lot::Mutex;

use crate::clock;
use crate::config::{Applying, Bound, Quota, Quotas};
use crate::model::{CacheId, Cause, Fault, Moment};

use super::rate::{Buckets, Scope};

/// What is left, and to whom.
#[derive(Debug)]
pub struct Allowance {
    quotas: Quotas,
    buckets: Mutex<Buckets>,
    entries: Counter,
    bytes: Counter,
    rate: Counter,
}

impl Default for Allowance {
    fn default() -> Self {
        Self::new(Quotas::default())
    }
}

/// Whose quota it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// That of a cache.
    Cache,
    /// That of all caches of its tenant.
    Tenant,
}

impl Allowance {
    /// By these rules; registers with the recorder of the moment.
    pub fn new(quotas: Quotas) -> Self {
        describe_counter!(
            "vedetta_quota_refusals_total",
            "Calls, or items of a batch, refused because of a quota, by what it bounds"
        );
        let refused =
            |bound: &'static str| counter!("vedetta_quota_refusals_total", "quota" => bound);
        Self {
            quotas,
            buckets: Mutex::default(),
            entries: refused("entries"),
            bytes: refused("bytes"),
            rate: refused("rate"),
        }
    }

    /// The rules.
    pub(super) fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// Lets a call of that many items in. A batch is let in or refused as a whole.
    ///
    /// # Errors
    /// `Quota`, with the time until it would be let in.
    pub(super) fn call(&self, cache: &CacheId, items: usize) -> Result<(), Fault> {
        if self.quotas.is_empty() {
            return Ok(());
        }
        self.call_at(cache, items, clock::now())
    }

    fn call_at(&self, cache: &CacheId, items: usize, now: Moment) -> Result<(), Fault> {
        let (rates, tokens) = (self.rates(cache), items as u64);
        let mut buckets = self.buckets.lock();
        let waits = rates.iter().map(|(whose, scope, rate, quota)| {
            (buckets.wait(scope, *rate, tokens, now), whose, quota)
        });
        if let Some((wait, whose, quota)) = waits.max_by_key(|(wait, ..)| *wait)
            && !wait.is_zero()
        {
            self.rate.increment(1);
            let named = Named(*whose, cache);
            let detail = format!(
                "{named} is called more often than its quota `{quota}` allows in this vedetta; call again in {} ms",
                wait.as_nanos().div_ceil(1_000_000)
            );
            return Err(Fault::not_applied(Cause::Quota, detail).retry_in(wait));
        }
        for (_, scope, rate, _) in &rates {
            buckets.take(scope, *rate, tokens, now);
        }
        Ok(())
    }

    /// Counts a call that is let in anyhow: one that only removes, or a step of one that was let in.
    pub(super) fn debit(&self, cache: &CacheId, items: usize) {
        if !self.quotas.is_empty() {
            self.debit_at(cache, items, clock::now());
        }
    }

    fn debit_at(&self, cache: &CacheId, items: usize, now: Moment) {
        let rates = self.rates(cache);
        let mut buckets = self.buckets.lock();
        for (_, scope, rate, _) in &rates {
            buckets.take_what_is_there(scope, *rate, items as u64, now);
        }
    }

    fn rates(&self, cache: &CacheId) -> Vec<(Whose, Scope, u64, &Quota)> {
        let Applying {
            cache: own,
            tenant: all,
        } = self.quotas.of(cache);
        let rate = |quota: &Quota| quota.rate;
        let own = own.and_then(|quota| {
            Some((
                Whose::Cache,
                Scope::Cache(cache.clone()),
                rate(quota)?,
                quota,
            ))
        });
        let all = all.and_then(|quota| {
            let scope = Scope::Tenant(cache.tenant.clone());
            Some((Whose::Tenant, scope, rate(quota)?, quota))
        });
        own.into_iter().chain(all).collect()
    }

    /// The fault of a write that would add more entries or bytes than are left; so much is used.
    pub(super) fn exceeded(
        &self,
        (cache, whose): (&CacheId, Whose),
        bound: Bound,
        used: u64,
    ) -> Fault {
        let (counter, what) = match bound {
            Bound::Entries => (&self.entries, "entries"),
            Bound::Bytes => (&self.bytes, "bytes"),
        };
        counter.increment(1);
        let Applying {
            cache: own,
            tenant: all,
        } = self.quotas.of(cache);
        let quota = match whose {
            Whose::Cache => own,
            Whose::Tenant => all,
        };
        let quota = quota.map_or_else(String::new, Quota::to_string);
        let named = Named(whose, cache);
        Fault::not_applied(
            Cause::Quota,
            format!(
                "{named} holds {used} {what}, and the write would exceed its quota `{quota}`; remove entries, wait for \
                 some to expire, or raise the quota"
            ),
        )
    }
}

/// Whose quota it is, in words.
struct Named<'a>(Whose, &'a CacheId);

impl Display for Named<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(whose, CacheId { tenant, name }) = self;
        if *whose == Whose::Cache {
            write!(f, "cache `{}` of ", name.as_str())?;
        }
        if tenant.is_primary() {
            return f.write_str("the primary tenant");
        }
        write!(f, "tenant `{}`", tenant.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::CacheRules;
    use crate::model::{CacheName, Tenant};

    use super::*;

    fn cache(tenant: &str, name: &str) -> CacheId {
        CacheId {
            tenant: Tenant::new(tenant).expect("tenant"),
            name: CacheName::new(name).expect("cache"),
        }
    }

    const NOW: Moment = Moment::START;

    fn allowance() -> Allowance {
        let rule = |cache: Option<&str>, tenant: &str, rate| Quota {
            cache: cache.map(str::to_owned),
            tenant: Some(tenant.to_owned()),
            rate: Some(rate),
            ..Quota::default()
        };
        let rules = vec![rule(Some("c*"), "*", 2), rule(None, "t", 5)];
        Allowance::new(Quotas::new(rules, CacheRules::default()))
    }

    #[test]
    fn a_call_needs_what_its_cache_and_its_tenant_have_left() {
        let allowance = allowance();
        assert_eq!(allowance.call_at(&cache("t", "c1"), 2, NOW), Ok(()));
        let refused = allowance
            .call_at(&cache("t", "c1"), 1, NOW)
            .expect_err("refused");
        assert_eq!(refused.cause, Cause::Quota);
        assert!(refused.retry_after().is_some_and(|wait| !wait.is_zero()));
        let begins = "cache `c1` of tenant `t` is called more often than its quota `cache=c* tenant=* rate=2/s`";
        assert!(refused.detail.starts_with(begins), "{}", refused.detail);
        // A call that is refused takes nothing, neither from its cache nor from its tenant.
        assert_eq!(allowance.call_at(&cache("t", "c2"), 2, NOW), Ok(()));
        let refused = allowance
            .call_at(&cache("t", "other"), 5, NOW)
            .expect_err("refused");
        assert!(
            refused.detail.starts_with("tenant `t` is called"),
            "{}",
            refused.detail
        );
        assert_eq!(allowance.call_at(&cache("t", "other"), 1, NOW), Ok(()));
        assert_eq!(allowance.call_at(&cache("", "c1"), 2, NOW), Ok(()));
        assert_eq!(allowance.call_at(&cache("", "free"), 1_000, NOW), Ok(()));
    }

    #[test]
    fn what_removes_is_let_in_and_counts() {
        let allowance = allowance();
        allowance.debit_at(&cache("", "c1"), 100, NOW);
        assert!(allowance.call_at(&cache("", "c1"), 1, NOW).is_err());
        // It leaves no debt.
        let later = NOW + Duration::from_millis(500);
        assert_eq!(allowance.call_at(&cache("", "c1"), 1, later), Ok(()));
        allowance.debit_at(&cache("", "c1"), 1, NOW);
    }
}
