//! Deadlines, which belong to a key whether or not there is an entry.
//!
//! A Put looks for them in its script. In a raw cache without deadlines it is a plain SET, which looks for nothing: so
//! such a cache is marked before the first deadline is set in it, and that is set only when no vedetta can believe
//! any more that the mark is missing. A vedetta believes so while it has a copy of that absence, as of any entry, that is
//! proven to be no older than [`BELIEVED`].
//!
//! Not here: foreign writers, who cannot know of deadlines (docs/storage.md).

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::time::Instant;

use crate::clock;
use crate::config::Encoding;
use crate::failover::Repeat;
use crate::model::{CacheId, Cause, Fault, Key, TtlLookup};
use crate::near::{Found, Want};
use crate::upstream::{Batch, Effect, Operation, Reply, Session};

use super::super::store::Write;
use super::judged::{Declared, Item};
use super::write::{only, truth};
use super::{Core, new_stamp, strange};

/// How long it is told of a deadline that it has passed.
pub(in super::super) const PASSED_FOR: Duration = Duration::from_secs(600);

/// How old the proof may be that nobody has marked a cache. The same in every vedetta, whatever its staleness bound.
const BELIEVED: Duration = Duration::from_secs(1);

/// How often a raw cache is marked for one deadline, since Redis may forget.
const ATTEMPTS: usize = 3;

/// What `set_deadline.lua` answers if it is not.
const UNMARKED: i64 = -1;

impl Core {
    pub(super) async fn put_deadline(
        &self,
        cache: &CacheId,
        key: &Key,
        deadline: SystemTime,
        write: Write,
    ) -> Result<bool, Fault> {
        let mut own = self.own_write(cache, [key.clone()]);
        let since = deadline.duration_since(UNIX_EPOCH).unwrap_or_default();
        let number = |ms: u128| Bytes::from(ms.to_string());
        let (at, passed_for) = (number(since.as_millis()), number(PASSED_FOR.as_millis()));
        let add = |batch: &mut Batch, _: usize, declared: &Declared| {
            let keys = self.keys_of_expiry(cache, key);
            let arguments = vec![at.clone(), passed_for.clone(), new_stamp()];
            let script = &self.scripts.set_deadline;
            declared.change(batch, script, (keys, arguments), (&self.layout, cache));
        };
        let add = &add;
        let attempt = |session: Arc<Session>| async move {
            for _ in 0..ATTEMPTS {
                if self.encoding(cache) == Encoding::Raw {
                    self.mark(&session, cache).await?;
                }
                let item = Item {
                    key,
                    judges: true,
                    declared: Declared::default(),
                };
                let what = (Operation::Touch, cache);
                let sent = self.send_judged(&session, what, vec![item], add).await?;
                match only(sent.replies)? {
                    Reply::Int(UNMARKED) => {}
                    reply => return truth(reply),
                }
            }
            Err(Fault::not_applied(
                Cause::RedisRefused,
                "Redis forgets which caches have deadlines as soon as it is told; is somebody emptying it?",
            ))
        };
        let patience = self.patience(&write, key.as_bytes().len() as u64);
        let applied = self.passage.persist(patience, Repeat::Harmless, attempt);
        let applied = applied.await.inspect_err(|fault| own.failed(fault))?;
        own.changed([applied]);
        Ok(applied)
    }

    /// Returns when every vedetta knows that deadlines are set in this raw cache.
    async fn mark(&self, session: &Arc<Session>, cache: &CacheId) -> Result<(), Fault> {
        let mut batch = Batch::new(Operation::Touch, Effect::Write);
        let keys = [self.layout.deadlines(cache)];
        batch.script(&self.scripts.mark_deadlines, &keys, &[new_stamp()]);
        let marked = match only(self.send(session, batch).await?)? {
            Reply::Int(ms) => Duration::from_millis(ms.unsigned_abs()),
            reply => return Err(strange(reply)),
        };
        tokio::time::sleep(BELIEVED.saturating_sub(marked)).await;
        Ok(())
    }

    /// Whether it is proven that no deadline is set in a raw cache. If it is not, it will be for one of the next writes.
    pub(super) fn has_no_deadlines(self: &Arc<Self>, cache: &CacheId) -> bool {
        let near = &self.coherence.near;
        if near.figures().capacity == 0 {
            return false;
        }
        let key = self.layout.deadlines(cache);
        let want = Want {
            bound: BELIEVED,
            token: None,
        };
        match near.fresh(&key, cache, want, clock::now()) {
            Some(hit) => matches!(hit.found, Found::Absent),
            None => {
                self.refresh(&self.place(cache, key));
                false
            }
        }
    }

    /// What a script that changes or reads an expiry looks at.
    pub(super) fn keys_of_expiry(&self, cache: &CacheId, key: &Key) -> Vec<Bytes> {
        let mut keys = vec![
            self.layout.entry(cache, key),
            self.layout.deadline(cache, key),
            self.layout.deadlines(cache),
            self.layout.load_notes(cache),
        ];
        keys.extend(self.stamp_key(cache));
        keys
    }

    pub(super) async fn read_expiry(
        &self,
        cache: &CacheId,
        key: &Key,
        deadline: Option<Instant>,
    ) -> Result<TtlLookup, Fault> {
        let keys = self.keys_of_expiry(cache, key);
        // The entry is tracked by what the script reads.
        self.coherence.directory.note(&keys[0], cache);
        let patience = self.passage.patience(deadline, keys[0].len() as u64);
        let add = |batch: &mut Batch, declared: &Declared| {
            let call = (keys.clone(), Vec::new());
            declared.call(batch, &self.scripts.ttl, call, (&self.layout, cache));
        };
        let add = &add;
        let attempt = |session: Arc<Session>| async move {
            lookup(self.ask_judged(&session, Operation::Ttl, add).await?)
        };
        self.passage.retrieve(patience, attempt).await
    }
}

fn lookup(reply: Reply) -> Result<TtlLookup, Fault> {
    let Reply::Array(fields) = reply else {
        return Err(strange(reply));
    };
    let ms = |ms: i64| Duration::from_millis(ms.unsigned_abs());
    Ok(match fields.as_slice() {
        [Reply::Int(-2)] => TtlLookup::Miss,
        [Reply::Int(-2), Reply::Int(at), Reply::Int(0)] => TtlLookup::Waiting(UNIX_EPOCH + ms(*at)),
        [Reply::Int(-2), Reply::Int(at), Reply::Int(_)] => TtlLookup::Passed(UNIX_EPOCH + ms(*at)),
        [Reply::Int(-1)] => TtlLookup::Never,
        [Reply::Int(left)] => TtlLookup::Remaining(ms(*left)),
        _ => return Err(strange(Reply::Nil)),
    })
}
