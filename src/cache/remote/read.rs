//! Reading entries and their expiry.
//!
//! One entry: a MGET of it and the stamp, hence at one moment, and the expiry in the same write. If the entry goes
//! between the two, the read is a miss; if it is replaced, the expiry may be that of the later value, whose write
//! comes after the read. Several: a script, which reads all of it at one moment and keeps to the budget, because one
//! large reply would hold up everybody's.

use std::time::Duration;

use bytes::Bytes;

use crate::config::Encoding;
use crate::model::{CacheId, Cause, Fault, Freshness, Hit, Key, Lookup, TtlLookup};
use crate::upstream::{Batch, Effect, Operation, Reply, Session};

use super::super::frame::{self, STAMP_BYTES, Stored};
use super::super::store::{Items, too_large};
use super::{Remote, strange};

/// PTTL of a key that does not exist.
const NO_KEY: i64 = -2;
/// PTTL of a key without expiry.
const NO_EXPIRY: i64 = -1;
/// What `read_many.lua` tells instead of PTTL where the value does not fit the answer.
const TOO_LARGE: i64 = -3;

/// The stamp of a framed cache, as its key holds it.
#[derive(Debug)]
struct Stamp {
    /// `None`: lost, hence every framed entry is dead.
    current: Option<Bytes>,
    /// Whether foreign entries may be seen, which they may not while a clear is being swept.
    clean: bool,
}

impl Stamp {
    fn read(held: Option<&Bytes>) -> Self {
        match held {
            Some(held) if held.len() > STAMP_BYTES => Self {
                current: Some(held.slice(..STAMP_BYTES)),
                clean: held[STAMP_BYTES] != b's',
            },
            _ => Self {
                current: None,
                clean: true,
            },
        }
    }
}

impl Remote {
    pub(super) async fn read(&self, cache: &CacheId, key: &Key) -> Result<Lookup, Fault> {
        let session = self.lane.session()?;
        let entry = self.layout.entry(cache, key);
        let mut batch = Batch::new(Operation::Get, Effect::Read);
        match self.stamp_key(cache) {
            Some(stamp) => batch.command("MGET", &[&entry, &stamp]),
            None => batch.command("MGET", &[&entry]),
        };
        batch.command("PTTL", &[&entry]);
        let replies = self.send(&session, batch).await?;
        let [Reply::Array(values), pttl] = replies.as_slice() else {
            return Err(replies.into_iter().next().map_or_else(no_reply, strange));
        };
        let value = values.first().cloned().unwrap_or(Reply::Nil);
        let stamp = self.stamp(cache, values.get(1));
        self.lookup(&session, cache, value, pttl.clone(), stamp.as_ref())
    }

    pub(super) async fn read_many(
        &self,
        cache: &CacheId,
        keys: &[Key],
        budget: u64,
    ) -> Result<Items<Lookup>, Fault> {
        let session = self.lane.session()?;
        let stamp_key = self.stamp_key(cache);
        let encoding: &'static [u8] = if stamp_key.is_some() { b"F" } else { b"R" };
        let names: Vec<Bytes> = keys
            .iter()
            .map(|key| self.layout.entry(cache, key))
            .chain(stamp_key)
            .collect();
        let mut batch = Batch::new(Operation::Get, Effect::Read);
        batch.script(
            &self.scripts.read_many,
            &names,
            &[Bytes::from_static(encoding), budget.to_string().into()],
        );
        let reply = self.send(&session, batch).await?.into_iter().next();
        let Some(Reply::Array(parts)) = reply else {
            return Err(reply.map_or_else(no_reply, strange));
        };
        let [Reply::Array(values), Reply::Array(expiries), stamp] = parts.as_slice() else {
            return Err(no_reply());
        };
        let stamp = self.stamp(cache, Some(stamp));
        Ok(values
            .iter()
            .zip(expiries)
            .map(|(value, pttl)| match pttl {
                Reply::Int(TOO_LARGE) => Err(too_large()),
                pttl => self.lookup(&session, cache, value.clone(), pttl.clone(), stamp.as_ref()),
            })
            .collect())
    }

    /// The key of the stamp, where the cache has one.
    pub(super) fn stamp_key(&self, cache: &CacheId) -> Option<Bytes> {
        match self.encoding(cache) {
            Encoding::Framed => Some(self.layout.stamp(cache)),
            Encoding::Raw => None,
        }
    }

    /// The stamp of a framed cache, as it was read.
    fn stamp(&self, cache: &CacheId, held: Option<&Reply>) -> Option<Stamp> {
        match (self.encoding(cache), held) {
            (Encoding::Raw, _) => None,
            (Encoding::Framed, Some(Reply::Bytes(held))) => Some(Stamp::read(Some(held))),
            (Encoding::Framed, _) => Some(Stamp::read(None)),
        }
    }

    fn lookup(
        &self,
        session: &Session,
        cache: &CacheId,
        value: Reply,
        pttl: Reply,
        stamp: Option<&Stamp>,
    ) -> Result<Lookup, Fault> {
        let freshness = freshness(session);
        let found = self.find(cache, value, pttl, stamp)?;
        Ok(found.map_or(Lookup::Miss, |hit| Lookup::Hit(Hit { freshness, ..hit })))
    }

    fn find(
        &self,
        cache: &CacheId,
        value: Reply,
        pttl: Reply,
        stamp: Option<&Stamp>,
    ) -> Result<Option<Hit>, Fault> {
        let pttl = match pttl {
            Reply::Int(pttl) => pttl,
            reply => return Err(strange(reply)),
        };
        let bytes = match value {
            Reply::Bytes(bytes) if pttl != NO_KEY => bytes,
            Reply::Bytes(_) | Reply::Nil => return Ok(None),
            reply => return Err(strange(reply)),
        };
        let (value, version) = match stamp {
            None => frame::read_raw(&bytes),
            Some(stamp) => match frame::read_framed(&bytes) {
                Stored::Framed {
                    value,
                    version,
                    stamp: written,
                } if Some(&written) == stamp.current.as_ref() => (value, version),
                Stored::Foreign(value, version) if stamp.clean => (value, version),
                Stored::Foreign(..) => {
                    // Whoever cleared may have died before it swept.
                    if let Some(stamp) = &stamp.current {
                        self.sweeper.sweep(cache, stamp.clone());
                    }
                    return Ok(None);
                }
                Stored::Framed { .. } | Stored::Unreadable => return Ok(None),
            },
        };
        Ok(Some(Hit::from_master(value, version, remaining(pttl))))
    }

    /// The existing entry that a script answered with.
    pub(super) fn existing(
        &self,
        session: &Session,
        cache: &CacheId,
        bytes: &Bytes,
        pttl: i64,
    ) -> Result<Hit, Fault> {
        let (value, version) = match self.encoding(cache) {
            Encoding::Raw => frame::read_raw(bytes),
            Encoding::Framed => match frame::read_framed(bytes) {
                Stored::Framed { value, version, .. } | Stored::Foreign(value, version) => {
                    (value, version)
                }
                Stored::Unreadable => {
                    return Err(Fault::not_applied(
                        Cause::RedisRefused,
                        "the existing entry has a damaged header; evict it",
                    ));
                }
            },
        };
        Ok(Hit {
            freshness: freshness(session),
            ..Hit::from_master(value, version, remaining(pttl))
        })
    }

    /// Reads the value too, because only its header tells whether it is alive.
    pub(super) async fn read_expiry(&self, cache: &CacheId, key: &Key) -> Result<TtlLookup, Fault> {
        Ok(match self.read(cache, key).await? {
            Lookup::Miss => TtlLookup::Miss,
            Lookup::Hit(Hit { ttl: None, .. }) => TtlLookup::Never,
            Lookup::Hit(Hit { ttl: Some(ttl), .. }) => TtlLookup::Remaining(ttl),
        })
    }
}

fn no_reply() -> Fault {
    Fault::not_applied(
        Cause::Internal,
        "Redis answered a read with an unexpected shape",
    )
}

/// What the node says is fresh while it is the elected master.
fn freshness(session: &Session) -> Freshness {
    if session.is_verified() {
        Freshness::Fresh
    } else {
        Freshness::Unverified
    }
}

fn remaining(pttl: i64) -> Option<Duration> {
    (pttl != NO_EXPIRY).then(|| Duration::from_millis(u64::try_from(pttl).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_key_reads_as_stamp_and_state() {
        let held = Bytes::from_static(b"0123456789abcdefs");
        let stamp = Stamp::read(Some(&held));
        assert_eq!(stamp.current.as_deref(), Some(&b"0123456789abcdef"[..]));
        assert!(!stamp.clean);
        assert!(Stamp::read(Some(&Bytes::from_static(b"0123456789abcdefc"))).clean);
        for damaged in [None, Some(&Bytes::from_static(b"short"))] {
            let stamp = Stamp::read(damaged);
            assert_eq!((stamp.current, stamp.clean), (None, true));
        }
    }
}
