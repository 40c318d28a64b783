//! The service `vedetta.v1.Status`: what this process sees, without asking anybody.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use crate::cache::Loads;
use crate::config::{Config, Limits, Profile, Quota};
use crate::failover::{self, Phase, Weakness};
use crate::model::Moment;
use crate::near::Figures;
use crate::proto::v1;
use crate::proto::v1::get_status_response as answer;
use crate::sentinel::{Election, SentinelView};

use super::bulk;
use super::capability;
use super::convert::{duration, timestamp};
use super::metrics::{Method, Metrics, Outcome};
use super::show_failover;
use super::status::missing;

/// Where the answers come from.
#[derive(Clone)]
pub enum Sources {
    /// The embedded store: how full it is.
    Embedded(Arc<dyn Fn() -> answer::Embedded + Send + Sync>),
    /// One Redis.
    Redis(watch::Receiver<failover::Status>, Weaknesses, ShowNear),
    /// The master of a Sentinel set.
    Sentinel(
        watch::Receiver<failover::Status>,
        watch::Receiver<Election>,
        Weaknesses,
        ShowNear,
    ),
}

/// What was found to weaken the promises.
pub type Weaknesses = watch::Receiver<Arc<[Weakness]>>;

/// Tells how the near cache stands.
pub type ShowNear = Arc<dyn Fn() -> answer::Near + Send + Sync>;

/// Serves the status.
#[derive(Clone)]
pub struct StatusService {
    sources: Sources,
    limits: Limits,
    quotas: Vec<String>,
    profile: Profile,
    sessions: bool,
    loads: Arc<Loads>,
    started: SystemTime,
    metrics: Arc<Metrics>,
}

impl StatusService {
    /// Tells what these sources show.
    pub fn new(
        sources: Sources,
        config: &Config,
        loads: Arc<Loads>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            sources,
            limits: config.limits.clone(),
            quotas: config.quotas.rules().iter().map(Quota::to_string).collect(),
            profile: config.profile,
            sessions: config.sessions.active,
            loads,
            started: SystemTime::now(),
            metrics,
        }
    }

    fn snapshot(&self) -> v1::GetStatusResponse {
        let mut status = v1::GetStatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: Some(timestamp(self.started)),
            limits: Some(limits(&self.limits, self.quotas.clone())),
            capabilities: capability::list(self.sessions),
            profile: match self.profile {
                Profile::Default => "default",
                Profile::Entando => "entando",
            }
            .to_owned(),
            loads: bulk::show(&self.loads),
            ..v1::GetStatusResponse::default()
        };
        match &self.sources {
            Sources::Embedded(figures) => {
                status.store = answer::Store::Embedded.into();
                status.embedded = Some(figures());
            }
            Sources::Redis(follower, weaknesses, near) => {
                status.store = answer::Store::Redis.into();
                status.near = Some(near());
                past(&mut status, &follower.borrow(), weaknesses);
            }
            Sources::Sentinel(follower, election, weaknesses, near) => {
                status.store = answer::Store::Sentinel.into();
                status.near = Some(near());
                past(&mut status, &follower.borrow(), weaknesses);
                status.sentinels = election.borrow().views.iter().map(sentinel).collect();
            }
        }
        status
    }
}

/// How a near cache with this bound stands.
pub fn near(figures: &Figures, base: Option<Moment>, bound: Duration, now: Moment) -> answer::Near {
    answer::Near {
        entries: figures.entries,
        weight_bytes: figures.weight,
        capacity_bytes: figures.capacity,
        bound: Some(duration(bound)),
        lease_remaining: base
            .map(|base| (base + bound).since(now))
            .filter(|left| !left.is_zero())
            .map(duration),
        rejected_fills: figures.rejected,
    }
}

/// The master, and what happened to it.
fn past(shown: &mut v1::GetStatusResponse, status: &failover::Status, weaknesses: &Weaknesses) {
    shown.master = Some(master(status));
    shown.fence = Some(show_failover::fence(status));
    shown.failovers = status.reports.iter().map(show_failover::report).collect();
    let found = weaknesses.borrow();
    shown.weaknesses = found.iter().map(show_failover::weakness).collect();
}

fn limits(limits: &Limits, quotas: Vec<String>) -> answer::Limits {
    answer::Limits {
        key_bytes: limits.key,
        value_bytes: limits.value,
        batch_items: limits.batch_items as u64,
        batch_bytes: limits.batch_bytes,
        inflight_calls: limits.inflight_calls as u64,
        subscribers: limits.subscribers as u64,
        replay_events: limits.replay_events as u64,
        wait: Some(duration(limits.wait)),
        waiting_calls: limits.waiting_calls as u64,
        waiting_bytes: limits.waiting_bytes,
        session_attributes: limits.session_attributes as u64,
        session_attribute_bytes: limits.session_attribute,
        session_bytes: limits.session,
        sessions_found: limits.sessions_found as u64,
        quotas,
    }
}

fn master(status: &failover::Status) -> answer::Master {
    let (phase, known, fault) = match &status.phase {
        Phase::Seeking { fault } => (answer::Phase::Seeking, None, Some(fault)),
        Phase::Dialing { master, fault } => (answer::Phase::Dialing, Some(master), Some(fault)),
        Phase::Serving { master, .. } => (answer::Phase::Serving, Some(master), None),
    };
    answer::Master {
        address: known.map_or_else(String::new, |master| master.endpoint.to_string()),
        phase: phase.into(),
        config_epoch: known.map_or(0, |master| master.epoch),
        generation: status.generation,
        since: Some(timestamp(status.since)),
        reason: fault.map_or_else(String::new, |fault| fault.cause.reason().to_owned()),
        detail: fault.map_or_else(String::new, |fault| fault.detail.clone()),
        changes: status.changes,
    }
}

fn sentinel(view: &SentinelView) -> answer::SentinelView {
    let mut shown = answer::SentinelView {
        address: view.sentinel.to_string(),
        up: view.answer.is_ok(),
        agrees: view.agrees,
        answered_ago: view
            .answered
            .map(|at| duration(Instant::now().saturating_duration_since(at))),
        id: view.id.as_deref().unwrap_or_default().to_owned(),
        discovered: view.discovered,
        tilt: view.in_tilt(),
        overruled: view.overruled,
        ..answer::SentinelView::default()
    };
    match &view.answer {
        Ok(said) => {
            shown.master = said.master.endpoint.to_string();
            shown.config_epoch = said.master.epoch;
            let run_id = said.run_id.as_deref();
            run_id
                .unwrap_or_default()
                .clone_into(&mut shown.master_run_id);
            let flags = [
                (said.flags.s_down, "s_down"),
                (said.flags.o_down, "o_down"),
                (said.flags.failover, "failover_in_progress"),
            ];
            shown.flags = flags
                .into_iter()
                .filter(|(set, _)| *set)
                .map(|(_, name)| name.to_owned())
                .collect();
        }
        Err(fault) => {
            fault.cause.reason().clone_into(&mut shown.reason);
            shown.detail.clone_from(&fault.detail);
        }
    }
    shown
}

#[tonic::async_trait]
impl v1::status_server::Status for StatusService {
    type WatchStatusStream = BoxStream<v1::WatchStatusResponse>;

    async fn get_status(
        &self,
        _: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        let began = Instant::now();
        let result = Ok((self.snapshot(), Outcome::Done));
        self.metrics.count(Method::GetStatus, began, result)
    }

    async fn watch_status(
        &self,
        _: Request<v1::WatchStatusRequest>,
    ) -> Result<Response<Self::WatchStatusStream>, Status> {
        Err(missing("Status/WatchStatus"))
    }
}
