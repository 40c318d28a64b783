//! Writing, removing and touching entries, and replacing the stamp of a cache.
//!
//! Each item is one command, hence atomic; items of a batch execute in order. A plain SET serves where nothing has
//! to be looked at first; a script everywhere else.

use bytes::Bytes;

use crate::config::Encoding;
use crate::model::{CacheId, Cause, Condition, Expiry, Fault, Key, PutOutcome, Version};
use crate::upstream::{Batch, Effect, Operation, Reply, Session};

use super::super::frame;
use super::super::store::{IfAbsent, Items, Put};
use super::expiry::{Arguments, arguments};
use super::{Remote, new_stamp, new_version, strange};

/// Asks `put_*.lua` for the existing entry when the condition is false.
const WITH_EXISTING: Bytes = Bytes::from_static(b"E");

impl Remote {
    pub(super) async fn write(
        &self,
        cache: &CacheId,
        puts: Vec<Put>,
    ) -> Result<Items<PutOutcome>, Fault> {
        if puts.is_empty() {
            return Ok(Vec::new());
        }
        let session = self.lane.session()?;
        let mut batch = Batch::new(Operation::Put, Effect::Write);
        let mut versions = Vec::with_capacity(puts.len());
        for put in &puts {
            versions.push(self.add_put(&mut batch, &session, cache, put, Bytes::new()));
        }
        let replies = self.send_puts(&session, cache, batch).await?;
        Ok(replies
            .into_iter()
            .zip(versions)
            .map(|(reply, version)| outcome(reply, version))
            .collect())
    }

    pub(super) async fn write_if_absent(
        &self,
        cache: &CacheId,
        mut put: Put,
    ) -> Result<IfAbsent, Fault> {
        put.condition = Condition::Absent;
        let session = self.lane.session()?;
        let mut batch = Batch::new(Operation::Put, Effect::Write);
        let version = self.add_put(&mut batch, &session, cache, &put, WITH_EXISTING);
        let reply = only(self.send_puts(&session, cache, batch).await?)?;
        match reply {
            Reply::Array(fields) => match fields.as_slice() {
                [Reply::Int(1)] => Ok(IfAbsent::Stored(version)),
                [Reply::Int(0), Reply::Bytes(bytes), Reply::Int(pttl)] => self
                    .existing(&session, cache, bytes, *pttl)
                    .map(IfAbsent::Existing),
                _ => Err(strange(Reply::Nil)),
            },
            reply => Err(strange(reply)),
        }
    }

    /// Appends the command of one put and returns the version that it will store.
    fn add_put(
        &self,
        batch: &mut Batch,
        session: &Session,
        cache: &CacheId,
        put: &Put,
        existing: Bytes,
    ) -> Version {
        let policy = self.rules.policy(&cache.name);
        let expiry = arguments(put.expiry, policy.ttl);
        let entry = self.layout.entry(cache, &put.key);
        let (condition, expected) = condition(&put.condition);
        if policy.encoding == Encoding::Framed {
            let version = new_version(session);
            let (before, after) = frame::header(&put.value, &version);
            batch.script(
                &self.scripts.put_framed,
                &[entry, self.layout.stamp(cache)],
                &[
                    condition,
                    expected,
                    expiry.kind,
                    expiry.ms,
                    new_stamp(),
                    before,
                    after,
                    frame::payload(&put.value),
                    existing,
                ],
            );
            return version;
        }
        let bytes = frame::raw(&put.value);
        let version = Version::digest(&bytes);
        match plain_set(&put.condition, &expiry) {
            Some(true) => batch.command("SET", &[&entry, &bytes, b"PX", &expiry.ms]),
            Some(false) => batch.command("SET", &[&entry, &bytes]),
            None => batch.script(
                &self.scripts.put_raw,
                &[entry],
                &[condition, expected, expiry.kind, expiry.ms, bytes, existing],
            ),
        };
        version
    }

    pub(super) async fn remove(&self, cache: &CacheId, keys: &[Key]) -> Result<Items<bool>, Fault> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut batch = Batch::new(Operation::Evict, Effect::Write);
        for key in keys {
            let entry = self.layout.entry(cache, key);
            match self.encoding(cache) {
                Encoding::Raw => batch.command("UNLINK", &[&entry]),
                Encoding::Framed => batch.script(
                    &self.scripts.evict_framed,
                    &[entry, self.layout.stamp(cache)],
                    &[new_stamp()],
                ),
            };
        }
        let replies = self.send(&*self.lane.session()?, batch).await?;
        Ok(replies.into_iter().map(truth).collect())
    }

    pub(super) async fn change_expiry(
        &self,
        cache: &CacheId,
        key: &Key,
        expiry: Expiry,
    ) -> Result<bool, Fault> {
        let expiry = arguments(expiry, self.rules.policy(&cache.name).ttl);
        let mut keys = vec![self.layout.entry(cache, key)];
        keys.extend(self.stamp_key(cache));
        let mut batch = Batch::new(Operation::Touch, Effect::Write);
        batch.script(
            &self.scripts.touch,
            &keys,
            &[expiry.kind, expiry.ms, new_stamp()],
        );
        truth(only(self.send(&*self.lane.session()?, batch).await?)?)
    }

    /// Clears a framed cache: one step, whatever its size.
    pub(super) async fn replace_stamp(&self, cache: &CacheId) -> Result<(), Fault> {
        let stamp = new_stamp();
        let mut batch = Batch::new(Operation::Clear, Effect::Write);
        batch.script(
            &self.scripts.clear_framed,
            &[self.layout.stamp(cache)],
            std::slice::from_ref(&stamp),
        );
        truth(only(self.send(&*self.lane.session()?, batch).await?)?)?;
        self.sweeper.sweep(cache, stamp);
        Ok(())
    }
}

/// Whether a plain SET does: with an expiry (`true`) or without one (`false`).
fn plain_set(condition: &Condition, expiry: &Arguments) -> Option<bool> {
    match (condition, expiry.kind.as_ref()) {
        (Condition::None, b"I") => Some(true),
        (Condition::None, b"N") => Some(false),
        _ => None,
    }
}

fn condition(condition: &Condition) -> (Bytes, Bytes) {
    let (letter, version) = match condition {
        Condition::None => ("N", Bytes::new()),
        Condition::Absent => ("A", Bytes::new()),
        Condition::Present => ("P", Bytes::new()),
        Condition::Version(version) => ("V", version.as_bytes().clone()),
    };
    (Bytes::from_static(letter.as_bytes()), version)
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
            _ => Err(strange(Reply::Nil)),
        },
        reply => Err(strange(reply)),
    }
}

fn truth(reply: Reply) -> Result<bool, Fault> {
    match reply {
        Reply::Int(number) => Ok(number > 0),
        reply => Err(strange(reply)),
    }
}

fn only(replies: Vec<Reply>) -> Result<Reply, Fault> {
    replies
        .into_iter()
        .next()
        .ok_or_else(|| Fault::unknown(Cause::Internal, "a batch of one without a reply"))
}
