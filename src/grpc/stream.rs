//! Streams of answers: whatever is told next, until this process stops.
//!
//! Invariants: a stream ends with the process, and says so; it ends behind the first error; one that nobody reads holds
//! its source and no queue.
//!
//! Not here: what is told (`watch`, `events`).

use futures_util::stream;
use tokio_util::sync::CancellationToken;
use tonic::codegen::BoxStream;

use crate::model::{Cause, Fault};

use super::status::status;

/// What answers come from.
pub(super) trait Source: Send + 'static {
    /// One of them.
    type Answer: Send + 'static;

    /// Waits for the next one. A wait that is given up loses none.
    fn next(&mut self) -> impl Future<Output = Result<Self::Answer, Fault>> + Send;
}

/// The answers of a source, until `stop`.
pub(super) fn answers<S: Source>(source: S, stop: CancellationToken) -> BoxStream<S::Answer> {
    let open = Some((source, stop));
    Box::pin(stream::unfold(open, async |open| {
        let (mut source, stop) = open?;
        let told = tokio::select! {
            biased;
            () = stop.cancelled() => Err(stopping()),
            told = source.next() => told,
        };
        Some(match told {
            Ok(answer) => (Ok(answer), Some((source, stop))),
            Err(fault) => (Err(status(&fault)), None),
        })
    }))
}

/// Why nothing more is done.
pub(super) fn stopping() -> Fault {
    Fault::not_applied(Cause::ShuttingDown, "this vedetta is stopping")
}
