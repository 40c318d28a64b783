//! Turns of the event loop, by hand.

use super::turns::*;
use hdrhistogram::Histogram;

const WAKE: f64 = 20.0;
const SEND: f64 = 3.0;

fn run(commands: &[(f64, f64, u64)]) -> Turns {
    let mut turns = Turns::new(WAKE, SEND, 0.0).expect("histograms");
    for (at, cost, told) in commands {
        turns.arrive(Command {
            at: *at,
            cost: *cost,
            told: vec![*told],
        });
    }
    turns.work_until(f64::INFINITY);
    turns
}

/// Whether that many microseconds were recorded, as exactly as a histogram keeps them.
fn is(histogram: &Histogram<u64>, recorded: u64, micros: u64) -> bool {
    histogram.equivalent(recorded, micros * 1000)
}

#[test]
fn each_command_that_finds_it_asleep_wakes_it() {
    let turns = run(&[(100.0, 10.0, 0), (1000.0, 10.0, 0)]);
    assert_eq!(turns.busy, 2.0 * (WAKE + 10.0));
    assert!(is(&turns.answered, turns.answered.max(), 30));
}

#[test]
fn what_arrives_during_a_turn_is_done_in_the_next_one_without_waking() {
    let turns = run(&[(100.0, 10.0, 0), (110.0, 10.0, 0), (111.0, 10.0, 0)]);
    assert_eq!(turns.busy, WAKE + 30.0);
    // The turns end at 130 and 150.
    assert!(is(&turns.answered, turns.answered.min(), 30));
    assert!(is(&turns.answered, turns.answered.max(), 40));
}

#[test]
fn who_is_told_twice_in_a_turn_is_written_to_once() {
    let alone = run(&[(100.0, 10.0, 0b011), (1000.0, 10.0, 0b110)]);
    assert_eq!(alone.writes_to_holders, 4);
    let together = run(&[(90.0, 20.0, 0), (100.0, 10.0, 0b011), (101.0, 10.0, 0b110)]);
    assert_eq!(together.writes_to_holders, 3);
    assert!(is(&together.told, together.told.max(), 9));
}

#[test]
fn what_happens_before_the_count_begins_delays_what_counts() {
    let mut turns = Turns::new(WAKE, SEND, 50.0).expect("histograms");
    for at in [10.0, 60.0] {
        turns.arrive(Command {
            at,
            cost: 100.0,
            told: Vec::new(),
        });
    }
    turns.work_until(f64::INFINITY);
    // The first turn ends at 130, and counts from 50.
    assert_eq!(turns.busy, 80.0 + 100.0);
    // From 60 to the end of its turn, which begins at 130.
    assert_eq!(turns.answered.len(), 1);
    assert!(is(&turns.answered, turns.answered.max(), 170));
}
