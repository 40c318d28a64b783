//! What the link to Redis costs and how it fails.
//!
//! Invariants: every series exists from the start at 0, so that `rate()` sees the first event; labels are closed
//! enums.

use metrics::{Counter, Histogram, counter, describe_counter, describe_histogram, histogram};

use crate::model::Cause;

use super::Operation;

/// The causes that can come from a node.
const CAUSES: [Cause; 14] = [
    Cause::AddressNotResolvable,
    Cause::RedisUnreachable,
    Cause::RedisAuthFailed,
    Cause::RedisPermissionDenied,
    Cause::TlsFailed,
    Cause::NotAMaster,
    Cause::RedisLoading,
    Cause::RedisBusy,
    Cause::TooFewReplicas,
    Cause::RedisOutOfMemory,
    Cause::RedisRefused,
    Cause::OutcomeUnknown,
    Cause::LineageChanged,
    Cause::PushesStopped,
];

/// Handles, resolved once.
#[derive(Debug)]
pub struct Metrics {
    durations: Vec<Histogram>,
    errors: Vec<(Cause, Counter)>,
    pushes: Counter,
    pushed_keys: Counter,
    flushes: Counter,
    applied: Histogram,
}

impl Metrics {
    /// Registers with the recorder of the moment.
    pub fn register() -> Self {
        describe_histogram!(
            "vedetta_redis_command_duration_seconds",
            metrics::Unit::Seconds,
            "Time from handing a batch of commands to the link until its last reply"
        );
        describe_counter!(
            "vedetta_redis_errors_total",
            "Errors of Redis and of the link to it, by kind"
        );
        describe_counter!(
            "vedetta_pushes_total",
            "Invalidation pushes received from Redis, those about everything not counted"
        );
        describe_counter!(
            "vedetta_pushed_keys_total",
            "Keys that Redis said have changed, expired, been evicted or left its tracking table"
        );
        describe_counter!(
            "vedetta_pushed_flushes_total",
            "Pushes saying that everything is gone, as after FLUSHALL"
        );
        describe_histogram!(
            "vedetta_push_apply_duration_seconds",
            metrics::Unit::Seconds,
            "Time from reading an invalidation push off the link until the near cache and the replay buffer have it"
        );
        Self {
            pushes: counter!("vedetta_pushes_total"),
            pushed_keys: counter!("vedetta_pushed_keys_total"),
            flushes: counter!("vedetta_pushed_flushes_total"),
            applied: histogram!("vedetta_push_apply_duration_seconds"),
            durations: Operation::ALL
                .iter()
                .map(|operation| {
                    histogram!("vedetta_redis_command_duration_seconds", "command" => operation.name())
                })
                .collect(),
            errors: CAUSES
                .iter()
                .map(|cause| {
                    let kind = cause.reason().to_ascii_lowercase();
                    (*cause, counter!("vedetta_redis_errors_total", "kind" => kind))
                })
                .collect(),
        }
    }

    /// A batch was answered.
    pub fn answered(&self, operation: Operation, seconds: f64) {
        self.durations[operation as usize].record(seconds);
    }

    /// A push about so many keys was applied.
    pub(super) fn pushed(&self, keys: usize, seconds: f64) {
        self.pushes.increment(1);
        self.pushed_keys.increment(keys as u64);
        self.applied.record(seconds);
    }

    /// A push about everything was applied.
    pub(super) fn pushed_all(&self) {
        self.flushes.increment(1);
    }

    /// Something failed.
    pub fn failed(&self, cause: Cause) {
        if let Some((_, counter)) = self.errors.iter().find(|(known, _)| *known == cause) {
            counter.increment(1);
        }
    }
}
