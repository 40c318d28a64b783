//! Counters.
//!
//! A call that bears an operation id is done once, however often it is sent: the script that adds keeps the answer
//! under that id, in the same step, so that a replica has both or neither.
//!
//! Invariants: without an operation id a call that may have been applied is not sent again. A counter is never undone
//! or replayed by the journal. One that has had a floor is not counted on in a history under which nobody has told it
//! its floor, nor when it is gone.

use std::sync::Arc;

use bytes::Bytes;

use crate::config::Encoding;
use crate::failover::Repeat;
use crate::model::{Applied, CacheId, Cause, Durability, Fault, Value};
use crate::upstream::{Batch, Operation, Reply, Session};

use super::super::frame;
use super::super::store::{Increment, Write, Written};
use super::expiry::arguments;
use super::judged::{Declared, Item};
use super::{Core, new_stamp, new_version, strange};

/// Which argument of the script is the header, in framed caches.
const HEADER: usize = 6;

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
        let id = kept.then(|| increment.operation_id.clone());
        let operation = id.unwrap_or_else(new_stamp);
        let policy = self.rules.policy(&cache.name);
        let expiry = arguments(increment.initial_expiry, policy.default_ttl(rand::random()));
        let number = |number: i64| Bytes::from(number.to_string());
        let remembered = kept.then(|| self.passage.remembered().as_millis().to_string());
        let remembered = Bytes::from(remembered.unwrap_or_default());
        let entry = self.layout.entry(cache, &increment.key);
        let add = |batch: &mut Batch, _, declared: &Declared| {
            let mut keys = vec![
                entry.clone(),
                self.layout.operation(cache, &increment.key, &operation),
                self.layout.floor(cache, &increment.key),
                self.layout.deadline(cache, &increment.key),
                self.layout.deadlines(cache),
                self.layout.load_notes(cache),
            ];
            let mut arguments = vec![
                number(increment.delta),
                increment.floor.map_or(Bytes::new(), number),
                expiry.kind.clone(),
                expiry.ms.clone(),
                remembered.clone(),
                new_stamp(),
                Bytes::new(),
                super::history(&session),
            ];
            if policy.encoding == Encoding::Framed {
                keys.push(self.layout.stamp(cache));
                keys.push(self.layout.pending(cache, &increment.key));
                keys.push(self.layout.lease(cache, &increment.key));
                let version = new_version(&session);
                arguments[HEADER] = frame::header(&Value::Data(Bytes::new()), &version);
            }
            let script = &self.scripts.increment;
            declared.change(batch, script, (keys, arguments), (&self.layout, cache));
        };
        let item = Item {
            key: &increment.key,
            judges: true,
            declared: Declared::default(),
        };
        let what = (Operation::Increment, cache);
        let sent = self.send_judged(&session, what, vec![item], add).await;
        let sent = sent.inspect_err(|fault| {
            if fault.applied != Applied::No {
                self.journal.counted(&entry, session.place(None));
            }
        })?;
        let answer = sum(sent.replies.first())?;
        self.journal.counted(&entry, session.place(sent.token));
        self.secure(&session, &sent, durability).await?;
        Ok(Written {
            answer,
            token: sent.token,
        })
    }
}

/// The answer of `increment.lua`.
fn sum(reply: Option<&Reply>) -> Result<i64, Fault> {
    let value = match reply {
        Some(Reply::Array(fields)) => match fields.as_slice() {
            [Reply::Int(1), Reply::Bytes(text)] => parse(text),
            [Reply::Int(0), Reply::Bytes(why)] if why.as_ref() == b"F" => {
                return Err(floor_required());
            }
            [Reply::Int(0), Reply::Bytes(_)] => return Err(not_a_number()),
            _ => None,
        },
        Some(Reply::Failed(fault)) => return Err(fault.clone()),
        _ => None,
    };
    value.ok_or_else(|| strange(Reply::Nil))
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

/// The fault of a counter that may have lost increments.
pub(in super::super) fn floor_required() -> Fault {
    Fault::not_applied(
        Cause::FloorRequired,
        "the counter may have lost increments with a failover, a restart, an eviction or a clear since it was told its \
         floor; call again with `floor` set to the highest number that is known to have been given out",
    )
}
