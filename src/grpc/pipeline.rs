//! `Cache/Pipeline`: many operations on one stream.
//!
//! The answer of an operation that is at hand (a hit of the near cache, a refusal) is handed on without a queue, a future
//! or a task, and one that the first poll gives (the embedded store) without a task; tonic encodes what is ready at once
//! into one DATA frame. Any other goes on in a task of its own, because this stream is polled only while its reader
//! takes answers, and others may wait for what an operation has begun (the turn to ask for a lease, for instance).
//!
//! Invariants: every request that was read is answered once, before the stream ends; at most [`PIPELINED`] operations
//! are in progress, each with a place among the calls in flight that it keeps until its answer has left; a request is
//! read only when there is room and a place, so that HTTP/2 holds the sender back; neither requests nor answers starve
//! the other, nor a stream the other tasks of its thread.
//!
//! Not here: what an operation is (`pipeline_call`).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::Stream;
use tokio::task::JoinSet;
use tokio::task::coop::poll_proceed;
use tonic::Status;

use crate::model::Fault;
use crate::proto::v1::pipeline_request::Call as Asked;
use crate::proto::v1::{PipelineRequest, PipelineResponse};

use super::convert::duration;
use super::limit::Inflight;
use super::pipeline_seats::{Seat, Seats};

/// The most operations of one stream in progress.
pub(super) const PIPELINED: usize = 512;

/// tokio gives a task a budget of 128 units before others have their turn; so many items cost one.
const ITEMS: usize = 4;

/// Does one operation.
pub(super) trait Perform: Send + Sync + 'static {
    /// Begins it.
    fn begin(self: &Arc<Self>, request: PipelineRequest) -> Begun;
}

/// An operation that has begun. Its answer is an error where it has failed.
pub(super) enum Begun {
    /// And has ended with this answer.
    Answer(PipelineResponse),
    /// And ends with this.
    Work(Pin<Box<dyn Future<Output = PipelineResponse> + Send>>),
}

/// Ends a stream: completes when nothing more is to be read, and tells why.
pub(super) type Ending = Pin<Box<dyn Future<Output = Fault> + Send>>;

/// The answers of one stream.
pub(super) struct Pipeline<R, P> {
    /// `None`: nothing more is read, and with this status the stream ends.
    requests: Result<R, Option<Status>>,
    performer: Arc<P>,
    running: JoinSet<(PipelineResponse, Seat)>,
    ending: Ending,
    seats: Seats,
    /// Whether answers that have become ready come before requests; every other time.
    finished_first: bool,
    /// Items that were done and not paid for yet.
    unpaid: usize,
}

impl<R, P> Pipeline<R, P>
where
    R: Stream<Item = Result<PipelineRequest, Status>> + Unpin,
    P: Perform,
{
    /// Answers these requests until they end or `ending` does. The caller holds the place of the stream.
    pub(super) fn new(requests: R, performer: Arc<P>, ending: Ending, inflight: Inflight) -> Self {
        Self {
            requests: Ok(requests),
            performer,
            running: JoinSet::new(),
            ending,
            seats: Seats::new(inflight),
            finished_first: false,
            unpaid: 0,
        }
    }

    /// Whether nothing more is to be read; an error is told behind what is in progress.
    fn look_for_end(&mut self, cx: &mut Context<'_>) {
        if self.requests.is_ok()
            && let Poll::Ready(fault) = self.ending.as_mut().poll(cx)
        {
            self.requests = Err(Some(fault.into()));
        }
    }

    /// Reads the next request and begins it.
    fn read(&mut self, cx: &mut Context<'_>) -> Read {
        let Ok(requests) = &mut self.requests else {
            return Read::Nothing;
        };
        if self.running.len() >= PIPELINED || !self.seats.have_one() {
            return Read::Nothing;
        }
        match Pin::new(requests).poll_next(cx) {
            Poll::Pending => Read::Nothing,
            Poll::Ready(Some(Ok(request))) => {
                self.unpaid += items(&request);
                self.begin(request, cx)
            }
            Poll::Ready(end) => {
                self.requests = Err(end.and_then(Result::err));
                Read::Nothing
            }
        }
    }

    fn begin(&mut self, mut request: PipelineRequest, cx: &mut Context<'_>) -> Read {
        let mut leasing = None;
        if let Some(Asked::GetOrLease(wish)) = &mut request.call {
            leasing = self.seats.lease();
            if leasing.is_none() {
                wish.max_wait = Some(duration(Duration::ZERO));
            }
        }
        let work = match self.performer.begin(request) {
            Begun::Answer(answer) => Err(answer),
            Begun::Work(mut work) => match work.as_mut().poll(cx) {
                Poll::Ready(answer) => Err(answer),
                Poll::Pending => Ok(work),
            },
        };
        match work {
            Ok(work) => {
                let seat = leasing.unwrap_or_else(|| self.seats.take());
                self.running.spawn(async move { (work.await, seat) });
                Read::Begun
            }
            Err(answer) => {
                if let Some(seat) = leasing {
                    self.seats.leave(seat);
                }
                Read::Answer(answer)
            }
        }
    }

    /// An answer that has become ready.
    fn finished(&mut self, cx: &mut Context<'_>) -> Option<PipelineResponse> {
        match self.running.poll_join_next(cx) {
            Poll::Pending | Poll::Ready(None) => None,
            Poll::Ready(Some(Ok((answer, seat)))) => {
                self.unpaid += 1;
                self.seats.leave(seat);
                Some(answer)
            }
            // A defect ends the call, as it does without a pipeline. Nobody cancels these tasks.
            Poll::Ready(Some(Err(error))) => error
                .try_into_panic()
                .map_or(None, |panic| std::panic::resume_unwind(panic)),
        }
    }
}

/// What came of the attempt to read a request.
enum Read {
    /// It is answered.
    Answer(PipelineResponse),
    /// It is in progress.
    Begun,
    /// There is none, or no room for it.
    Nothing,
}

impl<R, P> Stream for Pipeline<R, P>
where
    R: Stream<Item = Result<PipelineRequest, Status>> + Unpin,
    P: Perform,
{
    type Item = Result<PipelineResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            while this.unpaid >= ITEMS {
                ready!(poll_proceed(cx)).made_progress();
                this.unpaid -= ITEMS;
                this.look_for_end(cx);
            }
            this.finished_first = !this.finished_first;
            if this.finished_first
                && let Some(answer) = this.finished(cx)
            {
                return Poll::Ready(Some(Ok(answer)));
            }
            match this.read(cx) {
                Read::Answer(answer) => return Poll::Ready(Some(Ok(answer))),
                Read::Begun => continue,
                Read::Nothing => {}
            }
            if let Some(answer) = this.finished(cx) {
                return Poll::Ready(Some(Ok(answer)));
            }
            match &mut this.requests {
                Err(status) if this.running.is_empty() => {
                    return Poll::Ready(status.take().map(Err));
                }
                Err(_) => return Poll::Pending,
                Ok(_) => this.look_for_end(cx),
            }
            if this.requests.is_ok() {
                if this.running.is_empty() {
                    this.seats.rest();
                }
                return Poll::Pending;
            }
        }
    }
}

/// How much a request asks for.
fn items(request: &PipelineRequest) -> usize {
    let more = match &request.call {
        Some(Asked::GetMany(many)) => many.keys.len(),
        Some(Asked::PutMany(many)) => many.items.len(),
        Some(Asked::EvictMany(many)) => many.keys.len(),
        Some(Asked::FlushGroups(flush)) => flush.groups.len(),
        Some(Asked::ListEdit(edit)) => edit.add.len() + edit.remove.len(),
        _ => 1,
    };
    more.max(1)
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt, poll, stream};
    use parking_lot::Mutex;
    use tokio::sync::Semaphore;
    use tokio::sync::mpsc::{Receiver, Sender, channel};
    use tonic::Code;

    use crate::grpc::stream::stopping;
    use crate::proto::v1;

    use super::*;

    /// Answers a Get at once, and anything else when `gate` lets it through.
    struct Fake {
        gate: Semaphore,
        asked: Mutex<Vec<PipelineRequest>>,
    }

    impl Perform for Fake {
        fn begin(self: &Arc<Self>, request: PipelineRequest) -> Begun {
            let id = request.id;
            let answer = PipelineResponse { id, answer: None };
            let waits = !matches!(request.call, Some(Asked::Get(_)));
            self.asked.lock().push(request);
            if !waits {
                return Begun::Answer(answer);
            }
            let fake = self.clone();
            Begun::Work(Box::pin(async move {
                fake.gate.acquire().await.expect("never closed").forget();
                answer
            }))
        }
    }

    type Requests = stream::BoxStream<'static, Result<PipelineRequest, Status>>;

    struct Story {
        fake: Arc<Fake>,
        inflight: Inflight,
        stop: tokio::sync::oneshot::Sender<()>,
        answers: Pipeline<Requests, Fake>,
    }

    /// With so many places besides that of the stream.
    fn story(places: usize, requests: Requests) -> Story {
        let fake = Arc::new(Fake {
            gate: Semaphore::new(0),
            asked: Mutex::default(),
        });
        let inflight = Inflight::new(places);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let ending = Box::pin(async {
            match stopped.await {
                Ok(()) => stopping(),
                Err(_) => std::future::pending().await,
            }
        });
        Story {
            answers: Pipeline::new(requests, fake.clone(), ending, inflight.clone()),
            fake,
            inflight,
            stop,
        }
    }

    fn request(id: u64, call: Asked) -> Result<PipelineRequest, Status> {
        Ok(PipelineRequest {
            id,
            call: Some(call),
            timeout: None,
        })
    }

    fn hit(id: u64) -> Result<PipelineRequest, Status> {
        request(id, Asked::Get(v1::GetRequest::default()))
    }

    fn slow(id: u64) -> Result<PipelineRequest, Status> {
        request(id, Asked::Touch(v1::TouchRequest::default()))
    }

    fn by_hand() -> (Sender<Result<PipelineRequest, Status>>, Requests) {
        let (sender, receiver) = channel(4 * PIPELINED);
        let taken = |mut receiver: Receiver<_>| async move {
            let next = receiver.recv().await?;
            Some((next, receiver))
        };
        (sender, stream::unfold(receiver, taken).boxed())
    }

    impl Story {
        async fn next(&mut self) -> u64 {
            let answer = self.answers.next().await.expect("an answer");
            answer.expect("no error").id
        }

        fn is_waiting(&mut self) -> bool {
            self.answers.next().now_or_never().is_none()
        }

        /// Polls until nothing more happens by itself, without taking an answer.
        async fn settle(&mut self) {
            // Several times, because the channel of the test spends the budget of its task too.
            for _ in 0..2 * PIPELINED {
                assert!(self.is_waiting());
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn what_is_answered_at_once_needs_no_task_and_no_place() {
        let mut story = story(0, stream::iter((0..2000).map(hit)).boxed());
        for id in 0..2000 {
            assert_eq!(story.next().await, id);
            assert!(story.answers.running.is_empty());
        }
        assert!(story.answers.next().await.is_none());
    }

    #[tokio::test]
    async fn answers_come_as_they_are_ready_and_all_before_the_end() {
        let requests = vec![slow(1), hit(2), slow(3)];
        let mut story = story(9, stream::iter(requests).boxed());
        assert_eq!(story.next().await, 2);
        story.settle().await;
        story.fake.gate.add_permits(1);
        assert_eq!(story.next().await, 1);
        story.fake.gate.add_permits(1);
        assert_eq!(story.next().await, 3);
        assert!(story.answers.next().await.is_none());
    }

    #[tokio::test]
    async fn no_more_is_read_than_there_is_room_for() {
        let (sender, requests) = by_hand();
        let mut story = story(9 * PIPELINED, requests);
        for id in 0..600 {
            sender.try_send(slow(id)).expect("room");
        }
        story.settle().await;
        assert_eq!(story.fake.asked.lock().len(), PIPELINED);
        story.fake.gate.add_permits(1);
        story.next().await;
        story.settle().await;
        assert_eq!(story.fake.asked.lock().len(), PIPELINED + 1);
    }

    #[tokio::test]
    async fn without_a_place_one_operation_runs_at_a_time() {
        let (sender, requests) = by_hand();
        let mut story = story(0, requests);
        for id in 0..3 {
            sender.try_send(slow(id)).expect("room");
        }
        for id in 0..3 {
            story.settle().await;
            assert_eq!(story.fake.asked.lock().len() as u64, id + 1);
            story.fake.gate.add_permits(1);
            assert_eq!(story.next().await, id);
        }
    }

    #[tokio::test]
    async fn an_answer_keeps_its_place_until_it_is_taken() {
        let (sender, requests) = by_hand();
        let mut story = story(3, requests);
        for id in 0..3 {
            sender.try_send(slow(id)).expect("room");
        }
        story.settle().await;
        story.fake.gate.add_permits(3);
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        // Two of their own, and the one for what comes next.
        assert!(story.inflight.enter().is_err());
        for _ in 0..3 {
            story.next().await;
        }
        assert!(story.is_waiting());
        let free: Vec<_> = std::iter::from_fn(|| story.inflight.enter().ok()).collect();
        assert_eq!(free.len(), 3);
    }

    #[tokio::test]
    async fn hits_do_not_starve_what_has_waited() {
        let flood = stream::iter([slow(1)]).chain(stream::repeat_with(|| hit(2)));
        let mut story = story(9, flood.boxed());
        for _ in 0..100 {
            assert_eq!(story.next().await, 2);
        }
        story.fake.gate.add_permits(1);
        tokio::task::yield_now().await;
        let next = [story.next().await, story.next().await, story.next().await];
        assert!(next.contains(&1), "{next:?}");
    }

    #[tokio::test]
    async fn what_has_waited_does_not_starve_hits() {
        let (sender, requests) = by_hand();
        let mut story = story(9 * PIPELINED, requests);
        for _ in 0..100 {
            sender.try_send(slow(1)).expect("room");
        }
        story.settle().await;
        story.fake.gate.add_permits(100);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        sender.try_send(hit(2)).expect("room");
        let next = [story.next().await, story.next().await];
        assert!(next.contains(&2), "{next:?}");
    }

    #[tokio::test]
    async fn a_stream_that_never_pauses_lets_other_tasks_run() {
        let mut story = story(9, stream::repeat_with(|| hit(1)).boxed());
        let in_one_turn = async {
            let mut answers = 0;
            while poll!(story.answers.next()).is_ready() && answers < 1_000_000 {
                answers += 1;
            }
            answers
        };
        let single = in_one_turn.await;
        assert!((2..10_000).contains(&single), "{single}");
        let keys = vec![bytes::Bytes::new(); 1000];
        let many = move || {
            let keys = keys.clone();
            let many = v1::GetManyRequest {
                keys,
                ..Default::default()
            };
            request(1, Asked::GetMany(many))
        };
        let mut story = self::story(9 * PIPELINED, stream::repeat_with(many).boxed());
        tokio::task::yield_now().await;
        assert!(story.is_waiting());
        let begun = story.fake.asked.lock().len();
        assert!(begun <= 1 + single / 1000, "{begun}");
    }

    #[tokio::test]
    async fn at_the_end_of_the_process_what_is_in_progress_is_answered_and_nothing_else() {
        let (sender, requests) = by_hand();
        let mut story = story(9, requests);
        sender.try_send(slow(1)).expect("room");
        story.settle().await;
        story.stop.send(()).expect("it listens");
        assert!(poll!(story.answers.next()).is_pending());
        assert!(sender.is_closed(), "nothing more is read");
        story.fake.gate.add_permits(1);
        let answer = story.answers.next().await.expect("an answer");
        assert_eq!(answer.expect("no error").id, 1);
        let end = story.answers.next().await.expect("an end");
        assert_eq!(end.expect_err("an error").code(), Code::Unavailable);
        assert!(story.answers.next().await.is_none());
    }

    #[tokio::test]
    async fn the_end_of_the_process_is_noticed_while_requests_never_pause() {
        let mut story = story(9, stream::repeat_with(|| hit(1)).boxed());
        assert_eq!(story.next().await, 1);
        story.stop.send(()).expect("it listens");
        let rest = story.answers.by_ref().take(10 * ITEMS);
        let errors = rest.filter(|answer| std::future::ready(answer.is_err()));
        assert_eq!(errors.count().await, 1);
    }

    #[tokio::test]
    async fn a_message_that_cannot_be_read_ends_the_stream_behind_what_is_in_progress() {
        let requests = vec![slow(1), Err(Status::internal("as in the test")), hit(2)];
        let mut story = story(9, stream::iter(requests).boxed());
        story.settle().await;
        story.fake.gate.add_permits(1);
        assert_eq!(story.next().await, 1);
        let end = story.answers.next().await.expect("an end");
        assert_eq!(end.expect_err("an error").message(), "as in the test");
        assert!(story.answers.next().await.is_none());
    }

    #[tokio::test]
    async fn an_operation_goes_on_while_nobody_takes_answers() {
        let (sender, requests) = by_hand();
        let mut story = story(9, requests);
        sender.try_send(slow(1)).expect("room");
        story.settle().await;
        story.fake.gate.add_permits(1);
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        assert_eq!(story.fake.gate.available_permits(), 0);
    }

    #[tokio::test]
    async fn a_client_that_vanishes_takes_its_operations_along() {
        let (sender, requests) = by_hand();
        let mut story = story(9, requests);
        for id in 0..5 {
            sender.try_send(slow(id)).expect("room");
        }
        story.settle().await;
        drop(story.answers);
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        assert_eq!(Arc::strong_count(&story.fake), 1);
        let free: Vec<_> = std::iter::from_fn(|| story.inflight.enter().ok()).collect();
        assert_eq!(free.len(), 9);
    }

    #[tokio::test]
    async fn who_finds_no_place_to_wait_in_does_not_wait_for_a_lease() {
        let wish = || request(1, Asked::GetOrLease(v1::GetOrLeaseRequest::default()));
        let mut story = story(1, stream::iter([wish(), wish()]).boxed());
        story.settle().await;
        let waits: Vec<_> = story.fake.asked.lock().iter().map(longest_wait).collect();
        let none = prost_types::Duration::default();
        assert_eq!(waits, [None, Some(none)]);
    }

    fn longest_wait(request: &PipelineRequest) -> Option<prost_types::Duration> {
        match &request.call {
            Some(Asked::GetOrLease(wish)) => wish.max_wait,
            other => panic!("{other:?}"),
        }
    }
}
