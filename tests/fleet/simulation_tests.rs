//! Fleets whose outcome is known: from the law of their traffic, or because nothing happens in them.

use super::costs::Costs;
use super::simulation::*;

const COSTS: Costs = Costs {
    wake: 20.0,
    miss: 15.0,
    put: 10.0,
    note: 0.5,
    send: 3.0,
    idle: 300.0,
    idle_commands: 15.0,
    idle_bytes: 1000.0,
    miss_bytes: 200.0,
    push_bytes: 80.0,
    connections: 2.0,
    table_key: 100.0,
    table_holder: 50.0,
    sentinel: 500.0,
    sentinel_commands: 12.0,
};
const TODAY: Way = Way {
    name: "default tracking",
    broadcast: None,
    heartbeats: 1.0,
    polls: 1.0,
    pods_per_session: 1,
};
const SPAN: Span = Span {
    warm: 0.0,
    counted: 20.0,
};
const BUSY: Workload = Workload {
    pods: 30,
    keys: 50,
    zipf: 1.0,
    reads: 20.0,
    writes: 20.0,
};

fn run(workload: &Workload, way: &Way, start: Start, seed: u64) -> Outcome {
    simulate(&COSTS, workload, way, (start, SPAN, seed)).expect("an outcome")
}

#[test]
fn the_parts_of_zipfs_law() {
    assert_eq!(zipf(2, 0.0), [0.5, 1.0]);
    // 1 + 1/2 + 1/3 = 11/6.
    let sums = zipf(3, 1.0);
    for (sum, wanted) in sums.iter().zip([6.0 / 11.0, 9.0 / 11.0, 1.0]) {
        assert!((sum - wanted).abs() < 1e-12, "{sum} is not {wanted}");
    }
}

#[test]
fn the_same_seed_is_the_same_fleet() {
    let first = run(&BUSY, &TODAY, Start::Settled, 1);
    assert_eq!(first, run(&BUSY, &TODAY, Start::Settled, 1));
    assert_ne!(first, run(&BUSY, &TODAY, Start::Settled, 2));
}

/// A session holds a key at its write if it has read it since the one before: with probability r / (r + w), the same
/// for each key, as both follow the same law. As many copies as are told have to be read again.
#[test]
fn a_settled_fleet_misses_as_often_as_it_is_told() {
    let outcome = run(&BUSY, &TODAY, Start::Settled, 3);
    let holding = BUSY.reads / (BUSY.reads + BUSY.writes);
    let wanted = BUSY.writes * BUSY.pods as f64 * holding;
    for found in [outcome.pushes, outcome.misses] {
        assert!(
            (found / wanted - 1.0).abs() < 0.1,
            "{found} is not {wanted}"
        );
    }
    assert!(
        (outcome.hit_ratio - (1.0 - holding)).abs() < 0.05,
        "{outcome:?}"
    );
}

#[test]
fn without_writes_each_session_reads_each_key_once() {
    let still = Workload {
        writes: 0.0,
        ..BUSY
    };
    let outcome = run(&still, &TODAY, Start::Cold, 4);
    assert_eq!(outcome.pushes, 0.0);
    let copies = outcome.misses * SPAN.counted;
    let most = (still.pods * still.keys) as f64;
    assert!(copies <= most && copies > 0.7 * most, "{copies} of {most}");
    // Each of them is in the table, and each key.
    assert_eq!(outcome.table, 50.0 * 100.0 + copies * 50.0);
}

#[test]
fn a_broadcast_tells_every_session_of_every_write_and_needs_no_table() {
    let way = Way {
        broadcast: Some((0.1, 3.0)),
        ..TODAY
    };
    let outcome = run(&BUSY, &way, Start::Settled, 5);
    let writes = outcome.pushes * SPAN.counted / BUSY.pods as f64;
    assert_eq!(writes.fract(), 0.0);
    assert!(
        (writes / (BUSY.writes * SPAN.counted) - 1.0).abs() < 0.2,
        "{writes}"
    );
    assert_eq!(outcome.table, 0.0);
}

#[test]
fn a_relay_divides_what_each_session_costs() {
    let relay = Way {
        pods_per_session: 10,
        heartbeats: 0.5,
        polls: 0.5,
        ..TODAY
    };
    let silent = Workload {
        reads: 0.0,
        writes: 0.0,
        ..BUSY
    };
    let outcome = run(&silent, &relay, Start::Cold, 6);
    assert_eq!(
        (outcome.connections, outcome.sentinel_commands),
        (6.0, 18.0)
    );
    assert_eq!(outcome.sentinel_busy, 0.000_75);
    // A third of the commands is left out.
    assert!((outcome.bytes - 2000.0).abs() < 1e-6, "{outcome:?}");
    // Three sessions, ten commands each in a second, each of which wakes Redis: 20 us in all.
    let wanted = 3.0 * 10.0 * 20.0 / 1e6;
    assert!((outcome.busy / wanted - 1.0).abs() < 0.15, "{outcome:?}");
}
