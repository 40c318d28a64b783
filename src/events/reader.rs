//! Reads what comes after a point, wherever the log has gone meanwhile.
//!
//! Invariants: whatever is left out was told before; what may be missing is told (`chain`).
//!
//! Not here: when to read, and who wants to know (`channel`, `subscription`).

use std::sync::Arc;

use crate::model::{ChannelId, Fault};

use super::chain::{self, Page};
use super::log::Log;
use super::point::{EntryId, Point};
use super::ring::{Record, records};

/// The most payload of one read, in bytes.
const PAGE_BYTES: u64 = 4 << 20;

/// The most messages of one read.
const PAGE: u64 = 256;

/// Reads the log of one channel.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    log: Arc<Log>,
    channel: ChannelId,
    most: usize,
}

impl Reader {
    /// Of messages that are at most so large.
    pub(super) fn new(log: Arc<Log>, channel: ChannelId, largest: u64) -> Self {
        // One more, because a page begins with the message that is known.
        let most = 1 + (PAGE_BYTES / largest.max(1)).clamp(1, PAGE);
        Self {
            log,
            channel,
            most: usize::try_from(most).unwrap_or(usize::MAX),
        }
    }

    /// The point at which the log ends.
    pub(super) async fn end(&self) -> Result<Point, Fault> {
        let page = self.log.newest(&self.channel, 1).await?;
        Ok(Point {
            history: page.history,
            at: page.entries.last().map(|entry| entry.id),
        })
    }

    /// What comes next after a point, and whether there may be more. Of a log that went another way than it was told,
    /// the messages up to the last one that was `told` are left out.
    pub(super) async fn after(
        &self,
        point: Point,
        told: impl Fn() -> Vec<EntryId>,
    ) -> Result<(Vec<Arc<Record>>, bool), Fault> {
        let page = self.from(&point).await?;
        let (history, full) = (page.history, self.fills(&page));
        if let Some(told) = chain::after(&point, page) {
            return Ok((records(point, history, told), full));
        }
        if let Some(common) = self.last_kept(&told()).await? {
            let at = Some(common);
            let point = Point { at, ..point };
            let page = self.from(&point).await?;
            let (history, full) = (page.history, self.fills(&page));
            if let Some(told) = chain::after(&point, page) {
                return Ok((records(point, history, told), full));
            }
        }
        let page = self.log.from(&self.channel, None, self.most).await?;
        let (history, full) = (page.history, self.fills(&page));
        let told = chain::anew(&point, page);
        let beginning = Point { at: None, ..point };
        Ok((records(beginning, history, told), full))
    }

    /// The last of those messages, given in order, that the log still has. A master that is replaced loses the end of
    /// what was told, and a log forgets its beginning; so what is left of it is one piece, whose end is found by
    /// bisection however much was published since.
    async fn last_kept(&self, told: &[EntryId]) -> Result<Option<EntryId>, Fault> {
        let first = self.log.from(&self.channel, None, 1).await?;
        let first = first.entries.first().map(|entry| entry.id.place());
        let (mut kept, mut lost) = (0, told.len());
        while kept < lost {
            let middle = usize::midpoint(kept, lost);
            let id = told[middle];
            let page = self.log.from(&self.channel, Some(id), 1).await?;
            let there = page.entries.first().is_some_and(|entry| entry.id == id);
            let forgotten = first.is_some_and(|first| id.place() < first);
            match there || forgotten {
                true => kept = middle + 1,
                false => lost = middle,
            }
        }
        Ok(told[..kept].last().copied())
    }

    async fn from(&self, point: &Point) -> Result<Page, Fault> {
        self.log.from(&self.channel, point.at, self.most).await
    }

    fn fills(&self, page: &Page) -> bool {
        page.entries.len() >= self.most
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::super::embedded::EmbeddedLog;
    use super::super::log::Publication;
    use super::super::point::Mark;
    use super::super::ring::What;
    use super::*;
    use crate::call::Call;
    use crate::config::EventsConfig;
    use crate::model::{ChannelName, Tenant};

    const KEPT: usize = 1_000;
    const PUBLISHED: usize = 1_500;

    /// A reader of few messages at a time, and the messages of a log that has forgotten the first 500.
    async fn long_log() -> (Reader, Vec<EntryId>) {
        let channel = ChannelId {
            tenant: Tenant::primary(),
            name: ChannelName::new("c").expect("name"),
        };
        let config = EventsConfig {
            message: 1 << 20,
            log: KEPT,
            idle: Duration::from_secs(60),
        };
        let log = Log::Embedded(EmbeddedLog::new(Arc::default(), config));
        let publication = Publication {
            payload: Bytes::new(),
            operation_id: Bytes::new(),
        };
        let mut ids = Vec::new();
        for _ in 0..PUBLISHED {
            let point = log.append(&channel, &publication, Call::until(None)).await;
            ids.push(point.expect("appended").at.expect("a message"));
        }
        (Reader::new(Arc::new(log), channel, PAGE_BYTES / 3), ids)
    }

    /// The same place, taken by a message that was lost.
    fn lost(id: EntryId) -> EntryId {
        let mark = Mark::random();
        EntryId { mark, ..id }
    }

    #[tokio::test]
    async fn what_was_told_is_not_told_again_however_much_has_come_since() {
        let (reader, ids) = long_log().await;
        // All that is left, a part of which was lost, and little beside what the log itself forgot.
        for common in [600, 1_200, 1_499, 501] {
            let mut told = ids[..=common].to_vec();
            told.extend(ids[common + 1..].iter().copied().map(lost).take(40));
            if told.len() == common + 1 {
                told.push(lost(ids[common]));
            }
            let (history, at) = (reader.end().await.expect("read").history, told.last());
            let point = Point {
                history,
                at: at.copied(),
            };
            let (records, _) = reader.after(point, || told.clone()).await.expect("read");
            let next = records
                .iter()
                .find(|record| record.what != What::Gap(chain::Gap::Forgotten));
            let next = next.and_then(|record| record.point.at);
            assert_eq!(next, ids.get(common + 1).copied(), "{common}");
        }
    }

    #[tokio::test]
    async fn a_log_that_has_nothing_of_what_was_told_is_told_from_its_beginning() {
        let (reader, ids) = long_log().await;
        let history = reader.end().await.expect("read").history;
        let told: Vec<EntryId> = ids[..400].to_vec();
        let point = Point {
            history,
            at: told.last().copied(),
        };
        let (records, _) = reader.after(point, || told.clone()).await.expect("read");
        assert_eq!(records[0].what, What::Gap(chain::Gap::Forgotten));
        assert_eq!(records[1].point.at, Some(ids[PUBLISHED - KEPT]));
    }
}
