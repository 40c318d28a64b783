//! How the entries of a cache are stored: encoding and lifetime, by the first rule that matches its name.
//!
//! Invariants: every cache has a policy; one that no rule names is framed and never expires.
//!
//! Not here: the text of rules and the built-in ones (`rules`).

use std::time::Duration;

use crate::model::CacheName;

/// What the value of an entry looks like in Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// A header with version, stamps and groups, then the bytes.
    Framed,
    /// The bare bytes, as Entando's own plugin stores them.
    Raw,
}

impl Encoding {
    /// Its name in a rule.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Framed => "framed",
            Self::Raw => "raw",
        }
    }
}

/// How the entries of one cache are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CachePolicy {
    /// What the value looks like in Redis.
    pub encoding: Encoding,
    /// How long an entry lives if its writer does not say; `None` for ever.
    pub ttl: Option<Duration>,
}

/// A policy, and the caches that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheRule {
    /// The exact name of a cache, or the beginning of names and one `*`.
    pub pattern: String,
    /// What holds for these caches.
    pub policy: CachePolicy,
}

impl CacheRule {
    /// Whether the rule is for a cache of that name.
    pub(super) fn matches(&self, name: &str) -> bool {
        match self.pattern.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => self.pattern == name,
        }
    }
}

/// All rules, in the order in which they are tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheRules(Vec<CacheRule>);

impl CacheRules {
    /// What holds for a cache that no rule is for.
    const UNNAMED: CachePolicy = CachePolicy {
        encoding: Encoding::Framed,
        ttl: None,
    };

    /// Rules in the order in which they are tried.
    pub fn new(rules: Vec<CacheRule>) -> Self {
        Self(rules)
    }

    /// What holds for a cache.
    pub fn policy(&self, cache: &CacheName) -> CachePolicy {
        let rule = self.0.iter().find(|rule| rule.matches(cache.as_str()));
        rule.map_or(Self::UNNAMED, |rule| rule.policy)
    }

    /// The rules, those of the profile included.
    pub fn rules(&self) -> &[CacheRule] {
        &self.0
    }

    /// Whether any rule is for a cache of that name in particular: a rule for every name claims none.
    pub fn named(&self, name: &str) -> bool {
        self.0
            .iter()
            .any(|rule| rule.pattern != "*" && rule.matches(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(pattern: &str, encoding: Encoding) -> CacheRule {
        let policy = CachePolicy {
            encoding,
            ttl: Some(Duration::from_secs(1)),
        };
        CacheRule {
            pattern: pattern.to_owned(),
            policy,
        }
    }

    #[test]
    fn the_first_rule_that_matches_wins() {
        let rules = CacheRules::new(vec![
            rule("a_1", Encoding::Framed),
            rule("a_*", Encoding::Raw),
            rule("a_2", Encoding::Framed),
        ]);
        let encoding = |name| rules.policy(&CacheName::new(name).expect(name)).encoding;
        assert_eq!(encoding("a_1"), Encoding::Framed);
        assert_eq!(encoding("a_"), Encoding::Raw);
        assert_eq!(encoding("a_2"), Encoding::Raw);
        assert_eq!(encoding("a_11"), Encoding::Raw);
        assert_eq!(encoding("a"), Encoding::Framed);
    }

    #[test]
    fn a_cache_without_a_rule_is_framed_and_never_expires() {
        let rules = CacheRules::new(vec![rule("a", Encoding::Raw)]);
        let policy = rules.policy(&CacheName::new("b").expect("legal"));
        assert_eq!((policy.encoding, policy.ttl), (Encoding::Framed, None));
        assert!(rules.named("a") && !rules.named("b") && !rules.named("aa"));
    }
}
