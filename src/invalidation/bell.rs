//! Wakes whoever waits for a change of one key.
//!
//! Invariants: a ring that comes while nobody waits is kept for the next who does, so it is never lost; ringing neither
//! waits nor depends on the number of subscribers, because the driver of a connection does it.
//!
//! Not here: when it is rung (`intake`, and stores in memory); what changed.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::listener::Listener;

/// How the keys of leases begin, which end with a clear of their cache (`cache::layout`).
const LEASES: &[u8] = b"vedetta:lease:";

/// Who is woken, by key.
#[derive(Debug, Default)]
pub struct Bell {
    ropes: Mutex<HashMap<Bytes, Arc<Notify>>>,
}

impl Bell {
    /// From now on rings for that key wake this one.
    pub fn hang(&self, key: Bytes) -> Arc<Notify> {
        let rope = Arc::new(Notify::new());
        self.ropes.lock().insert(key, rope.clone());
        rope
    }

    /// No more, unless somebody else has taken its place.
    pub fn take_down(&self, key: &Bytes, rope: &Arc<Notify>) {
        let mut ropes = self.ropes.lock();
        if ropes.get(key).is_some_and(|hung| Arc::ptr_eq(hung, rope)) {
            ropes.remove(key);
        }
    }
}

impl Listener for Bell {
    fn changed(&self, key: &[u8]) {
        if let Some(rope) = self.ropes.lock().get(key) {
            rope.notify_one();
        }
    }

    fn cleared(&self, cache: &[u8]) {
        let of_cache = |key: &Bytes| {
            let key = key.strip_prefix(LEASES);
            let key = key.and_then(|name| name.strip_prefix(cache));
            key.is_some_and(|key| key.starts_with(b":"))
        };
        for (_, rope) in self.ropes.lock().iter().filter(|(key, _)| of_cache(key)) {
            rope.notify_one();
        }
    }

    fn unsettled(&self) {
        for rope in self.ropes.lock().values() {
            rope.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_ring_that_nobody_waits_for_is_kept() {
        let bell = Bell::default();
        let key = Bytes::from_static(b"key");
        let rope = bell.hang(key.clone());
        bell.changed(b"other");
        assert!(rope.notified().now_or_never().is_none());
        bell.changed(&key);
        assert!(rope.notified().now_or_never().is_some());
        bell.unsettled();
        assert!(rope.notified().now_or_never().is_some());
    }

    #[test]
    fn a_clear_is_for_the_leases_of_that_cache() {
        let bell = Bell::default();
        let rung = |key: &'static str| {
            let rope = bell.hang(key.into());
            bell.cleared(b":t:pages");
            rope.notified().now_or_never().is_some()
        };
        assert!(rung("vedetta:lease::t:pages:k"));
        assert!(!rung("vedetta:lease::t:pages2:k"));
        assert!(!rung("vedetta:log::t:pages:k"));
    }

    #[test]
    fn a_rope_is_taken_down_by_its_owner_only() {
        let bell = Bell::default();
        let key = Bytes::from_static(b"key");
        let old = bell.hang(key.clone());
        let new = bell.hang(key.clone());
        bell.take_down(&key, &old);
        bell.changed(&key);
        assert!(new.notified().now_or_never().is_some());
        bell.take_down(&key, &new);
        bell.changed(&key);
        assert!(new.notified().now_or_never().is_none());
    }
}
