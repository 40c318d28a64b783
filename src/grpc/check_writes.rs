//! The parts of requests that only writes have: durability, operation ids, counters, lists.
//!
//! Not here: what all requests have (`check`).

use std::time::SystemTime;

use bytes::Bytes;
use prost_types::Timestamp;

use crate::cache::{Increment, ListEdit};
use crate::model::{COPIES_WITHIN, CacheId, Copies, Durability, Expiry};
use crate::proto::v1;

use super::check::Checker;

/// The longest operation id, in bytes.
const OPERATION_ID: usize = 64;

impl<Admit: Fn(&CacheId) -> Result<(), String>> Checker<'_, Admit> {
    pub(super) fn durability(&mut self, durability: Option<v1::Durability>) -> Option<Durability> {
        use v1::durability::Level;
        let (copies, within) = match durability.and_then(|durability| durability.level) {
            None | Some(Level::Async(_)) => return Some(Durability::Async),
            Some(Level::Replicated(asked)) => {
                if asked.replicas == 0 {
                    let problem = "is 0; ask for 1 or more, or for async";
                    self.refuse::<()>("durability.replicated.replicas", problem);
                }
                let field = "durability.replicated.timeout";
                (Copies::Replicas(asked.replicas), (field, asked.timeout))
            }
            Some(Level::All(asked)) => (Copies::All, ("durability.all.timeout", asked.timeout)),
        };
        let within = match within {
            (_, None) => COPIES_WITHIN,
            (field, Some(timeout)) => self.duration(field, timeout)?,
        };
        Some(Durability::Copies { copies, within })
    }

    pub(super) fn increment(
        &mut self,
        key: Bytes,
        delta: i64,
        floor: Option<i64>,
        initial_expiry: Option<v1::Expiry>,
        operation_id: Bytes,
    ) -> Option<Increment> {
        let key = self.key("key", key);
        let initial_expiry = self.expiry("initial_expiry", initial_expiry);
        if initial_expiry == Some(Expiry::Keep) {
            let problem = "keeps what is not there yet; give a ttl, a deadline or none";
            self.refuse::<()>("initial_expiry", problem);
        }
        let operation_id = self.operation_id(operation_id);
        Some(Increment {
            key: key?,
            delta,
            floor,
            initial_expiry: initial_expiry?,
            operation_id: operation_id?,
        })
    }

    pub(super) fn operation_id(&mut self, id: Bytes) -> Option<Bytes> {
        if id.len() > OPERATION_ID {
            let length = id.len();
            let problem = format!("has {length} bytes; at most {OPERATION_ID} are allowed");
            return self.refuse("operation_id", problem);
        }
        Some(id)
    }

    pub(super) fn list_edit(
        &mut self,
        key: Bytes,
        remove: Vec<Bytes>,
        add: Vec<Bytes>,
        operation_id: Bytes,
    ) -> Option<ListEdit> {
        let key = self.key("key", key);
        let operation_id = self.operation_id(operation_id);
        let count = remove.len() + add.len();
        if count == 0 {
            self.refuse::<()>("add", "is empty, and `remove` too; name a member");
        }
        let bytes = remove.iter().chain(&add).map(Bytes::len).sum();
        self.batch("add", count, bytes)?;
        for (field, members) in [("remove", &remove), ("add", &add)] {
            for (place, member) in members.iter().enumerate() {
                self.member(&format!("{field}[{place}]"), member);
            }
        }
        Some(ListEdit {
            key: key?,
            remove,
            add,
            operation_id: operation_id?,
            largest: self.limits.value,
        })
    }

    fn member(&mut self, field: &str, member: &Bytes) {
        let (length, limit) = (member.len(), self.limits.key);
        if length as u64 > limit {
            let problem =
                format!("is {length} bytes long; at most {limit} are allowed (limits.key)");
            self.refuse::<()>(field, problem);
        }
    }

    pub(super) fn moment(&mut self, field: &str, time: Option<Timestamp>) -> Option<SystemTime> {
        match time {
            Some(time) => self.time(field, time),
            None => self.refuse(field, "is missing; say when the entry ends"),
        }
    }
}
