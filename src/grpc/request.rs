//! What the handlers have in common: opening a request, and the shape of an answer.

use tonic::Request;

use crate::call::Call;

use super::deadline::Deadline;
use super::metrics::Outcome;
use super::status::Refusal;

/// The message, and what it counts as.
pub(super) type Answer<T> = Result<(T, Outcome), Refusal>;

/// The deadline and the message of a request.
pub(super) fn open<T>(request: Request<T>) -> (Call, T) {
    let deadline = request.extensions().get::<Deadline>();
    let deadline = deadline.map(|deadline| deadline.0);
    (Call::until(deadline), request.into_inner())
}
