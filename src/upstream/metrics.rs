//! What the link to Redis costs and how it fails.
//!
//! Invariants: every series exists from the start at 0, so that `rate()` sees the first event; labels are closed
//! enums.

use metrics::{Counter, Histogram, counter, describe_counter, describe_histogram, histogram};

use crate::model::Cause;

use super::Operation;

/// The causes that can come from a node.
const CAUSES: [Cause; 12] = [
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
];

/// Handles, resolved once.
#[derive(Debug)]
pub struct Metrics {
    durations: Vec<Histogram>,
    errors: Vec<(Cause, Counter)>,
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
        Self {
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

    /// Something failed.
    pub fn failed(&self, cause: Cause) {
        if let Some((_, counter)) = self.errors.iter().find(|(known, _)| *known == cause) {
            counter.increment(1);
        }
    }
}
