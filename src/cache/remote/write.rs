//! Writing, removing and touching entries, and replacing the stamp of a cache.
//!
//! Each item is one command, hence atomic; items of a batch execute in order. A plain SET serves where nothing has
//! to be looked at first; a script everywhere else.

use bytes::Bytes;

use crate::clock;
use crate::config::Encoding;
use crate::model::{CacheId, Cause, Condition, Expiry, Fault, Key, Lookup, PutOutcome, Version};
use crate::upstream::{Batch, Effect, Operation, Reply, Session};

use super::super::frame;
use super::super::store::{IfAbsent, Items, Put, Written};
use super::expiry::{Arguments, arguments};
use super::{Core, new_stamp, new_version, strange};

/// Asks `put_*.lua` for the existing entry when the condition is false.
const WITH_EXISTING: Bytes = Bytes::from_static(b"E");

impl Core {
    pub(super) async fn write(
        &self,
        cache: &CacheId,
        puts: Vec<Put>,
    ) -> Result<Written<Items<PutOutcome>>, Fault> {
        if puts.is_empty() {
            return Ok(nothing());
        }
        let session = self.lane.session()?;
        let mut own = self.own_write(cache, puts.iter().map(|put| put.key.clone()));
        let mut batch = Batch::new(Operation::Put, Effect::Write);
        let mut versions = Vec::with_capacity(puts.len());
        for put in &puts {
            versions.push(self.add_put(&mut batch, &session, cache, put, Bytes::new()));
        }
        let replies = self.send_puts(&session, cache, batch).await?;
        let answer: Items<PutOutcome> = replies
            .answer
            .into_iter()
            .zip(versions)
            .map(|(reply, version)| outcome(reply, version))
            .collect();
        own.changed(
            answer
                .iter()
                .map(|item| !matches!(item, Ok(PutOutcome::NotStored(_)))),
        );
        Ok(Written {
            answer,
            token: replies.token,
        })
    }

    pub(super) async fn write_if_absent(
        &self,
        cache: &CacheId,
        mut put: Put,
    ) -> Result<Written<IfAbsent>, Fault> {
        put.condition = Condition::Absent;
        let session = self.lane.session()?;
        let mut own = self.own_write(cache, [put.key.clone()]);
        // The existing entry is handed out, and tracked by what the script reads.
        let entry = self.layout.entry(cache, &put.key);
        self.coherence.directory.note(&entry, cache);
        let sent = clock::now();
        let mut batch = Batch::new(Operation::Put, Effect::Write);
        let version = self.add_put(&mut batch, &session, cache, &put, WITH_EXISTING);
        let replies = self.send_puts(&session, cache, batch).await?;
        let answer = match only(replies.answer)? {
            Reply::Array(fields) => match fields.as_slice() {
                [Reply::Int(1)] => IfAbsent::Stored(version),
                [Reply::Int(0), Reply::Bytes(bytes), Reply::Int(pttl)] => {
                    own.changed([false]);
                    let seen = self.existing(cache, bytes, *pttl)?;
                    match self.answer(&session, sent, seen) {
                        Lookup::Hit(hit) => IfAbsent::Existing(hit),
                        Lookup::Miss(_) => return Err(strange(Reply::Nil)),
                    }
                }
                _ => return Err(strange(Reply::Nil)),
            },
            reply => return Err(strange(reply)),
        };
        Ok(Written {
            answer,
            token: replies.token,
        })
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

    pub(super) async fn remove(
        &self,
        cache: &CacheId,
        keys: &[Key],
    ) -> Result<Written<Items<bool>>, Fault> {
        if keys.is_empty() {
            return Ok(nothing());
        }
        let session = self.lane.session()?;
        let mut own = self.own_write(cache, keys.iter().cloned());
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
        let replies = self.send_write(&session, batch).await?;
        let answer: Items<bool> = replies.answer.into_iter().map(truth).collect();
        own.changed(answer.iter().map(|existed| *existed != Ok(false)));
        Ok(Written {
            answer,
            token: replies.token,
        })
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
        let session = self.lane.session()?;
        let mut own = self.own_write(cache, [key.clone()]);
        let touched = truth(only(self.send(&session, batch).await?)?)?;
        own.changed([touched]);
        Ok(touched)
    }

    /// Makes every entry of a cache a miss.
    pub(super) async fn clear(&self, cache: &CacheId) -> Result<Written<Option<u64>>, Fault> {
        let _own = self.own_clear(cache);
        match self.encoding(cache) {
            Encoding::Framed => self.replace_stamp(cache).await,
            Encoding::Raw => {
                let removed = self.sweeper.remove_all(cache).await?;
                Ok(Written {
                    answer: Some(removed),
                    token: None,
                })
            }
        }
    }

    /// One step, whatever the size of the cache.
    async fn replace_stamp(&self, cache: &CacheId) -> Result<Written<Option<u64>>, Fault> {
        let stamp = new_stamp();
        let mut batch = Batch::new(Operation::Clear, Effect::Write);
        batch.script(
            &self.scripts.clear_framed,
            &[self.layout.stamp(cache)],
            std::slice::from_ref(&stamp),
        );
        let session = self.lane.session()?;
        let replies = self.send_write(&session, batch).await?;
        truth(only(replies.answer)?)?;
        self.sweeper.sweep(cache, stamp);
        Ok(Written {
            answer: None,
            token: replies.token,
        })
    }
}

/// The answer to a batch without items.
fn nothing<T>() -> Written<Items<T>> {
    Written {
        answer: Vec::new(),
        token: None,
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
