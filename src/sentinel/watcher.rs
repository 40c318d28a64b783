//! Talks to one Sentinel: listens to its events and polls it.
//!
//! Invariants: an event makes every watcher poll at once, and so does a signal, within its spacing; a poll that is not
//! answered in time is reported as silence and ends the connection; every connection is a new client, so
//! that nothing of an old one (a half-open socket, a lost subscription, a resolved name) survives.
//!
//! Not here: what follows from the answer (`topology`).

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use fred::clients::SubscriberClient;
use fred::prelude::{ClientLike, EventInterface, PubsubInterface};
use fred::types::{CustomCommand, FromValue, Message};
use metrics::Counter;
use rand::Rng;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::clock;
use crate::config::SentinelConfig;
use crate::dial::Secrets;
use crate::model::{Cause, Detector, Endpoint, Fault, Master};

use super::aside::{Aside, Instances, read_others, read_priorities, read_tilt};
use super::hints::{Hints, Listener};
use super::link::{Left, Link, Renewal, answered, fault, silent};
use super::reply::{Answer, concerns, read_answer, unknown_name};

/// The events that can announce a change of master, as patterns: `?` stands for `+` or `-`. (`[+-]` would be a range
/// to Redis, which ends at the bracket and matches nothing.)
const EVENTS: [&str; 10] = [
    "?switch-master",
    "?promoted-slave",
    "?failover-*",
    "?try-failover",
    "?elected-leader",
    "?sdown",
    "?odown",
    "?config-update-from",
    "?reset-master",
    "?tilt",
];

/// How often a Sentinel is asked while there is no undisputed master: the leader of a failover answers with the promoted
/// node before it tells anybody.
const URGENT_INTERVAL: Duration = Duration::from_millis(75);

/// How often it is asked for TILT and for the other Sentinels.
const OFTEN: Duration = Duration::from_secs(1);

/// How often it is asked for the replicas; also after a change of master.
const RARELY: Duration = Duration::from_secs(10);

/// What all watchers of a process share.
#[derive(Debug, Clone)]
pub struct WatchSettings {
    /// Names, credentials, intervals.
    pub sentinel: Arc<SentinelConfig>,
    /// Credentials and TLS, the newest of which each link is opened with.
    pub secrets: Secrets,
}

/// What one Sentinel said, or why it said nothing.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) seat: usize,
    pub(super) answer: Result<Answer, Fault>,
    /// What made it be asked.
    pub(super) detector: Detector,
}

/// One Sentinel's seat at the table.
pub(super) struct Watcher {
    pub(super) seat: usize,
    pub(super) endpoint: Endpoint,
    pub(super) settings: WatchSettings,
    pub(super) reports: mpsc::Sender<Report>,
    pub(super) hints: Hints,
    /// Whether to ask more often.
    pub(super) urgent: watch::Receiver<bool>,
    pub(super) events_heard: Counter,
    pub(super) failures: Counter,
}

impl Watcher {
    /// Connects, polls and listens for ever.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new();
        let mut newer = None;
        loop {
            let mut detector = Detector::Poll;
            let link = match newer.take() {
                Some(link) => Ok(link),
                None => Link::open(&self.endpoint, &self.settings).await,
            };
            let left = match link {
                Ok(link) => tokio::select! {
                    left = self.watch(&link, &mut backoff, &mut detector) => left,
                    fault = link.broken() => Left::Because(fault),
                },
                Err(fault) => Left::Because(fault),
            };
            let fault = match left {
                Left::For(link) => {
                    newer = Some(link);
                    continue;
                }
                Left::Because(fault) => fault,
            };
            self.settings.secrets.doubt(fault.cause);
            self.failures.increment(1);
            tracing::debug!(
                sentinel = %self.endpoint,
                reason = fault.cause.reason(),
                "{}",
                fault.detail
            );
            if self.tell(Err(fault), detector).await.is_err() {
                return;
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    async fn tell(&self, answer: Result<Answer, Fault>, detector: Detector) -> Result<(), Fault> {
        let report = Report {
            seat: self.seat,
            answer,
            detector,
        };
        let told = self.reports.send(report).await;
        told.map_err(|_| silent("the process is stopping"))
    }

    /// Returns when the connection is no longer of use. `detector` is left at what made the last poll.
    async fn watch(&mut self, link: &Link, backoff: &mut Backoff, detector: &mut Detector) -> Left {
        let mut events = link.client.message_rx();
        let id = match answered(self.introduce(&link.client)).await {
            Ok(id) => id,
            Err(fault) => return Left::Because(fault),
        };
        let mut hints = self.hints.listen();
        let (mut known, mut renewal) = (Known::default(), Renewal::new());
        loop {
            // Before the poll: a hint that comes while it runs asks for another one.
            hints.begin();
            let asked = Instant::now();
            if *detector == Detector::Event {
                // It may be about TILT.
                known.often = None;
            }
            let answer = match answered(self.poll(&link.client, &id, &mut known)).await {
                Ok(answer) => Ok(answer),
                // The Sentinel is there and will say the same for a while: keep the connection.
                Err(fault) if fault.cause == Cause::MasterNameUnknown => Err(fault),
                Err(fault) => return Left::Because(fault),
            };
            backoff.reset();
            if let Err(fault) = self.tell(answer, *detector).await {
                return Left::Because(fault);
            }
            *detector = self.wait(&mut events, &mut hints, asked).await;
            match renewal.attempt(link, &self.endpoint, &self.settings).await {
                Some(Ok(link)) => return Left::For(link),
                Some(Err(())) => self.failures.increment(1),
                None => {}
            }
        }
    }

    /// Subscribes, and asks for the Sentinel's own id, by which it counts once under whatever name.
    async fn introduce(&self, client: &SubscriberClient) -> Result<Arc<str>, Fault> {
        if self.settings.sentinel.events {
            client
                .psubscribe(EVENTS.to_vec())
                .await
                .map_err(|error| fault(&error))?;
        }
        client
            .custom::<String, _>(fred::cmd!("SENTINEL"), vec!["MYID"])
            .await
            .map(Into::into)
            .map_err(|error| fault(&error))
    }

    /// Waits for the next reason to poll: an event here, a hint of somebody else, or the interval.
    async fn wait(
        &mut self,
        events: &mut broadcast::Receiver<Message>,
        hints: &mut Listener,
        asked: Instant,
    ) -> Detector {
        let mut deadline = asked + self.pause();
        loop {
            tokio::select! {
                biased;
                event = events.recv() => match event {
                    Ok(message) if self.is_ours(&message) => {
                        self.hints.heard_event();
                        return Detector::Event;
                    }
                    Ok(_) => {}
                    // Some events were dropped: any of them may have been ours.
                    Err(broadcast::error::RecvError::Lagged(_)) => return Detector::Event,
                    // The client ended. The next poll will fail and say why.
                    Err(broadcast::error::RecvError::Closed) => {
                        tokio::time::sleep_until(deadline).await;
                        return Detector::Poll;
                    }
                },
                detector = hints.next(asked) => return detector,
                Ok(()) = self.urgent.changed() => deadline = deadline.min(asked + self.pause()),
                () = tokio::time::sleep_until(deadline) => return Detector::Poll,
            }
        }
    }

    /// The time between two polls.
    fn pause(&mut self) -> Duration {
        let mut interval = self.settings.sentinel.poll_interval;
        if *self.urgent.borrow_and_update() {
            interval = interval.min(URGENT_INTERVAL);
        }
        // Jitter keeps a fleet of sidecars from asking in step.
        interval.mul_f64(rand::rng().random_range(0.8..1.2))
    }

    fn is_ours(&self, message: &Message) -> bool {
        let payload = message.value.as_str().unwrap_or_default();
        let ours = concerns(
            &message.channel,
            &payload,
            &self.settings.sentinel.master_name,
        );
        if ours {
            self.events_heard.increment(1);
            tracing::debug!(sentinel = %self.endpoint, event = &*message.channel, "{payload}");
        }
        ours
    }

    async fn poll(
        &self,
        client: &SubscriberClient,
        id: &Arc<str>,
        known: &mut Known,
    ) -> Result<Answer, Fault> {
        let name = self.settings.sentinel.master_name.as_str();
        let asked = clock::now();
        let began = Instant::now();
        let (often, rarely) = (known.often_due(began), known.rarely_due(began));
        let list = |what: &'static str| ask::<Instances>(client, "SENTINEL", vec![what, name]);
        // All are queued before any is answered, so they travel together and in this order.
        let (master, address, others, info, replicas) = tokio::join!(
            ask::<HashMap<String, String>>(client, "SENTINEL", vec!["MASTER", name]),
            ask::<Option<Vec<String>>>(client, "SENTINEL", vec!["GET-MASTER-ADDR-BY-NAME", name]),
            only_if(often, list("SENTINELS")),
            only_if(often, ask::<String>(client, "INFO", vec!["sentinel"])),
            only_if(rarely, list("REPLICAS")),
        );
        let master = match master {
            Ok(master) => master,
            Err(error) if error.details().contains("No such master") => {
                return Err(unknown_name(name));
            }
            Err(error) => return Err(fault(&error)),
        };
        let address = address.map_err(|error| fault(&error))?;
        let mut answer = read_answer(id, name, address.as_deref(), &master, asked)?;
        if often {
            known.often = Some(began);
            known.aside.others = read_others(&besides(others)?);
            known.aside.tilt = read_tilt(&besides(info)?);
        }
        if rarely {
            known.rarely = Some(began);
            known.aside.priorities = read_priorities(&besides(replicas)?);
        }
        if known.master.as_ref() != Some(&answer.master) {
            // They were those of the master before.
            known.rarely = known.rarely.filter(|_| known.master.is_none());
            known.master = Some(answer.master.clone());
        }
        answer.aside = known.aside.clone();
        Ok(answer)
    }
}

/// What was learned over one connection besides who is master, and when.
#[derive(Default)]
struct Known {
    aside: Aside,
    often: Option<Instant>,
    rarely: Option<Instant>,
    master: Option<Master>,
}

impl Known {
    fn often_due(&self, now: Instant) -> bool {
        self.often.is_none_or(|at| now >= at + OFTEN)
    }

    fn rarely_due(&self, now: Instant) -> bool {
        self.rarely.is_none_or(|at| now >= at + RARELY)
    }
}

/// One command. On the heap, because fred's futures are large and five of them at once overflow a worker's stack.
fn ask<'a, T: FromValue + Send + 'a>(
    client: &'a SubscriberClient,
    command: &'static str,
    arguments: Vec<&'a str>,
) -> Pin<Box<dyn Future<Output = Result<T, fred::error::Error>> + Send + 'a>> {
    Box::pin(client.custom(CustomCommand::new_static(command, None, false), arguments))
}

async fn only_if<T>(
    asked: bool,
    exchange: impl Future<Output = Result<T, fred::error::Error>>,
) -> Option<Result<T, fred::error::Error>> {
    if asked { Some(exchange.await) } else { None }
}

/// A Sentinel that refuses to tell this, for want of a permission, is followed without it.
fn besides<T: Default>(reply: Option<Result<T, fred::error::Error>>) -> Result<T, Fault> {
    use fred::error::ErrorKind::{Canceled, IO, Timeout};
    match reply {
        Some(Err(error)) if matches!(error.kind(), Canceled | IO | Timeout) => Err(fault(&error)),
        Some(Ok(told)) => Ok(told),
        _ => Ok(T::default()),
    }
}
