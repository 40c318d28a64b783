//! Looks at the setting after each change of master, and warns of what weakens the promises: once in the log, and in
//! status and metrics for as long as it lasts.
//!
//! Invariants: never on the path of a call.
//!
//! Not here: the judgement (`weakness`).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Gauge, describe_gauge, gauge};
use tokio::sync::watch;

use crate::config::FenceConfig;
use crate::model::Lineage;
use crate::sentinel::Election;
use crate::upstream::{Lane, NodeConfig};

use super::weakness::{NAMES, Weakness, of_node, of_sentinels};

/// Between two looks. What changes meanwhile is found by the next one.
const INTERVAL: Duration = Duration::from_secs(10);

/// Before the first look, so that the Sentinels have told about the replicas.
const SETTLED: Duration = Duration::from_secs(2);

/// Looks for weaknesses.
pub struct Examiner {
    lane: Lane,
    elections: watch::Receiver<Election>,
    fence: FenceConfig,
    found: watch::Sender<Arc<[Weakness]>>,
    told: HashSet<&'static str>,
    node: Option<(Lineage, NodeConfig)>,
    gauges: Vec<(&'static str, Gauge)>,
}

impl Examiner {
    /// Of that setting; the receiver shows what was found.
    pub fn new(
        lane: Lane,
        elections: watch::Receiver<Election>,
        fence: FenceConfig,
    ) -> (Self, watch::Receiver<Arc<[Weakness]>>) {
        describe_gauge!(
            "vedetta_setup_weakness",
            "Whether this about Redis or the Sentinels weakens what vedetta can promise (1) or not (0)"
        );
        let (found, receiver) = watch::channel(Arc::from([]));
        let gauge = |name: &'static str| (name, gauge!("vedetta_setup_weakness", "kind" => name));
        let examiner = Self {
            lane,
            elections,
            fence,
            found,
            told: HashSet::new(),
            node: None,
            gauges: NAMES.into_iter().map(gauge).collect(),
        };
        (examiner, receiver)
    }

    /// Looks for ever.
    pub async fn run(mut self) {
        tokio::time::sleep(SETTLED).await;
        loop {
            self.look().await;
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn look(&mut self) {
        if let Ok(session) = self.lane.session() {
            let known = self.node.as_ref().map(|(lineage, _)| *lineage);
            if known != Some(session.lineage())
                && let Ok(config) = session.survey().await
            {
                self.node = Some((session.lineage(), config));
            }
        }
        let mut found = {
            let election = self.elections.borrow();
            let mut found = of_sentinels(&self.fence, &election);
            if let Some((_, config)) = &self.node {
                found.extend(of_node(config.as_ref(), election.named.is_some()));
            }
            found
        };
        found.sort_by_key(|weakness| weakness.name);
        for (name, gauge) in &self.gauges {
            let there = found.iter().any(|weakness| weakness.name == *name);
            gauge.set(f64::from(u8::from(there)));
        }
        for weakness in &found {
            if self.told.insert(weakness.name) {
                tracing::warn!(
                    kind = weakness.name,
                    "the setting weakens what can be promised: {}; {}",
                    weakness.detail,
                    weakness.remedy
                );
            }
        }
        self.found.send_if_modified(|before| {
            let changed = **before != *found;
            if changed {
                *before = found.into();
            }
            changed
        });
    }
}
