//! The goals of the hot path as ratios of figures of one run: met, missed, or not measured and why.
//!
//! Invariants: every goal has a line, whatever it shows.

use crate::measure::Figures;
use crate::plan::{BATCHES, DEEP, MAIN, MANY, Shape, Table};
use crate::requests::Operation;
use crate::servers::{Name, Transport};
use crate::table::Line;
use crate::tails::Tail;

/// A client that is that busy is the limit of what it measures.
const BUSY: f64 = 0.95;

/// Where the median request is that late, in microseconds, the load was not a part of the throughput but more than there
/// was: the queue grew, and its quantiles say nothing about the server.
const BEHIND: f64 = 5_000.0;

/// One goal.
pub(crate) struct Goal {
    pub(crate) what: String,
    /// The ratio, or why there is none.
    pub(crate) ratio: Result<f64, String>,
    pub(crate) bound: Bound,
    /// What it was computed of.
    pub(crate) of: String,
}

/// What a ratio has to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    pub(crate) fn state(&self) -> &'static str {
        match (&self.ratio, self.bound) {
            (Err(_), _) => "not measured",
            (Ok(ratio), Bound::AtLeast(bound)) if *ratio >= bound => "met",
            (Ok(ratio), Bound::AtMost(bound)) if *ratio <= bound => "met",
            _ => "missed",
        }
    }

    pub(crate) fn bound_text(&self) -> String {
        match self.bound {
            Bound::AtLeast(bound) => format!(">= {bound}"),
            Bound::AtMost(bound) => format!("<= {bound}"),
        }
    }
}

/// What was measured.
pub(crate) struct Results {
    pub(crate) tables: Vec<(Table, Vec<Line>)>,
    /// Or why there are none.
    pub(crate) tails: Result<Vec<Tail>, String>,
}

impl Results {
    /// The figures of a server in one of the tables with values of [`MAIN`] bytes.
    ///
    /// # Errors
    /// It was refused, or there is no such table.
    pub(crate) fn figures(
        &self,
        name: Name,
        operation: Operation,
        transport: Transport,
        shape: Shape,
    ) -> Result<&Figures, String> {
        let same = |table: &Table| {
            table.operation == operation
                && table.transport == transport
                && table.shape == shape
                && table.size == MAIN
        };
        let lines = self.tables.iter().filter(|(table, _)| same(table));
        let found = lines
            .flat_map(|(_, lines)| lines)
            .find(|(other, _)| *other == name);
        match found {
            Some((_, Ok(figures))) => Ok(figures),
            Some((_, Err(refused))) => Err(format!("{}: {refused}", name.text())),
            None => Err(format!("{}: not in the plan", name.text())),
        }
    }
}

/// Judges them.
pub(crate) fn judge(results: &Results) -> Vec<Goal> {
    let mut goals = Vec::new();
    for (transport, over) in [(Transport::Unix, "Unix socket"), (Transport::Tcp, "TCP")] {
        let get = |name| results.figures(name, Operation::Get, transport, MANY);
        goals.push(Goal {
            what: format!("1. Get, throughput: vedetta / its service on plain tonic, {over}"),
            bound: Bound::AtLeast(1.3),
            ..ratio(
                "op/s",
                get(Name::VedettaEmbedded),
                get(Name::ServicePlain),
                |it| it.rate,
            )
        });
        goals.push(Goal {
            what: format!("1. Get, throughput: vedetta L1 hit / echo served the same way, {over}"),
            bound: Bound::AtLeast(0.95),
            ..ratio("op/s", get(Name::VedettaNear), get(Name::EchoSame), |it| {
                it.rate
            })
        });
    }
    for (shape, depth) in [(MANY, 64), (DEEP, 512)] {
        let piped = |name| results.figures(name, Operation::Pipeline, Transport::Unix, shape);
        let [near, redis] = [Name::VedettaNear, Name::Redis].map(piped);
        goals.push(Goal {
            what: format!("2. Pipeline, throughput: vedetta L1 hit / Redis, {depth} in flight"),
            bound: Bound::AtLeast(2.0),
            ..ratio("op/s", near.clone(), redis.clone(), |it| it.rate)
        });
        goals.push(Goal {
            what: format!("2. Pipeline, server CPU: vedetta L1 hit / Redis, {depth} in flight"),
            bound: Bound::AtMost(0.6),
            ..ratio("us", near, redis, |it| it.server)
        });
    }
    let many = |name| results.figures(name, Operation::GetMany, Transport::Unix, BATCHES);
    goals.push(Goal {
        what: "3. GetMany of 64, server CPU for a key: vedetta L1 hit / Redis MGET".to_owned(),
        bound: Bound::AtMost(1.0),
        ..ratio("us", many(Name::VedettaNear), many(Name::Redis), |it| {
            it.server
        })
    });
    match &results.tails {
        Ok(tails) => goals.extend(tails.iter().flat_map(of_tail)),
        Err(problem) => goals.push(Goal {
            what: "4. Get at 70 %, p99 / p50, and with a clear of 100,000".to_owned(),
            ratio: Err(problem.clone()),
            bound: Bound::AtMost(3.0),
            of: String::new(),
        }),
    }
    goals
}

fn ratio(
    unit: &str,
    over: Result<&Figures, String>,
    under: Result<&Figures, String>,
    figure: impl Fn(&Figures) -> f64,
) -> Goal {
    let both = over.and_then(|over| under.map(|under| (over, under)));
    let of = both.as_ref().map_or_else(
        |_| String::new(),
        |(over, under)| {
            let limit = |figures: &Figures| {
                if figures.client_busy > BUSY {
                    " (limited by the client)"
                } else {
                    ""
                }
            };
            format!(
                "{:.2}{} / {:.2}{} {unit}",
                figure(over),
                limit(over),
                figure(under),
                limit(under)
            )
        },
    );
    Goal {
        what: String::new(),
        ratio: both.map(|(over, under)| figure(over) / figure(under)),
        bound: Bound::AtLeast(0.0),
        of,
    }
}

fn of_tail(tail: &Tail) -> Vec<Goal> {
    if tail.name == Name::Redis {
        return Vec::new();
    }
    let (calm, name) = (tail.calm, tail.name.text());
    let kept_up = |ratio: f64| {
        let late = calm.p50 / 1000.0;
        (calm.p50 < BEHIND)
            .then_some(ratio)
            .ok_or_else(|| format!("the median is {late:.0} ms late: nobody kept up with the rate"))
    };
    let mut goals = vec![Goal {
        what: format!("4. Get at 70 %, p99 / p50: {name}"),
        ratio: kept_up(calm.p99 / calm.p50),
        bound: Bound::AtMost(3.0),
        of: format!("{:.0} / {:.0} us", calm.p99, calm.p50),
    }];
    if let Some((beside, took)) = tail.beside {
        goals.push(Goal {
            what: format!("4. Get at 70 %, p99 with / without a clear of 100,000: {name}"),
            ratio: kept_up(beside.p99 / calm.p99),
            bound: Bound::AtMost(2.0),
            of: format!("{:.0} / {:.0} us, clear {took:.1} ms", beside.p99, calm.p99),
        });
    }
    goals
}
