//! Small histories with one fault each: what must be flagged is flagged, what Redis may do is not.
//!
//! Two pods, one key, L = 300 ms; node 0 reigns from 0 until 9 s, node 1 from 9.1 s on. Times are milliseconds, and
//! each call takes ten.
//!
//! Not here: how samples become reigns and losses (`reign`).

use std::time::Duration;

use vedetta::proto::v1::{Freshness, Source};

use super::check::{GHOST_LIFE, Kind, REPLAYED_WITHIN, Verdict, check};
use super::record::{Answer, History, Moment, Outcome, Read, Reign, Seen, Span, Write};

use Outcome::{Acknowledged, NotApplied, Unknown};

const TOOK: u64 = 10;

fn ms(time: u64) -> Moment {
    Moment::from_millis(time)
}

struct Story(History);

impl Story {
    fn new() -> Self {
        let reign = |node, from, until| Reign { node, from, until };
        Self(History {
            losses: vec![Span {
                from: ms(9000),
                until: ms(9100),
            }],
            reigns: vec![
                reign(0, Moment::ZERO, ms(9000)),
                reign(1, ms(9100), Moment::MAX),
            ],
            bounds: vec![ms(300), ms(300)],
            ..History::default()
        })
    }

    fn write_by(mut self, node: Option<usize>, pod: usize, at: u64, outcome: Outcome) -> Self {
        let number = self.0.writes.len() as u64 + 1;
        self.0.writes.push(Write {
            key: 0,
            number,
            evict: false,
            pod,
            sent: ms(at),
            returned: ms(at + TOOK),
            outcome,
            node,
        });
        self
    }

    /// A put through pod 0 that the master of that time did.
    fn put(self, at: u64, outcome: Outcome) -> Self {
        let node = usize::from(at > 9000);
        self.write_by(Some(node), 0, at, outcome)
    }

    fn evict(self, at: u64, outcome: Outcome) -> Self {
        let mut story = self.put(at, outcome);
        story.0.writes.last_mut().expect("a write").evict = true;
        story
    }

    fn seen(mut self, node: usize, at: u64, number: u64) -> Self {
        self.0.seen.push(Seen {
            key: 0,
            number,
            node,
            sent: ms(at),
            returned: ms(at + TOOK),
        });
        self
    }

    fn answer(mut self, pod: usize, at: u64, answer: Answer) -> Self {
        self.0.reads.push(Read {
            key: 0,
            pod,
            sent: ms(at),
            returned: ms(at + TOOK),
            answer,
        });
        self
    }

    fn read(self, pod: usize, at: u64, number: u64, freshness: Freshness) -> Self {
        let source = Source::L1;
        self.answer(
            pod,
            at,
            Answer::Value {
                number,
                source,
                freshness,
            },
        )
    }

    /// A read through the pod that did not write.
    fn fresh(self, at: u64, number: u64) -> Self {
        self.read(1, at, number, Freshness::Fresh)
    }

    fn miss(self, at: u64) -> Self {
        self.answer(1, at, Answer::Miss)
    }

    fn verdict(&self) -> Verdict {
        check(&self.0)
    }

    #[track_caller]
    fn flagged(&self, kinds: &[Kind]) {
        let found: Vec<Kind> = self.verdict().violations.iter().map(|v| v.kind).collect();
        assert_eq!(found, kinds);
    }
}

fn two_puts() -> Story {
    Story::new().put(1000, Acknowledged).put(2000, Acknowledged)
}

#[test]
fn an_overwritten_value_may_be_fresh_for_l_and_no_longer() {
    two_puts().fresh(2310, 1).flagged(&[]);
    two_puts().fresh(2311, 1).flagged(&[Kind::Stale]);
    two_puts().fresh(8000, 2).flagged(&[]);
    let verdict = two_puts().fresh(2311, 1).verdict();
    assert_eq!(verdict.fresh.worst, ms(301));
    assert_eq!((verdict.fresh.near, verdict.tried), (1, 1));
}

#[test]
fn what_is_not_called_fresh_may_be_of_any_age_and_is_measured() {
    let story =
        two_puts()
            .read(1, 5000, 1, Freshness::Unverified)
            .read(1, 6000, 1, Freshness::Stale);
    story.flagged(&[]);
    let verdict = story.verdict();
    assert_eq!(verdict.unverified.worst, ms(2990));
    assert_eq!(verdict.stale.worst, ms(3990));
}

#[test]
fn an_evict_overwrites_too() {
    let story = || {
        Story::new()
            .put(1000, Acknowledged)
            .evict(2000, Acknowledged)
    };
    story().fresh(2400, 1).flagged(&[Kind::Stale]);
    story().miss(2400).flagged(&[]);
    story().fresh(2400, 2).flagged(&[Kind::Phantom]);
}

#[test]
fn a_write_that_was_not_acknowledged_convicts_nobody() {
    for outcome in [Unknown, NotApplied] {
        let story = Story::new().put(1000, Acknowledged).put(2000, outcome);
        story.fresh(5000, 1).flagged(&[]);
    }
}

#[test]
fn a_write_that_redis_may_have_lost_is_counted_apart() {
    let story = two_puts().fresh(8900, 2).fresh(9050, 1).fresh(9500, 1);
    story.flagged(&[]);
    assert_eq!(story.verdict().rolled_back, 2);
    // Before the loss it could not have been lost.
    two_puts().fresh(8900, 1).flagged(&[Kind::Stale]);
}

#[test]
fn a_write_on_the_new_master_convicts_readers_of_the_old_one() {
    let split = two_puts().put(9200, Acknowledged);
    split.fresh(9520, 2).flagged(&[Kind::Stale]);
    // By a master that was superseded, by an unknown one, or while nobody knows who reigned: not.
    for (node, at) in [(Some(0), 9200), (None, 9200), (Some(1), 9095)] {
        let story = two_puts().write_by(node, 0, at, Acknowledged);
        story.fresh(9900, 2).flagged(&[]);
    }
}

#[test]
fn what_was_seen_in_the_new_master_convicts_without_a_write() {
    let seen = || two_puts().seen(1, 9500, 2);
    seen().fresh(9900, 1).flagged(&[Kind::Stale]);
    seen().fresh(9900, 2).flagged(&[]);
    // It was seen in the old one, which is no proof, or the new one shows that the second write is gone.
    two_puts().seen(0, 9500, 2).fresh(9900, 1).flagged(&[]);
    let lost = two_puts().seen(1, 9500, 1).fresh(9900, 1);
    lost.flagged(&[]);
    assert_eq!(lost.verdict().lost_writes, 1);
}

#[test]
fn own_writes_are_read_at_once_whatever_the_freshness() {
    let own = |freshness| two_puts().read(0, 2011, 1, freshness);
    own(Freshness::Unverified).flagged(&[Kind::OwnWriteLost]);
    own(Freshness::Fresh).flagged(&[Kind::OwnWriteLost]);
    // Sent before the acknowledgement, through another pod, or with a loss in between: allowed.
    two_puts().read(0, 2009, 1, Freshness::Fresh).flagged(&[]);
    two_puts().read(1, 2011, 1, Freshness::Fresh).flagged(&[]);
    two_puts().read(0, 9500, 1, Freshness::Fresh).flagged(&[]);
}

#[test]
fn a_miss_needs_a_reason() {
    let put = || Story::new().put(2000, Acknowledged);
    put().miss(2310).flagged(&[]);
    put().miss(2311).flagged(&[Kind::Vanished]);
    // Between two puts there is always one of them.
    two_puts().miss(2100).flagged(&[Kind::Vanished]);
    two_puts().evict(3000, Unknown).miss(3500).flagged(&[]);
    // An evict of unknown outcome can come late, but not for ever.
    let ghost = || Story::new().evict(500, Unknown).put(1000, Acknowledged);
    ghost().miss(5000).flagged(&[]);
    let late = Story::new()
        .evict(9200, Unknown)
        .put(9201 + GHOST_LIFE.as_millis() as u64, Acknowledged);
    late.miss(30_000).flagged(&[Kind::Vanished]);
    // After a loss, for the time of a replay.
    let after = 9100 + REPLAYED_WITHIN.as_millis() as u64;
    let lost = || two_puts().put(9200, Acknowledged);
    lost().miss(after - 1).flagged(&[]);
    lost().miss(after).flagged(&[Kind::Vanished]);
    two_puts().miss(after).flagged(&[]);
}

#[test]
fn a_late_unknown_write_excuses_its_own_value_for_a_while() {
    let story = || {
        Story::new()
            .put(9200, Unknown)
            .put(9400, Acknowledged)
            .put(9400 + GHOST_LIFE.as_millis() as u64, Acknowledged)
    };
    story().fresh(10_000, 1).flagged(&[]);
    story().fresh(30_000, 1).flagged(&[Kind::Stale]);
    story().fresh(30_000, 2).flagged(&[Kind::Stale]);
}

#[test]
fn values_from_nowhere_are_flagged() {
    two_puts().fresh(2100, 3).flagged(&[Kind::Phantom]);
    two_puts().fresh(2100, 0).flagged(&[Kind::Phantom]);
    let alien = Answer::Alien("x".to_owned());
    two_puts().answer(1, 2100, alien).flagged(&[Kind::Phantom]);
    // Read before it was written.
    two_puts().fresh(1500, 2).flagged(&[Kind::Phantom]);
    let unapplied = two_puts().put(3000, NotApplied).fresh(3100, 3);
    unapplied.flagged(&[Kind::NotAppliedAndSeen]);
}

#[test]
fn a_flush_makes_misses_legal_and_restarts_the_count() {
    let mut story = two_puts().miss(5500).fresh(5600, 1);
    story.0.losses.insert(
        0,
        Span {
            from: ms(5000),
            until: ms(5010),
        },
    );
    story.flagged(&[]);
    let story = story.put(6000, Acknowledged).fresh(6400, 2);
    story.flagged(&[Kind::Stale]);
}

#[test]
fn failures_are_counted_and_nothing_else() {
    let failed = Answer::Failed("NO_SESSION".to_owned());
    let verdict = two_puts().answer(1, 5000, failed).verdict();
    assert_eq!((verdict.failed, verdict.violations.len()), (1, 0));
    assert_eq!(verdict.fresh.worst, Duration::ZERO);
}
