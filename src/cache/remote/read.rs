//! Reading entries and their expiry.
//!
//! Entry and stamp are read by one MGET, hence at one moment. The expiry follows in the same write; if the entry
//! goes between the two, the read is a miss.

use std::time::Duration;

use bytes::Bytes;

use crate::config::Encoding;
use crate::model::{CacheId, Fault, Hit, Key, Lookup, TtlLookup};
use crate::upstream::{Batch, Effect, Operation, Reply};

use super::super::frame::{self, STAMP_BYTES, Stored};
use super::super::store::Items;
use super::{Remote, strange};

/// PTTL of a key that does not exist.
const NO_KEY: i64 = -2;
/// PTTL of a key without expiry.
const NO_EXPIRY: i64 = -1;

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
    pub(super) async fn read(&self, cache: &CacheId, keys: &[Key]) -> Result<Items<Lookup>, Fault> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let framed = self.encoding(cache) == Encoding::Framed;
        let mut names: Vec<Bytes> = keys
            .iter()
            .map(|key| self.layout.entry(cache, key))
            .collect();
        let mut batch = Batch::new(Operation::Get, Effect::Read);
        for name in &names {
            batch.command("PTTL", &[name]);
        }
        if framed {
            names.push(self.layout.stamp(cache));
        }
        let arguments: Vec<&[u8]> = names.iter().map(AsRef::as_ref).collect();
        batch.command("MGET", &arguments);

        let mut replies = self.send(cache, batch).await?;
        let mut values = match replies.pop() {
            Some(Reply::Array(values)) => values,
            Some(reply) => return Err(strange(reply)),
            None => Vec::new(),
        };
        let stamp = framed.then(|| match values.pop() {
            Some(Reply::Bytes(held)) => Stamp::read(Some(&held)),
            _ => Stamp::read(None),
        });
        Ok(values
            .into_iter()
            .zip(replies)
            .map(|(value, pttl)| self.lookup(cache, value, pttl, stamp.as_ref()))
            .collect())
    }

    fn lookup(
        &self,
        cache: &CacheId,
        value: Reply,
        pttl: Reply,
        stamp: Option<&Stamp>,
    ) -> Result<Lookup, Fault> {
        let pttl = match pttl {
            Reply::Int(pttl) => pttl,
            reply => return Err(strange(reply)),
        };
        let bytes = match value {
            Reply::Bytes(bytes) if pttl != NO_KEY => bytes,
            Reply::Bytes(_) | Reply::Nil => return Ok(Lookup::Miss),
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
                    return Ok(Lookup::Miss);
                }
                Stored::Framed { .. } | Stored::Unreadable => return Ok(Lookup::Miss),
            },
        };
        Ok(Lookup::Hit(Hit::from_master(
            value,
            version,
            remaining(pttl),
        )))
    }

    /// The existing entry that a script answered with.
    pub(super) fn existing(&self, cache: &CacheId, bytes: &Bytes, pttl: i64) -> Hit {
        let (value, version) = match self.encoding(cache) {
            Encoding::Raw => frame::read_raw(bytes),
            Encoding::Framed => match frame::read_framed(bytes) {
                Stored::Framed { value, version, .. } | Stored::Foreign(value, version) => {
                    (value, version)
                }
                // The script has found it alive, so it is readable.
                Stored::Unreadable => frame::read_raw(bytes),
            },
        };
        Hit::from_master(value, version, remaining(pttl))
    }

    /// Reads the value too, because only its header tells whether it is alive.
    pub(super) async fn read_expiry(&self, cache: &CacheId, key: &Key) -> Result<TtlLookup, Fault> {
        let mut items = self.read(cache, std::slice::from_ref(key)).await?;
        Ok(match items.pop().unwrap_or(Ok(Lookup::Miss))? {
            Lookup::Miss => TtlLookup::Miss,
            Lookup::Hit(Hit { ttl: None, .. }) => TtlLookup::Never,
            Lookup::Hit(Hit { ttl: Some(ttl), .. }) => TtlLookup::Remaining(ttl),
        })
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
