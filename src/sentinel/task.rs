//! Starts and ends the watchers, owns the topology, publishes who is master.
//!
//! Invariants: one task owns the topology; every seat of it has one watcher; readers see the latest election only.
//!
//! Not here: acting on it (`failover`), logging it (`told`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::drain::Tasks;
use crate::model::{Detector, Endpoint, Fault, Master, Moment};

use super::hints::Hints;
use super::metrics::Metrics;
use super::reply::WatchRules;
use super::told::Told;
use super::topology::{Conflict, Hold, SeatChange, SentinelView, Topology};
use super::watcher::{Report, WatchSettings, Watcher};

/// Reports that may wait for the topology. Watchers wait when it is full; it never is for long, because taking
/// note of a report costs microseconds.
const REPORTS: usize = 64;

/// The topology is looked at again after that long, also without a report.
const TICK: Duration = Duration::from_secs(1);

/// For so long without an undisputed master the Sentinels are asked more often. Whatever takes longer than that is not
/// found much later by the usual interval, and Sentinels that need a person are not asked in haste for ever.
const URGENT_FOR: Duration = Duration::from_secs(60);

/// What the Sentinels say as a whole.
#[derive(Debug, Clone)]
pub struct Election {
    /// Who is master, or why nobody is.
    pub master: Result<Master, Fault>,
    /// When a majority was last polled that names that master and stands by it; `None` without Sentinels.
    pub named: Option<Moment>,
    /// Why writes must wait; `None` while no Sentinel disputes that master.
    pub hold: Option<Hold>,
    /// A later epoch of a minority that lasts too long for a failover.
    pub conflict: Option<Conflict>,
    /// The most replicas of that master that any Sentinel knows of.
    pub replicas: usize,
    /// `replica-priority` of each of them that a Sentinel can reach; empty while none has told.
    pub priorities: Arc<[u32]>,
    /// The run id of that master as the Sentinels know it, which a restart changes.
    pub run_id: Option<Arc<str>>,
    /// How the Sentinels watch it; `None` without Sentinels.
    pub rules: Option<WatchRules>,
    /// What made the Sentinel be asked whose answer completed the latest change of the master or of the hold.
    pub detector: Detector,
    /// How many Sentinels there are, listed or known to others; 0 without.
    pub sentinels: usize,
    /// Every Sentinel's view; empty without Sentinels.
    pub views: Arc<[SentinelView]>,
    /// Whether every Sentinel has had the time to answer once.
    pub settled: bool,
}

impl Election {
    /// The outcome where there are no Sentinels to ask.
    pub fn without_sentinels(master: Result<Master, Fault>) -> Self {
        Self {
            master,
            named: None,
            hold: None,
            conflict: None,
            replicas: 0,
            priorities: Arc::new([]),
            run_id: None,
            rules: None,
            detector: Detector::Poll,
            sentinels: 0,
            views: Arc::new([]),
            settled: true,
        }
    }
}

/// Watches every configured Sentinel, and those that they know of. Whoever raises `hints` makes them all be asked.
pub fn start(
    settings: &WatchSettings,
    tasks: &Tasks,
    metrics: Metrics,
    hints: Hints,
) -> watch::Receiver<Election> {
    let (reports, inbox) = mpsc::channel(REPORTS);
    let mut owner = Owner::new(settings, tasks, metrics, hints, reports);
    for (seat, endpoint) in settings.sentinel.endpoints.iter().enumerate() {
        owner.watch(seat, endpoint.clone());
    }
    let (publish, elections) = watch::channel(owner.election(Detector::Poll));
    tasks.spawn("sentinel topology", async move {
        owner.run(inbox, publish).await
    });
    elections
}

/// Who is master, and whether that is disputed: a change of this is what detectors compete for.
type Outcome = (Option<Master>, bool);

struct Owner {
    topology: Topology,
    /// By seat.
    watchers: BTreeMap<usize, AbortOnDropHandle<()>>,
    /// The seats that have not reported yet.
    waiting: BTreeSet<usize>,
    settled: bool,
    settings: WatchSettings,
    tasks: Tasks,
    reports: mpsc::Sender<Report>,
    hints: Hints,
    /// Whether the watchers are to ask more often.
    urgent: watch::Sender<bool>,
    /// When there was last an undisputed master.
    calm: Instant,
    outcome: Option<Outcome>,
    /// The last master that was elected.
    last: Option<Master>,
    detector: Detector,
    metrics: Metrics,
    told: Told,
}

impl Owner {
    fn new(
        settings: &WatchSettings,
        tasks: &Tasks,
        metrics: Metrics,
        hints: Hints,
        reports: mpsc::Sender<Report>,
    ) -> Self {
        let sentinels = &settings.sentinel.endpoints;
        Self {
            topology: Topology::new(sentinels, settings.sentinel.policy),
            watchers: BTreeMap::new(),
            waiting: (0..sentinels.len()).collect(),
            settled: false,
            settings: settings.clone(),
            tasks: tasks.clone(),
            reports,
            hints,
            urgent: watch::Sender::new(true),
            calm: Instant::now(),
            outcome: None,
            last: None,
            detector: Detector::Poll,
            metrics,
            told: Told::default(),
        }
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Report>, publish: watch::Sender<Election>) {
        loop {
            let detector = match tokio::time::timeout(TICK, inbox.recv()).await {
                Ok(Some(report)) => self.note(report),
                Ok(None) => return,
                // Nobody says anything: answers grow old.
                Err(_) => Detector::Poll,
            };
            let election = self.election(detector);
            self.metrics.show(&election);
            self.told.tell(&election);
            publish.send_replace(election);
        }
    }

    fn note(&mut self, report: Report) -> Detector {
        let now = Instant::now().into_std();
        self.waiting.remove(&report.seat);
        self.topology.report(report.seat, report.answer, now);
        let changes = match self.settings.sentinel.discovery {
            true => self.topology.reseat(now),
            false => Vec::new(),
        };
        for change in changes {
            match change {
                SeatChange::Taken(seat, endpoint) => {
                    tracing::info!(sentinel = %endpoint, "a Sentinel is asked that others know of");
                    self.waiting.insert(seat);
                    self.watch(seat, endpoint);
                }
                SeatChange::Left(seat) => {
                    self.waiting.remove(&seat);
                    self.watchers.remove(&seat);
                }
            }
        }
        self.settled |= self.waiting.is_empty();
        report.detector
    }

    fn watch(&mut self, seat: usize, endpoint: Endpoint) {
        let watcher = Watcher {
            seat,
            endpoint,
            settings: self.settings.clone(),
            reports: self.reports.clone(),
            hints: self.hints.clone(),
            urgent: self.urgent.subscribe(),
            events_heard: self.metrics.events.clone(),
            failures: self.metrics.failures.clone(),
        };
        let task = self.tasks.spawn("sentinel watcher", watcher.run());
        self.watchers.insert(seat, AbortOnDropHandle::new(task));
    }

    fn election(&mut self, detector: Detector) -> Election {
        let master = self.topology.elect(Instant::now().into_std());
        let hold = self.topology.hold();
        self.compare((master.as_ref().ok().cloned(), hold.is_some()), detector);
        Election {
            master,
            named: Some(self.topology.named().unwrap_or(Moment::START)),
            hold,
            conflict: self.topology.conflict().cloned(),
            replicas: self.topology.replicas(),
            priorities: self.topology.priorities(),
            run_id: self.topology.run_id(),
            rules: self.topology.watch_rules(),
            detector: self.detector,
            sentinels: self.topology.sentinels(),
            views: self.topology.views().into(),
            settled: self.settled,
        }
    }

    /// Notices a change, who detected it, and whether there is reason to hurry.
    fn compare(&mut self, outcome: Outcome, detector: Detector) {
        let now = Instant::now();
        if matches!(outcome, (Some(_), false)) {
            self.calm = now;
        }
        // The grace is not used up by the calm before.
        let urgent = now > self.calm && now < self.calm + URGENT_FOR;
        self.urgent
            .send_if_modified(|was| std::mem::replace(was, urgent) != urgent);
        if self.outcome.as_ref() == Some(&outcome) {
            return;
        }
        self.detector = detector;
        if let Some(master) = &outcome.0
            && self.last.as_ref() != Some(master)
        {
            if self.last.is_some() {
                self.metrics.changed(detector);
            }
            self.last = Some(master.clone());
        }
        self.outcome = Some(outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::super::aside::Aside;
    use super::super::reply::{Answer, Flags};
    use super::*;
    use crate::config::{Credentials, SentinelConfig, SentinelPolicy};
    use crate::dial::{Access, Secrets};
    use crate::model::Signal;

    /// An owner of three seats, without watchers.
    fn owner() -> Owner {
        let endpoints: Vec<Endpoint> = ["s1:1", "s2:1", "s3:1"]
            .iter()
            .map(|text| text.parse().expect("endpoint"))
            .collect();
        let metrics = Metrics::register(&endpoints);
        let settings = WatchSettings {
            sentinel: Arc::new(SentinelConfig {
                endpoints,
                master_name: "mymaster".to_owned(),
                credentials: Credentials::default(),
                tls: None,
                events: true,
                poll_interval: Duration::from_millis(200),
                policy: SentinelPolicy::Majority,
                discovery: true,
            }),
            secrets: Secrets::fixed(Access::default()),
        };
        let (reports, _) = mpsc::channel(1);
        let hints = Hints::default();
        Owner::new(&settings, &Tasks::new(), metrics, hints, reports)
    }

    impl Owner {
        /// A Sentinel names the only master there is; what the detector of the election is then.
        fn hear(&mut self, seat: usize, failover: bool, detector: Detector) -> Detector {
            let flags = Flags {
                failover,
                ..Flags::default()
            };
            let answer = Ok(Answer {
                id: format!("id{seat}").into(),
                master: Master {
                    endpoint: "m:1".parse().expect("endpoint"),
                    epoch: 1,
                },
                flags,
                described: true,
                sentinels: 3,
                replicas: 0,
                rules: None,
                run_id: None,
                aside: Aside::default(),
                asked: Moment::START,
            });
            let report = Report {
                seat,
                answer,
                detector,
            };
            let heard = self.note(report);
            self.election(heard).detector
        }

        fn hurries(&self) -> bool {
            *self.urgent.borrow()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_made_the_answer_be_asked_that_completes_a_change_has_detected_it() {
        let mut owner = owner();
        let signal = Detector::Signal(Signal::ReadOnly);
        // One answer is no change yet, the second elects, the third changes nothing.
        assert_eq!(owner.election(Detector::Poll).detector, Detector::Poll);
        assert_eq!(owner.hear(0, false, signal), Detector::Poll);
        assert_eq!(owner.hear(1, false, Detector::Event), Detector::Event);
        assert_eq!(owner.hear(2, false, Detector::Poll), Detector::Event);
        // A hold is a change, a second voice for it is none, and its end is one.
        assert_eq!(owner.hear(0, true, signal), signal);
        assert_eq!(owner.hear(1, true, Detector::Event), signal);
        assert_eq!(owner.hear(0, false, Detector::Event), signal);
        assert_eq!(owner.hear(1, false, Detector::Poll), Detector::Poll);
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_a_hurry_while_there_is_no_undisputed_master_but_not_for_ever() {
        let mut owner = owner();
        let (poll, tick) = (Detector::Poll, Duration::from_millis(1));
        assert!(owner.hurries());
        for seat in 0..3 {
            owner.hear(seat, false, poll);
        }
        assert!(!owner.hurries());
        tokio::time::advance(tick).await;
        owner.hear(0, true, poll);
        assert!(owner.hurries(), "a failover");
        tokio::time::advance(URGENT_FOR).await;
        for seat in 0..3 {
            owner.hear(seat, seat == 0, poll);
        }
        assert!(!owner.hurries(), "whoever needs a person is not in a hurry");
        owner.hear(0, false, poll);
        tokio::time::advance(tick).await;
        owner.hear(0, true, poll);
        assert!(owner.hurries(), "the next one");
    }
}
