//! Publishes, and brings subscribers to the channels that they want.
//!
//! Invariants: a channel is followed once, for as long as anybody has subscribed to it; subscribers and channels are
//! bounded.
//!
//! Not here: where messages are (`log`).

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

use crate::call::Call;
use crate::config::EventsConfig;
use crate::drain::Tasks;
use crate::invalidation::Bell;
use crate::model::{Cause, ChannelId, ChannelName, Fault, Tenant};

use super::channel::Channel;
use super::log::{Log, Publication};
use super::metrics::Metrics;
use super::point::Point;
use super::reader::Reader;
use super::subscription::{At, Begin, Place, Subscription};

/// The most channels that are followed at once. Each keeps up to 8 MiB for subscribers that lag.
const FOLLOWED: usize = 128;

/// Bounds of the room.
#[derive(Debug, Clone)]
pub struct EventsLimits {
    /// Subscribers at a time.
    pub subscribers: usize,
    /// What messages and logs may be.
    pub config: EventsConfig,
}

/// The channels.
#[derive(Debug)]
pub struct Events {
    log: Arc<Log>,
    bell: Arc<Bell>,
    limits: EventsLimits,
    followed: Mutex<HashMap<ChannelId, Weak<Channel>>>,
    progressed: watch::Sender<u64>,
    seats: Arc<Semaphore>,
    tasks: Tasks,
    metrics: Arc<Metrics>,
}

impl Events {
    /// Of that log, which rings that bell.
    pub fn new(
        log: Log,
        bell: Arc<Bell>,
        limits: EventsLimits,
        metrics: Metrics,
        tasks: Tasks,
    ) -> Self {
        Self {
            log: Arc::new(log),
            bell,
            followed: Mutex::default(),
            progressed: watch::Sender::new(0),
            seats: Arc::new(Semaphore::new(limits.subscribers)),
            limits,
            tasks,
            metrics: Arc::new(metrics),
        }
    }

    /// Appends a message to a channel; the point behind it.
    ///
    /// # Errors
    /// Why it was not, or may not have been.
    pub async fn publish(
        &self,
        channel: &ChannelId,
        publication: &Publication,
        call: Call,
    ) -> Result<Point, Fault> {
        let append = self.log.append(channel, publication, call);
        let point = call.write(append).await?;
        self.metrics.published();
        Ok(point)
    }

    /// A new subscriber to channels of a tenant.
    ///
    /// # Errors
    /// There are as many subscribers, or channels, as allowed.
    pub fn subscribe(
        &self,
        tenant: &Tenant,
        channels: Vec<(ChannelName, Begin)>,
    ) -> Result<Subscription, Fault> {
        let most = self.limits.subscribers;
        let seat = self.seats.clone().try_acquire_owned().map_err(|_| {
            let detail = format!("as many as limits.subscribers ({most}) have subscribed");
            Fault::not_applied(Cause::TooManySubscribers, detail)
        })?;
        // Before anything is looked at, so that no progress is missed.
        let progressed = self.progressed.subscribe();
        let place = |(name, begin): (ChannelName, Begin)| {
            let tenant = tenant.clone();
            let channel = self.channel(ChannelId {
                tenant,
                name: name.clone(),
            })?;
            let at = match begin {
                Begin::Now => At::Nowhere,
                Begin::After(point) => At::Log(point),
            };
            Ok(Place { name, channel, at })
        };
        let places = channels.into_iter().map(place).collect::<Result<_, _>>()?;
        let metrics = self.metrics.clone();
        Ok(Subscription::new(places, progressed, metrics, seat))
    }

    /// The channel, followed from now on if it was not before.
    fn channel(&self, id: ChannelId) -> Result<Arc<Channel>, Fault> {
        let mut followed = self.followed.lock();
        if let Some(channel) = followed.get(&id).and_then(Weak::upgrade) {
            return Ok(channel);
        }
        followed.retain(|_, channel| channel.strong_count() > 0);
        if followed.len() >= FOLLOWED {
            return Err(Fault::not_applied(
                Cause::TooManySubscribers,
                format!(
                    "the subscribers of this vedetta follow {FOLLOWED} channels, which is the most"
                ),
            ));
        }
        let (key, largest) = (self.log.key(&id), self.limits.config.message);
        let channel = Arc::new(Channel::follow(
            Reader::new(self.log.clone(), id.clone(), largest),
            key,
            self.bell.clone(),
            self.progressed.clone(),
            &self.tasks,
        ));
        followed.insert(id, Arc::downgrade(&channel));
        Ok(channel)
    }
}
