//! The tail at a part of the throughput, alone and while another cache is cleared.
//!
//! Invariants: the load is open, so whatever a stall delays is counted with its delay; the second with the clear is
//! compared with the one before it, in the same run on the same connections.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use hdrhistogram::Histogram;
use vedetta::proto::v1;

use crate::fill::Client;
use crate::load::{Aside, Connection, Paced, open};
use crate::measure::{Requests, expected};
use crate::plan::{MAIN, MANY, Plan};
use crate::requests::{self, Operation};
use crate::servers::{Entrance, Fleet, Name, Speech, Transport};
use crate::wire::in_order::InOrder;
use crate::wire::message::Check;
use crate::wire::resp::Resp;
use crate::wire::unary::Unary;
use crate::wire::{Dialect, Expected};

/// Who is looked at.
pub(crate) const SERVERS: [Name; 3] = [Name::VedettaEmbedded, Name::VedettaNear, Name::Redis];
/// The part of the throughput of the closed loop.
pub(crate) const PART: f64 = 0.7;

/// The cache that is cleared, and how much is in it.
const CLEARED: &str = "versus-cleared";
const ENTRIES: usize = 100_000;
const ENTRY: usize = 100;

/// What an open loop showed, as medians over the rounds; latencies in microseconds.
#[derive(Debug, Clone)]
pub(crate) struct Tail {
    pub(crate) name: Name,
    /// Requests in a second.
    pub(crate) rate: f64,
    pub(crate) calm: Quantiles,
    /// With the clear, and how long that took in milliseconds.
    pub(crate) beside: Option<(Quantiles, f64)>,
}

/// Of the latency, in microseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Quantiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

impl Quantiles {
    fn of(latency: &Histogram<u64>) -> Self {
        let micros = |quantile| latency.value_at_quantile(quantile) as f64 / 1000.0;
        Self {
            p50: micros(0.5),
            p99: micros(0.99),
            p999: micros(0.999),
        }
    }

    fn medians(rounds: &[Self]) -> Self {
        Self {
            p50: median(rounds.iter().map(|round| round.p50)),
            p99: median(rounds.iter().map(|round| round.p99)),
            p999: median(rounds.iter().map(|round| round.p999)),
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Measures all of them in turn; each gets [`PART`] of the rate that `throughput` tells.
///
/// # Errors
/// An answer is wrong, or a server does not keep up.
pub(crate) fn tails(
    fleet: &Fleet,
    requests: &mut Requests,
    plan: &Plan,
    throughput: impl Fn(Name) -> Result<f64, String>,
) -> Result<Vec<Tail>, String> {
    let mut rounds: Vec<(Name, Vec<Paced>)> = SERVERS.map(|name| (name, Vec::new())).into();
    for round in 1..=plan.rounds {
        eprintln!(
            "versus: tails at {PART} of the throughput, round {round} of {}",
            plan.rounds
        );
        for (name, paced) in &mut rounds {
            let rate = PART * throughput(*name)?;
            let one = pace(fleet, requests, plan, *name, rate);
            paced.push(one.map_err(|problem| format!("{}: {problem}", name.text()))?);
        }
    }
    let tail = |(name, rounds): (Name, Vec<Paced>)| {
        let calm: Vec<Quantiles> = rounds.iter().map(|one| Quantiles::of(&one.calm)).collect();
        let beside: Vec<_> = rounds
            .iter()
            .filter_map(|one| one.beside.as_ref())
            .collect();
        let took = median(beside.iter().map(|(_, took)| took.as_secs_f64() * 1000.0));
        let latency: Vec<_> = beside
            .iter()
            .map(|(latency, _)| Quantiles::of(latency))
            .collect();
        Ok(Tail {
            name,
            rate: PART * throughput(name)?,
            calm: Quantiles::medians(&calm),
            beside: (!beside.is_empty()).then(|| (Quantiles::medians(&latency), took)),
        })
    };
    rounds.into_iter().map(tail).collect()
}

fn pace(
    fleet: &Fleet,
    requests: &mut Requests,
    plan: &Plan,
    name: Name,
    rate: f64,
) -> Result<Paced, String> {
    let entrance = fleet.entrance(name, Transport::Unix)?;
    let encoded = requests.of(name.speech(), Operation::Get, MAIN);
    let expected = expected(Operation::Get, MAIN);
    let apart = encoded.len() / MANY.connections;
    if name.speech() == Speech::Resp {
        let connections = connect(entrance, |number| {
            InOrder::new(encoded.clone(), number * apart, Resp(expected))
        })?;
        return open(connections, rate, plan.paced, None);
    }
    let client = Client::connect(&entrance.door)?;
    let keys: Vec<String> = (0..ENTRIES)
        .map(|number| requests::key(ENTRY, number))
        .collect();
    client.put_all(CLEARED, &keys, ENTRY)?;
    client.read_all(CLEARED, &keys, ENTRY)?;
    let check = |expected| Check {
        expected,
        near: None,
        strays: Arc::new(AtomicU64::new(0)),
    };
    let connections = connect(entrance, |number| {
        let path = Operation::Get.path();
        Unary::new(path, encoded.clone(), number * apart, check(expected))
    })?;
    let clear = requests::prefixed(&v1::ClearRequest {
        cache: CLEARED.to_owned(),
        ..v1::ClearRequest::default()
    });
    let clear = Unary::new(
        "/vedetta.v1.Cache/Clear",
        Arc::new(vec![clear]),
        0,
        check(Expected::Anything),
    );
    let aside = Aside(Connection::open(&entrance.door, clear)?);
    open(connections, rate, plan.paced, Some(aside))
}

fn connect<D: Dialect>(
    entrance: &Entrance,
    dialect: impl Fn(usize) -> D,
) -> Result<Vec<Connection<D>>, String> {
    (0..MANY.connections)
        .map(|number| Connection::open(&entrance.door, dialect(number)))
        .collect()
}
