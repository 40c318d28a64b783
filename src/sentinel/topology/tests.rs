//! Elections and leases by value.
//!
//! Not here: what takes time (`patience`) and who is asked (`seats`).

mod patience;
mod seats;

use super::super::aside::Aside;
use super::super::reply::Flags;
use super::patience::DOUBT_GRACE;
use super::*;
use crate::model::Cause;

const A: u16 = 1;
const B: u16 = 2;

fn opinion(id: &str, port: u16, epoch: u64) -> Answer {
    Answer {
        id: id.into(),
        master: Master {
            endpoint: Endpoint {
                host: "10.0.0.1".to_owned(),
                port,
            },
            epoch,
        },
        flags: Flags::default(),
        described: true,
        sentinels: 3,
        replicas: 2,
        rules: None,
        run_id: None,
        aside: Aside::default(),
        asked: Moment::START,
    }
}

/// `None` is a Sentinel that does not answer.
type Says = Option<(u16, u64)>;

fn say(topology: &mut Topology, says: [Says; 3], now: Instant) -> Result<(u16, u64), Cause> {
    for (seat, said) in says.into_iter().enumerate() {
        let answer = match said {
            Some((port, epoch)) => Ok(opinion(&format!("id{seat}"), port, epoch)),
            None => Err(Fault::not_applied(Cause::SentinelsUnreachable, "silent")),
        };
        topology.report(seat, answer, now);
    }
    match topology.elect(now) {
        Ok(master) => Ok((master.endpoint.port, master.epoch)),
        Err(fault) => Err(fault.cause),
    }
}

fn three() -> Topology {
    let sentinels: Vec<Endpoint> = ["s1:1", "s2:1", "s3:1"]
        .iter()
        .map(|text| text.parse().expect("endpoint"))
        .collect();
    Topology::new(&sentinels, SentinelPolicy::Majority)
}

#[test]
fn a_failover_step_by_step() {
    let mut topology = three();
    let now = Instant::now();
    type Step = ([Says; 3], Result<(u16, u64), Cause>);
    let steps: [Step; 8] = [
        ([None, None, None], Err(Cause::SentinelsUnreachable)),
        ([Some((A, 1)), None, None], Err(Cause::NoMajority)),
        ([Some((A, 1)), Some((A, 1)), None], Ok((A, 1))),
        // The leader already names B: one voice is not enough.
        ([Some((B, 2)), Some((A, 1)), Some((A, 1))], Ok((A, 1))),
        ([Some((B, 2)), Some((A, 1)), None], Err(Cause::NoMajority)),
        ([Some((B, 2)), Some((B, 2)), Some((A, 1))], Ok((B, 2))),
        // Two that slept through the failover wake up first: the epoch must not fall.
        ([None, Some((A, 1)), Some((A, 1))], Err(Cause::NoMajority)),
        ([Some((B, 2)), Some((A, 1)), Some((B, 2))], Ok((B, 2))),
    ];
    for (number, (says, expected)) in steps.into_iter().enumerate() {
        assert_eq!(say(&mut topology, says, now), expected, "step {number}");
    }
}

#[test]
fn the_same_address_at_different_epochs_is_no_agreement() {
    let mut topology = three();
    let says = [Some((A, 1)), Some((A, 2)), None];
    assert_eq!(
        say(&mut topology, says, Instant::now()),
        Err(Cause::NoMajority)
    );
}

#[test]
fn a_lower_epoch_is_believed_only_after_the_grace() {
    let mut topology = three();
    let start = Instant::now();
    let rebuilt = [Some((B, 0)); 3];
    assert_eq!(say(&mut topology, [Some((A, 5)); 3], start), Ok((A, 5)));
    assert_eq!(say(&mut topology, rebuilt, start), Err(Cause::NoMajority));
    let almost = start + DOUBT_GRACE - Duration::from_millis(1);
    assert_eq!(say(&mut topology, rebuilt, almost), Err(Cause::NoMajority));
    // An interruption starts the grace again.
    let silence = say(&mut topology, [None; 3], almost);
    assert_eq!(silence, Err(Cause::SentinelsUnreachable));
    let again = start + DOUBT_GRACE;
    assert_eq!(say(&mut topology, rebuilt, again), Err(Cause::NoMajority));
    let over = again + DOUBT_GRACE;
    assert_eq!(say(&mut topology, rebuilt, over), Ok((B, 0)));
}

#[test]
fn a_start_in_the_middle_of_a_failover_waits_for_its_end() {
    let mut topology = three();
    let start = Instant::now();
    let middle = [Some((B, 2)), Some((A, 1)), Some((A, 1))];
    assert_eq!(say(&mut topology, middle, start), Err(Cause::NoMajority));
    let end = [Some((B, 2)), Some((B, 2)), Some((A, 1))];
    assert_eq!(say(&mut topology, end, start), Ok((B, 2)));
    // One that is cut off with a view of its own does not block a start for ever.
    let mut other = three();
    assert_eq!(say(&mut other, middle, start), Err(Cause::NoMajority));
    assert_eq!(say(&mut other, middle, start + DOUBT_GRACE), Ok((A, 1)));
}

#[test]
fn another_address_at_the_same_epoch_is_doubtful() {
    let mut topology = three();
    let start = Instant::now();
    assert_eq!(say(&mut topology, [Some((A, 1)); 3], start), Ok((A, 1)));
    let moved = [Some((B, 1)); 3];
    assert_eq!(say(&mut topology, moved, start), Err(Cause::NoMajority));
    assert_eq!(say(&mut topology, moved, start + DOUBT_GRACE), Ok((B, 1)));
}

#[test]
fn one_sentinel_under_two_names_is_one_voice() {
    let mut topology = three();
    let now = Instant::now();
    for seat in [0, 1] {
        topology.report(seat, Ok(opinion("same", A, 1)), now);
    }
    let fault = topology.elect(now).expect_err("one voice of three");
    assert_eq!(fault.cause, Cause::NoMajority);
    topology.report(2, Ok(opinion("other", A, 1)), now);
    assert!(topology.elect(now).is_ok());
}

#[test]
fn an_old_answer_does_not_count() {
    let mut topology = three();
    let start = Instant::now();
    assert_eq!(say(&mut topology, [Some((A, 1)); 3], start), Ok((A, 1)));
    assert!(topology.elect(start + ANSWER_LIFETIME).is_ok());
    let late = start + ANSWER_LIFETIME + Duration::from_millis(1);
    let fault = topology.elect(late).expect_err("too old");
    assert_eq!(fault.cause, Cause::SentinelsUnreachable);
}

#[test]
fn what_a_person_must_mend_is_told_first() {
    let mut topology = three();
    let now = Instant::now();
    topology.report(
        1,
        Err(Fault::not_applied(Cause::SentinelAuthFailed, "NOAUTH")),
        now,
    );
    let fault = topology.elect(now).expect_err("nobody answers");
    assert_eq!(fault.cause, Cause::SentinelAuthFailed);
    assert!(fault.detail.contains("s2:1: NOAUTH"), "{}", fault.detail);
}

#[test]
fn views_tell_who_agrees() {
    let mut topology = three();
    let now = Instant::now();
    assert_eq!(say(&mut topology, [Some((A, 1)); 3], now), Ok((A, 1)));
    let says = [Some((A, 1)), Some((B, 2)), Some((A, 1))];
    assert_eq!(say(&mut topology, says, now), Ok((A, 1)));
    let agrees: Vec<bool> = topology.views().iter().map(|view| view.agrees).collect();
    assert_eq!(agrees, [true, false, true]);
}

#[test]
fn the_lease_is_as_old_as_the_poll_that_completes_a_majority() {
    let mut topology = three();
    let now = Instant::now();
    let at = |ms| Moment::after_boot(Duration::from_millis(ms));
    let mut say = |seat: usize, id: &str, ms: u64, flags: Flags| {
        let mut answer = opinion(id, A, 1);
        answer.asked = at(ms);
        answer.flags = flags;
        topology.report(seat, Ok(answer), now);
        // Who is elected does not depend on the flags.
        let _ = topology.elect(now);
        topology.named()
    };
    let well = Flags::default();
    let unreached = Flags {
        s_down: true,
        ..well
    };
    let replacing = Flags {
        failover: true,
        ..well
    };
    assert_eq!(say(0, "a", 100, well), None);
    assert_eq!(say(1, "b", 200, well), Some(at(100)));
    assert_eq!(say(2, "c", 300, well), Some(at(200)));
    assert_eq!(say(0, "a", 400, well), Some(at(300)));
    // Whoever cannot reach the master has no voice; whoever replaces it silences the others.
    assert_eq!(say(2, "c", 500, unreached), Some(at(200)));
    assert_eq!(say(2, "c", 600, replacing), None);
    assert_eq!(say(2, "c", 700, well), Some(at(400)));
    // One Sentinel in two seats is one voice, with its newest poll.
    assert_eq!(say(1, "a", 800, well), Some(at(700)));
    assert_eq!(say(2, "a", 900, well), None);
}

fn silent() -> Result<Answer, Fault> {
    Err(Fault::not_applied(Cause::SentinelsUnreachable, "silent"))
}

#[test]
fn those_that_are_not_listed_count_in_the_majority() {
    let now = Instant::now();
    let mut topology = Topology::new(
        &["s1:1".parse().expect("endpoint")],
        SentinelPolicy::Majority,
    );
    topology.report(0, Ok(opinion("a", A, 1)), now);
    // It knows of two others: alone it is no majority, however few are listed.
    let fault = topology.elect(now).expect_err("one of three");
    assert_eq!(fault.cause, Cause::NoMajority);
    assert_eq!(
        fault.detail,
        "1 of 3 known Sentinels name a master, 2 must agree; SENTINEL RESET forgets dead ones"
    );
    assert_eq!((topology.sentinels(), topology.named()), (3, None));
    let mut alone = opinion("a", A, 1);
    alone.sentinels = 1;
    let mut topology = Topology::new(
        &["s1:1".parse().expect("endpoint")],
        SentinelPolicy::Majority,
    );
    topology.report(0, Ok(alone), now);
    assert!(topology.elect(now).is_ok() && topology.named().is_some());
}

#[test]
fn dead_sentinels_that_the_others_know_of_raise_the_majority() {
    let mut topology = three();
    let now = Instant::now();
    for (seat, id) in [(0, "a"), (1, "b"), (2, "c")] {
        let mut answer = opinion(id, A, 1);
        answer.sentinels = 6;
        topology.report(seat, Ok(answer), now);
    }
    let fault = topology.elect(now).expect_err("three of six");
    assert_eq!(
        fault.detail,
        "3 of 6 known Sentinels name a master, 4 must agree; SENTINEL RESET forgets dead ones"
    );
}

#[test]
fn first_and_role_takes_the_highest_epoch_of_anybody() {
    let now = Instant::now();
    let mut topology = three();
    topology.policy = SentinelPolicy::FirstAndRole;
    let silence = say(&mut topology, [None; 3], now);
    assert_eq!(silence, Err(Cause::SentinelsUnreachable));
    let one = [None, Some((A, 1)), None];
    assert_eq!(say(&mut topology, one, now), Ok((A, 1)));
    assert!(topology.named().is_some(), "one word is a lease");
    let later = [Some((A, 1)), Some((A, 1)), Some((B, 2))];
    assert_eq!(say(&mut topology, later, now), Ok((B, 2)));
    // An epoch that was seen does not come back at once, here either.
    let old = [Some((A, 1)), None, None];
    assert_eq!(say(&mut topology, old, now), Err(Cause::NoMajority));
    // Two addresses at one epoch: who is elected stays so, else most voices win.
    let split = [Some((A, 2)), Some((A, 2)), Some((B, 2))];
    assert_eq!(say(&mut topology, split, now), Ok((B, 2)));
    let mut fresh = three();
    fresh.policy = SentinelPolicy::FirstAndRole;
    assert_eq!(say(&mut fresh, split, now), Ok((A, 2)));
}

#[test]
fn facts_are_those_of_the_elected_master() {
    let mut topology = three();
    let now = Instant::now();
    for (seat, id) in [(0, "a"), (1, "b"), (2, "c")] {
        let mut answer = opinion(id, A, 1);
        // The first is at the end of a failover: what it describes is the master before.
        answer.described = seat > 0;
        answer.run_id = Some(if seat == 0 { "before" } else { "now" }.into());
        let priorities = [7, 8, 9];
        answer.aside.priorities = priorities[..seat].into();
        topology.report(seat, Ok(answer), now);
    }
    assert!(topology.elect(now).is_ok());
    assert_eq!(topology.run_id().as_deref(), Some("now"));
    assert_eq!(*topology.priorities(), [7]);
}

#[test]
fn what_a_sentinel_said_before_it_fell_silent_is_remembered_for_a_while() {
    let mut topology = three();
    let start = Instant::now();
    assert_eq!(say(&mut topology, [Some((A, 1)); 3], start), Ok((A, 1)));
    let mut replacing = opinion("id2", A, 1);
    replacing.flags.failover = true;
    topology.report(2, Ok(replacing), start);
    assert!(topology.elect(start).is_ok() && topology.hold().is_some());
    let silence = || Err(Fault::not_applied(Cause::SentinelsUnreachable, "silent"));
    let mut silent = |after: Duration| {
        let now = start + after;
        for seat in [0, 1] {
            topology.report(seat, Ok(opinion(&format!("id{seat}"), A, 1)), now);
        }
        topology.report(2, silence(), now);
        assert!(topology.elect(now).is_ok());
        (topology.hold().is_some(), topology.named().is_some())
    };
    assert_eq!(silent(Duration::from_millis(4900)), (true, false));
    assert_eq!(silent(Duration::from_millis(5100)), (false, true));
    // Nobody answers, but the replicas are still there.
    let late = start + Duration::from_secs(60);
    assert!(say(&mut topology, [None; 3], late).is_err());
    assert_eq!(topology.replicas(), 2);
}

#[test]
fn of_different_rules_those_count_that_replace_a_master_soonest() {
    let mut topology = three();
    for (seat, seconds) in [5, 2, 60].into_iter().enumerate() {
        let answer = Answer {
            rules: Some(WatchRules {
                down_after: Duration::from_secs(seconds),
                failover_timeout: Duration::from_secs(10),
                quorum: 2,
            }),
            ..opinion(&format!("id{seat}"), A, 1)
        };
        topology.report(seat, Ok(answer), Instant::now());
    }
    let down_after = topology.watch_rules().map(|rules| rules.down_after);
    assert_eq!(down_after, Some(Duration::from_secs(2)));
}
