//! Where things are in Redis: keys of entries, and of what vedetta keeps for itself.
//!
//! Entries are at `[<prefix>:][<tenant>_]<cache>::<key>`, which is Entando's layout. Everything else is under
//! `vedetta:` (`model::own_key`), where two caches never share a stamp.
//!
//! Entando's layout alone does not tell tenant `a` with cache `b_c` from tenant `a_b` with cache `c`. In framed
//! caches the stamp does: an entry of the other cache carries the other's stamp and is a miss. Raw caches have no
//! stamp; there [`check`] admits one reading of a name only.
//!
//! Not here: what is in the keys (`frame`).

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use crate::config::{CacheRules, Encoding, Quota, Quotas};
use crate::model::{CacheId, GroupName, Key, Tenant, hex, own_key};

const LEASE: &str = "lease";

/// How the keys of leases begin.
pub(super) const LEASES: &[u8] = b"vedetta:lease:";

/// Names keys.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    prefix: String,
    quotas: Arc<Quotas>,
}

/// The records that count what a cache holds: its own, and that of its tenant if that has a quota.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) keys: Vec<Bytes>,
    /// What each of them may come to, as `usage.lua` reads it.
    pub(super) bounds: String,
}

impl Layout {
    /// With the prefix of this application, or without one.
    pub(super) fn new(prefix: &str) -> Self {
        let prefix = if prefix.is_empty() {
            String::new()
        } else {
            format!("{prefix}:")
        };
        Self {
            prefix,
            quotas: Arc::default(),
        }
    }

    /// The same, where that is counted.
    pub(super) fn counting(self, quotas: &Quotas) -> Self {
        Self {
            quotas: Arc::new(quotas.clone()),
            ..self
        }
    }

    /// Where it is counted what a cache holds; nowhere if it has no quota.
    pub(super) fn usage(&self, cache: &CacheId) -> Usage {
        let Some(applying) = self.quotas.of_stored(cache) else {
            return Usage::default();
        };
        let number = |number: Option<u64>| number.map_or_else(String::new, |n| n.to_string());
        let bounds = |quota: &Quota| format!(" {},{}", number(quota.entries), number(quota.bytes));
        let mut usage = Usage {
            keys: vec![self.of("usage", cache, &[])],
            bounds: applying.cache.map_or_else(|| " ,".to_owned(), bounds),
        };
        if let Some(quota) = applying.tenant {
            let prefix = self.prefix.trim_end_matches(':');
            let tenant = own_key("usage-of-tenant", &[prefix, cache.tenant.as_str()]);
            usage.keys.push(tenant);
            usage.bounds.push_str(&bounds(quota));
        }
        usage
    }

    /// Whether anything is counted anywhere.
    pub(super) fn counts(&self) -> bool {
        !self.quotas.is_empty()
    }

    /// The key of an entry.
    pub(super) fn entry(&self, cache: &CacheId, key: &Key) -> Bytes {
        let head = self.head_parts(cache);
        let length = head.iter().map(|part| part.len()).sum::<usize>() + key.as_bytes().len();
        let mut name = Vec::with_capacity(length);
        for part in head {
            name.extend_from_slice(part.as_bytes());
        }
        name.extend_from_slice(key.as_bytes());
        name.into()
    }

    /// The pattern of SCAN that finds the entries of a cache, and maybe others of the same name.
    pub(super) fn pattern(&self, cache: &CacheId) -> String {
        let mut pattern = String::new();
        for c in self.head(cache).chars() {
            if matches!(c, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern.push('*');
        pattern
    }

    /// The key of the stamp of a cache.
    pub(super) fn stamp(&self, cache: &CacheId) -> Bytes {
        self.of("stamp", cache, &[])
    }

    /// The key of the stamp of a group.
    pub(super) fn group(&self, cache: &CacheId, group: &GroupName) -> Bytes {
        self.of("group", cache, &[group.as_str()])
    }

    /// The key of the clock that counts the flushes of groups of a cache.
    pub(super) fn flushes(&self, cache: &CacheId) -> Bytes {
        self.of("flushes", cache, &[])
    }

    /// The key of the groups that wait for the value of a key.
    pub(super) fn pending(&self, cache: &CacheId, key: &Key) -> Bytes {
        self.aside("pending", cache, key)
    }

    /// The key of the lock on the sweep after a clear, which the stamp of the clear names.
    pub(super) fn sweep(&self, cache: &CacheId, stamp: &[u8]) -> Bytes {
        let cache = self.of("sweep", cache, &[]);
        [cache.as_ref(), b":", stamp].concat().into()
    }

    /// The key of the lock on the sweeps after flushes of groups.
    pub(super) fn sweep_of_groups(&self, cache: &CacheId) -> Bytes {
        self.of("sweep-groups", cache, &[])
    }

    /// The key of the record of a running load.
    pub(super) fn load(&self, cache: &CacheId) -> Bytes {
        self.of("load", cache, &[])
    }

    /// The key of the list of what others do during a load.
    pub(super) fn load_notes(&self, cache: &CacheId) -> Bytes {
        self.of("load-notes", cache, &[])
    }

    /// The key of the record of the last complete load.
    pub(super) fn loaded(&self, cache: &CacheId) -> Bytes {
        self.of("loaded", cache, &[])
    }

    /// The key of an entry, from its name in Redis; `None` for what no caller can have named so.
    pub(super) fn key(&self, cache: &CacheId, entry: &Bytes) -> Option<Key> {
        let head = self.head(cache);
        entry.strip_prefix(head.as_bytes())?;
        Key::new(entry.slice(head.len()..)).ok()
    }

    /// The key under which a call that changes a counter is remembered.
    pub(super) fn operation(&self, cache: &CacheId, key: &Key, id: &[u8]) -> Bytes {
        let mut name = BytesMut::new();
        name.put_slice(&self.of("op", cache, &[]));
        name.put_slice(b":");
        name.put_slice(hex(id).as_bytes());
        name.put_slice(b":");
        name.put_slice(key.as_bytes());
        name.freeze()
    }

    /// The key that remembers under which history a counter was last told its floor.
    pub(super) fn floor(&self, cache: &CacheId, key: &Key) -> Bytes {
        self.aside("floor", cache, key)
    }

    /// The key of the lease on an entry.
    pub(super) fn lease(&self, cache: &CacheId, key: &Key) -> Bytes {
        self.aside(LEASE, cache, key)
    }

    /// The key of the deadline of an entry.
    pub(super) fn deadline(&self, cache: &CacheId, key: &Key) -> Bytes {
        self.aside("deadline", cache, key)
    }

    /// The key that tells that deadlines are set in a raw cache, and under which mark.
    pub(super) fn deadlines(&self, cache: &CacheId) -> Bytes {
        self.of("deadlines", cache, &[])
    }

    /// The key of that kind for what an entry of a cache has beside it, whose key stands as it is.
    fn aside(&self, kind: &str, cache: &CacheId, key: &Key) -> Bytes {
        let cache = self.of(kind, cache, &[]);
        [cache.as_ref(), b":", key.as_bytes()].concat().into()
    }

    /// The key of the set of caches that a tenant has used.
    pub(super) fn registry(&self, tenant: &Tenant) -> Bytes {
        let prefix = self.prefix.trim_end_matches(':');
        own_key("caches", &[prefix, tenant.as_str()])
    }

    /// The key of that kind for a cache, and for what is in it.
    fn of(&self, kind: &str, cache: &CacheId, more: &[&str]) -> Bytes {
        let prefix = self.prefix.trim_end_matches(':');
        let cache = [prefix, cache.tenant.as_str(), cache.name.as_str()];
        own_key(kind, &[&cache, more].concat())
    }

    fn head(&self, cache: &CacheId) -> String {
        self.head_parts(cache).concat()
    }

    fn head_parts<'a>(&'a self, cache: &'a CacheId) -> [&'a str; 5] {
        let (tenant, name) = (cache.tenant.as_str(), cache.name.as_str());
        let separator = if tenant.is_empty() { "" } else { "_" };
        [&self.prefix, tenant, separator, name, "::"]
    }
}

/// How long the key of an entry is, without a prefix.
pub(super) fn entry_bytes(cache: &CacheId, key: &Key) -> usize {
    let tenant = match cache.tenant.is_primary() {
        true => 0,
        false => cache.tenant.as_str().len() + 1,
    };
    tenant + cache.name.as_str().len() + 2 + key.as_bytes().len()
}

/// Refuses a cache whose Redis keys belong to another one.
///
/// The configured patterns decide who owns a name: of all ways to read `<tenant>_<cache>`, the one with the
/// shortest tenant whose cache has a rule of its own. A name without such a reading is free if it is framed, because
/// stamps keep its caches apart; if a rule for every name makes it raw, it is the primary tenant's.
///
/// # Errors
/// The owner, as tenant and cache.
pub(super) fn check(cache: &CacheId, rules: &CacheRules) -> Result<(), (String, String)> {
    let name = if cache.tenant.is_primary() {
        cache.name.as_str().to_owned()
    } else {
        format!("{}_{}", cache.tenant.as_str(), cache.name.as_str())
    };
    let mut readings = std::iter::once(("", name.as_str())).chain(
        name.match_indices('_')
            .map(|(at, _)| (&name[..at], &name[at + 1..])),
    );
    match readings.find(|(_, reading)| rules.named(reading)) {
        Some((tenant, reading))
            if tenant != cache.tenant.as_str() || reading != cache.name.as_str() =>
        {
            Err((tenant.to_owned(), reading.to_owned()))
        }
        None if !cache.tenant.is_primary()
            && rules.policy(&cache.name).encoding == Encoding::Raw =>
        {
            Err((String::new(), name.clone()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{CachePolicy, CacheRule};
    use crate::model::CacheName;

    use super::*;

    fn cache(tenant: &str, name: &str) -> CacheId {
        CacheId {
            tenant: Tenant::new(tenant).expect("tenant"),
            name: CacheName::new(name).expect("cache"),
        }
    }

    fn entry(layout: &Layout, tenant: &str, name: &str, key: &'static str) -> Bytes {
        let key = Key::new(Bytes::from_static(key.as_bytes())).expect("key");
        layout.entry(&cache(tenant, name), &key)
    }

    #[test]
    fn entries_are_where_entando_has_them() {
        let bare = Layout::new("");
        assert_eq!(
            entry(&bare, "", "Entando_ConfigManager", "k"),
            "Entando_ConfigManager::k"
        );
        assert_eq!(
            entry(&bare, "t1", "Entando_Cache", "k"),
            "t1_Entando_Cache::k"
        );
        assert_eq!(entry(&Layout::new("app"), "t1", "c", "k"), "app:t1_c::k");
    }

    #[test]
    fn stamps_differ_where_entries_collide() {
        let layout = Layout::new("");
        let colliding = [cache("a", "b_c"), cache("a_b", "c"), cache("", "a_b_c")];
        let mut stamps: Vec<Bytes> = colliding.iter().map(|cache| layout.stamp(cache)).collect();
        stamps.sort();
        stamps.dedup();
        assert_eq!(stamps.len(), 3);
        assert_ne!(
            layout.stamp(&cache("", "a:b")),
            layout.stamp(&cache("a", "b"))
        );
        assert_ne!(
            Layout::new("p").stamp(&cache("", "c")),
            layout.stamp(&cache("", "p:c"))
        );
    }

    #[test]
    fn groups_have_keys_of_their_own() {
        let layout = Layout::new("p");
        let group =
            |cache: &CacheId, name| layout.group(cache, &GroupName::new(name).expect("a group"));
        assert_eq!(
            group(&cache("t", "c"), "a:b%"),
            "vedetta:group:p:t:c:a%3Ab%25"
        );
        assert_ne!(group(&cache("", "c"), "d:e"), group(&cache("", "c:d"), "e"));
        let key = Key::new(Bytes::from_static(b"k:1")).expect("key");
        assert_eq!(
            layout.pending(&cache("t", "c"), &key),
            "vedetta:pending:p:t:c:k:1"
        );
        assert_eq!(layout.flushes(&cache("t", "c")), "vedetta:flushes:p:t:c");
    }

    #[test]
    fn what_is_counted_is_the_cache_and_its_tenant() {
        let quota = |cache: Option<&str>, entries, bytes| Quota {
            cache: cache.map(str::to_owned),
            tenant: Some("t*".to_owned()),
            entries,
            bytes,
            rate: Some(1),
        };
        let usage = |rules: Vec<Quota>, tenant: &str| {
            let quotas = Quotas::new(rules, CacheRules::default());
            Layout::new("p")
                .counting(&quotas)
                .usage(&cache(tenant, "c:d"))
        };
        let own = "vedetta:usage:p:t1:c%3Ad";
        let all = "vedetta:usage-of-tenant:p:t1";
        let of = |keys: &[&'static str], bounds: &str| Usage {
            keys: keys
                .iter()
                .map(|key| Bytes::from_static(key.as_bytes()))
                .collect(),
            bounds: bounds.to_owned(),
        };
        let rate = quota(Some("c*"), None, None);
        let entries = quota(Some("c*"), Some(5), None);
        let tenant = quota(None, Some(7), Some(9));
        assert_eq!(usage(vec![rate.clone()], "t1"), Usage::default());
        assert_eq!(usage(vec![entries.clone()], "x"), Usage::default());
        assert_eq!(usage(vec![entries.clone()], "t1"), of(&[own], " 5,"));
        assert_eq!(
            usage(vec![rate, tenant.clone()], "t1"),
            of(&[own, all], " , 7,9")
        );
        assert_eq!(
            usage(vec![entries, tenant], "t1"),
            of(&[own, all], " 5, 7,9")
        );
    }

    #[test]
    fn an_entry_key_is_as_long_as_it_is() {
        let layout = Layout::new("");
        let key = Key::new(Bytes::from_static(b"key")).expect("key");
        for cache in [cache("", "c"), cache("t1", "cache")] {
            assert_eq!(entry_bytes(&cache, &key), layout.entry(&cache, &key).len());
        }
    }

    #[test]
    fn a_raw_name_has_one_owner() {
        let raw = CachePolicy {
            encoding: Encoding::Raw,
            ttl: None,
            jitter: 0,
        };
        let rules = CacheRules::new(vec![CacheRule {
            pattern: "Entando_*".to_owned(),
            policy: raw,
        }]);
        for (tenant, name) in [("", "Entando_X"), ("t1", "Entando_X"), ("a_b", "Entando_X")] {
            assert_eq!(
                check(&cache(tenant, name), &rules),
                Ok(()),
                "{tenant} {name}"
            );
        }
        let owner = |tenant: &str, name: &str| Err((tenant.to_owned(), name.to_owned()));
        assert_eq!(
            check(&cache("Entando", "X"), &rules),
            owner("", "Entando_X")
        );
        assert_eq!(
            check(&cache("Entando", "Entando_X"), &rules),
            owner("", "Entando_Entando_X")
        );
        assert_eq!(
            check(&cache("a_Entando", "X"), &rules),
            owner("a", "Entando_X")
        );
        assert_eq!(
            check(&cache("", "t1_Entando_X"), &rules),
            owner("t1", "Entando_X")
        );
        assert_eq!(check(&cache("", "free_name"), &rules), Ok(()));
    }

    #[test]
    fn raw_by_a_rule_for_every_name_leaves_no_room_for_tenants() {
        let rules = CacheRules::new(vec![CacheRule {
            pattern: "*".to_owned(),
            policy: CachePolicy {
                encoding: Encoding::Raw,
                ttl: None,
                jitter: 0,
            },
        }]);
        assert_eq!(check(&cache("", "a_b_c"), &rules), Ok(()));
        let owner = Err((String::new(), "a_b_c".to_owned()));
        assert_eq!(check(&cache("a", "b_c"), &rules), owner);
        assert_eq!(check(&cache("a_b", "c"), &rules), owner);
    }

    #[test]
    fn a_pattern_matches_itself_only() {
        let layout = Layout::new("");
        assert_eq!(layout.pattern(&cache("", "a*[b]-^")), r"a\*\[b\]\-\^::*");
    }
}
