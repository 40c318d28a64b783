//! One subscriber: a place in each of its channels.
//!
//! Invariants: nobody waits for it; one that fell behind the oldest record is ended, never skipped ahead, and can
//! resume from what it was told last. One that resumes reads the log by itself, at its own pace, until it has caught up
//! with the others.
//!
//! Not here: following the logs (`channel`).

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::model::{Cause, ChannelName, Fault};

use super::chain::Gap;
use super::channel::Channel;
use super::metrics::{Counted, Metrics};
use super::point::Point;
use super::ring::{Message, Record, What};

/// Records that are taken at a time from one channel, so that each gets its turn.
const CHUNK: usize = 64;

/// Where a subscriber begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With what is published from now on.
    Now,
    /// With what was published after that point.
    After(Point),
}

/// Something for a subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// What is published from now on will be told.
    Started(ChannelName, Point),
    /// A message, and the point behind it.
    Message(ChannelName, Point, Message),
    /// Messages after that point may be missing.
    Gap(ChannelName, Point, Gap),
}

/// A subscriber.
#[derive(Debug)]
pub struct Subscription {
    places: Vec<Place>,
    /// Whose turn it is.
    turn: usize,
    waiting: VecDeque<Delivery>,
    progressed: watch::Receiver<u64>,
    metrics: Arc<Metrics>,
    _seat: OwnedSemaphorePermit,
    _counted: Counted,
}

/// A place in one channel.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) name: ChannelName,
    pub(super) channel: Arc<Channel>,
    pub(super) at: At,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum At {
    /// It has not begun yet.
    Nowhere,
    /// In the log, behind what the others are told.
    Log(Point),
    /// Among the others: a sequence, and the point there.
    Ring(u64, Point),
}

impl Subscription {
    pub(super) fn new(
        places: Vec<Place>,
        progressed: watch::Receiver<u64>,
        metrics: Arc<Metrics>,
        seat: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            places,
            turn: 0,
            waiting: VecDeque::new(),
            progressed,
            _counted: metrics.subscribed(),
            metrics,
            _seat: seat,
        }
    }

    /// Waits for the next thing to tell.
    ///
    /// # Errors
    /// The subscriber did not take its messages in time, or the log cannot be read that it begins with; the stream
    /// ends here.
    pub async fn next(&mut self) -> Result<Delivery, Fault> {
        loop {
            self.progressed.mark_unchanged();
            // Once around: whoever has something to tell ends the round.
            for _ in 0..self.places.len() {
                if !self.waiting.is_empty() {
                    break;
                }
                let place = &mut self.places[self.turn];
                let told = place.advance().await;
                let told = told.inspect_err(|fault| {
                    if fault.cause == Cause::SubscriberTooSlow {
                        self.metrics.dropped();
                    }
                })?;
                self.turn = (self.turn + 1) % self.places.len();
                self.waiting.extend(told);
            }
            if let Some(delivery) = self.waiting.pop_front() {
                self.metrics.delivered(&delivery);
                return Ok(delivery);
            }
            // An error means that nobody publishes any more, because the process ends.
            if self.progressed.changed().await.is_err() {
                std::future::pending().await
            }
        }
    }
}

impl Place {
    /// What comes next in this channel; nothing if there is nothing yet.
    async fn advance(&mut self) -> Result<Vec<Delivery>, Fault> {
        match self.at {
            At::Nowhere => {
                let Some((sequence, point)) = self.channel.head()? else {
                    return Ok(Vec::new());
                };
                self.at = At::Ring(sequence, point);
                Ok(vec![Delivery::Started(self.name.clone(), point)])
            }
            At::Log(point) => match self.channel.find(&point) {
                Some(sequence) => {
                    self.at = At::Ring(sequence, point);
                    self.take(sequence, point)
                }
                None => {
                    let (records, _) = self.channel.reader.after(point, Vec::new).await?;
                    let behind = records.last().map_or(point, |record| record.point);
                    self.at = At::Log(behind);
                    Ok(self.deliveries(point, &records))
                }
            },
            At::Ring(sequence, point) => self.take(sequence, point),
        }
    }

    fn take(&mut self, sequence: u64, point: Point) -> Result<Vec<Delivery>, Fault> {
        let records = self.channel.after(sequence, CHUNK).ok_or_else(|| {
            Fault::not_applied(
                Cause::SubscriberTooSlow,
                "messages that were not taken yet are no longer kept here; subscribe again, after the last id received",
            )
        })?;
        let behind = records.last().map_or(point, |record| record.point);
        self.at = At::Ring(sequence + records.len() as u64, behind);
        Ok(self.deliveries(point, &records))
    }

    /// The records as they are told to somebody who is at that point.
    fn deliveries(&self, mut point: Point, records: &[Arc<Record>]) -> Vec<Delivery> {
        let delivery = |record: &Arc<Record>| {
            let last = std::mem::replace(&mut point, record.point);
            let name = self.name.clone();
            match &record.what {
                What::Message(message) => Delivery::Message(name, record.point, message.clone()),
                What::Gap(gap) => Delivery::Gap(name, last, *gap),
            }
        };
        records.iter().map(delivery).collect()
    }
}
