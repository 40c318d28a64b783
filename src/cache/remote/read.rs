//! Reading entries.
//!
//! One entry: a MGET of it and the stamp, hence at one moment, and the expiry in the same write. If the entry goes
//! between the two, the read is a miss; if it is replaced, the expiry may be that of the later value, whose write
//! comes after the read. Several: a script, which reads all of it at one moment and keeps to the budget, because one
//! large reply would hold up everybody's. One whose value is still here from an older session: a script that answers
//! with the value only if it changed. An entry in groups is judged by their stamps then (`membership`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::config::Encoding;
use crate::model::{CacheId, Cause, Fault, Key};
use crate::near::{Found, Held, Mark, Members};
use crate::upstream::{Batch, Effect, Operation, Reply, Session};

use super::super::frame::{self, STAMP_BYTES, Stored};
use super::super::store::{Items, too_large};
use super::membership::{Claim, Stamps};
use super::reader::Place;
use super::scripts::MOST_READ;
use super::{Core, strange};

/// Commands that read one entry: MGET and PTTL.
const PLAIN: usize = 2;
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
    /// All of it, for the near cache.
    mark: Mark,
}

/// What a read found.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) found: Found,
    /// The stamp of the cache at that moment; `None` in raw caches.
    pub(super) mark: Mark,
    pub(super) ttl: Option<Duration>,
    /// The stamps of its groups; `None` if it is in one too many to be kept.
    pub(super) members: Option<Members>,
}

impl Stamp {
    fn read(held: Option<&Bytes>) -> Self {
        match held {
            Some(held) if held.len() > STAMP_BYTES => Self {
                current: Some(held.slice(..STAMP_BYTES)),
                clean: held[STAMP_BYTES] != b's',
                mark: held.first_chunk().copied(),
            },
            _ => Self {
                current: None,
                clean: true,
                mark: None,
            },
        }
    }
}

impl Core {
    /// Reads entries, in the task of the caller.
    pub(super) async fn read_places(
        &self,
        session: &Session,
        places: &[&Place],
    ) -> Result<Items<Claim>, Fault> {
        let mut batch = Batch::new(Operation::Get, Effect::Read);
        for place in places {
            self.add_plain(&mut batch, place);
        }
        let replies = session.execute_here(&batch).await?;
        let (replies, left) = replies.as_chunks::<PLAIN>();
        if replies.len() != places.len() || !left.is_empty() {
            return Err(no_reply());
        }
        let claim =
            |(place, replies): (&&Place, &[Reply; PLAIN])| self.claim(&place.cache, replies);
        Ok(places.iter().zip(replies).map(claim).collect())
    }

    /// Reads one entry, in the task of the caller; a value that is still the same is not sent again.
    pub(super) async fn confirm(
        &self,
        session: &Session,
        place: &Place,
        held: &Held,
    ) -> Result<Claim, Fault> {
        let names: Vec<Bytes> = std::iter::once(place.entry.clone())
            .chain(self.stamp_key(&place.cache))
            .collect();
        let mut batch = Batch::new(Operation::Get, Effect::Read);
        let version = held.version.as_bytes().clone();
        batch.script(&self.scripts.confirm, &names, &[version]);
        let reply = session.execute_here(&batch).await?.into_iter().next();
        let Some(Reply::Array(parts)) = reply else {
            return Err(reply.map_or_else(no_reply, strange));
        };
        match parts.as_slice() {
            [Reply::Int(1), Reply::Int(pttl), stamp, Reply::Bytes(groups)] => {
                self.metrics.confirmed();
                let seen = Seen {
                    found: Found::Present(held.value.clone(), held.version.clone()),
                    mark: self.stamp(&place.cache, Some(stamp)).and_then(|s| s.mark),
                    ttl: remaining(*pttl),
                    members: Some(Vec::new()),
                };
                let members = frame::read_members(groups).ok_or_else(no_reply)?;
                Ok(Claim { seen, members })
            }
            [Reply::Int(0), value, pttl, stamp] => {
                let stamp = self.stamp(&place.cache, Some(stamp));
                self.find(&place.cache, value.clone(), pttl.clone(), stamp.as_ref())
            }
            _ => Err(no_reply()),
        }
    }

    /// Reads one entry for one call.
    pub(super) async fn read_alone(
        &self,
        session: &Arc<Session>,
        place: &Place,
    ) -> Result<Seen, Fault> {
        let mut batch = Batch::new(Operation::Get, Effect::Read);
        self.add_plain(&mut batch, place);
        let replies = self.send(session, batch).await?;
        let claim = self.claim(&place.cache, &replies)?;
        self.judge(session, &place.cache, claim, Stamps::Asked)
            .await
    }

    /// Appends what reads one entry: [`PLAIN`] commands.
    fn add_plain(&self, batch: &mut Batch, place: &Place) {
        match self.stamp_key(&place.cache) {
            Some(stamp) => batch.command("MGET", &[&place.entry, &stamp]),
            None => batch.command("MGET", &[&place.entry]),
        };
        batch.command("PTTL", &[&place.entry]);
    }

    fn claim(&self, cache: &CacheId, replies: &[Reply]) -> Result<Claim, Fault> {
        let [Reply::Array(values), pttl] = replies else {
            return Err(replies.first().cloned().map_or_else(no_reply, strange));
        };
        let value = values.first().cloned().unwrap_or(Reply::Nil);
        let stamp = self.stamp(cache, values.get(1));
        self.find(cache, value, pttl.clone(), stamp.as_ref())
    }

    pub(super) async fn read_many(
        &self,
        session: &Arc<Session>,
        cache: &CacheId,
        keys: &[Key],
        (budget, stamps): (u64, Stamps),
    ) -> Result<Items<Seen>, Fault> {
        let steps: Vec<&[Key]> = keys.chunks(MOST_READ).collect();
        let share = budget / steps.len().max(1) as u64;
        let mut batch = Batch::new(Operation::Get, Effect::Read);
        for step in &steps {
            self.add_read(&mut batch, cache, step, share);
        }
        let replies = self.send(session, batch).await?;
        let (mut claims, mut left) = (Vec::with_capacity(keys.len()), budget);
        let mut alone = false;
        for (step, reply) in steps.iter().zip(replies) {
            let mut part = self.claims(cache, step, reply)?;
            // Where an equal share is not enough, the rest goes in order, each with what is left.
            alone |= steps.len() > 1 && part.iter().any(is_too_large);
            if alone {
                let mut batch = Batch::new(Operation::Get, Effect::Read);
                self.add_read(&mut batch, cache, step, left);
                let reply = self.send(session, batch).await?.into_iter().next();
                part = self.claims(cache, step, reply.unwrap_or(Reply::Nil))?;
            }
            left = left.saturating_sub(part.iter().map(size).sum());
            claims.append(&mut part);
        }
        self.judge_all(session, cache, claims, stamps).await
    }

    /// Appends the script that reads some entries, of at most so many bytes.
    fn add_read(&self, batch: &mut Batch, cache: &CacheId, keys: &[Key], budget: u64) {
        let stamp_key = self.stamp_key(cache);
        let encoding: &'static [u8] = if stamp_key.is_some() { b"F" } else { b"R" };
        let names: Vec<Bytes> = keys
            .iter()
            .map(|key| self.layout.entry(cache, key))
            .chain(stamp_key)
            .collect();
        batch.script(
            &self.scripts.read_many,
            &names,
            &[Bytes::from_static(encoding), budget.to_string().into()],
        );
    }

    /// What such a script has found.
    fn claims(&self, cache: &CacheId, keys: &[Key], reply: Reply) -> Result<Items<Claim>, Fault> {
        let Reply::Array(parts) = reply else {
            return Err(strange(reply));
        };
        let [Reply::Array(values), Reply::Array(expiries), stamp] = parts.as_slice() else {
            return Err(no_reply());
        };
        if values.len() != keys.len() || expiries.len() != keys.len() {
            return Err(no_reply());
        }
        let stamp = self.stamp(cache, Some(stamp));
        let claim = |(value, pttl): (&Reply, &Reply)| match pttl {
            Reply::Int(TOO_LARGE) => Err(too_large()),
            pttl => self.find(cache, value.clone(), pttl.clone(), stamp.as_ref()),
        };
        Ok(values.iter().zip(expiries).map(claim).collect())
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

    fn find(
        &self,
        cache: &CacheId,
        value: Reply,
        pttl: Reply,
        stamp: Option<&Stamp>,
    ) -> Result<Claim, Fault> {
        let pttl = match pttl {
            Reply::Int(pttl) => pttl,
            reply => return Err(strange(reply)),
        };
        let mark = stamp.and_then(|stamp| stamp.mark);
        let claim = |found, ttl, members| Claim {
            seen: Seen {
                found,
                mark,
                ttl,
                members: Some(Vec::new()),
            },
            members,
        };
        let absent = || claim(Found::Absent, None, Vec::new());
        let bytes = match value {
            Reply::Bytes(bytes) if pttl != NO_KEY => bytes,
            Reply::Bytes(_) | Reply::Nil => return Ok(absent()),
            reply => return Err(strange(reply)),
        };
        let mut groups = Vec::new();
        let (value, version) = match stamp {
            None => frame::read_raw(&bytes),
            Some(stamp) => match frame::read_framed(&bytes) {
                Stored::Framed {
                    value,
                    version,
                    stamp: written,
                    members,
                } if Some(&written) == stamp.current.as_ref() => {
                    groups = members;
                    (value, version)
                }
                Stored::Foreign(value, version) if stamp.clean => (value, version),
                Stored::Foreign(..) => {
                    // Whoever cleared may have died before it swept.
                    if let Some(stamp) = &stamp.current {
                        self.sweeper.sweep(cache, stamp.clone());
                    }
                    return Ok(absent());
                }
                Stored::Framed { .. } | Stored::Unreadable => return Ok(absent()),
            },
        };
        let found = Found::Present(value, version);
        Ok(claim(found, remaining(pttl), groups))
    }

    /// The existing entry that a script answered with.
    pub(super) fn existing(
        &self,
        cache: &CacheId,
        bytes: &Bytes,
        pttl: i64,
    ) -> Result<Seen, Fault> {
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
        Ok(Seen {
            found: Found::Present(value, version),
            mark: None,
            ttl: remaining(pttl),
            members: None,
        })
    }
}

fn is_too_large<T>(item: &Result<T, Fault>) -> bool {
    matches!(item, Err(fault) if fault.cause == Cause::AnswerTooLarge)
}

fn size(item: &Result<Claim, Fault>) -> u64 {
    match item {
        Ok(Claim {
            seen:
                Seen {
                    found: Found::Present(value, _),
                    ..
                },
            ..
        }) => value.len() as u64,
        _ => 0,
    }
}

pub(super) fn no_reply() -> Fault {
    Fault::not_applied(
        Cause::Internal,
        "Redis answered a read with an unexpected shape",
    )
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
