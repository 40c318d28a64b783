//! What the handlers have in common: opening a request, and the shape of an answer.

use tonic::{Request, Status};

use crate::call::Call;
use crate::model::Fault;

use super::deadline::Deadline;
use super::metrics::Outcome;
use super::status::status;

/// The message, and what it counts as.
pub(super) type Answer<T> = Result<(T, Outcome), Status>;

/// The deadline and the message of a request.
pub(super) fn open<T>(request: Request<T>) -> (Call, T) {
    let deadline = request.extensions().get::<Deadline>();
    let deadline = deadline.map(|deadline| deadline.0);
    (Call::until(deadline), request.into_inner())
}

/// The status of a call that failed.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it stands in map_err, which hands the fault over"
)]
pub(super) fn refused(fault: Fault) -> Status {
    status(&fault)
}
