//! Random loads with random edits and flushes beside them, through two vedettas on one Redis, end as the embedded store
//! ends them: the scripts of loads against the oracle. What quotas count is what is there.
//!
//! The seed is printed, and `VEDETTA_SEED` runs it again. Nothing ends by time here.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use vedetta::proto::v1::bulk_load_request::{Begin, Mode};
use vedetta::proto::v1::bulk_load_response::{Event, Loaded};

use crate::client::{Client, Failure};
use crate::quotas::ALL;
use crate::quotas::audit::audit;
use crate::support::{Redis, RedisOptions, Vedetta, seed};

use super::loader::{Loader, begin};
use super::{CACHES, RAW};

const LOADS: usize = 60;
const KEYS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
const GROUPS: [&str; 3] = ["x", "y", "z"];

struct Run {
    random: StdRng,
    /// Vedettas on Redis.
    real: [Client; 2],
    /// A vedetta without one.
    model: Client,
    number: u64,
}

impl Run {
    fn both(&mut self, call: impl Fn(&Client) -> Result<String, Failure>) {
        let at = self.random.random_range(0..self.real.len());
        let told = |client| call(client).map_err(|failure| failure.reason);
        assert_eq!(told(&self.real[at]), told(&self.model));
    }

    fn edit(&mut self, cache: &'static str) {
        let key = *KEYS.choose(&mut self.random).expect("a key");
        let groups = self.groups(cache);
        self.number += 1;
        let value = self.number.to_string();
        let framed = cache == "framed";
        match self.random.random_range(0..8) {
            0 | 1 if framed => self.both(|client| {
                client
                    .put_in(cache, key, &value, &groups)
                    .map(|()| String::new())
            }),
            2 if framed => self.both(|client| {
                let added = client.add_to_groups(cache, key, &[GROUPS[0]]);
                added.map(|there| there.to_string())
            }),
            3 if framed => self.both(|client| {
                client
                    .flush_groups(cache, &[GROUPS[1]])
                    .map(|()| String::new())
            }),
            4 => self.both(|client| client.evict(cache, key).map(|there| there.to_string())),
            5 => self.both(|client| {
                let number = client.increment(cache, key, None);
                number.map(|number| number.to_string())
            }),
            6 => self.both(|client| client.touch(cache, key).map(|there| there.to_string())),
            _ => self.both(|client| client.put(cache, key, &value).map(|()| String::new())),
        }
    }

    fn edits(&mut self, cache: &'static str) {
        for _ in 0..self.random.random_range(0..4) {
            self.edit(cache);
        }
    }

    fn groups(&mut self, cache: &str) -> Vec<&'static str> {
        let mut groups = GROUPS.to_vec();
        groups.retain(|_| cache == "framed" && self.random.random_bool(0.3));
        groups
    }

    fn load(&mut self, (real, model): (&Vedetta, &Vedetta), cache: &'static str) {
        let modes = [Mode::Replace, Mode::IfOlder];
        let mode = *modes.choose(&mut self.random).expect("a mode");
        let asked = Begin {
            again: self.random.random_bool(0.8),
            ..begin(cache, mode, self.random.random_range(0..3))
        };
        let mut loaders = [real, model].map(|of| Loader::start(of.api(), asked.clone()));
        match loaders.each_mut().map(Loader::answer) {
            [Ok(Event::Begun(_)), Ok(Event::Begun(_))] => {}
            [first, second] => return assert_eq!(first, second),
        }
        self.edits(cache);
        for key in KEYS {
            if self.random.random_bool(0.5) {
                self.number += 1;
                let (value, groups) = (self.number.to_string(), self.groups(cache));
                for loader in &mut loaders {
                    loader.send_in(key, value.clone(), &groups);
                }
                self.edits(cache);
            }
        }
        let [first, second] = loaders.map(|loader| outcome(loader.loaded()));
        assert_eq!(first, second, "{asked:?}");
    }

    /// What is there, by key.
    fn audit(&self, cache: &str) {
        let held = |client: &Client| KEYS.map(|key| client.text(cache, key));
        let expected = held(&self.model);
        for client in &self.real {
            assert_eq!(held(client), expected);
        }
    }
}

fn outcome(loaded: Loaded) -> (u64, u64, u64, BTreeSet<bytes::Bytes>) {
    let removed = loaded.removed_keys.into_iter().collect();
    (loaded.stored, loaded.skipped, loaded.removed, removed)
}

#[test]
fn loads_end_as_those_of_the_embedded_store_do() {
    let redis = Redis::start(&RedisOptions::default());
    let address = redis.address().to_string();
    let counting = [RAW, ALL, ("REDIS_ADDRESS", &address)];
    let pods = [(); 2].map(|()| Vedetta::start(&[], &counting));
    let model = Vedetta::start(&[], &[RAW]);
    let mut run = Run {
        random: StdRng::seed_from_u64(seed::draw()),
        real: pods.each_ref().map(|pod| Client::connect(pod.api())),
        model: Client::connect(model.api()),
        number: 0,
    };
    let mut connection = redis.connect().expect("a connection");
    for number in 0..LOADS {
        for cache in CACHES {
            run.edits(cache);
            run.load((&pods[number % 2], &model), cache);
            run.audit(cache);
            let counted = audit(&mut connection, "", &["framed"]);
            counted.unwrap_or_else(|error| panic!("{error}"));
        }
    }
}
