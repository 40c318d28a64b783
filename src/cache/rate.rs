//! How often a cache or a tenant is called: token buckets, by value; the moment is an argument.
//!
//! A bucket holds what fits into a second and is full at first. It is kept as the moment at which it will be full again,
//! so one that is full is the same as none: that is what is forgotten first.
//!
//! Invariants: bounded in number, since names come from callers; those that find no place share one bucket. On average no
//! more calls are let in than the rate allows, also where one batch is larger than the bucket: it finds the bucket full
//! and leaves a debt.
//!
//! Not here: whose rate it is (`quota`), and the clock.

use std::collections::HashMap;
use std::time::Duration;

use crate::model::{CacheId, Moment, Tenant};

/// What a bucket holds when it is full, as time.
const BURST: Duration = Duration::from_secs(1);

/// Most buckets that are not full.
const MOST: usize = 10_000;

/// What is bounded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    Cache(CacheId),
    Tenant(Tenant),
}

/// The buckets that are not full.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    /// When each will be full.
    full: HashMap<Scope, Moment>,
    /// That of the scopes without a place.
    shared: Moment,
    /// When full ones were last looked for.
    looked: Moment,
}

impl Buckets {
    /// How long it takes until that many tokens can be taken at that rate a second; zero if they can be now.
    pub(super) fn wait(&self, scope: &Scope, rate: u64, tokens: u64, now: Moment) -> Duration {
        let full = self.full.get(scope).copied();
        let full = full.unwrap_or_else(|| self.without(now));
        let needed = time(rate, tokens).min(BURST);
        (full.since(now) + needed).saturating_sub(BURST)
    }

    /// Takes that many tokens, which leaves a debt where there are not enough.
    pub(super) fn take(&mut self, scope: &Scope, rate: u64, tokens: u64, now: Moment) {
        let full = self.bucket(scope, now);
        *full = (*full).max(now) + time(rate, tokens);
    }

    /// Takes that many tokens, or as many as there are.
    pub(super) fn take_what_is_there(
        &mut self,
        scope: &Scope,
        rate: u64,
        tokens: u64,
        now: Moment,
    ) {
        let full = self.bucket(scope, now);
        let after = (*full).max(now) + time(rate, tokens);
        *full = after.min(now + BURST).max(*full);
    }

    fn bucket(&mut self, scope: &Scope, now: Moment) -> &mut Moment {
        if !self.full.contains_key(scope) {
            self.forget_full(now);
            if self.full.len() >= MOST {
                return &mut self.shared;
            }
        }
        self.full.entry(scope.clone()).or_insert(now)
    }

    /// The bucket of a scope that has none of its own.
    fn without(&self, now: Moment) -> Moment {
        let crowded = self.full.len() >= MOST && now.since(self.looked) < BURST;
        if crowded { self.shared } else { now }
    }

    /// At most once in the time in which a bucket fills, where there is no place.
    fn forget_full(&mut self, now: Moment) {
        if self.full.len() >= MOST && now.since(self.looked) >= BURST {
            self.full.retain(|_, full| *full > now);
            self.looked = now;
        }
    }
}

/// How long it takes to earn that many tokens.
fn time(rate: u64, tokens: u64) -> Duration {
    Duration::from_nanos(tokens.saturating_mul(1_000_000_000) / rate.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn scope(name: &str) -> Scope {
        Scope::Tenant(Tenant::new(name).expect("tenant"))
    }

    fn at(ms: u32) -> Moment {
        Moment::after_boot(Duration::from_secs(100) + ms * MS)
    }

    /// Takes one token if there is one; otherwise tells how long it takes.
    fn ask(buckets: &mut Buckets, name: &str, tokens: u64, now: Moment) -> Result<(), Duration> {
        let wait = buckets.wait(&scope(name), 10, tokens, now);
        if wait > Duration::ZERO {
            return Err(wait);
        }
        buckets.take(&scope(name), 10, tokens, now);
        Ok(())
    }

    #[test]
    fn a_bucket_holds_a_second_and_fills_evenly() {
        let mut buckets = Buckets::default();
        for _ in 0..10 {
            assert_eq!(ask(&mut buckets, "a", 1, at(0)), Ok(()));
        }
        assert_eq!(ask(&mut buckets, "a", 1, at(0)), Err(100 * MS));
        assert_eq!(ask(&mut buckets, "b", 1, at(0)), Ok(()));
        assert_eq!(ask(&mut buckets, "a", 1, at(99)), Err(MS));
        assert_eq!(ask(&mut buckets, "a", 1, at(100)), Ok(()));
        assert_eq!(ask(&mut buckets, "a", 3, at(100)), Err(300 * MS));
        assert_eq!(ask(&mut buckets, "a", 3, at(400)), Ok(()));
        // It holds no more than it holds, however long nobody calls.
        assert_eq!(ask(&mut buckets, "a", 10, at(60_000)), Ok(()));
        assert_eq!(ask(&mut buckets, "a", 1, at(60_000)), Err(100 * MS));
    }

    #[test]
    fn a_batch_larger_than_the_bucket_waits_until_it_is_full_and_leaves_a_debt() {
        let mut buckets = Buckets::default();
        assert_eq!(ask(&mut buckets, "a", 1, at(0)), Ok(()));
        assert_eq!(ask(&mut buckets, "a", 25, at(0)), Err(100 * MS));
        assert_eq!(ask(&mut buckets, "a", 25, at(100)), Ok(()));
        // 25 tokens are 2.5 s, of which 1 s was there.
        assert_eq!(ask(&mut buckets, "a", 1, at(100)), Err(1_600 * MS));
    }

    #[test]
    fn what_is_not_refused_empties_the_bucket_and_leaves_no_debt() {
        let mut buckets = Buckets::default();
        for _ in 0..50 {
            buckets.take_what_is_there(&scope("a"), 10, 1, at(0));
        }
        assert_eq!(ask(&mut buckets, "a", 1, at(0)), Err(100 * MS));
        // A debt that is there stays.
        assert_eq!(ask(&mut buckets, "a", 20, at(1_000)), Ok(()));
        buckets.take_what_is_there(&scope("a"), 10, 1, at(1_000));
        assert_eq!(ask(&mut buckets, "a", 1, at(1_000)), Err(1_100 * MS));
    }

    #[test]
    fn names_without_end_share_one_bucket_and_full_ones_are_forgotten() {
        let mut buckets = Buckets::default();
        for number in 0..MOST {
            assert_eq!(ask(&mut buckets, &number.to_string(), 1, at(0)), Ok(()));
        }
        for number in 0..10 {
            let name = format!("more {number}");
            assert_eq!(ask(&mut buckets, &name, 1, at(0)), Ok(()), "{number}");
        }
        assert_eq!(ask(&mut buckets, "one too many", 1, at(0)), Err(100 * MS));
        assert_eq!(buckets.full.len(), MOST);
        assert_eq!(ask(&mut buckets, "later", 1, at(1_000)), Ok(()));
        assert_eq!(buckets.full.len(), 1);
    }
}
