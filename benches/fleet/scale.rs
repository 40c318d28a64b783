//! The tables of `docs/scale.md`: fleets up to a thousand pods, in each way in which they could be connected.
//!
//! Not here: how a fleet is simulated (`simulation`), and what the costs are measured by.

use crate::costs::Costs;
use crate::measured;
use crate::simulation::{Outcome, Span, Start, Way, Workload, simulate};

const PODS: [usize; 5] = [1, 10, 50, 200, 1000];
const SEED: u64 = 20_261_128;
/// Both laws of traffic are the same for each key, so more keys would change the size of the tracking table only.
const KEYS: usize = 1_000;
const SPAN: Span = Span {
    warm: 0.5,
    counted: 5.0,
};
/// To find limits, where only the busy part is looked at.
const SHORT: Span = Span {
    warm: 0.2,
    counted: 1.0,
};
/// Beyond that part of a processor the waits of Redis grow fast.
pub(crate) const ENOUGH: f64 = 0.7;
/// More pods than that are not looked at.
const MOST_PODS: usize = 20_000;

/// How much there is to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traffic {
    pub(crate) name: &'static str,
    reads_per_pod: f64,
    writes_per_pod: f64,
    writes: f64,
}

/// The kinds of fleets.
pub(crate) const TRAFFIC: [Traffic; 2] = [
    Traffic {
        name: "a site with few editors: 100 reads/s in each pod, 10 writes/s in all",
        reads_per_pod: 100.0,
        writes_per_pod: 0.0,
        writes: 10.0,
    },
    Traffic {
        name: "writes grow with the pods: 100 reads/s and 0.1 writes/s in each pod",
        reads_per_pod: 100.0,
        writes_per_pod: 0.1,
        writes: 0.0,
    },
];

impl Traffic {
    fn of(&self, pods: usize) -> Workload {
        Workload {
            pods,
            keys: KEYS,
            zipf: 1.0,
            reads: self.reads_per_pod,
            writes: self.writes + self.writes_per_pod * pods as f64,
        }
    }
}

/// The ways, the present one first; a broadcast costs what was measured.
pub(crate) fn ways(broadcast: (f64, f64)) -> [Way; 5] {
    let today = Way {
        name: "today: default tracking",
        broadcast: None,
        heartbeats: 1.0,
        polls: 1.0,
        pods_per_session: 1,
    };
    [
        today,
        Way {
            name: "BCAST with a prefix",
            broadcast: Some(broadcast),
            ..today
        },
        Way {
            name: "heartbeat 250 ms",
            heartbeats: 0.4,
            ..today
        },
        Way {
            name: "polls 500 ms",
            polls: 0.4,
            ..today
        },
        Way {
            name: "relay for 20 pods",
            pods_per_session: 20,
            ..today
        },
    ]
}

/// Prints all tables, as they are in the document.
///
/// # Errors
/// A fleet cannot be simulated.
pub(crate) fn print(costs: &Costs, broadcast: (f64, f64)) -> Result<(), String> {
    println!("{:#}", measured::show(costs, broadcast));
    for traffic in TRAFFIC {
        println!("\n**{}**\n", traffic.name);
        println!(
            "| way | pods | Redis CPU | misses/s | pushes/s | hits | MB/s | answer p99 ms | all told p99 ms | connections | table MB | Sentinel commands/s | Sentinel CPU |"
        );
        println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|");
        for way in ways(broadcast) {
            for pods in PODS {
                let outcome = run(costs, &traffic, &way, pods, SPAN)?;
                println!("| {} | {pods} | {} |", way.name, line(&outcome));
            }
        }
        println!(
            "\nPods at which Redis uses {:.0} % of a processor:",
            100.0 * ENOUGH
        );
        for way in ways(broadcast) {
            let enough = limit(costs, &traffic, &way)?;
            println!("- {}: {enough}", way.name);
        }
    }
    Ok(())
}

fn run(
    costs: &Costs,
    traffic: &Traffic,
    way: &Way,
    pods: usize,
    span: Span,
) -> Result<Outcome, String> {
    simulate(costs, &traffic.of(pods), way, (Start::Settled, span, SEED))
}

fn line(outcome: &Outcome) -> String {
    let Outcome {
        busy,
        misses,
        pushes,
        hit_ratio,
        bytes,
        answered_p99,
        told_p99,
        connections,
        table,
        sentinel_commands,
        sentinel_busy,
    } = outcome;
    // Beyond all that it can do, only that it is too much means anything.
    let (busy, answered) = if *busy > 0.99 {
        ("over 100 %".to_owned(), "grows".to_owned())
    } else {
        (
            format!("{:.1} %", 100.0 * busy),
            format!("{answered_p99:.2}"),
        )
    };
    format!(
        "{busy} | {misses:.0} | {pushes:.0} | {:.2} % | {:.2} | {answered} | {told_p99:.2} | {connections:.0} | {:.1} | {sentinel_commands:.0} | {:.1} %",
        100.0 * hit_ratio,
        bytes / 1e6,
        table / 1e6,
        100.0 * sentinel_busy
    )
}

/// The most pods with which Redis is not busier than is enough.
fn limit(costs: &Costs, traffic: &Traffic, way: &Way) -> Result<String, String> {
    let (mut enough, mut too_many) = (1, MOST_PODS);
    while too_many - enough > enough.div_ceil(50) {
        let pods = usize::midpoint(enough, too_many);
        if run(costs, traffic, way, pods, SHORT)?.busy > ENOUGH {
            too_many = pods;
        } else {
            enough = pods;
        }
    }
    Ok(if too_many == MOST_PODS {
        format!("more than {enough}")
    } else {
        format!("about {enough}")
    })
}
