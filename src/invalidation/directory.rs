//! Which caches are read through this process, by the beginning of their Redis keys.
//!
//! A Redis key alone does not tell tenant `a` with cache `b_c` from tenant `a_b` with cache `c` (`cache::layout`). But
//! a key that changes concerns only who has read it, so the caches that were read here decide: a key of one of them is
//! told to it, a key of several to each, and nobody hears of another tenant's keys because of a name.
//!
//! Invariants: bounded; once full, [`Directory::resolve`] tells that a key may belong to a cache it does not know.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::RwLock;

use crate::model::{CacheId, Key};

/// Caches that are remembered.
const MOST_CACHES: usize = 10_000;

/// Between the beginning and the key of the caller. The beginning never holds it.
const SEPARATOR: &[u8] = b"::";

/// How keys begin that are never entries: stamps, and HTTP sessions, which are read on the tracked connection too. No
/// cache and no prefix may be called so.
const OWN: &[u8] = b"vedetta:";

/// The caches.
#[derive(Debug, Default)]
pub struct Directory {
    heads: RwLock<HashMap<Bytes, Vec<CacheId>>>,
    full: AtomicBool,
}

/// Whose key it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Resolved {
    /// An entry of these caches.
    Entries(Vec<CacheId>, Key),
    /// Of a cache that may have been read here and is not remembered.
    Unknown,
    /// Nobody's who reads here.
    Nobodys,
}

impl Directory {
    /// Takes note that entries of this cache are read here; `entry_key` is the Redis key of any of them.
    pub fn note(&self, entry_key: &[u8], cache: &CacheId) {
        let Some((head, _)) = split(entry_key) else {
            return;
        };
        if self
            .heads
            .read()
            .get(head)
            .is_some_and(|caches| caches.contains(cache))
        {
            return;
        }
        let mut heads = self.heads.write();
        if heads.len() >= MOST_CACHES && !heads.contains_key(head) {
            self.full.store(true, Ordering::Release);
            return;
        }
        let caches = heads.entry(Bytes::copy_from_slice(head)).or_default();
        if !caches.contains(cache) {
            caches.push(cache.clone());
        }
    }

    /// Every cache.
    pub fn caches(&self) -> Vec<CacheId> {
        self.heads.read().values().flatten().cloned().collect()
    }

    pub(super) fn resolve(&self, redis_key: &[u8]) -> Resolved {
        if redis_key.starts_with(OWN) {
            return Resolved::Nobodys;
        }
        let Some((head, key)) = split(redis_key) else {
            return Resolved::Nobodys;
        };
        match self.heads.read().get(head) {
            Some(caches) => match Key::new(Bytes::copy_from_slice(key)) {
                Ok(key) => Resolved::Entries(caches.clone(), key),
                // No caller can have read a key without a name.
                Err(_) => Resolved::Nobodys,
            },
            None if self.full.load(Ordering::Acquire) => Resolved::Unknown,
            None => Resolved::Nobodys,
        }
    }
}

fn split(redis_key: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = redis_key
        .windows(SEPARATOR.len())
        .position(|window| window == SEPARATOR)?;
    Some((&redis_key[..at], &redis_key[at + SEPARATOR.len()..]))
}

#[cfg(test)]
mod tests {
    use crate::model::{CacheName, Tenant};

    use super::*;

    fn cache(tenant: &str, name: &str) -> CacheId {
        CacheId {
            tenant: Tenant::new(tenant).expect("tenant"),
            name: CacheName::new(name).expect("cache"),
        }
    }

    fn key(name: &'static str) -> Key {
        Key::new(Bytes::from_static(name.as_bytes())).expect("key")
    }

    #[test]
    fn a_key_belongs_to_the_caches_that_were_read() {
        let directory = Directory::default();
        assert_eq!(directory.resolve(b"a_b::k"), Resolved::Nobodys);
        directory.note(b"a_b::x", &cache("a", "b"));
        directory.note(b"a_b::y", &cache("a", "b"));
        let one = vec![cache("a", "b")];
        assert_eq!(
            directory.resolve(b"a_b::k::l"),
            Resolved::Entries(one, key("k::l"))
        );
        directory.note(b"a_b::x", &cache("", "a_b"));
        let both = vec![cache("a", "b"), cache("", "a_b")];
        assert_eq!(
            directory.resolve(b"a_b:::k"),
            Resolved::Entries(both, key(":k"))
        );
        assert_eq!(directory.resolve(b"a_b::"), Resolved::Nobodys);
        assert_eq!(directory.resolve(b"vedetta:canary:1"), Resolved::Nobodys);
    }

    #[test]
    fn once_full_it_says_that_it_does_not_know() {
        let directory = Directory::default();
        for number in 0..=MOST_CACHES {
            let name = format!("c{number}");
            directory.note(format!("{name}::k").as_bytes(), &cache("", &name));
        }
        assert_eq!(directory.resolve(b"other::k"), Resolved::Unknown);
        assert!(matches!(directory.resolve(b"c7::k"), Resolved::Entries(..)));
        let session = b"vedetta:session:::id";
        assert_eq!(directory.resolve(session), Resolved::Nobodys);
    }
}
