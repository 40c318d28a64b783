//! Runs a call at once: what can be answered without waiting, as a hit can, is answered while its connection is polled.
//!
//! A task for each call costs an allocation, two queues and a wake-up, and its answer is written by a poll of its own. A
//! call that has to wait becomes a task after all.
//!
//! Not here: the bound on calls (`limit`).

use std::future::Future;
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
        let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if polled.is_pending() {
            TokioExecutor::new().execute(call);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

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
