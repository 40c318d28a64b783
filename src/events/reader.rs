//! Reads what comes after a point, wherever the log has gone meanwhile.
//!
//! Invariants: whatever is left out was told before; what may be missing is told (`chain`).
//!
//! Not here: when to read, and who wants to know (`channel`, `subscription`).

use std::sync::Arc;

use crate::model::{ChannelId, Fault};

use super::chain::{self, Page};
use super::log::Log;
use super::point::{Mark, Point};
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
    /// the messages up to the last one that is `known` are left out.
    pub(super) async fn after(
        &self,
        point: Point,
        known: impl Fn(Mark) -> bool,
    ) -> Result<(Vec<Arc<Record>>, bool), Fault> {
        let page = self.from(&point).await?;
        let (history, full) = (page.history, self.fills(&page));
        if let Some(told) = chain::after(&point, page) {
            return Ok((records(point, history, told), full));
        }
        let newest = self.log.newest(&self.channel, self.most).await?;
        let mut newest = newest.entries.iter().rev();
        if let Some(common) = newest.find(|entry| known(entry.id.mark)) {
            let point = Point {
                at: Some(common.id),
                ..point
            };
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

    async fn from(&self, point: &Point) -> Result<Page, Fault> {
        self.log.from(&self.channel, point.at, self.most).await
    }

    fn fills(&self, page: &Page) -> bool {
        page.entries.len() >= self.most
    }
}
