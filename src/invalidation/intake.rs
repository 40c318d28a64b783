//! Hears of sessions and of their pushes, and tells the near cache and then the hub. Everything here runs inline in the
//! driver of a connection: no waiting, no panic, and work in proportion to the push.
//!
//! Invariants: the near cache is told first. A generation is published before its session can be used, and ended
//! before the calls on it fail. A session to another history begins under quarantine.
//!
//! Not here: which session, and when (`failover`); replaying a journal of recent writes, which has its own issue.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::clock;
use crate::model::{CacheId, Key, Lineage, Master, Moment};
use crate::near::{Beat, Majority, Near, Stamped};
use crate::upstream::Tracker;

use super::directory::{Directory, Resolved};
use super::event::{Event, Reason};
use super::hub::{Hub, Proof};
use super::listener::Listener;

/// After a change of history nothing is served FRESH from the near cache for that long: others may still be removing
/// old values that lost writes have brought back (coherence.md §2.4).
const QUARANTINE: Duration = Duration::from_secs(2);

/// How the keys of stamps begin, of caches and of groups (`cache::layout`).
const STAMPS: [&[u8]; 2] = [b"vedetta:stamp:", b"vedetta:group:"];

/// Tells what it hears.
#[derive(Debug)]
pub struct Intake<F> {
    near: Arc<Near<F>>,
    hub: Arc<Hub>,
    directory: Arc<Directory>,
    lineage: Mutex<Option<Lineage>>,
    canary: Bytes,
    /// When the last push for the canary was applied.
    seen: watch::Sender<Moment>,
    /// Who hears of the keys of other rooms, and how these begin.
    listener: Option<Elsewhere>,
}

type Elsewhere = (Vec<&'static [u8]>, Arc<dyn Listener>);

impl<F: Clone> Intake<F> {
    /// Between these; `canary` is the Redis key whose pushes are listened for.
    pub fn new(
        near: Arc<Near<F>>,
        hub: Arc<Hub>,
        directory: Arc<Directory>,
        canary: Bytes,
    ) -> Self {
        Self {
            near,
            hub,
            directory,
            lineage: Mutex::new(None),
            canary,
            seen: watch::Sender::new(Moment::START),
            listener: None,
        }
    }

    /// Keys that begin so are told to that listener, and to nobody else; and to it all clears.
    pub fn listening(mut self, prefixes: Vec<&'static [u8]>, listener: Arc<dyn Listener>) -> Self {
        self.listener = Some((prefixes, listener));
        self
    }

    fn unsettled(&self) {
        if let Some((_, listener)) = &self.listener {
            listener.unsettled();
        }
    }

    /// When the last push for the canary, or for everything, was applied.
    pub fn canary(&self) -> watch::Receiver<Moment> {
        self.seen.subscribe()
    }

    /// As [`Tracker::began`], at that time.
    pub(crate) fn begin(
        &self,
        generation: u64,
        lineage: Lineage,
        master: &Master,
        majority: Majority,
        now: Moment,
    ) {
        let before = self.lineage.lock().replace(lineage);
        let changed = before.is_some_and(|before| before != lineage);
        let quarantine = if changed {
            now + QUARANTINE
        } else {
            Moment::START
        };
        self.near.publish(generation, lineage, majority, quarantine);
        self.hub.session(generation);
        if changed {
            self.hub.interrupted(Reason::MasterChanged);
        }
        if before.is_some() {
            self.hub.record(Event::FailoverFinished {
                master: master.endpoint.to_string(),
            });
        }
    }

    /// As [`Tracker::beat`], received at that time.
    pub(crate) fn answered(&self, generation: u64, beat: Beat, now: Moment) -> bool {
        let forwards = self.near.beat(generation, beat, now);
        let standing = self.near.standing();
        let proof = match standing.base {
            Some(base) if standing.quarantine <= now => Proof::Until(base),
            _ => Proof::Nothing,
        };
        self.hub.prove(generation, proof);
        forwards
    }

    /// One change for each cache that a run of keys belongs to, in order.
    fn tell(&self, keys: &mut dyn Iterator<Item = &[u8]>) {
        let mut run: Option<(CacheId, Vec<Key>)> = None;
        let mut add = |cache: CacheId, key: Key| match &mut run {
            Some((current, keys)) if *current == cache => keys.push(key),
            _ => {
                if let Some((cache, keys)) = run.replace((cache, vec![key])) {
                    self.hub.invalidated(cache, keys);
                }
            }
        };
        for key in keys {
            if key == self.canary {
                self.seen.send_replace(clock::now());
                continue;
            }
            if let Some((prefixes, listener)) = &self.listener
                && prefixes.iter().any(|prefix| key.starts_with(prefix))
            {
                listener.changed(key);
                continue;
            }
            let stamped = self.near.invalidate(key);
            if let Some(cache) = key.strip_prefix(STAMPS[0])
                && let Some((_, listener)) = &self.listener
            {
                listener.cleared(cache);
            }
            match stamped {
                Some(Stamped::Cache(cache)) => {
                    self.hub.record(Event::Cleared(cache));
                    continue;
                }
                Some(Stamped::Group(cache, group)) => {
                    let groups = vec![group];
                    self.hub.record(Event::GroupsFlushed { cache, groups });
                    continue;
                }
                None => {}
            }
            let is_stamp = STAMPS.iter().any(|head| key.starts_with(head));
            match self.directory.resolve(key) {
                Resolved::Entries(caches, key) => {
                    for cache in caches {
                        add(cache, key.clone());
                    }
                }
                Resolved::Unknown => self.hub.interrupted(Reason::TooManyCaches),
                // The stamp of a cache or group that is one too many: nobody can say which it is.
                Resolved::Nobodys if is_stamp && self.near.has_unknown_stamps() => {
                    self.hub.interrupted(Reason::TooManyCaches);
                }
                Resolved::Nobodys => {}
            }
        }
        if let Some((cache, keys)) = run {
            self.hub.invalidated(cache, keys);
        }
    }
}

impl<F: Clone + std::fmt::Debug + Send + Sync + 'static> Tracker for Intake<F> {
    fn began(&self, generation: u64, lineage: Lineage, master: &Master, named: Option<Moment>) {
        let majority = named.map_or(Majority::Alone, Majority::Named);
        self.begin(generation, lineage, master, majority, clock::now());
        self.unsettled();
    }

    fn named(&self, generation: u64, at: Moment) {
        self.near.named(generation, at);
    }

    fn invalidated(&self, _: u64, keys: &mut dyn Iterator<Item = &[u8]>) {
        self.tell(keys);
    }

    fn flushed(&self, _: u64) {
        // The canary went with everything else.
        self.seen.send_replace(clock::now());
        self.near.flush();
        self.hub.interrupted(Reason::Flushed);
        self.unsettled();
    }

    fn beat(&self, generation: u64, sent: Moment, offset: u64) -> bool {
        self.answered(generation, Beat { sent, offset }, clock::now())
    }

    fn ended(&self, generation: u64) {
        if self.near.end(generation) {
            self.hub.session_ended();
            self.hub.interrupted(Reason::SessionLost);
            self.hub.record(Event::FailoverStarted);
        }
        self.unsettled();
    }
}
