//! How much a cache or a tenant may hold and how often it may be called, by the first rule that matches its name.
//!
//! A rule that names a cache bounds each cache that it matches by itself; one that names only a tenant bounds all caches
//! of each tenant that it matches together. So at most two rules hold for a call.
//!
//! Invariants: every rule bounds something; entries and bytes are counted in framed caches only.
//!
//! Not here: the text of rules (`quota_rules`); counting (`cache`).

use std::fmt;

use super::caches::{CacheRules, Encoding, covers};
use super::units::format_size;
use crate::model::CacheId;

/// What may be bounded of what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// How many entries.
    Entries,
    /// How many bytes, keys and headers included.
    Bytes,
}

/// A rule: for whom, and what is bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// The name of a cache, or the beginning of names and one `*`; `None` for all caches of a tenant together.
    pub cache: Option<String>,
    /// The same of a tenant, empty for the primary one; `None` for every tenant.
    pub tenant: Option<String>,
    /// The most entries.
    pub entries: Option<u64>,
    /// The most bytes.
    pub bytes: Option<u64>,
    /// The most calls in a second, the items of a batch counted one by one.
    pub rate: Option<u64>,
}

impl Quota {
    /// Whether it is for that cache, or for its tenant.
    fn matches(&self, cache: &CacheId) -> bool {
        let named = |pattern: &Option<String>, name: &str| {
            pattern.as_ref().is_none_or(|pattern| covers(pattern, name))
        };
        named(&self.cache, cache.name.as_str()) && named(&self.tenant, cache.tenant.as_str())
    }

    /// Whether it bounds what is stored.
    fn counts(&self) -> bool {
        self.entries.is_some() || self.bytes.is_some()
    }
}

/// As it is written.
impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |name: &str, value: Option<String>| value.map(|value| format!("{name}={value}"));
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        let parts = [
            part("cache", self.cache.clone()),
            part("tenant", self.tenant.clone()),
            part("entries", number(self.entries)),
            part("bytes", self.bytes.map(format_size)),
            part("rate", self.rate.map(|rate| format!("{rate}/s"))),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(&parts.join(" "))
    }
}

/// The rules that hold for one cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applying<'a> {
    /// That of the cache itself.
    pub cache: Option<&'a Quota>,
    /// That of all caches of its tenant.
    pub tenant: Option<&'a Quota>,
}

/// All rules, in the order in which they are tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quotas {
    rules: Vec<Quota>,
    caches: CacheRules,
}

impl Quotas {
    /// Rules in the order in which they are tried, and how the caches are stored.
    pub fn new(rules: Vec<Quota>, caches: CacheRules) -> Self {
        Self { rules, caches }
    }

    /// The rules.
    pub fn rules(&self) -> &[Quota] {
        &self.rules
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What holds for a cache.
    pub fn of(&self, cache: &CacheId) -> Applying<'_> {
        let first = |of_tenant: bool| {
            let mut kind = self.rules.iter();
            kind.find(|rule| rule.cache.is_none() == of_tenant && rule.matches(cache))
        };
        Applying {
            cache: first(false),
            tenant: first(true),
        }
    }

    /// What bounds the entries and bytes of a cache; `None` where nothing does, so that nothing need be counted.
    pub fn of_stored(&self, cache: &CacheId) -> Option<Applying<'_>> {
        if self.is_empty() || self.caches.policy(&cache.name).encoding == Encoding::Raw {
            return None;
        }
        let Applying { cache, tenant } = self.of(cache);
        let applying = Applying {
            cache: cache.filter(|rule| rule.counts()),
            tenant: tenant.filter(|rule| rule.counts()),
        };
        (applying.cache.is_some() || applying.tenant.is_some()).then_some(applying)
    }
}

#[cfg(test)]
mod tests {
    use super::super::caches::{CachePolicy, CacheRule};
    use super::*;
    use crate::model::{CacheName, Tenant};

    fn quota(cache: Option<&str>, tenant: Option<&str>, entries: Option<u64>) -> Quota {
        Quota {
            cache: cache.map(str::to_owned),
            tenant: tenant.map(str::to_owned),
            entries,
            rate: Some(1),
            ..Quota::default()
        }
    }

    fn cache(tenant: &str, name: &str) -> CacheId {
        CacheId {
            tenant: Tenant::new(tenant).expect("tenant"),
            name: CacheName::new(name).expect("cache"),
        }
    }

    #[test]
    fn the_first_rule_of_each_kind_holds() {
        let rules = vec![
            quota(Some("a*"), Some("t1"), Some(1)),
            quota(Some("a*"), None, Some(2)),
            quota(None, Some(""), Some(3)),
            quota(Some("a1"), None, Some(4)),
            quota(None, Some("t*"), Some(5)),
        ];
        let quotas = Quotas::new(rules, CacheRules::default());
        let of = |tenant, name| {
            let applying = quotas.of(&cache(tenant, name));
            let entries = |rule: Option<&Quota>| rule.and_then(|rule| rule.entries);
            (entries(applying.cache), entries(applying.tenant))
        };
        assert_eq!(of("t1", "a1"), (Some(1), Some(5)));
        assert_eq!(of("t2", "a1"), (Some(2), Some(5)));
        assert_eq!(of("", "a1"), (Some(2), Some(3)));
        assert_eq!(of("", "b"), (None, Some(3)));
        assert_eq!(of("x", "b"), (None, None));
    }

    #[test]
    fn entries_and_bytes_are_of_framed_caches_that_have_such_a_bound() {
        let raw = CacheRule {
            pattern: "raw".to_owned(),
            policy: CachePolicy {
                encoding: Encoding::Raw,
                ttl: None,
                jitter: 0,
            },
        };
        let rules = vec![
            quota(Some("rate"), None, None),
            quota(None, Some("t"), Some(1)),
        ];
        let quotas = Quotas::new(rules, CacheRules::new(vec![raw]));
        let counted = |tenant, name| quotas.of_stored(&cache(tenant, name)).is_some();
        assert!(counted("t", "framed") && counted("t", "rate"));
        assert!(!counted("t", "raw") && !counted("", "rate") && !counted("", "framed"));
    }
}
