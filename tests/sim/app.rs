//! An in-process cache of an application (L0) that follows docs/clients.md: tokens before it asks, drops what it is
//! told to drop, serves only while that is proven.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;

use crate::invalidation::{Delivery, Event, Hub, Position, Scope, Subscription};
use crate::model::{Moment, Tenant};

use super::oracle::Seen;
use super::sidecar::Sidecar;
use super::world::{BOUND, World};

struct Entry {
    value: Option<u64>,
    expires: Option<Moment>,
    lineage: u64,
}

pub(super) struct App {
    subscription: Option<Subscription>,
    position: Option<Position>,
    entries: BTreeMap<String, Entry>,
    tokens: BTreeMap<String, u64>,
    next_token: u64,
    trusted: Moment,
    arriving: VecDeque<(Moment, Result<Delivery, ()>)>,
}

impl App {
    pub(super) fn new(hub: &Arc<Hub>, _: usize) -> Self {
        Self {
            subscription: hub.subscribe(scope(), None).ok(),
            position: None,
            entries: BTreeMap::new(),
            tokens: BTreeMap::new(),
            next_token: 0,
            trusted: Moment::START,
            arriving: VecDeque::new(),
        }
    }

    pub(super) fn start(world: &mut World, id: usize) {
        Self::listen(world, id);
    }

    /// Takes what the hub has, now and then; sometimes it pauses for long.
    fn listen(world: &mut World, id: usize) {
        let now = world.now;
        for _ in 0..32 {
            let delay = world.delay();
            let app = &mut world.sidecars[id].app;
            let Some(subscription) = &mut app.subscription else {
                break;
            };
            let told = match subscription.take(now) {
                Ok(Some(delivery)) => Ok(delivery),
                Ok(None) => break,
                Err(_) => {
                    app.subscription = None;
                    world.oracle.figures.dropped += 1;
                    Err(())
                }
            };
            let app = &mut world.sidecars[id].app;
            app.arriving.push_back((now + delay, told));
            world.after(delay, move |world| Self::hear(world, id));
        }
        let pause = if !world.healed && world.rng.random_bool(0.03) {
            world.millis(300..1500)
        } else {
            world.millis(1..30)
        };
        world.after(pause, move |world| Self::listen(world, id));
    }

    /// Events arrive in order.
    fn hear(world: &mut World, id: usize) {
        loop {
            let now = world.now;
            let app = &mut world.sidecars[id].app;
            match app.arriving.front() {
                Some((at, _)) if *at <= now => {}
                Some((at, _)) => {
                    let wait = at.since(now);
                    world.after(wait, move |world| Self::hear(world, id));
                    return;
                }
                None => return,
            }
            match app.arriving.pop_front() {
                Some((_, Ok(Delivery::Event(position, event)))) => {
                    app.position = Some(position);
                    app.told(&event);
                    if matches!(event, Event::Discontinuity(_)) {
                        world.oracle.figures.discontinuities += 1;
                    }
                }
                Some((_, Ok(Delivery::Proven(position, until)))) => {
                    app.position = Some(position);
                    app.trusted = until;
                }
                Some((_, Err(()))) => {
                    app.drop_everything();
                    Self::again(world, id);
                }
                None => return,
            }
        }
    }

    /// After the end of a stream: from the last position, or anew.
    fn again(world: &mut World, id: usize) {
        let resume = world.rng.random_bool(0.5);
        let at = &mut world.sidecars[id];
        let position = at.app.position.filter(|_| resume);
        at.app.subscription = at.hub.subscribe(scope(), position).ok();
    }

    fn told(&mut self, event: &Event) {
        match event {
            Event::Invalidated { keys, .. } => {
                for key in keys {
                    let name = String::from_utf8_lossy(key.as_bytes()).into_owned();
                    self.entries.remove(&name);
                    self.tokens.remove(&name);
                }
            }
            Event::Cleared(_) | Event::GroupsFlushed { .. } | Event::Discontinuity(_) => {
                self.drop_everything();
            }
            Event::FailoverStarted | Event::FailoverFinished { .. } | Event::DataLoss { .. } => {}
        }
    }

    fn drop_everything(&mut self) {
        self.entries.clear();
        self.tokens.clear();
    }

    /// What it would serve now: absence included.
    pub(super) fn served(&self, name: &str, now: Moment) -> Option<Option<u64>> {
        let entry = self.entries.get(name)?;
        let alive = entry.expires.is_none_or(|at| now < at);
        (alive && now <= self.trusted).then_some(entry.value)
    }

    pub(super) fn get(world: &mut World, id: usize, name: &str) {
        let now = world.now;
        let app = &mut world.sidecars[id].app;
        if let Some(value) = app.served(name, now) {
            let lineage = app.entries[name].lineage;
            world.oracle.figures.app += 1;
            let limit = Moment::START + now.since(Moment::START + BOUND);
            world.oracle.judge(&Seen {
                key: name,
                value,
                lineage,
                now,
                limit,
                by: "L0",
            });
            return;
        }
        app.next_token += 1;
        let token = app.next_token;
        app.tokens.insert(name.to_owned(), token);
        let (delay, name) = (world.delay(), name.to_owned());
        world.after(delay, move |world| {
            Sidecar::get(world, id, &name, Some(token))
        });
    }

    /// The sidecar answered; the answer has a way of its own, and events may overtake it.
    pub(super) fn answered(
        world: &mut World,
        id: usize,
        name: &str,
        token: u64,
        fresh: Option<(Option<u64>, Option<Duration>)>,
    ) {
        let (delay, name, answered) = (world.delay(), name.to_owned(), world.now);
        let Some(connection) = world.sidecars[id].session else {
            return;
        };
        let lineage = Sidecar::lineage(world, connection);
        world.after(delay, move |world| {
            let app = &mut world.sidecars[id].app;
            let alive = app.tokens.get(&name) == Some(&token);
            if let Some((value, ttl)) = fresh.filter(|_| alive) {
                app.tokens.remove(&name);
                let expires = ttl.map(|ttl| answered + ttl);
                let entry = Entry {
                    value,
                    expires,
                    lineage,
                };
                app.entries.insert(name, entry);
            }
        });
    }
}

fn scope() -> Scope {
    Scope {
        tenant: Tenant::primary(),
        caches: Vec::new(),
        keys: Vec::new(),
        groups: Vec::new(),
    }
}
