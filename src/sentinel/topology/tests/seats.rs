//! Who is asked: seats for those that others know of, and when they are lost.

use super::super::super::aside::Known;
use super::super::seats::{FORGOTTEN_AFTER, MOST_DISCOVERED, SeatChange, TRIAL};
use super::*;

fn endpoint(text: &str) -> Endpoint {
    text.parse().expect("endpoint")
}

fn listing(names: &[&str]) -> Topology {
    let listed: Vec<Endpoint> = names.iter().map(|name| endpoint(name)).collect();
    Topology::new(&listed, SentinelPolicy::Majority)
}

fn known(id: &str, at: &str) -> Known {
    Known {
        id: id.into(),
        endpoint: endpoint(at),
        down: false,
    }
}

fn naming(id: &str, others: &[(&str, &str)]) -> Result<Answer, Fault> {
    let mut answer = opinion(id, A, 1);
    answer.aside.others = others.iter().map(|(id, at)| known(id, at)).collect();
    Ok(answer)
}

fn taken(seat: usize, at: &str) -> SeatChange {
    SeatChange::Taken(seat, endpoint(at))
}

#[test]
fn one_of_three_is_enough_to_find_the_others() {
    let (mut topology, now) = (listing(&["s1:1"]), Instant::now());
    topology.report(0, naming("a", &[("b", "h2:1"), ("c", "h3:1")]), now);
    assert_eq!(topology.reseat(now), [taken(1, "h2:1"), taken(2, "h3:1")]);
    assert_eq!(topology.reseat(now), []);
    assert_eq!(
        topology.elect(now).expect_err("one of three").cause,
        Cause::NoMajority
    );
    topology.report(1, naming("b", &[("a", "h1:1"), ("c", "h3:1")]), now);
    // The listed one is known by another address, and it is the same.
    assert_eq!(topology.reseat(now), []);
    assert!(topology.elect(now).is_ok());
    let discovered: Vec<bool> = topology.views().iter().map(|v| v.discovered).collect();
    assert_eq!(discovered, [false, true, true]);
}

#[test]
fn those_that_are_listed_have_their_turn_first() {
    let (mut topology, now) = (listing(&["s1:1", "s2:1"]), Instant::now());
    topology.report(0, naming("a", &[("b", "10.0.0.2:1")]), now);
    assert_eq!(topology.reseat(now), []);
    // It is the one that was listed by name.
    topology.report(1, naming("b", &[("a", "10.0.0.1:1")]), now);
    assert_eq!(topology.reseat(now), []);
    // A blink is no reason to look for it elsewhere; a silence is.
    topology.report(1, silent(), now);
    assert_eq!(topology.reseat(now + ANSWER_LIFETIME), []);
    let later = now + ANSWER_LIFETIME + Duration::from_millis(1);
    topology.report(0, naming("a", &[("b", "10.0.0.2:1")]), later);
    assert_eq!(topology.reseat(later), [taken(2, "10.0.0.2:1")]);
    topology.report(2, naming("b", &[]), later);
    assert_eq!(topology.reseat(later), []);
    // When it answers under its name again, once is enough.
    topology.report(1, naming("b", &[]), later);
    assert_eq!(topology.reseat(later), [SeatChange::Left(2)]);
    assert_eq!(topology.reseat(later), []);
}

#[test]
fn who_is_listed_is_never_forgotten_and_who_is_not_named_any_more_is() {
    let (mut topology, start) = (listing(&["s1:1", "s2:1"]), Instant::now());
    topology.report(1, silent(), start);
    topology.report(0, naming("a", &[("c", "h3:1"), ("d", "h4:1")]), start);
    assert_eq!(topology.reseat(start).len(), 2);
    // The fourth answers once, later. Neither is named any more.
    let later = start + Duration::from_secs(60);
    topology.report(0, naming("a", &[]), later);
    topology.report(3, naming("d", &[]), later);
    let almost = start + FORGOTTEN_AFTER - Duration::from_millis(1);
    assert_eq!(topology.reseat(almost), []);
    let left = topology.reseat(start + FORGOTTEN_AFTER);
    assert_eq!(left, [SeatChange::Left(2)]);
    let left = topology.reseat(later + FORGOTTEN_AFTER);
    assert_eq!(left, [SeatChange::Left(3)]);
    let ever = topology.reseat(start + FORGOTTEN_AFTER * 99);
    assert_eq!((ever, topology.views().len()), (vec![], 2));
}

#[test]
fn one_that_moved_is_asked_where_it_answers() {
    let (mut topology, now) = (listing(&["s1:1"]), Instant::now());
    topology.report(0, naming("a", &[("b", "old:1")]), now);
    assert_eq!(topology.reseat(now), [taken(1, "old:1")]);
    topology.report(1, silent(), now);
    topology.report(0, naming("a", &[("b", "new:1")]), now);
    assert_eq!(topology.reseat(now), [taken(2, "new:1")]);
    assert_eq!(topology.reseat(now), [], "neither answers yet");
    topology.report(2, naming("b", &[("a", "s1:1")]), now);
    assert_eq!(topology.reseat(now), [SeatChange::Left(1)]);
    // Even if somebody is late to learn of it.
    topology.report(0, naming("a", &[("b", "old:1")]), now);
    assert_eq!(topology.reseat(now), []);
}

#[test]
fn one_that_is_down_keeps_its_seat_while_others_name_it() {
    let (mut topology, start) = (listing(&["s1:1"]), Instant::now());
    for minute in 0..30 {
        let now = start + Duration::from_secs(60) * minute;
        topology.report(0, naming("a", &[("b", "h2:1")]), now);
        let expected = if minute == 0 {
            vec![taken(1, "h2:1")]
        } else {
            vec![]
        };
        assert_eq!(topology.reseat(now), expected, "minute {minute}");
    }
}

#[test]
fn a_late_report_from_a_seat_that_was_left_says_nothing() {
    let (mut topology, start) = (listing(&["s1:1"]), Instant::now());
    topology.report(0, naming("a", &[("b", "h2:1")]), start);
    assert_eq!(topology.reseat(start).len(), 1);
    topology.report(0, naming("a", &[]), start);
    let end = start + FORGOTTEN_AFTER;
    assert_eq!(topology.reseat(end), [SeatChange::Left(1)]);
    topology.report(1, naming("b", &[]), end);
    assert_eq!(topology.views().len(), 1);
    // Nor does the next one get its number.
    topology.report(0, naming("a", &[("b", "h2:1")]), end);
    assert_eq!(topology.reseat(end), [taken(2, "h2:1")]);
}

#[test]
fn seats_have_a_bound_and_the_silent_make_room() {
    let (mut topology, start) = (listing(&["s1:1"]), Instant::now());
    let many = |from: usize, to: usize| {
        let mut answer = opinion("a", A, 1);
        let others = (from..to).map(|n| known(&format!("i{n}"), &format!("h{n}:1")));
        answer.aside.others = others.collect();
        Ok(answer)
    };
    topology.report(0, many(0, MOST_DISCOVERED + 1), start);
    assert_eq!(topology.reseat(start).len(), MOST_DISCOVERED);
    assert_eq!(topology.reseat(start), [], "the last one finds no seat");
    // All but one answer; that one loses its seat to the one without.
    let trial = start + TRIAL;
    for seat in 2..=MOST_DISCOVERED {
        topology.report(seat, naming(&format!("i{}", seat - 1), &[]), trial);
    }
    let changes = topology.reseat(trial);
    let newcomer = taken(MOST_DISCOVERED + 1, &format!("h{MOST_DISCOVERED}:1"));
    assert_eq!(changes, [SeatChange::Left(1), newcomer]);
    // Now it has its own trial, and nobody else is silent.
    assert_eq!(topology.reseat(trial), []);
}
