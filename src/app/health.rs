//! What is told of the health of the process: to the probes of its pod, and by `grpc.health.v1`.
//!
//! Not here: serving either of them (`admin`, `grpc`).

use std::sync::Arc;

use crate::admin::{Probes, Pulse};
use crate::failover::Phase;
use crate::grpc::Health;

use super::{Floors, Serving};

/// What the probes of the pod go by: that this process runs, and that the follower has settled.
pub(super) fn probes(serving: &Serving, floors: &Floors) -> Probes {
    let pulse = Pulse::new();
    floors.links.spawn("pulse", pulse.clone().run());
    let serving = serving.clone();
    Probes::new(
        pulse,
        Arc::new(move || {
            serving
                .as_ref()
                .is_none_or(|status| status.borrow().settled)
        }),
    )
}

/// Keeps `grpc.health.v1` in step with the follower.
pub(super) fn follow_health(health: Health, serving: Serving, floors: &Floors) {
    floors.links.spawn("health", async move {
        let Some(mut follower) = serving else {
            health.set_cache(true).await;
            return;
        };
        loop {
            let serves = matches!(follower.borrow_and_update().phase, Phase::Serving { .. });
            health.set_cache(serves).await;
            if follower.changed().await.is_err() {
                return;
            }
        }
    });
}
