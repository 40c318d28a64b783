//! Every script against the embedded store: whatever several pods do to one key at the same time in a real Redis, the
//! embedded store gives the same answers to the same calls in some order.
//!
//! A history is rounds of calls that run at once, each through a pod of its own, and a look at the entry after each
//! round. Orders of a round are tried on the embedded store until one gives the answers that Redis gave. Versions are
//! compared by which of them are equal, times to live by the hour. The seed of each history is printed if it fails;
//! `VEDETTA_SEED` runs that one alone, `VEDETTA_LONG` runs many more.
//!
//! After each history, what is counted for quotas is compared with what is there (`quotas/audit.rs`).
//!
//! To add a call: a variant of [`Op`], where it is drawn, and how it is sent (`oracle/op.rs`).
//!
//! Not here: faults (`tests/race`), and time that passes.

mod lease;
mod op;

use std::collections::HashMap;
use std::fmt::{Display, Formatter};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tonic::transport::Channel;
use vedetta::proto::v1::cache_client::CacheClient;

use crate::quotas::ALL;
use crate::quotas::audit::audit;
use crate::support::{Redis, RedisOptions, Vedetta, seed, wait};
use op::{Answer, Op, Spot, send};

const ROUNDS: usize = 4;
const PODS: usize = 3;
/// Most orders that are followed further; all of them gave the same answers.
const ORDERS: usize = 3;
const CACHES: [&str; 3] = ["framed", "raw", "hour"];
const RULES: (&str, &str) = ("VEDETTA_CACHES", "raw:raw,hour:framed:5h");

/// A sweep after a flush may be at work.
const COUNTED_WITHIN: Duration = Duration::from_secs(10);

type Client = CacheClient<Channel>;

/// Calls that ran at once, with their answers, and what was seen after them.
struct Round {
    calls: Vec<(Op, Answer)>,
    seen: Vec<(Op, Answer)>,
}

impl Display for Round {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        for (op, answer) in &self.calls {
            writeln!(f, "at once {op:?}: {answer}")?;
        }
        for (op, answer) in &self.seen {
            writeln!(f, "then    {op:?}: {answer}")?;
        }
        Ok(())
    }
}

/// For each round, the order in which its calls took effect.
type Order = Vec<Vec<usize>>;

fn client(vedetta: &Vedetta) -> Client {
    let channel = Channel::from_shared(format!("http://{}", vedetta.api()));
    CacheClient::new(channel.expect("an address").connect_lazy())
}

fn orders(count: usize) -> Vec<Vec<usize>> {
    match count {
        0 => vec![Vec::new()],
        count => orders(count - 1)
            .into_iter()
            .flat_map(|order| {
                (0..count).map(move |at| {
                    let mut order = order.clone();
                    order.insert(at, count - 1);
                    order
                })
            })
            .collect(),
    }
}

/// Answers with each version replaced by the place where it first appeared.
fn named<'a>(answers: impl IntoIterator<Item = &'a Answer>) -> Vec<(String, Option<usize>)> {
    let mut names: HashMap<Bytes, usize> = HashMap::new();
    let name = |answer: &Answer| {
        let next = names.len();
        let version = answer.version.clone().filter(|version| !version.is_empty());
        (
            answer.text.clone(),
            version.map(|version| *names.entry(version).or_insert(next)),
        )
    };
    answers.into_iter().map(name).collect()
}

/// The calls of a history in some order.
fn in_order<'a>(rounds: &'a [Round], order: &'a Order) -> impl Iterator<Item = &'a (Op, Answer)> {
    rounds.iter().zip(order).flat_map(|(round, order)| {
        let calls = order.iter().map(|place| &round.calls[*place]);
        calls.chain(&round.seen)
    })
}

/// Whether the oracle, asked in that order, answers as Redis did; on a key of its own.
async fn explains(
    oracle: &mut Client,
    cache: &str,
    key: String,
    rounds: &[Round],
    order: &Order,
) -> bool {
    let mut spot = Spot::new(cache, key);
    let mut answers = Vec::new();
    for (round, order) in rounds.iter().zip(order) {
        for place in order {
            answers.push(send(oracle, &spot, &round.calls[*place].0).await);
        }
        let looked = answers.len();
        for (op, _) in &round.seen {
            answers.push(send(oracle, &spot, op).await);
        }
        spot.saw(&answers[looked..]);
    }
    named(&answers) == named(in_order(rounds, order).map(|(_, answer)| answer))
}

/// One history; the calls of it if nothing explains them.
async fn history(
    pods: &mut [Client],
    oracle: &mut Client,
    cache: &str,
    seed: u64,
) -> Result<(), String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut spot = Spot::new(cache, format!("h{seed}"));
    let mut rounds = Vec::new();
    let mut possible: Vec<Order> = vec![Vec::new()];
    let mut tried = 0;
    for _ in 0..ROUNDS {
        let ops: Vec<Op> = (0..rng.random_range(1..=PODS))
            .map(|_| Op::draw(&mut rng))
            .collect();
        let calls = pods
            .iter_mut()
            .zip(&ops)
            .map(|(pod, op)| send(pod, &spot, op));
        let answers = join_all(calls).await;
        let mut seen = Vec::new();
        for op in [Op::Get, Op::Ttl, Op::Lease] {
            let pod = rng.random_range(0..PODS);
            let answer = send(&mut pods[pod], &spot, &op).await;
            seen.push((op, answer));
        }
        spot.saw(seen.iter().map(|(_, answer)| answer));
        let calls = ops.into_iter().zip(answers).collect();
        rounds.push(Round { calls, seen });
        let mut next = Vec::new();
        for before in &possible {
            for last in orders(rounds[rounds.len() - 1].calls.len()) {
                let order: Order = before.iter().cloned().chain([last]).collect();
                tried += 1;
                let key = format!("h{seed}-{tried}");
                if explains(oracle, cache, key, &rounds, &order).await {
                    next.push(order);
                }
            }
        }
        // What was seen leaves few that differ in anything.
        next.truncate(ORDERS);
        if next.is_empty() {
            let rounds: Vec<String> = rounds.iter().map(Round::to_string).collect();
            return Err(format!(
                "VEDETTA_SEED={seed} in {cache}:\n{}",
                rounds.join("")
            ));
        }
        possible = next;
    }
    Ok(())
}

fn seeds() -> Vec<u64> {
    if let Some(seed) = seed::given() {
        return vec![seed];
    }
    let count = if std::env::var_os("VEDETTA_LONG").is_some() {
        2_000
    } else {
        15
    };
    (0..count).map(|_| rand::random::<u32>().into()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_answers_as_the_embedded_store_does_in_some_order() {
    let redis = Redis::start(&RedisOptions::default());
    let address = redis.address().to_string();
    let pods: Vec<Vedetta> = (0..PODS)
        .map(|_| Vedetta::start(&[], &[RULES, ALL, ("REDIS_ADDRESS", &address)]))
        .collect();
    let embedded = Vedetta::start(&[], &[RULES]);
    let mut clients: Vec<Client> = pods.iter().map(client).collect();
    let mut oracle = client(&embedded);
    let seeds = seeds();
    for cache in CACHES {
        for seed in &seeds {
            let told = history(&mut clients, &mut oracle, cache, *seed).await;
            told.unwrap_or_else(|told| panic!("{told}"));
            let mut connection = redis.connect().expect("a connection");
            let what = format!("VEDETTA_SEED={seed} in {cache}: what is counted is there");
            wait::until(&what, COUNTED_WITHIN, || {
                audit(&mut connection, "", &["framed", "hour"])
            });
        }
    }
    println!(
        "{} histories in each of {CACHES:?}, as in the embedded store",
        seeds.len()
    );
}
