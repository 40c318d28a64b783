//! Logs as streams on the current Redis master.
//!
//! Invariants: logs are read on the tracked session, with commands that Redis tracks, so that the next append is
//! pushed; a call without an operation id that may have been applied is not sent again.
//!
//! Not here: sending a call until it is answered (`failover`); hearing of pushes (`invalidation`).

use std::sync::Arc;

use bytes::Bytes;

use crate::call::Call;
use crate::config::EventsConfig;
use crate::failover::{Passage, Patience, Repeat};
use crate::model::{Cause, ChannelId, Durability, Fault, hex, own_key};
use crate::upstream::{Batch, Effect, Operation, Reply, Script, Session, Witnesses};

use super::chain::{Entry, Page};
use super::log::Publication;
use super::point::{EntryId, Mark, Point};

/// How the keys of logs begin.
const LOGS: &[u8] = b"vedetta:events:";

/// Streams in Redis.
#[derive(Debug)]
pub struct RemoteLog {
    passage: Passage,
    witnesses: Witnesses,
    prefix: String,
    config: EventsConfig,
    publish: Script,
}

impl RemoteLog {
    /// How the keys of logs begin, for whoever listens for pushes.
    pub const KEYS: &'static [u8] = LOGS;

    /// On whatever master the passage leads to.
    pub fn new(
        (passage, witnesses): (Passage, Witnesses),
        prefix: &str,
        config: EventsConfig,
    ) -> Self {
        Self {
            passage,
            witnesses,
            prefix: prefix.to_owned(),
            config,
            publish: Script::new(include_str!("publish.lua")),
        }
    }

    pub(super) fn key(&self, channel: &ChannelId) -> Bytes {
        log_key(&self.prefix, channel)
    }

    pub(super) async fn append(
        &self,
        channel: &ChannelId,
        publication: &Publication,
        call: Call,
    ) -> Result<Point, Fault> {
        let weight = publication.payload.len() + publication.operation_id.len();
        let durability = call.durability();
        let patience = Patience {
            to_all: durability.is_all(),
            ..self.passage.patience(call.deadline(), weight as u64)
        };
        let repeat = Repeat::harmless(!publication.operation_id.is_empty());
        let attempt = |session| self.append_once(session, channel, publication, durability);
        self.passage.persist(patience, repeat, attempt).await
    }

    async fn append_once(
        &self,
        session: Arc<Session>,
        channel: &ChannelId,
        publication: &Publication,
        durability: Durability,
    ) -> Result<Point, Fault> {
        let id = &publication.operation_id;
        let remembered = match id.is_empty() {
            true => Bytes::new(),
            false => number(self.passage.remembered().as_millis()),
        };
        let keys = [self.key(channel), self.operation(channel, id)];
        let arguments = [
            publication.payload.clone(),
            Bytes::copy_from_slice(&Mark::random().0),
            number(self.config.log),
            number(self.config.idle.as_millis()),
            remembered,
        ];
        let mut batch = Batch::new(Operation::Publish, Effect::Write);
        batch.script(&self.publish, &keys, &arguments);
        if durability != Durability::Async {
            batch.with_offset();
        }
        let mut replies = session.execute(batch).await?;
        let attached = replies.get(1).map_or(0, Reply::replicas_of_role);
        replies.truncate(1);
        let answer = match single(replies)? {
            Reply::Bytes(answer) => appended(&answer),
            _ => None,
        };
        let detail = "Redis answered a publication with an unexpected shape";
        let at = answer.ok_or_else(|| Fault::unknown(Cause::Internal, detail))?;
        let point = Point {
            history: session.history().id,
            at: Some(at),
        };
        let known = self.passage.replicas().unwrap_or(0).max(attached);
        self.witnesses.secure(&session, durability, known).await?;
        Ok(point)
    }

    /// The key under which a publication is remembered.
    fn operation(&self, channel: &ChannelId, id: &[u8]) -> Bytes {
        let (tenant, name) = (channel.tenant.as_str(), channel.name.as_str());
        own_key("published", &[&self.prefix, tenant, name, &hex(id)])
    }

    pub(super) async fn from(
        &self,
        channel: &ChannelId,
        at: Option<EntryId>,
        most: usize,
    ) -> Result<Page, Fault> {
        let first = match at {
            Some(EntryId { ms, number, .. }) => format!("{ms}-{number}"),
            None => "-".to_owned(),
        };
        self.read("XRANGE", channel, [&first, "+"], most).await
    }

    pub(super) async fn newest(&self, channel: &ChannelId, most: usize) -> Result<Page, Fault> {
        let mut page = self.read("XREVRANGE", channel, ["+", "-"], most).await?;
        page.entries.reverse();
        Ok(page)
    }

    async fn read(
        &self,
        command: &str,
        channel: &ChannelId,
        [first, last]: [&str; 2],
        most: usize,
    ) -> Result<Page, Fault> {
        let (key, count) = (self.key(channel), most.to_string());
        let arguments = [
            &*key,
            first.as_bytes(),
            last.as_bytes(),
            b"COUNT",
            count.as_bytes(),
        ];
        let attempt = |session: Arc<Session>| async move {
            let mut batch = Batch::new(Operation::Log, Effect::Read);
            batch.command(command, &arguments);
            let entries = match single(session.execute(batch).await?)? {
                Reply::Array(entries) => entries,
                _ => Vec::new(),
            };
            Ok(Page {
                history: session.history().id,
                entries: entries.iter().filter_map(entry).collect(),
            })
        };
        let patience = self.passage.patience(None, 0);
        self.passage.retrieve(patience, attempt).await
    }
}

/// The key of the log of a channel.
pub(super) fn log_key(prefix: &str, channel: &ChannelId) -> Bytes {
    own_key(
        "events",
        &[prefix, channel.tenant.as_str(), channel.name.as_str()],
    )
}

fn number(number: impl ToString) -> Bytes {
    number.to_string().into()
}

fn single(replies: Vec<Reply>) -> Result<Reply, Fault> {
    match replies.into_iter().next() {
        Some(Reply::Failed(fault)) => Err(fault),
        Some(reply) => Ok(reply),
        None => Err(Fault::unknown(Cause::Internal, "no reply to a command")),
    }
}

/// What the script answers.
fn appended(answer: &[u8]) -> Option<EntryId> {
    let at = answer.iter().position(|byte| *byte == b' ')?;
    stream_id(&answer[..at], answer.get(at + 1..)?)
}

fn stream_id(id: &[u8], mark: &[u8]) -> Option<EntryId> {
    let (ms, number) = std::str::from_utf8(id).ok()?.split_once('-')?;
    Some(EntryId {
        ms: ms.parse().ok()?,
        number: number.parse().ok()?,
        mark: Mark(mark.try_into().ok()?),
    })
}

/// A message of ours. What others have added to the stream is none; the next message then comes after a Gap.
fn entry(reply: &Reply) -> Option<Entry> {
    let Reply::Array(parts) = reply else {
        return None;
    };
    let [Reply::Bytes(id), Reply::Array(fields)] = parts.as_slice() else {
        return None;
    };
    let text = |field: &Reply| match field {
        Reply::Bytes(bytes) => Some(bytes.clone()),
        _ => None,
    };
    let fields: Vec<Bytes> = fields.iter().map(text).collect::<Option<_>>()?;
    let [m, mark, b, before, p, payload] = fields.as_slice() else {
        return None;
    };
    let ours = (m.as_ref(), b.as_ref(), p.as_ref()) == (b"m", b"b", b"p");
    let before = match before.is_empty() {
        true => None,
        false => Some(Mark(before.as_ref().try_into().ok()?)),
    };
    Some(Entry {
        id: stream_id(id, mark).filter(|_| ours)?,
        before,
        payload: payload.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &'static str) -> Reply {
        Reply::Bytes(Bytes::from_static(text.as_bytes()))
    }

    fn stored(fields: &[&'static str]) -> Reply {
        let fields = fields.iter().map(|field| bytes(field)).collect();
        Reply::Array(vec![bytes("17-3"), Reply::Array(fields)])
    }

    #[test]
    fn messages_are_told_from_what_others_have_added() {
        let id = EntryId {
            ms: 17,
            number: 3,
            mark: Mark(*b"12345678"),
        };
        let first = entry(&stored(&["m", "12345678", "b", "", "p", "text"]));
        let first = first.expect("a message");
        assert_eq!((first.id, first.before), (id, None));
        assert_eq!(first.payload, "text");
        let second = entry(&stored(&["m", "12345678", "b", "87654321", "p", ""]));
        let before = second.expect("a message").before;
        assert_eq!(before, Some(Mark(*b"87654321")));
        assert_eq!(appended(b"17-3 12345678"), Some(id));
        for strange in [
            &["m", "12345678", "b", "", "x", "text"] as &[_],
            &["m", "1234", "b", "", "p", "text"],
            &["m", "12345678", "b", "1", "p", "text"],
            &["name", "value"],
        ] {
            assert_eq!(entry(&stored(strange)), None, "{strange:?}");
        }
    }
}
