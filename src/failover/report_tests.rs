//! Reports, by value.

use super::*;
use crate::model::{CacheId, CacheName, Signal, Tenant};

const LINK: Detector = Detector::Signal(Signal::LinkLost);

fn at(ms: u64) -> Now {
    Now {
        moment: Moment::after_boot(Duration::from_millis(ms)),
        wall: SystemTime::UNIX_EPOCH + Duration::from_millis(ms),
    }
}

fn master(port: u16, epoch: u64) -> Master {
    Master {
        endpoint: format!("10.0.0.1:{port}").parse().expect("endpoint"),
        epoch,
    }
}

fn calls(waited: u64) -> Calls {
    Calls {
        waited,
        ..Calls::default()
    }
}

fn serving() -> Recorder {
    let mut recorder = Recorder::default();
    let nothing = Reconciled::default();
    recorder.serving(&master(1, 1), 1, true, &nothing, at(0));
    assert!(!recorder.is_open(), "the first session is no failover");
    recorder
}

#[test]
fn a_failover_step_by_step() {
    let mut recorder = serving();
    recorder.suspected(LINK, calls(5), at(1000));
    // What comes second is not the first sign.
    recorder.held(Detector::Event, calls(6), at(1100));
    assert!(
        recorder
            .look(false, None, false, calls(7), at(2000))
            .is_none()
    );
    recorder.decided(&master(2, 2), Detector::Event, calls(7), at(2200));
    let found = Reconciled {
        checked: 3,
        removed: 2,
        lost: 1,
        since: None,
        caches: Vec::new(),
    };
    recorder.serving(&master(2, 2), 2, false, &found, at(2210));
    let wrote = Some(at(2215).moment);
    assert!(
        recorder
            .look(true, wrote, false, calls(25), at(2300))
            .is_none()
    );
    assert_eq!(recorder.reports().len(), 1, "an open one is shown");
    let report = recorder.look(true, wrote, true, calls(25), at(4300));
    let report = report.expect("it is over");
    let ms = Duration::from_millis;
    assert_eq!(report.kind, Kind::Failover);
    assert_eq!(report.detected_by, LINK);
    assert_eq!(report.decided, Some((ms(1200), Detector::Event)));
    assert_eq!(report.serving, Some(ms(1210)));
    assert_eq!(report.wrote, Some(ms(1215)));
    assert_eq!(report.proven, Some(ms(3300)));
    assert_eq!(report.calls, calls(20));
    assert_eq!(report.reconciled, found);
    let text = report.to_string();
    assert!(text.starts_with("failover #1: 10.0.0.1:1 at epoch 1 -> 10.0.0.1:2 at epoch 2"));
    assert!(
        text.contains("+1.215 s  first write acknowledged"),
        "{text}"
    );
}

#[test]
fn the_same_node_is_a_restart_or_a_lost_link() {
    for (same, kind) in [(false, Kind::Restart), (true, Kind::LinkLoss)] {
        let mut recorder = serving();
        recorder.suspected(LINK, calls(0), at(10));
        let nothing = Reconciled::default();
        recorder.serving(&master(1, 1), 2, same, &nothing, at(30));
        let report = recorder.look(true, None, true, calls(0), at(40));
        assert_eq!(report.map(|report| report.kind), Some(kind));
    }
}

#[test]
fn a_second_failover_during_the_first_is_one_report() {
    let mut recorder = serving();
    let cache = |name: &str| CacheId {
        tenant: Tenant::primary(),
        name: CacheName::new(name).expect("a name"),
    };
    let found = |caches: &[&str]| Reconciled {
        checked: 4,
        removed: 2,
        lost: 1,
        since: None,
        caches: caches.iter().copied().map(cache).collect(),
    };
    recorder.decided(&master(2, 2), Detector::Poll, calls(0), at(100));
    recorder.serving(&master(2, 2), 2, false, &found(&["a", "b"]), at(110));
    recorder.decided(&master(3, 3), Detector::Event, calls(0), at(200));
    assert!(recorder.look(true, None, true, calls(0), at(205)).is_none());
    recorder.serving(&master(3, 3), 3, false, &found(&["b", "c"]), at(210));
    let report = recorder.look(true, None, true, calls(0), at(300));
    let report = report.expect("it is over");
    assert_eq!(report.from, Some(master(1, 1)));
    assert_eq!(report.to, Some(master(3, 3)));
    assert_eq!(report.generation, Some(3));
    // What the first one lost is not forgotten by the second.
    let both = Reconciled {
        checked: 8,
        removed: 4,
        lost: 2,
        ..found(&["a", "b", "c"])
    };
    assert_eq!(report.reconciled, both);
}

#[test]
fn a_doubt_leaves_a_report_only_if_writes_had_to_wait() {
    for (over, kept) in [(1050, false), (1500, true)] {
        let mut recorder = serving();
        recorder.held(Detector::Poll, calls(0), at(1000));
        assert!(
            recorder
                .look(false, None, true, calls(1), at(1040))
                .is_none()
        );
        let report = recorder.look(true, None, true, calls(1), at(over));
        let kinds: Vec<Kind> = report.iter().map(|report| report.kind).collect();
        assert_eq!(kinds, if kept { vec![Kind::FalseAlarm] } else { vec![] });
        assert!(!recorder.is_open());
    }
    // A missed heartbeat, and then nothing.
    let mut recorder = serving();
    recorder.suspected(LINK, calls(0), at(1000));
    assert!(
        recorder
            .look(true, None, true, calls(0), at(2000))
            .is_none()
    );
    assert!(recorder.is_open() && recorder.reports().is_empty());
    assert!(
        recorder
            .look(true, None, true, calls(0), at(7000))
            .is_none()
    );
    assert!(!recorder.is_open());
}

#[test]
fn only_the_last_ones_are_kept() {
    let mut recorder = serving();
    for round in 0..20 {
        recorder.suspected(LINK, calls(0), at(round * 100 + 10));
        let nothing = Reconciled::default();
        recorder.serving(
            &master(1, 1),
            round + 2,
            true,
            &nothing,
            at(round * 100 + 20),
        );
        recorder.look(true, None, true, calls(0), at(round * 100 + 30));
    }
    let numbers: Vec<u64> = recorder
        .reports()
        .iter()
        .map(|report| report.number)
        .collect();
    assert_eq!(numbers.len(), REPORTS);
    assert_eq!(numbers[0], 20);
}
