//! How a session ends, and what its driver hears.
//!
//! Invariants: the end is told once, to the tracker first; pushes are told in the order of the wire, before the reply
//! behind them wakes anybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redis::{PushInfo, PushKind};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::model::{Cause, Endpoint, Fault};

use super::alarm::Alarm;
use super::metrics::Metrics;
use super::session::Ended;
use super::tracker::{Tracker, pushed_keys};

/// How a session ends: told once.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) state: watch::Sender<Ended>,
    pub(super) tracker: Arc<dyn Tracker>,
    pub(super) generation: u64,
    pub(super) alarm: Alarm,
    /// A session that was dialled in vain has the number of the next one, and tells nothing.
    pub(super) begun: AtomicBool,
}

impl Ending {
    pub(super) fn begin(&self) {
        self.begun.store(true, Ordering::Release);
    }

    pub(super) fn end(&self, cause: Cause, detail: String) {
        self.end_with(cause, detail, || {});
    }

    /// Has something done between the moment at which the tracker is told and that at which anybody can know. If it
    /// had ended before, that is done all the same.
    pub(super) fn end_with(&self, cause: Cause, detail: String, also: impl FnOnce()) {
        self.state.send_if_modified(|state| {
            let first = state.is_none();
            if first && self.begun.load(Ordering::Acquire) {
                self.tracker.ended(self.generation);
                self.alarm.fault(cause);
            }
            also();
            if first {
                *state = Some(Fault::not_applied(cause, detail));
            }
            first
        });
    }
}

/// What the driver calls for every push, in wire order and before the reply behind it wakes anybody.
pub(super) fn on_push(
    ending: &Arc<Ending>,
    endpoint: &Endpoint,
    metrics: &Arc<Metrics>,
) -> impl Fn(PushInfo) -> Result<(), redis::aio::SendError> + Send + Sync + 'static {
    let (ending, endpoint, metrics) = (ending.clone(), endpoint.clone(), metrics.clone());
    move |push: PushInfo| {
        match push.kind {
            PushKind::Invalidate => match pushed_keys(&push.data) {
                Some(keys) => {
                    let (began, count) = (Instant::now(), keys.len());
                    let (tracker, generation) = (&ending.tracker, ending.generation);
                    tracker.invalidated(generation, &mut keys.into_iter());
                    metrics.pushed(count, began.elapsed().as_secs_f64());
                }
                None => {
                    metrics.pushed_all();
                    ending.tracker.flushed(ending.generation);
                }
            },
            PushKind::Disconnection => ending.end(
                Cause::RedisUnreachable,
                format!("{endpoint} closed the connection"),
            ),
            _ => {}
        }
        Ok(())
    }
}
