//! Starts the watchers, owns the topology, publishes who is master.
//!
//! Invariants: one task owns the topology; a change of the outcome is logged once; readers see the latest
//! election only.
//!
//! Not here: acting on it (`failover`).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::drain::Tasks;
use crate::model::{Detector, Fault, Master, Moment};

use super::metrics::Metrics;
use super::reply::{Answer, WatchRules};
use super::topology::{Hold, SentinelView, Topology};
use super::watcher::{WatchSettings, Watcher};

/// Reports that may wait for the topology. Watchers wait when it is full; it never is for long, because taking
/// note of a report costs microseconds.
const REPORTS: usize = 64;

/// The topology is looked at again after that long, also without a report.
const TICK: Duration = Duration::from_secs(1);

/// What the Sentinels say as a whole.
#[derive(Debug, Clone)]
pub struct Election {
    /// Who is master, or why nobody is.
    pub master: Result<Master, Fault>,
    /// When a majority was last polled that names that master and stands by it; `None` without Sentinels.
    pub named: Option<Moment>,
    /// Why writes must wait; `None` while no Sentinel disputes that master.
    pub hold: Option<Hold>,
    /// The most replicas of that master that any Sentinel knows of.
    pub replicas: usize,
    /// How the Sentinels watch it; `None` without Sentinels.
    pub rules: Option<WatchRules>,
    /// What made the Sentinel be asked whose answer this follows from.
    pub detector: Detector,
    /// Every Sentinel's view; empty without Sentinels.
    pub views: Arc<[SentinelView]>,
    /// Whether every Sentinel has had the time to answer once.
    pub settled: bool,
}

/// Watches every configured Sentinel.
pub fn start(
    settings: &WatchSettings,
    tasks: &Tasks,
    metrics: Metrics,
) -> watch::Receiver<Election> {
    let sentinels = &settings.sentinel.endpoints;
    let topology = Topology::new(sentinels);
    let (reports, inbox) = mpsc::channel(REPORTS);
    let hints = Arc::new(watch::Sender::new(0));
    for (seat, endpoint) in sentinels.iter().enumerate() {
        let watcher = Watcher {
            seat,
            endpoint: endpoint.clone(),
            settings: settings.clone(),
            reports: reports.clone(),
            hints: hints.clone(),
            events_heard: metrics.events.clone(),
            failures: metrics.failures.clone(),
        };
        tasks.spawn("sentinel watcher", watcher.run());
    }
    let mut owner = Owner {
        waiting: vec![true; sentinels.len()],
        topology,
        metrics,
        told: None,
    };
    let (publish, elections) = watch::channel(owner.election());
    tasks.spawn("sentinel topology", async move {
        owner.run(inbox, publish).await
    });
    elections
}

struct Owner {
    topology: Topology,
    waiting: Vec<bool>,
    metrics: Metrics,
    /// What was last logged: the master, or the stable name of the trouble.
    told: Option<Result<Master, &'static str>>,
}

impl Owner {
    async fn run(
        &mut self,
        mut inbox: mpsc::Receiver<(usize, Result<Answer, Fault>)>,
        publish: watch::Sender<Election>,
    ) {
        loop {
            match tokio::time::timeout(TICK, inbox.recv()).await {
                Ok(Some((seat, answer))) => {
                    self.waiting[seat] = false;
                    self.topology
                        .report(seat, answer, Instant::now().into_std());
                }
                Ok(None) => return,
                // Nobody says anything: answers grow old.
                Err(_) => {}
            }
            let election = self.election();
            self.metrics.show(&election.views);
            self.tell(&election);
            publish.send_replace(election);
        }
    }

    fn election(&mut self) -> Election {
        let master = self.topology.elect(Instant::now().into_std());
        Election {
            master,
            named: Some(self.topology.named().unwrap_or(Moment::START)),
            hold: self.topology.hold(),
            replicas: self.topology.replicas(),
            rules: self.topology.watch_rules(),
            detector: Detector::Poll,
            views: self.topology.views().into(),
            settled: !self.waiting.contains(&true),
        }
    }

    fn tell(&mut self, election: &Election) {
        let news = match &election.master {
            Ok(master) => Ok(master.clone()),
            // While the first answers come in, disagreement is not news.
            Err(_) if !election.settled => return,
            Err(fault) => Err(fault.cause.reason()),
        };
        if self.told.as_ref() == Some(&news) {
            return;
        }
        match &election.master {
            Ok(master) => tracing::info!(
                master = %master.endpoint,
                config_epoch = master.epoch,
                "a majority of the Sentinels names the master"
            ),
            Err(fault) => {
                tracing::warn!(
                    reason = fault.cause.reason(),
                    "no master elected: {}",
                    fault.detail
                );
            }
        }
        self.told = Some(news);
    }
}
