//! Writing and touching entries.
//!
//! Each item is one command, hence atomic; items of a batch execute in order.
//!
//! Not here: which command (`put`).

use std::sync::Arc;

use bytes::Bytes;

use crate::clock;
use crate::failover::{Patience, Repeat, is_written_again};
use crate::model::{
    Applied, CacheId, Cause, Condition, Durability, Expiry, Fault, Key, Lookup, PutOutcome, Version,
};
use crate::upstream::{Batch, Operation, Reply, Session};

use super::super::store::{IfAbsent, Items, Put, Write, Written, too_many_groups};
use super::expiry::arguments;
use super::journal::Wrote;
use super::judged::{Declared, Item, is_too_many};
use super::{Core, new_stamp, strange};

/// Asks `put_*.lua` for the existing entry when the condition is false.
const WITH_EXISTING: Bytes = Bytes::from_static(b"E");

impl Core {
    /// How long a write waits for a session that it may be sent on.
    pub(super) fn patience(&self, write: &Write, weight: u64) -> Patience {
        Patience {
            to_all: write.durability.is_all(),
            ..self.passage.patience(write.deadline, weight)
        }
    }

    pub(super) async fn write(
        self: &Arc<Self>,
        cache: &CacheId,
        puts: Vec<Put>,
        write: Write,
    ) -> Result<Written<Items<PutOutcome>>, Fault> {
        if puts.is_empty() {
            return Ok(nothing());
        }
        let weight = puts.iter().map(Put::weight).sum();
        let plain = |put: &Put| put.condition == Condition::None && put.lease.is_none();
        let repeat = Repeat::harmless(puts.iter().all(plain));
        let mut own = self.own_write(cache, puts.iter().map(|put| put.key.clone()));
        let attempt = |session| self.write_once(session, cache, &puts, write.durability);
        let patience = self.patience(&write, weight);
        let written = self.passage.persist(patience, repeat, attempt).await;
        let written = written.inspect_err(|fault| own.failed(fault))?;
        let changed = |item: &Result<_, _>| !matches!(item, Ok(PutOutcome::NotStored(_)));
        own.changed(written.answer.iter().map(changed));
        Ok(written)
    }

    async fn write_once(
        self: &Arc<Self>,
        session: Arc<Session>,
        cache: &CacheId,
        puts: &[Put],
        durability: Durability,
    ) -> Result<Written<Items<PutOutcome>>, Fault> {
        let version = |put| self.version_of(&session, cache, put);
        let versions: Vec<Version> = puts.iter().map(version).collect();
        let wrote = |at: usize| (&puts[at].key, Wrote::Value(versions[at].clone()));
        let items = puts.iter().map(|put| self.item(cache, put)).collect();
        let add = |batch: &mut Batch, at: usize, declared: &Declared| {
            let put = (&puts[at], &versions[at]);
            self.add_put(batch, &session, cache, put, declared, Bytes::new());
        };
        let what = (Operation::Put, cache);
        let sent = match self.send_judged(&session, what, items, add).await {
            Ok(sent) => sent,
            Err(fault) => {
                return Err(self.doubted(&session, cache, (0..puts.len()).map(wrote), fault));
            }
        };
        let items = sent.replies.iter().cloned().zip(versions.iter().cloned());
        let answer: Items<PutOutcome> = items
            .map(|(reply, version)| outcome(reply, version))
            .collect();
        let place = session.place(sent.token);
        for (at, item) in answer.iter().enumerate() {
            match item {
                Ok(PutOutcome::Stored(_)) => self.remember(cache, wrote(at), place),
                Err(fault) if fault.applied != Applied::No => {
                    self.remember(cache, wrote(at), session.place(None));
                }
                _ => {}
            }
        }
        let written = together(Written {
            answer,
            token: sent.token,
        })?;
        self.secure(&session, &sent, durability).await?;
        Ok(written)
    }

    pub(super) async fn write_if_absent(
        self: &Arc<Self>,
        cache: &CacheId,
        mut put: Put,
        write: Write,
    ) -> Result<Written<IfAbsent>, Fault> {
        put.condition = Condition::Absent;
        let mut own = self.own_write(cache, [put.key.clone()]);
        // The existing entry is handed out, and tracked by what the script reads.
        let entry = self.layout.entry(cache, &put.key);
        self.coherence.directory.note(&entry, cache);
        let attempt = |session| self.write_if_absent_once(session, cache, &put, write.durability);
        let patience = self.patience(&write, put.weight());
        let written = self.passage.persist(patience, Repeat::Never, attempt).await;
        let written = written.inspect_err(|fault| own.failed(fault))?;
        if matches!(written.answer, IfAbsent::Existing(_)) {
            own.changed([false]);
        }
        Ok(written)
    }

    async fn write_if_absent_once(
        self: &Arc<Self>,
        session: Arc<Session>,
        cache: &CacheId,
        put: &Put,
        durability: Durability,
    ) -> Result<Written<IfAbsent>, Fault> {
        let asked = clock::now();
        let version = self.version_of(&session, cache, put);
        let wrote = (&put.key, Wrote::Value(version.clone()));
        let add = |batch: &mut Batch, _, declared: &Declared| {
            let put = (put, &version);
            self.add_put(batch, &session, cache, put, declared, WITH_EXISTING);
        };
        let (what, items) = ((Operation::Put, cache), vec![self.item(cache, put)]);
        let sent = match self.send_judged(&session, what, items, add).await {
            Ok(sent) => sent,
            Err(fault) => return Err(self.doubted(&session, cache, [wrote], fault)),
        };
        let Some(Reply::Array(fields)) = sent.replies.first() else {
            return Err(strange(sent.replies.first().cloned().unwrap_or(Reply::Nil)));
        };
        let answer = match fields.as_slice() {
            [Reply::Int(1)] => {
                let place = session.place(sent.token);
                self.remember(cache, wrote, place);
                self.secure(&session, &sent, durability).await?;
                IfAbsent::Stored(version)
            }
            [Reply::Int(0), Reply::Bytes(bytes), Reply::Int(pttl)] => {
                let seen = self.existing(cache, bytes, *pttl)?;
                match self.answer(&session, asked, seen) {
                    Lookup::Hit(hit) => IfAbsent::Existing(hit),
                    Lookup::Miss(_) => return Err(strange(Reply::Nil)),
                }
            }
            fields if is_too_many(fields) => return Err(too_many_groups()),
            _ => return Err(strange(Reply::Nil)),
        };
        Ok(Written {
            answer,
            token: sent.token,
        })
    }

    pub(super) async fn change_expiry(
        &self,
        cache: &CacheId,
        key: &Key,
        expiry: Expiry,
        write: Write,
    ) -> Result<bool, Fault> {
        let policy = self.rules.policy(&cache.name);
        let expiry = arguments(expiry, policy.default_ttl(rand::random()));
        let mut own = self.own_write(cache, [key.clone()]);
        let add = |batch: &mut Batch, _, declared: &Declared| {
            let keys = self.keys_of_expiry(cache, key);
            let arguments = vec![expiry.kind.clone(), expiry.ms.clone(), new_stamp()];
            let script = &self.scripts.touch;
            declared.change(batch, script, (keys, arguments), (&self.layout, cache));
        };
        let attempt = |session: Arc<Session>| async move {
            let item = Item {
                key,
                judges: true,
                declared: Declared::default(),
            };
            let what = (Operation::Touch, cache);
            let sent = self.send_judged(&session, what, vec![item], add).await?;
            truth(only(sent.replies)?)
        };
        let patience = self.patience(&write, key.as_bytes().len() as u64);
        let touched = self
            .passage
            .persist(patience, Repeat::Harmless, attempt)
            .await;
        let touched = touched.inspect_err(|fault| own.failed(fault))?;
        own.changed([touched]);
        Ok(touched)
    }
}

/// The answer to a batch without items.
pub(super) fn nothing<T>() -> Written<Items<T>> {
    Written {
        answer: Vec::new(),
        token: None,
    }
}

/// Items that all failed for one reason which may pass, as one fault; a batch is sent again as a whole, so that its
/// order stays.
pub(super) fn together<T>(written: Written<Items<T>>) -> Result<Written<Items<T>>, Fault> {
    let passing = |item: &Result<T, Fault>| matches!(item, Err(fault) if is_written_again(fault.cause) && fault.applied == Applied::No);
    if written.answer.iter().all(passing)
        && let Some(Err(fault)) = written.answer.first()
    {
        return Err(fault.clone());
    }
    Ok(written)
}

/// Reads the answer of a put: `OK` from SET, a list from a script.
fn outcome(reply: Reply, version: Version) -> Result<PutOutcome, Fault> {
    match reply {
        Reply::Bytes(_) => Ok(PutOutcome::Stored(version)),
        Reply::Array(fields) => match fields.as_slice() {
            [Reply::Int(1)] => Ok(PutOutcome::Stored(version)),
            [Reply::Int(0), Reply::Bytes(current)] => {
                Ok(PutOutcome::NotStored(Version::from_caller(current.clone())))
            }
            [Reply::Int(0), Reply::Nil] => Ok(PutOutcome::NotStored(None)),
            fields if is_too_many(fields) => Err(too_many_groups()),
            _ => Err(strange(Reply::Nil)),
        },
        reply => Err(strange(reply)),
    }
}

pub(super) fn truth(reply: Reply) -> Result<bool, Fault> {
    match reply {
        Reply::Int(number) => Ok(number > 0),
        reply => Err(strange(reply)),
    }
}

pub(super) fn only(replies: Vec<Reply>) -> Result<Reply, Fault> {
    replies
        .into_iter()
        .next()
        .ok_or_else(|| Fault::unknown(Cause::Internal, "a batch of one without a reply"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_sent_again_only_as_a_whole() {
        let refused = || Err(Fault::not_applied(Cause::NotAMaster, "READONLY"));
        let with = |answer: Items<u8>| {
            together(Written {
                answer,
                token: None,
            })
        };
        assert!(with(vec![refused(), refused()]).is_err());
        assert!(with(vec![refused(), Ok(1)]).is_ok());
        let full = Err(Fault::not_applied(Cause::RedisOutOfMemory, "OOM"));
        assert!(with(vec![full]).is_ok());
    }
}
