//! Where messages are: the one seam between what is told to subscribers and what keeps it.
//!
//! Invariants, kept by both: messages of a channel have one order, in which they are read; a page is of one moment; an
//! append that was answered rings the bell of everybody who has read the log before.
//!
//! Not here: what a page means for somebody who knows the log up to a point (`chain`).

use bytes::Bytes;

use crate::call::Call;
use crate::model::{ChannelId, Fault};

use super::chain::Page;
use super::embedded::EmbeddedLog;
use super::point::{EntryId, Point};
use super::remote::RemoteLog;

/// What a caller publishes.
#[derive(Debug, Clone)]
pub struct Publication {
    /// The message.
    pub payload: Bytes,
    /// Names the call, so that it is done once however often it is sent; empty for none.
    pub operation_id: Bytes,
}

/// The logs of all channels.
#[derive(Debug)]
pub enum Log {
    /// On the current Redis master.
    Remote(RemoteLog),
    /// In this process.
    Embedded(EmbeddedLog),
}

impl Log {
    /// The Redis key of a log, which the bell goes by.
    pub(super) fn key(&self, channel: &ChannelId) -> Bytes {
        match self {
            Self::Remote(log) => log.key(channel),
            Self::Embedded(log) => log.key(channel),
        }
    }

    /// Appends a message; the point behind it.
    pub(super) async fn append(
        &self,
        channel: &ChannelId,
        publication: &Publication,
        call: Call,
    ) -> Result<Point, Fault> {
        match self {
            Self::Remote(log) => log.append(channel, publication, call).await,
            Self::Embedded(log) => {
                let point = log.append(channel, publication);
                call.durability().without_replicas()?;
                Ok(point)
            }
        }
    }

    /// The messages from that one on, or from the beginning, at most so many.
    pub(super) async fn from(
        &self,
        channel: &ChannelId,
        at: Option<EntryId>,
        most: usize,
    ) -> Result<Page, Fault> {
        match self {
            Self::Remote(log) => log.from(channel, at, most).await,
            Self::Embedded(log) => Ok(log.from(channel, at, most)),
        }
    }

    /// The last messages, at most so many, in order.
    pub(super) async fn newest(&self, channel: &ChannelId, most: usize) -> Result<Page, Fault> {
        match self {
            Self::Remote(log) => log.newest(channel, most).await,
            Self::Embedded(log) => Ok(log.newest(channel, most)),
        }
    }
}
