//! Runs a call at once: what can be answered without waiting, as a hit can, is answered while its connection is polled.
//!
//! A task for each call costs an allocation, two queues and a wake-up, and its answer is written by a poll of its own. A
//! call that has to wait becomes a task after all.
//!
//! Not here: the bound on calls (`limit`).

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Waker};

use hyper::rt::Executor;
use hyper_util::rt::TokioExecutor;

/// Polls once, then spawns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inline;

impl<F> Executor<F> for Inline
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, call: F) {
        let mut call = Box::pin(call);
        // Nobody has to be woken: if the call waits, the task polls it again and leaves its own waker.
        let poll = || call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        match catch_unwind(AssertUnwindSafe(poll)) {
            Ok(polled) if polled.is_pending() => TokioExecutor::new().execute(call),
            Ok(_) => {}
            // As in a task of its own: the stream is reset, and the other calls of the connection go on.
            Err(_) => tracing::error!("a call has panicked; please report this"),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_call_that_panics_ends_alone() {
        let (held, dropped) = oneshot::channel::<()>();
        Inline.execute(async move {
            let _held = held;
            panic!("as the test wants it");
        });
        assert!(dropped.await.is_err());
    }

    #[tokio::test]
    async fn a_call_that_need_not_wait_is_over_at_once_and_another_when_it_has_waited() {
        let ((done, mut is_done), (go, gone)) = (oneshot::channel(), oneshot::channel::<()>());
        Inline.execute(async move { done.send(()).expect("somebody asks") });
        assert_eq!(is_done.try_recv(), Ok(()));
        let (done, mut is_done) = oneshot::channel();
        Inline.execute(async move {
            gone.await.expect("a sign");
            done.send(()).expect("somebody asks");
        });
        assert!(is_done.try_recv().is_err());
        go.send(()).expect("it waits");
        is_done.await.expect("it goes on");
    }
}
