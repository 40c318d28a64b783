//! Puts as commands.
//!
//! A plain SET serves in a raw cache where nothing has to be looked at first, a short script in a framed one, and a long
//! one everywhere else. A load of the cache that is running learns of a write in the same script, and of a plain SET right
//! before it.
//!
//! Not here: sending them, and what came of them (`write`).

use std::sync::Arc;

use bytes::Bytes;

use crate::config::Encoding;
use crate::model::{CacheId, Condition, Expiry, Version};
use crate::upstream::{Batch, Session};

use super::super::frame;
use super::super::store::Put;
use super::expiry::{Arguments, arguments};
use super::judged::{Declared, Item};
use super::{Core, new_stamp, new_version};

impl Core {
    /// The version that a put will store.
    pub(super) fn version_of(&self, session: &Session, cache: &CacheId, put: &Put) -> Version {
        match self.encoding(cache) {
            Encoding::Framed => new_version(session),
            Encoding::Raw => Version::digest(&frame::raw(&put.value)),
        }
    }

    /// A put as an item of a batch: an unconditional one need not know what is there, unless it keeps the expiry.
    pub(super) fn item<'a>(&self, cache: &CacheId, put: &'a Put) -> Item<'a> {
        Item {
            key: &put.key,
            judges: asks(put) && self.encoding(cache) == Encoding::Framed,
            declared: Declared::joining(&put.groups),
        }
    }

    /// Whether a put to a framed cache needs to know nothing of what is there.
    fn is_plain(&self, cache: &CacheId, put: &Put) -> bool {
        !asks(put) && put.groups.is_empty() && self.layout.usage(cache).keys.is_empty()
    }

    /// Appends the command of one put.
    pub(super) fn add_put(
        self: &Arc<Self>,
        batch: &mut Batch,
        session: &Session,
        cache: &CacheId,
        (put, version): (&Put, &Version),
        declared: &Declared,
        existing: Bytes,
    ) {
        if !existing.is_empty() {
            batch.answered_at_length();
        }
        let policy = self.rules.policy(&cache.name);
        let expiry = arguments(put.expiry, policy.default_ttl(rand::random()));
        match policy.encoding {
            Encoding::Raw => self.add_raw(batch, cache, put, expiry, existing),
            Encoding::Framed if self.is_plain(cache, put) => {
                self.add_plain_put(batch, cache, (put, version), expiry);
            }
            Encoding::Framed => {
                let history = super::history(session);
                let (keys, arguments) =
                    self.framed(cache, (put, version), expiry, (existing, history));
                let script = &self.scripts.put_framed;
                declared.change(batch, script, (keys, arguments), (&self.layout, cache));
            }
        }
    }

    fn add_plain_put(
        &self,
        batch: &mut Batch,
        cache: &CacheId,
        (put, version): (&Put, &Version),
        expiry: Arguments,
    ) {
        let keys = [
            self.layout.entry(cache, &put.key),
            self.layout.stamp(cache),
            self.layout.pending(cache, &put.key),
            self.layout.deadline(cache, &put.key),
            self.layout.deadlines(cache),
            self.layout.lease(cache, &put.key),
            self.layout.load_notes(cache),
        ];
        let header = frame::header(&put.value, version);
        let value = frame::payload(&put.value);
        let arguments = [expiry.kind, expiry.ms, new_stamp(), header, value];
        batch.script(&self.scripts.put_plain, &keys, &arguments);
    }

    /// Keys and arguments of `put_framed.lua`.
    fn framed(
        &self,
        cache: &CacheId,
        (put, version): (&Put, &Version),
        expiry: Arguments,
        (existing, history): (Bytes, Bytes),
    ) -> (Vec<Bytes>, Vec<Bytes>) {
        let (condition, expected) = condition(&put.condition);
        let keys = vec![
            self.layout.entry(cache, &put.key),
            self.layout.stamp(cache),
            self.layout.pending(cache, &put.key),
            self.layout.flushes(cache),
            self.layout.deadline(cache, &put.key),
            self.layout.deadlines(cache),
            self.layout.lease(cache, &put.key),
            self.layout.load_notes(cache),
        ];
        let lease = put.lease.as_ref();
        let arguments = vec![
            condition,
            expected,
            expiry.kind,
            expiry.ms,
            new_stamp(),
            frame::header(&put.value, version),
            frame::payload(&put.value),
            existing,
            put.groups.len().to_string().into(),
            lease.map_or(Bytes::new(), |lease| lease.as_bytes().clone()),
            history,
        ];
        (keys, arguments)
    }

    fn add_raw(
        self: &Arc<Self>,
        batch: &mut Batch,
        cache: &CacheId,
        put: &Put,
        expiry: Arguments,
        existing: Bytes,
    ) {
        let entry = self.layout.entry(cache, &put.key);
        let (condition_of, expected) = condition(&put.condition);
        let bytes = frame::raw(&put.value);
        let notes = self.layout.load_notes(cache);
        let noted: (&str, &[&[u8]]) = ("RPUSHX", &[&notes, &entry]);
        match plain_set(&put.condition, &expiry).filter(|_| self.has_no_deadlines(cache)) {
            Some(true) => batch
                .command("SET", &[&entry, &bytes, b"PX", &expiry.ms])
                .after(noted),
            Some(false) => batch.command("SET", &[&entry, &bytes]).after(noted),
            None => batch.script(
                &self.scripts.put_raw,
                &[
                    entry,
                    self.layout.deadline(cache, &put.key),
                    self.layout.deadlines(cache),
                    notes,
                ],
                &[
                    condition_of,
                    expected,
                    expiry.kind,
                    expiry.ms,
                    bytes,
                    existing,
                ],
            ),
        };
    }
}

/// Whether a put depends on what is there.
fn asks(put: &Put) -> bool {
    put.condition != Condition::None || put.expiry == Expiry::Keep || put.lease.is_some()
}

/// Whether a plain SET does where there are no deadlines: with an expiry (`true`) or without one (`false`).
fn plain_set(condition: &Condition, expiry: &Arguments) -> Option<bool> {
    match (condition, expiry.kind.as_ref()) {
        (Condition::None, b"I") => Some(true),
        (Condition::None, b"N") => Some(false),
        (Condition::None, b"D") => Some(!expiry.ms.is_empty()),
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
