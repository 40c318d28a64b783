//! Counters.
//!
//! A call that bears an operation id is done once, however often it is sent: the script that adds keeps the answer
//! under that id, in the same step, so that a replica has both or neither.
//!
//! Invariants: without an operation id a call that may have been applied is not sent again. A counter is never undone
//! or replayed by the journal.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::config::Encoding;
use crate::failover::Repeat;
use crate::model::{CacheId, Cause, Durability, Fault, Value};
use crate::upstream::{Batch, Effect, Operation, Reply, Session};

use super::super::frame;
use super::super::store::{Increment, Write, Written};
use super::expiry::arguments;
use super::{Core, new_stamp, new_version, strange};

/// How long an operation is remembered: longer than a caller repeats it through the longest failover.
const REMEMBERED: Duration = Duration::from_secs(120);

impl Core {
    pub(super) async fn add(
        &self,
        cache: &CacheId,
        increment: &Increment,
        write: Write,
    ) -> Result<Written<i64>, Fault> {
        let mut own = self.own_write(cache, [increment.key.clone()]);
        let repeat = Repeat::harmless(!increment.operation_id.is_empty());
        let weight = increment.key.as_bytes().len() + increment.operation_id.len();
        let attempt = |session| self.add_once(session, cache, increment, write.durability);
        let patience = self.patience(&write, weight as u64);
        let added = self.passage.persist(patience, repeat, attempt).await;
        added.inspect_err(|fault| own.failed(fault))
    }

    async fn add_once(
        &self,
        session: Arc<Session>,
        cache: &CacheId,
        increment: &Increment,
        durability: Durability,
    ) -> Result<Written<i64>, Fault> {
        let kept = !increment.operation_id.is_empty();
        let operation = if kept {
            increment.operation_id.clone()
        } else {
            new_stamp()
        };
        let mut keys = vec![
            self.layout.entry(cache, &increment.key),
            self.layout.operation(cache, &increment.key, &operation),
            self.layout.load(cache),
        ];
        let policy = self.rules.policy(&cache.name);
        let expiry = arguments(increment.initial_expiry, policy.ttl);
        let (before, after) = match policy.encoding {
            Encoding::Framed => {
                keys.push(self.layout.stamp(cache));
                frame::header(&Value::Data(Bytes::new()), &new_version(&session))
            }
            Encoding::Raw => (Bytes::new(), Bytes::new()),
        };
        let number = |number: i64| Bytes::from(number.to_string());
        let remembered = kept.then(|| REMEMBERED.as_millis().to_string());
        let mut batch = Batch::new(Operation::Increment, Effect::Write);
        batch.script(
            &self.scripts.increment,
            &keys,
            &[
                number(increment.delta),
                increment.floor.map_or(Bytes::new(), number),
                expiry.kind,
                expiry.ms,
                remembered.unwrap_or_default().into(),
                new_stamp(),
                before,
                after,
            ],
        );
        let sent = self.send_write(&session, batch).await?;
        let value = match sent.replies.first() {
            Some(Reply::Array(fields)) => match fields.as_slice() {
                [Reply::Int(1), Reply::Bytes(text)] => parse(text),
                [Reply::Int(0)] => return Err(not_a_number()),
                _ => None,
            },
            Some(Reply::Failed(fault)) => return Err(fault.clone()),
            _ => None,
        };
        let answer = value.ok_or_else(|| strange(Reply::Nil))?;
        self.secure(&session, &sent, durability).await?;
        Ok(Written {
            answer,
            token: sent.token,
        })
    }
}

fn parse(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The fault of a counter that is none.
pub(in super::super) fn not_a_number() -> Fault {
    Fault::not_applied(
        Cause::NotANumber,
        "the entry is not a decimal number of 64 bits, or the result would not be one; evict it to start anew",
    )
}
