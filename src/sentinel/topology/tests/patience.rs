//! What takes time to be believed or ignored.

use super::*;

fn flagged(id: &str, flags: Flags) -> Answer {
    let mut answer = opinion(id, A, 1);
    answer.flags = flags;
    answer
}

const DOWN: Flags = Flags {
    s_down: true,
    o_down: true,
    failover: false,
};

/// The first two find the master well; the third says this.
fn against(topology: &mut Topology, third: Answer, now: Instant) -> Option<Dispute> {
    for (seat, id) in [(0, "a"), (1, "b")] {
        topology.report(seat, Ok(opinion(id, A, 1)), now);
    }
    topology.report(2, Ok(third), now);
    topology.elect(now).expect("the majority stands");
    assert_eq!(topology.named().is_none(), topology.hold().is_some());
    topology.hold().map(|hold| hold.reason)
}

fn almost() -> Duration {
    DOUBT_GRACE - Duration::from_millis(1)
}

#[test]
fn a_lonely_o_down_stops_counting_after_the_grace() {
    let (mut topology, start) = (three(), Instant::now());
    let down = Some(Dispute::ObjectivelyDown);
    let lonely = || flagged("c", DOWN);
    assert_eq!(against(&mut topology, lonely(), start), down);
    assert_eq!(against(&mut topology, lonely(), start + almost()), down);
    let over = start + DOUBT_GRACE;
    assert_eq!(against(&mut topology, lonely(), over), None);
    assert!(topology.views()[2].overruled);
    // Not one that goes on to replace it, or that knows more.
    let replacing = Flags {
        failover: true,
        ..DOWN
    };
    let failover = against(&mut topology, flagged("c", replacing), over);
    assert_eq!(failover, Some(Dispute::Failover));
    assert!(!topology.views()[2].overruled);
    // And then its patience begins again.
    assert_eq!(against(&mut topology, lonely(), over), down);
    let later = against(&mut topology, opinion("c", B, 2), over + DOUBT_GRACE);
    assert_eq!(later, Some(Dispute::LaterEpoch));
}

#[test]
fn nobody_is_overruled_without_a_majority_that_finds_the_master_well() {
    let doubts: [fn(&mut Answer); 4] = [
        |answer| answer.flags.s_down = true,
        // It would not notice.
        |answer| answer.aside.tilt = true,
        |answer| answer.described = false,
        // One Sentinel, twice.
        |answer| answer.id = "a".into(),
    ];
    for (number, doubt) in doubts.into_iter().enumerate() {
        let (mut topology, start) = (three(), Instant::now());
        for after in [Duration::ZERO, DOUBT_GRACE, DOUBT_GRACE * 2] {
            let now = start + after;
            let mut second = opinion("b", A, 1);
            doubt(&mut second);
            topology.report(0, Ok(opinion("a", A, 1)), now);
            topology.report(1, Ok(second), now);
            topology.report(2, Ok(flagged("c", DOWN)), now);
            let elected = topology.elect(now);
            assert!(elected.is_ok(), "doubt {number}: {elected:?}");
            assert!(topology.hold().is_some(), "doubt {number} after {after:?}");
        }
    }
}

#[test]
fn an_interruption_starts_the_patience_again() {
    let (mut topology, start) = (three(), Instant::now());
    let down = Some(Dispute::ObjectivelyDown);
    assert_eq!(against(&mut topology, flagged("c", DOWN), start), down);
    let well = against(&mut topology, opinion("c", A, 1), start + almost());
    assert_eq!(well, None);
    let over = start + DOUBT_GRACE;
    assert_eq!(against(&mut topology, flagged("c", DOWN), over), down);
}

/// The third goes on to say the same while the first two raise the epoch of their master: that is another one.
#[test]
fn another_master_starts_the_patience_again() {
    let ahead = || opinion("c", B, 9);
    let down = || flagged("c", DOWN);
    for (number, third) in [(0, &ahead as &dyn Fn() -> Answer), (1, &down)] {
        let (mut topology, start) = (three(), Instant::now());
        assert_eq!(say(&mut topology, [Some((A, 1)); 3], start), Ok((A, 1)));
        let mut at = |after: Duration, epoch: u64| {
            let now = start + after;
            for (seat, id) in [(0, "a"), (1, "b")] {
                topology.report(seat, Ok(opinion(id, A, epoch)), now);
            }
            topology.report(2, Ok(third()), now);
            let elected = topology.elect(now);
            let patient = topology.conflict().is_none() && topology.hold().is_some();
            (elected.ok().map(|master| master.epoch), patient)
        };
        assert_eq!(at(Duration::ZERO, 1), (Some(1), true), "{number}");
        if number == 0 {
            // A choice is doubtful as long as anybody knows of more.
            assert_eq!(at(almost(), 2), (None, true));
            assert_eq!(at(almost() + DOUBT_GRACE, 2), (Some(2), true));
        } else {
            assert_eq!(at(almost(), 2), (Some(2), true));
            assert_eq!(at(DOUBT_GRACE, 2), (Some(2), true));
            assert_eq!(at(almost() + DOUBT_GRACE, 2), (Some(2), false));
        }
    }
}

#[test]
fn a_later_epoch_that_nobody_follows_is_an_alarm_after_the_grace() {
    let (mut topology, start) = (three(), Instant::now());
    assert_eq!(say(&mut topology, [Some((A, 1)); 3], start), Ok((A, 1)));
    let ahead = [Some((A, 1)), Some((A, 1)), Some((B, 2))];
    for (after, alarm) in [
        (Duration::ZERO, false),
        (almost(), false),
        (DOUBT_GRACE, true),
        (DOUBT_GRACE * 3, true),
    ] {
        assert_eq!(say(&mut topology, ahead, start + after), Ok((A, 1)));
        assert_eq!(topology.conflict().is_some(), alarm, "after {after:?}");
        let reason = topology.hold().map(|hold| hold.reason);
        assert_eq!(reason, Some(Dispute::LaterEpoch), "it always counts");
    }
    let told = topology.conflict().map(|conflict| conflict.master.epoch);
    assert_eq!(told, Some(2));
    let followed = [Some((B, 2)), Some((A, 1)), Some((B, 2))];
    let at = start + DOUBT_GRACE * 3;
    assert_eq!(say(&mut topology, followed, at), Ok((B, 2)));
    assert!(topology.conflict().is_none() && topology.hold().is_none());
}

#[test]
fn one_that_forgot_the_others_is_no_majority_of_itself_at_once() {
    let (mut topology, start) = (three(), Instant::now());
    topology.listed = 1;
    let forgot = |topology: &mut Topology, now| {
        let mut answer = opinion("id0", A, 1);
        answer.sentinels = 1;
        topology.report(0, Ok(answer), now);
        topology.report(1, silent(), now);
        topology.report(2, silent(), now);
        let elected = topology.elect(now).is_ok();
        (elected, topology.sentinels())
    };
    assert_eq!(say(&mut topology, [Some((A, 1)); 3], start), Ok((A, 1)));
    assert_eq!(forgot(&mut topology, start), (false, 3));
    assert_eq!(forgot(&mut topology, start + almost()), (false, 3));
    // Silence is no reason to believe in fewer.
    let silence = say(&mut topology, [None; 3], start + almost());
    assert_eq!(silence, Err(Cause::SentinelsUnreachable));
    let again = start + DOUBT_GRACE;
    assert_eq!(forgot(&mut topology, again), (false, 3));
    assert_eq!(forgot(&mut topology, again + DOUBT_GRACE), (true, 1));
    // More are believed at once.
    let all = say(&mut topology, [Some((A, 1)); 3], again + DOUBT_GRACE);
    assert_eq!((all, topology.sentinels()), (Ok((A, 1)), 3));
}
