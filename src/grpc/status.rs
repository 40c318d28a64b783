//! Faults as gRPC statuses: the one table of its kind.
//!
//! Invariants: every status carries ErrorInfo with a stable reason, whose fault it was and whether the operation was
//! applied; UNAVAILABLE carries RetryInfo; INVALID_ARGUMENT carries BadRequest. Nothing here holds a key or a value.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::model::{Applied, Cause, Fault, Owner};
use crate::proto::v1;

use super::convert::duration;

/// `ErrorInfo.domain`.
const DOMAIN: &str = "vedetta.dev";

/// `ErrorInfo.reason` of malformed requests.
const INVALID_REQUEST: &str = "INVALID_REQUEST";

/// Why a request was not done, before it is told: as the status of a call, or as the error of one operation of several.
#[derive(Debug)]
pub(super) enum Refusal {
    /// What is wrong with it, by field.
    Malformed(Vec<FieldViolation>),
    /// What went wrong with it.
    Failed(Fault),
    /// It could not be read; tonic says why.
    Unread(Status),
}

impl Refusal {
    /// Its code.
    pub(super) fn code(&self) -> Code {
        match self {
            Self::Malformed(_) => Code::InvalidArgument,
            Self::Failed(fault) => code(fault.cause),
            Self::Unread(status) => status.code(),
        }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        status(&fault)
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Malformed(violations) => invalid(violations),
            Refusal::Failed(fault) => status(&fault),
            Refusal::Unread(status) => status,
        }
    }
}

impl From<Refusal> for v1::ItemError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Malformed(violations) => Self {
                code: Code::InvalidArgument as i32,
                reason: INVALID_REQUEST.to_owned(),
                message: sentence(&violations),
                applied: v1::Applied::No.into(),
                retry_after: None,
            },
            Refusal::Failed(fault) => item_error(&fault),
            Refusal::Unread(status) => Self {
                code: status.code() as i32,
                message: status.message().to_owned(),
                applied: v1::Applied::No.into(),
                ..Self::default()
            },
        }
    }
}

/// The code of a cause.
pub(super) const fn code(cause: Cause) -> Code {
    match cause {
        Cause::NoSession
        | Cause::AddressNotResolvable
        | Cause::RedisUnreachable
        | Cause::RedisAuthFailed
        | Cause::RedisPermissionDenied
        | Cause::TlsFailed
        | Cause::NotAMaster
        | Cause::RedisLoading
        | Cause::RedisBusy
        | Cause::TooFewReplicas
        | Cause::RedisRefused
        | Cause::SentinelsUnreachable
        | Cause::SentinelAuthFailed
        | Cause::MasterNameUnknown
        | Cause::NoMajority
        | Cause::PushesStopped
        | Cause::Contended
        | Cause::Fenced
        | Cause::LoadRunning
        | Cause::ShuttingDown => Code::Unavailable,
        Cause::RedisOutOfMemory
        | Cause::Overloaded
        | Cause::AnswerTooLarge
        | Cause::StoreFull
        | Cause::Quota
        | Cause::ListTooLarge
        | Cause::SessionTooLarge
        | Cause::TooManySubscribers
        | Cause::TooManyLoads
        | Cause::LoadTooLarge
        | Cause::SubscriberTooSlow => Code::ResourceExhausted,
        Cause::LineageChanged
        | Cause::LoadLost
        | Cause::NotANumber
        | Cause::NotAList
        | Cause::FloorRequired
        | Cause::SessionsInactive
        | Cause::TooManyGroups => Code::FailedPrecondition,
        Cause::AppliedUnreplicated => Code::Aborted,
        Cause::OutcomeUnknown => Code::Unknown,
        Cause::Deadline => Code::DeadlineExceeded,
        Cause::CapabilityMissing => Code::Unimplemented,
        Cause::Internal => Code::Internal,
    }
}

/// The status of a failed call.
pub(super) fn status(fault: &Fault) -> Status {
    let mut details = ErrorDetails::with_error_info(
        fault.cause.reason(),
        DOMAIN,
        metadata(fault.applied, fault.cause.owner()),
    );
    if let Some(delay) = fault.retry_after() {
        details.set_retry_info(Some(delay));
    }
    Status::with_error_details(code(fault.cause), fault.detail.clone(), details)
}

/// The error of one item of a batch.
pub(super) fn item_error(fault: &Fault) -> v1::ItemError {
    v1::ItemError {
        code: code(fault.cause) as i32,
        reason: fault.cause.reason().to_owned(),
        message: fault.detail.clone(),
        applied: match fault.applied {
            Applied::No => v1::Applied::No,
            Applied::Unknown => v1::Applied::Unknown,
            Applied::Yes => v1::Applied::Yes,
        }
        .into(),
        retry_after: fault.retry_after().map(duration),
    }
}

/// The status of a malformed request.
fn invalid(violations: Vec<FieldViolation>) -> Status {
    let message = sentence(&violations);
    let mut details = ErrorDetails::with_error_info(
        INVALID_REQUEST,
        DOMAIN,
        metadata(Applied::No, Owner::Caller),
    );
    details.set_bad_request(violations);
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// Every mistake, with its field.
fn sentence(violations: &[FieldViolation]) -> String {
    let mistakes = violations.iter();
    let mistakes = mistakes.map(|one| format!("{} {}", one.field, one.description));
    mistakes.collect::<Vec<_>>().join("; ")
}

/// The status of something that this build does not do.
pub(super) fn missing(capability: &str) -> Status {
    status(&Fault::not_applied(
        Cause::CapabilityMissing,
        format!(
            "this version of vedetta does not offer {capability} yet; see GetStatus.capabilities"
        ),
    ))
}

fn metadata(applied: Applied, owner: Owner) -> HashMap<String, String> {
    let applied = match applied {
        Applied::No => "NO",
        Applied::Unknown => "UNKNOWN",
        Applied::Yes => "YES",
    };
    let fault = match owner {
        Owner::Caller => "CALLER",
        Owner::Vedetta => "VEDETTA",
        Owner::Redis => "REDIS",
        Owner::Sentinel => "SENTINEL",
    };
    HashMap::from([
        ("applied".to_owned(), applied.to_owned()),
        ("fault".to_owned(), fault.to_owned()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_in_doubt_says_so_and_asks_for_no_blind_retry() {
        let fault = Fault::unknown(Cause::OutcomeUnknown, "the link broke");
        let status = status(&fault);
        let details = status.get_error_details();
        let info = details.error_info().expect("error info");
        assert_eq!(status.code(), Code::Unknown);
        assert_eq!(info.reason, "OUTCOME_UNKNOWN");
        assert_eq!(info.metadata["applied"], "UNKNOWN");
        assert_eq!(info.metadata["fault"], "REDIS");
        assert!(details.retry_info().is_none());
    }

    #[test]
    fn unavailable_says_when_to_retry() {
        let status = status(&Fault::not_applied(Cause::NoMajority, "split"));
        assert_eq!(status.code(), Code::Unavailable);
        let details = status.get_error_details();
        assert!(
            details
                .retry_info()
                .is_some_and(|info| info.retry_delay.is_some())
        );
    }
}
