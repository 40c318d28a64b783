//! One operation of a pipeline: the method of the same meaning, its answer, or its error in the place of a status.
//!
//! Invariants: checks, deadlines and counters are those of the call; nothing here knows what an operation does.
//!
//! Not here: many of them at once (`pipeline`).

use std::sync::Arc;
use std::time::Instant;

use tonic::Streaming;
use tonic::codegen::BoxStream;
use tonic_types::FieldViolation;

use crate::cache::{Call, Store};
use crate::model::{Cause, Fault};
use crate::proto::v1;
use crate::proto::v1::pipeline_request::Call as Asked;
use crate::proto::v1::pipeline_response::Answer as Told;

use super::cache::CacheService;
use super::cache_reads::{Got, Wanted};
use super::metrics::{Method, Open, Outcome};
use super::pipeline::{Begun, Ending, Perform, Pipeline};
use super::request::Answer;
use super::status::Refusal;
use super::stream::stopping;

impl<S: Store> CacheService<S> {
    pub(super) async fn do_pipeline(
        &self,
        call: Call,
        requests: Streaming<v1::PipelineRequest>,
    ) -> Answer<BoxStream<v1::PipelineResponse>> {
        let performer = Performer {
            service: self.clone(),
            call,
            _open: self.metrics.pipeline(),
        };
        let answers = Pipeline::new(
            requests,
            Arc::new(performer),
            self.ending(call),
            self.inflight.clone(),
        );
        Ok((Box::pin(answers), Outcome::Done))
    }

    fn ending(&self, call: Call) -> Ending {
        let stop = self.stop.clone();
        Box::pin(async move {
            let late = async {
                match call.deadline() {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => stopping(),
                () = late => Fault::unknown(Cause::Deadline, "the deadline of the stream has passed"),
            }
        })
    }
}

/// Does the operations of one stream.
struct Performer<S> {
    service: CacheService<S>,
    /// That of the stream.
    call: Call,
    _open: Open,
}

impl<S: Store> Performer<S> {
    /// The deadline of one operation, which is read now.
    fn limited(&self, timeout: Option<prost_types::Duration>) -> Result<Call, Refusal> {
        let Some(timeout) = timeout else {
            return Ok(self.call);
        };
        let mut check = self.service.checker();
        let timeout = check.duration("timeout", timeout);
        let timeout = check.finish(|| timeout)?;
        // A timeout too long for the clock is no timeout.
        let deadline = tokio::time::Instant::now().checked_add(timeout);
        let deadlines = deadline.into_iter().chain(self.call.deadline());
        Ok(Call::until(deadlines.min()))
    }

    fn no_call() -> Refusal {
        let problem =
            "is missing, or of a later version of the API; set `get`, `put` or another one";
        Refusal::Malformed(vec![FieldViolation::new("call", problem)])
    }
}

impl<S: Store> Perform for Performer<S> {
    fn begin(self: &Arc<Self>, request: v1::PipelineRequest) -> Begun {
        let v1::PipelineRequest { id, call, timeout } = request;
        let call = match call {
            Some(Asked::Get(message)) => match self.get_at_hand(timeout, message) {
                Ok((call, Got::Wanted(wanted))) => Operation::Get(call, wanted),
                // To look at a clock would cost as much as a hit, so how long it took is not noted.
                Ok((_, Got::Answer(answer, outcome))) => {
                    let answer = Ok((Told::Get(answer), outcome));
                    return Begun::Answer(self.answered(id, Method::Get, answer));
                }
                Err(refusal) => {
                    return Begun::Answer(self.answered(id, Method::Get, Err(refusal)));
                }
            },
            other => Operation::Other(timeout, other),
        };
        let performer = self.clone();
        Begun::Work(Box::pin(async move {
            let began = Instant::now();
            let (method, answer) = performer.perform(call).await;
            performer.service.metrics.took(method, began);
            performer.answered(id, method, answer)
        }))
    }
}

/// An operation whose answer is not at hand.
enum Operation {
    /// One that was let in.
    Get(Call, Wanted),
    Other(Option<prost_types::Duration>, Option<Asked>),
}

impl<S: Store> Performer<S> {
    fn get_at_hand(
        &self,
        timeout: Option<prost_types::Duration>,
        message: v1::GetRequest,
    ) -> Result<(Call, Got), Refusal> {
        let call = self.limited(timeout)?;
        Ok((call, self.service.get_at_hand(call, message)?))
    }

    fn answered(&self, id: u64, method: Method, answer: Answer<Told>) -> v1::PipelineResponse {
        let answer = self.service.metrics.answered(method, answer);
        v1::PipelineResponse {
            id,
            answer: Some(answer.unwrap_or_else(|refusal| Told::Error(refusal.into()))),
        }
    }
}

macro_rules! operations {
    ($($method:ident => $work:ident;)+) => {
        impl<S: Store> Performer<S> {
            async fn perform(&self, operation: Operation) -> (Method, Answer<Told>) {
                let (timeout, asked) = match operation {
                    Operation::Get(call, wanted) => {
                        let answer = Box::pin(self.service.get_wanted(call, wanted)).await;
                        let told = |(answer, outcome)| (Told::Get(answer), outcome);
                        return (Method::Get, answer.map(told));
                    }
                    Operation::Other(timeout, asked) => (timeout, asked),
                };
                let call = self.limited(timeout);
                match asked {
                    $(Some(Asked::$method(message)) => {
                        let answer = match call {
                            // Apart: together they would be as large as the largest, which is several KiB.
                            Ok(call) => Box::pin(self.service.$work(call, message)).await,
                            Err(refusal) => Err(refusal),
                        };
                        let told = |(answer, outcome)| (Told::$method(answer), outcome);
                        (Method::$method, answer.map(told))
                    })+
                    None => (Method::Pipeline, Err(Self::no_call())),
                }
            }
        }
    };
}

operations! {
    Get => do_get;
    GetMany => do_get_many;
    Put => do_put;
    PutMany => do_put_many;
    PutIfAbsent => do_put_if_absent;
    Evict => do_evict;
    EvictMany => do_evict_many;
    Touch => do_touch;
    GetTtl => do_get_ttl;
    SetDeadline => do_set_deadline;
    Increment => do_increment;
    ListEdit => do_list_edit;
    GetOrLease => do_get_or_lease;
    ReleaseLease => do_release_lease;
    AddToGroups => do_add_to_groups;
    FlushGroups => do_flush_groups;
    Clear => do_clear;
}
