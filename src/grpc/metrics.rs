//! Requests by method and result, and how long they took.
//!
//! Invariants: every series exists from the start at 0; labels are closed enums.

use std::time::Instant;

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};
use tonic::{Code, Response, Status};

use super::request::Answer;
use super::status::Refusal;

/// The rpcs that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    GetMany,
    Put,
    PutMany,
    PutIfAbsent,
    GetOrLease,
    ReleaseLease,
    Evict,
    EvictMany,
    Touch,
    Increment,
    GetTtl,
    SetDeadline,
    ListEdit,
    AddToGroups,
    FlushGroups,
    Clear,
    ListCaches,
    BulkLoad,
    Scan,
    Pipeline,
    GetStatus,
    Watch,
    SessionCreate,
    SessionLoad,
    SessionSave,
    SessionTouch,
    SessionChangeId,
    SessionDelete,
    SessionFind,
    Publish,
    Subscribe,
}

/// What came of a request. Several items of a batch count as one `Batch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Hit,
    Miss,
    NotModified,
    Leased,
    Stored,
    NotStored,
    Existing,
    Evicted,
    Absent,
    Touched,
    Done,
    Batch,
    Invalid,
    Exhausted,
    Unavailable,
    Deadline,
    Unknown,
    Unimplemented,
    Precondition,
    Unreplicated,
    Internal,
}

const METHODS: [(Method, &str, &[Outcome]); 32] = [
    (
        Method::Get,
        "Get",
        &[Outcome::Hit, Outcome::Miss, Outcome::NotModified],
    ),
    (Method::GetMany, "GetMany", &[Outcome::Batch]),
    (Method::Put, "Put", &[Outcome::Stored, Outcome::NotStored]),
    (Method::PutMany, "PutMany", &[Outcome::Batch]),
    (
        Method::PutIfAbsent,
        "PutIfAbsent",
        &[Outcome::Stored, Outcome::Existing],
    ),
    (
        Method::GetOrLease,
        "GetOrLease",
        &[Outcome::Hit, Outcome::Miss, Outcome::Leased],
    ),
    (
        Method::ReleaseLease,
        "ReleaseLease",
        &[Outcome::Done, Outcome::Absent],
    ),
    (Method::Evict, "Evict", &[Outcome::Evicted, Outcome::Absent]),
    (Method::EvictMany, "EvictMany", &[Outcome::Batch]),
    (Method::Touch, "Touch", &[Outcome::Touched, Outcome::Absent]),
    (Method::Increment, "Increment", &[Outcome::Done]),
    (Method::GetTtl, "GetTtl", &[Outcome::Hit, Outcome::Miss]),
    (
        Method::SetDeadline,
        "SetDeadline",
        &[Outcome::Touched, Outcome::Absent],
    ),
    (Method::ListEdit, "ListEdit", &[Outcome::Done]),
    (
        Method::AddToGroups,
        "AddToGroups",
        &[Outcome::Done, Outcome::Absent],
    ),
    (Method::FlushGroups, "FlushGroups", &[Outcome::Done]),
    (Method::Clear, "Clear", &[Outcome::Done]),
    (Method::ListCaches, "ListCaches", &[Outcome::Done]),
    (Method::BulkLoad, "BulkLoad", &[Outcome::Done]),
    (Method::Scan, "Scan", &[Outcome::Done]),
    (Method::Pipeline, "Pipeline", &[Outcome::Done]),
    (Method::GetStatus, "GetStatus", &[Outcome::Done]),
    (Method::Watch, "Watch", &[Outcome::Done]),
    (Method::SessionCreate, "SessionCreate", &[Outcome::Done]),
    (
        Method::SessionLoad,
        "SessionLoad",
        &[Outcome::Hit, Outcome::Miss],
    ),
    (
        Method::SessionSave,
        "SessionSave",
        &[Outcome::Stored, Outcome::Absent],
    ),
    (
        Method::SessionTouch,
        "SessionTouch",
        &[Outcome::Touched, Outcome::Absent],
    ),
    (
        Method::SessionChangeId,
        "SessionChangeId",
        &[Outcome::Done, Outcome::Absent],
    ),
    (
        Method::SessionDelete,
        "SessionDelete",
        &[Outcome::Done, Outcome::Absent],
    ),
    (Method::SessionFind, "SessionFind", &[Outcome::Done]),
    (Method::Publish, "Publish", &[Outcome::Done]),
    (Method::Subscribe, "Subscribe", &[Outcome::Done]),
];

const FAILURES: [Outcome; 9] = [
    Outcome::Invalid,
    Outcome::Exhausted,
    Outcome::Unavailable,
    Outcome::Deadline,
    Outcome::Unknown,
    Outcome::Unimplemented,
    Outcome::Precondition,
    Outcome::Unreplicated,
    Outcome::Internal,
];

impl Outcome {
    const fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::NotModified => "not_modified",
            Self::Leased => "leased",
            Self::Stored => "stored",
            Self::NotStored => "not_stored",
            Self::Existing => "existing",
            Self::Evicted => "evicted",
            Self::Absent => "absent",
            Self::Touched => "touched",
            Self::Done => "done",
            Self::Batch => "batch",
            Self::Invalid => "invalid",
            Self::Exhausted => "exhausted",
            Self::Unavailable => "unavailable",
            Self::Deadline => "deadline",
            Self::Unknown => "unknown",
            Self::Unimplemented => "unimplemented",
            Self::Precondition => "precondition",
            Self::Unreplicated => "unreplicated",
            Self::Internal => "internal",
        }
    }

    fn of(code: Code) -> Self {
        match code {
            Code::InvalidArgument => Self::Invalid,
            Code::ResourceExhausted => Self::Exhausted,
            Code::Unavailable => Self::Unavailable,
            Code::DeadlineExceeded => Self::Deadline,
            Code::Unknown => Self::Unknown,
            Code::Unimplemented => Self::Unimplemented,
            Code::FailedPrecondition => Self::Precondition,
            Code::Aborted => Self::Unreplicated,
            _ => Self::Internal,
        }
    }
}

/// Handles, resolved once.
#[derive(Debug)]
pub struct Metrics {
    methods: Vec<Handles>,
    pipelines: Gauge,
}

/// A pipeline that is open, until it is dropped.
#[derive(Debug)]
pub(super) struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

#[derive(Debug)]
struct Handles {
    results: Vec<(Outcome, Counter)>,
    duration: Histogram,
}

impl Metrics {
    /// Registers with the recorder of the moment.
    pub fn register() -> Self {
        describe_counter!(
            "vedetta_requests_total",
            "Requests answered, by method and result; operations of pipelines as those methods"
        );
        describe_histogram!(
            "vedetta_request_duration_seconds",
            metrics::Unit::Seconds,
            "Time from the decoded request to the answer, by method; not of those of pipelines whose answer was at hand"
        );
        let methods = METHODS
            .iter()
            .map(|(_, method, successes)| Handles {
                results: successes
                    .iter()
                    .chain(&FAILURES)
                    .map(|outcome| {
                        let counter = counter!(
                            "vedetta_requests_total",
                            "method" => *method,
                            "result" => outcome.name()
                        );
                        (*outcome, counter)
                    })
                    .collect(),
                duration: histogram!("vedetta_request_duration_seconds", "method" => *method),
            })
            .collect();
        describe_gauge!(
            "vedetta_pipelines",
            "Streams of Cache/Pipeline that are open"
        );
        Self {
            methods,
            pipelines: gauge!("vedetta_pipelines"),
        }
    }

    /// Counts a request that began then and ended so.
    pub(super) fn count<T>(
        &self,
        method: Method,
        began: Instant,
        result: Answer<T>,
    ) -> Result<Response<T>, Status> {
        self.took(method, began);
        let answer = self.answered(method, result)?;
        Ok(Response::new(answer))
    }

    /// Counts a request, however long it took.
    pub(super) fn answered<T>(&self, method: Method, result: Answer<T>) -> Result<T, Refusal> {
        let outcome = match &result {
            Ok((_, outcome)) => *outcome,
            Err(refusal) => Outcome::of(refusal.code()),
        };
        let results = &self.methods[method as usize].results;
        if let Some((_, counter)) = results.iter().find(|(known, _)| *known == outcome) {
            counter.increment(1);
        }
        result.map(|(answer, _)| answer)
    }

    /// Counts a pipeline that is open.
    pub(super) fn pipeline(&self) -> Open {
        self.pipelines.increment(1.0);
        Open(self.pipelines.clone())
    }

    /// Notes how long a request took that began then.
    pub(super) fn took(&self, method: Method, began: Instant) {
        let duration = &self.methods[method as usize].duration;
        duration.record(began.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_found_by_their_place() {
        for (place, (method, name, _)) in METHODS.iter().enumerate() {
            assert_eq!(*method as usize, place, "{name}");
            assert_eq!(format!("{method:?}"), *name);
        }
    }
}
