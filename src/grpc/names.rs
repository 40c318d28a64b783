//! The caches that calls have named, by tenant and name.
//!
//! To check a name and to give it room costs as much as a hit, and the answer never changes: it follows from the name and
//! the configuration. Bounded: what has been pushed out is checked again.
//!
//! Not here: what a legal name is (`check`).

use std::hash::Hash;

use quick_cache::Equivalent;
use quick_cache::sync::Cache;

use crate::model::CacheId;

/// Names that are remembered.
const MOST: usize = 1024;

/// Caches that were let in.
#[derive(Debug)]
pub(super) struct Names(Cache<CacheId, CacheId>);

/// Hashes as a [`CacheId`] does.
#[derive(Hash)]
struct Named<'a> {
    tenant: &'a str,
    name: &'a str,
}

impl Equivalent<CacheId> for Named<'_> {
    fn equivalent(&self, cache: &CacheId) -> bool {
        self.tenant == cache.tenant.as_str() && self.name == cache.name.as_str()
    }
}

impl Names {
    pub(super) fn new() -> Self {
        Self(Cache::new(MOST))
    }

    /// A cache that was let in under this name.
    pub(super) fn get(&self, tenant: &str, name: &str) -> Option<CacheId> {
        self.0.get(&Named { tenant, name })
    }

    /// This cache is let in.
    pub(super) fn admit(&self, cache: &CacheId) {
        self.0.insert(cache.clone(), cache.clone());
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{CacheName, Tenant};

    use super::*;

    #[test]
    fn a_cache_is_found_by_tenant_and_name_and_by_nothing_else() {
        let names = Names::new();
        let cache = CacheId {
            tenant: Tenant::new("a").expect("legal"),
            name: CacheName::new("bc").expect("legal"),
        };
        assert_eq!(names.get("a", "bc"), None);
        names.admit(&cache);
        assert_eq!(names.get("a", "bc"), Some(cache));
        for (tenant, name) in [("", "abc"), ("ab", "c"), ("", "bc"), ("a", "")] {
            assert_eq!(names.get(tenant, name), None, "{tenant} {name}");
        }
    }
}
