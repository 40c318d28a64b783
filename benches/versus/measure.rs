//! One slice: a load on a server, and what it cost on both ends.
//!
//! Invariants: CPU is read at the beginning and at the end of the measured time, of every process behind the door, and
//! divided by the operations in between.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::load::{Connection, Outcome, Slice, closed};
use crate::meter::{cpu, resident};
use crate::plan::Table;
use crate::process::Door;
use crate::requests::{self, BATCH, Encoded, Operation};
use crate::servers::{Fleet, Name, Speech};
use crate::wire::in_order::InOrder;
use crate::wire::memcached::Memcached;
use crate::wire::message::Check;
use crate::wire::pipeline::Pipeline;
use crate::wire::resp::Resp;
use crate::wire::unary::Unary;
use crate::wire::{Dialect, Expected};

/// What a slice showed, or the medians of some.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    /// Operations in a second; a batch counts its keys.
    pub(crate) rate: f64,
    /// Of a request, in microseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    /// CPU for each operation, in microseconds, of every process behind the door.
    pub(crate) server: f64,
    /// The same, of each process alone.
    pub(crate) parts: Vec<(&'static str, f64)>,
    pub(crate) client: f64,
    /// How much of its processor the servers and the client used, 0 to 1.
    pub(crate) server_busy: f64,
    pub(crate) client_busy: f64,
    /// Resident memory of the process with the door, in KiB.
    pub(crate) resident: f64,
    /// The part of the answers that came from elsewhere than meant.
    pub(crate) strays: f64,
}

/// CPU time of this process and of those behind a door, in nanoseconds, and the answers that came from elsewhere.
struct Reading {
    cpu: Vec<u64>,
    strays: u64,
}

/// Encoded requests of each kind, made once.
#[derive(Default)]
pub(crate) struct Requests {
    made: HashMap<(Speech, &'static str, usize), Encoded>,
}

impl Requests {
    pub(crate) fn of(&mut self, speech: Speech, operation: Operation, size: usize) -> Encoded {
        let made = self.made.entry((speech, operation.name(), size));
        let encode = || match speech {
            Speech::Grpc => requests::grpc(operation, size),
            Speech::Resp => requests::resp(operation, size),
            Speech::Memcached => requests::memcached(size),
        };
        made.or_insert_with(encode).clone()
    }
}

/// What an answer to an operation holds.
pub(crate) fn expected(operation: Operation, size: usize) -> Expected {
    match operation {
        Operation::Get | Operation::Pipeline => Expected::Value(size),
        Operation::GetMany => Expected::Values(BATCH, size),
        Operation::Put => Expected::Written,
    }
}

/// Measures a server in a table once. Its values are expected to be `surplus` bytes longer than those of the table:
/// none, or it must fail.
///
/// # Errors
/// An answer is wrong, or there is none.
pub(crate) fn measure(
    fleet: &Fleet,
    requests: &mut Requests,
    (table, surplus): (&Table, usize),
    name: Name,
    slice: Slice,
) -> Result<Figures, String> {
    let entrance = fleet.entrance(name, table.transport)?;
    let behind = fleet.behind(entrance);
    let encoded = requests.of(name.speech(), table.operation, table.size);
    let size = table.size + surplus;
    let expected = expected(table.operation, size);
    let strays = Arc::new(AtomicU64::new(0));
    let check = || Check {
        expected,
        near: name.near().filter(|_| table.operation != Operation::Put),
        strays: strays.clone(),
    };
    let observe = || -> Result<Reading, String> {
        let own = cpu(std::process::id())?;
        let others = behind.iter().map(|(_, pid)| cpu(*pid));
        Ok(Reading {
            cpu: std::iter::once(Ok(own))
                .chain(others)
                .collect::<Result<_, _>>()?,
            strays: strays.load(Ordering::Relaxed),
        })
    };
    let load = Load {
        door: &entrance.door,
        table,
        slice,
        turns: encoded.len() / table.shape.connections,
    };
    let outcome = match (name.speech(), table.operation) {
        (Speech::Resp, _) => load.run(observe, |turn| {
            InOrder::new(encoded.clone(), turn, Resp(expected))
        }),
        (Speech::Memcached, _) => load.run(observe, |turn| {
            InOrder::new(encoded.clone(), turn, Memcached(size))
        }),
        (Speech::Grpc, Operation::Pipeline) => load.run(observe, |turn| {
            Pipeline::new(encoded.clone(), turn, check())
        }),
        (Speech::Grpc, operation) => load.run(observe, |turn| {
            Unary::new(operation.path(), encoded.clone(), turn, check())
        }),
    }?;
    let mut figures = figures(&outcome, table.operation, &behind);
    figures.resident = resident(behind[0].1)? as f64;
    Ok(figures)
}

struct Load<'a> {
    door: &'a Door,
    table: &'a Table,
    slice: Slice,
    /// Requests between those with which two connections begin.
    turns: usize,
}

impl Load<'_> {
    fn run<D: Dialect>(
        &self,
        observe: impl FnMut() -> Result<Reading, String>,
        dialect: impl Fn(usize) -> D,
    ) -> Result<Outcome<Reading>, String> {
        let connections = (0..self.table.shape.connections)
            .map(|number| Connection::open(self.door, dialect(number * self.turns)))
            .collect::<Result<Vec<_>, _>>()?;
        closed(connections, self.table.shape.depth, self.slice, observe)
    }
}

fn figures(
    outcome: &Outcome<Reading>,
    operation: Operation,
    behind: &[(&'static str, u32)],
) -> Figures {
    let operations = (outcome.requests * operation.keys()).max(1) as f64;
    let elapsed = outcome.elapsed.as_secs_f64();
    let [before, after] = &outcome.observed;
    let used: Vec<f64> = before
        .cpu
        .iter()
        .zip(&after.cpu)
        .map(|(before, after)| after.saturating_sub(*before) as f64 / 1000.0)
        .collect();
    let micros = |quantile| outcome.latency.value_at_quantile(quantile) as f64 / 1000.0;
    let server: f64 = used[1..].iter().sum();
    Figures {
        rate: operations / elapsed,
        p50: micros(0.5),
        p99: micros(0.99),
        p999: micros(0.999),
        server: server / operations,
        parts: behind
            .iter()
            .zip(&used[1..])
            .map(|((name, _), used)| (*name, used / operations))
            .collect(),
        client: used[0] / operations,
        server_busy: server / elapsed / 1e6,
        client_busy: used[0] / elapsed / 1e6,
        resident: 0.0,
        strays: (after.strays - before.strays) as f64 / operations,
    }
}

/// The median of each figure by itself.
pub(crate) fn medians(rounds: &[Figures]) -> Figures {
    let median = |of: &dyn Fn(&Figures) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    let part = |index: usize, name: &'static str| (name, median(&|figures| figures.parts[index].1));
    Figures {
        rate: median(&|figures| figures.rate),
        p50: median(&|figures| figures.p50),
        p99: median(&|figures| figures.p99),
        p999: median(&|figures| figures.p999),
        server: median(&|figures| figures.server),
        parts: rounds.first().map_or_else(Vec::new, |first| {
            let named = first.parts.iter().enumerate();
            named.map(|(index, (name, _))| part(index, name)).collect()
        }),
        client: median(&|figures| figures.client),
        server_busy: median(&|figures| figures.server_busy),
        client_busy: median(&|figures| figures.client_busy),
        resident: median(&|figures| figures.resident),
        strays: median(&|figures| figures.strays),
    }
}
