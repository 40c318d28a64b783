//! Who is told of the life of sessions, and of what the server says about keys that they have read.
//!
//! Invariants, kept by `session` and `failover`: pushes and heartbeats of one session are told in the order of its
//! wire, and before the reply behind them reaches its caller; a heartbeat is sent only after the one before it was
//! answered and told; `began` is told before anybody can use the session; `ended` is told once, before a call that was
//! in flight can find the session still standing.

use std::fmt::Debug;

use crate::model::{Lineage, Master, Moment};

/// Hears. Pushes are told inline in the driver of the connection: it must neither wait nor panic.
pub trait Tracker: Debug + Send + Sync + 'static {
    /// A session begins. `majority` is when a majority was last polled that names its master; `None` without
    /// Sentinels.
    fn began(&self, generation: u64, lineage: Lineage, master: &Master, majority: Option<Moment>);

    /// A majority named the master of that session when polled at that time.
    fn named(&self, generation: u64, at: Moment);

    /// These keys changed.
    fn invalidated(&self, generation: u64, keys: &mut dyn Iterator<Item = &[u8]>);

    /// Everything is gone, or the server said something that is not understood.
    fn flushed(&self, generation: u64);

    /// ROLE was answered by a master with that replication offset. False if the session proves nothing any more.
    fn beat(&self, generation: u64, sent: Moment, offset: u64) -> bool;

    /// Nothing will be heard of this session any more.
    fn ended(&self, generation: u64);
}

/// For sessions whose reads nobody keeps.
#[derive(Debug)]
pub struct Untracked;

impl Tracker for Untracked {
    fn began(&self, _: u64, _: Lineage, _: &Master, _: Option<Moment>) {}

    fn named(&self, _: u64, _: Moment) {}

    fn invalidated(&self, _: u64, _: &mut dyn Iterator<Item = &[u8]>) {}

    fn flushed(&self, _: u64) {}

    fn beat(&self, _: u64, _: Moment, _: u64) -> bool {
        true
    }

    fn ended(&self, _: u64) {}
}

/// The keys of an invalidation push; `None` if all are gone, as FLUSHALL has it, or if the shape is unknown.
pub(super) fn pushed_keys(data: &[redis::Value]) -> Option<Vec<&[u8]>> {
    let [redis::Value::Array(keys)] = data else {
        return None;
    };
    keys.iter()
        .map(|key| match key {
            redis::Value::BulkString(bytes) => Some(bytes.as_slice()),
            redis::Value::SimpleString(text) => Some(text.as_bytes()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;

    #[test]
    fn pushes_name_keys_or_mean_everything() {
        let keys = [Value::Array(vec![
            Value::BulkString(b"a".to_vec()),
            Value::BulkString(b"b".to_vec()),
        ])];
        assert_eq!(pushed_keys(&keys), Some(vec![&b"a"[..], b"b"]));
        assert_eq!(pushed_keys(&[Value::Nil]), None);
        assert_eq!(pushed_keys(&[]), None);
        assert_eq!(pushed_keys(&[Value::Array(vec![Value::Nil])]), None);
    }
}
