//! Random calls about a few sessions, through two vedettas on one Redis in any order, answered as the embedded store
//! answers them: the scripts against the oracle.
//!
//! The two remember different principals of the same session, so that most of their guesses are wrong. The seed is
//! printed, and `VEDETTA_SEED` runs it again. Nothing ends by time here.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use vedetta::proto::v1::Session;

use super::{HOUR, pair};
use crate::client::Client;
use crate::support::{Redis, RedisOptions, Vedetta, seed};

const CALLS: usize = 1_500;
const PRINCIPALS: [&str; 3] = ["", "ada", "b:ea"];
const TENANTS: [&str; 2] = ["", "t"];

/// One session, under its ids in both stores.
#[derive(Clone)]
struct Twin {
    tenant: &'static str,
    real: String,
    model: String,
}

struct Run {
    random: StdRng,
    /// Vedettas on Redis.
    real: [Client; 2],
    /// A vedetta without one.
    model: Client,
    twins: Vec<Twin>,
}

impl Run {
    /// One of the vedettas on Redis, and the oracle, for that tenant.
    fn clients(&mut self, tenant: &str) -> (&Client, &Client) {
        let at = self.random.random_range(0..self.real.len());
        tenant.clone_into(&mut self.real[at].tenant);
        tenant.clone_into(&mut self.model.tenant);
        (&self.real[at], &self.model)
    }

    fn twin(&mut self) -> Option<(usize, Twin)> {
        let at = self.random.random_range(0..self.twins.len().max(1));
        Some((at, self.twins.get(at)?.clone()))
    }

    fn create(&mut self) {
        let principal = *PRINCIPALS.choose(&mut self.random).expect("a principal");
        let tenant = *TENANTS.choose(&mut self.random).expect("a tenant");
        let (real, model) = self.clients(tenant);
        let twin = Twin {
            tenant,
            real: real.create(principal, HOUR, "").expect("create"),
            model: model.create(principal, HOUR, "").expect("create"),
        };
        self.twins.push(twin);
    }

    fn save(&mut self, twin: &Twin) {
        let mut names: Vec<String> = (0..6).map(|number| format!("n{number}")).collect();
        names.retain(|_| self.random.random_bool(0.5));
        let remove = names.split_off(self.random.random_range(0..=names.len()));
        let length = self.random.random_range(0..20);
        let set: Vec<_> = names
            .iter()
            .map(|name| pair(name, &"x".repeat(length)))
            .collect();
        let principal = PRINCIPALS.choose(&mut self.random).copied();
        let principal = principal.filter(|_| self.random.random_bool(0.4));
        let (real, model) = self.clients(twin.tenant);
        let saved = real.save(&twin.real, &set, &remove, principal);
        assert_eq!(
            outcome(saved),
            outcome(model.save(&twin.model, &set, &remove, principal))
        );
    }

    fn change_id(&mut self, at: usize, twin: &Twin) {
        let (real, model) = self.clients(twin.tenant);
        let real = real.change_id(&twin.real).expect("change");
        let model = model.change_id(&twin.model).expect("change");
        assert_eq!(real.is_some(), model.is_some());
        if let (Some(real), Some(model)) = (real, model) {
            // The old ids are asked for as well, now and then.
            let old = self.random.random_bool(0.2);
            let tenant = twin.tenant;
            let twin = Twin {
                tenant,
                real,
                model,
            };
            if old {
                self.twins.push(twin);
            } else {
                self.twins[at] = twin;
            }
        }
    }

    fn compare(&mut self, twin: &Twin) {
        let (real, model) = self.clients(twin.tenant);
        let real = real.load(&twin.real).expect("load").map(content);
        assert_eq!(real, model.load(&twin.model).expect("load").map(content));
    }

    fn find(&mut self) {
        let tenant = *TENANTS.choose(&mut self.random).expect("a tenant");
        let twins = self.twins.clone();
        for principal in &PRINCIPALS[1..] {
            let (real, model) = self.clients(tenant);
            let real = real.find(principal).expect("find");
            let model = model.find(principal).expect("find");
            let known = |id: &String| {
                let twin = twins.iter().find(|twin| twin.model == *id);
                twin.map_or_else(|| panic!("an unknown session"), |twin| twin.real.clone())
            };
            let real: BTreeSet<String> = real.into_iter().collect();
            assert_eq!(real, model.iter().map(known).collect(), "of {principal}");
        }
    }

    fn step(&mut self) {
        let Some((at, twin)) = self.twin() else {
            return self.create();
        };
        match self.random.random_range(0..20) {
            0..2 => self.create(),
            2..9 => self.save(&twin),
            9..11 => self.change_id(at, &twin),
            11 => {
                let (real, model) = self.clients(twin.tenant);
                assert_eq!(real.delete(&twin.real), model.delete(&twin.model));
            }
            12..14 => {
                let (real, model) = self.clients(twin.tenant);
                assert_eq!(
                    real.touch_session(&twin.real),
                    model.touch_session(&twin.model)
                );
            }
            14..16 => self.find(),
            _ => self.compare(&twin),
        }
    }
}

/// What a save answered: whether the session existed, or why not.
fn outcome<T>(saved: Result<T, crate::client::Failure>) -> Result<T, String> {
    saved.map_err(|failure| failure.reason)
}

fn content(session: Session) -> impl PartialEq + std::fmt::Debug {
    let attributes: std::collections::BTreeMap<_, _> = session.attributes.into_iter().collect();
    (attributes, session.principal, session.max_inactive)
}

#[test]
fn the_scripts_answer_as_the_embedded_store_does() {
    let redis = Redis::start(&RedisOptions::default());
    let small = [
        ("VEDETTA_LIMITS_SESSION_ATTRIBUTES", "4"),
        ("VEDETTA_LIMITS_SESSION", "60B"),
    ];
    let address = redis.address().to_string();
    let on_redis = [small[0], small[1], ("REDIS_ADDRESS", &address)];
    let pods = [(); 2].map(|()| Vedetta::start(&[], &on_redis));
    let oracle = Vedetta::start(&[], &small);
    let mut run = Run {
        random: StdRng::seed_from_u64(seed::draw()),
        real: [
            Client::connect(pods[0].api()),
            Client::connect(pods[1].api()),
        ],
        model: Client::connect(oracle.api()),
        twins: Vec::new(),
    };
    for _ in 0..CALLS {
        run.step();
    }
    for twin in run.twins.clone() {
        run.compare(&twin);
    }
    run.find();
}
