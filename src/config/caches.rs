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
    /// By how much of it that default may be shortened, in percent, so that what was stored together does not all
    /// expire together.
    pub jitter: u8,
}

impl CachePolicy {
    /// How long an entry lives whose writer does not say: the configured time, less a random share of what may be taken
    /// off. Never more than is configured.
    pub fn default_ttl(&self, random: u64) -> Option<Duration> {
        let share = (random as f64 / u64::MAX as f64) * f64::from(self.jitter) / 100.0;
        self.ttl.map(|ttl| ttl - ttl.mul_f64(share))
    }
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
        covers(&self.pattern, name)
    }
}

/// Whether a pattern, which is a name or the beginning of names and one `*`, is for that name.
pub(super) fn covers(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
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
        jitter: 0,
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
            jitter: 0,
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

    fn spread(ttl: Option<Duration>, jitter: u8, random: u64) -> Option<Duration> {
        let encoding = Encoding::Raw;
        let policy = CachePolicy {
            encoding,
            ttl,
            jitter,
        };
        policy.default_ttl(random)
    }

    #[test]
    fn jitter_shortens_by_its_share_and_never_lengthens() {
        let hour = Duration::from_secs(3600);
        for (jitter, random, expected) in [
            (0, 0, 3600),
            (0, u64::MAX, 3600),
            (10, 0, 3600),
            (10, u64::MAX / 2, 3420),
            (10, u64::MAX, 3240),
            (50, u64::MAX, 1800),
        ] {
            let ttl = spread(Some(hour), jitter, random).expect("a default");
            let off = ttl.abs_diff(Duration::from_secs(expected));
            assert!(off < Duration::from_millis(1), "{jitter} {random}: {ttl:?}");
        }
        assert_eq!(spread(None, 50, 1), None);
    }

    #[test]
    fn jitter_spreads_evenly() {
        let second = Some(Duration::from_secs(1));
        let mut tenths = [0; 10];
        for step in 0..10_000 {
            // Multiples of the golden ratio: even, and in no order.
            let random = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(step);
            let ttl = spread(second, 50, random).expect("a default");
            tenths[((ttl.as_micros() - 500_000) / 50_000).min(9) as usize] += 1;
        }
        assert!(
            tenths.iter().all(|n| (950..=1050).contains(n)),
            "{tenths:?}"
        );
    }

    #[test]
    fn a_cache_without_a_rule_is_framed_and_never_expires() {
        let rules = CacheRules::new(vec![rule("a", Encoding::Raw)]);
        let policy = rules.policy(&CacheName::new("b").expect("legal"));
        assert_eq!((policy.encoding, policy.ttl), (Encoding::Framed, None));
        assert!(rules.named("a") && !rules.named("b") && !rules.named("aa"));
    }
}
