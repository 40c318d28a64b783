//! Waiting until enough replicas have a write.
//!
//! WAIT blocks the connection that it is sent on, so it has connections of its own: one for writes that want some
//! replicas and one for those that want all of them, so that the latter, which wait for a dead replica until their
//! time is over, do not delay the former. A WAIT covers everything that the master executed before the write that
//! goes before it on its own connection; hence one serves all calls whose writes were answered by then.
//!
//! Invariants: copies are counted, never assumed: WAIT answers after its timeout too. A count covers only writes that
//! were answered, by the same history, before the marker was sent. Every wait ends: at its own limit, or with the
//! link.
//!
//! Sources: <https://redis.io/docs/latest/commands/wait/>.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::batch::{Batch, Effect, Operation};
use super::reply::Reply;
use super::session::{Session, SessionSettings};
use super::tracker::Untracked;
use crate::drain::Tasks;
use crate::model::{Applied, Cause, Copies, Durability, Fault};

/// Calls that may queue for one connection. Further ones wait for their turn within their own limit.
const QUEUE: usize = 1024;

/// The longest that one WAIT blocks its connection. Whoever comes meanwhile waits that much longer.
const SLICE: Duration = Duration::from_millis(50);

/// The marker is written so that Redis has something to wait for; it is gone soon after the last use.
const MARKER_MS: &[u8] = b"60000";

/// Waits for copies.
#[derive(Debug, Clone)]
pub struct Witnesses {
    some: mpsc::Sender<Asked>,
    all: mpsc::Sender<Asked>,
}

/// One write whose copies are waited for.
#[derive(Debug)]
struct Asked {
    /// The session that answered it.
    session: Arc<Session>,
    replicas: u32,
    until: Instant,
    answer: oneshot::Sender<Result<(), Fault>>,
}

/// One connection, and those who wait on it.
#[derive(Debug)]
struct Witness {
    settings: SessionSettings,
    marker: Bytes,
    link: Option<Arc<Session>>,
    waiting: Vec<Asked>,
}

impl Witnesses {
    /// Opens both connections when they are first needed. They mark their places with keys of this process alone.
    pub fn start(settings: &SessionSettings, tasks: &Tasks) -> Self {
        let (prefix, process) = (&settings.redis.prefix, rand::random::<u64>());
        let marker = format!("vedetta:wait:{prefix}:{process:016x}");
        let start = |name: &'static str| {
            let (sender, queue) = mpsc::channel(QUEUE);
            let witness = Witness {
                settings: SessionSettings {
                    slots: 1,
                    tracker: Arc::new(Untracked),
                    tracking: false,
                    ..settings.clone()
                },
                marker: format!("{marker}:{name}").into(),
                link: None,
                waiting: Vec::new(),
            };
            tasks.spawn("replication witness", witness.run(queue));
            sender
        };
        Self {
            some: start("some"),
            all: start("all"),
        }
    }

    /// Returns when as many replicas have everything that this session has answered so far. `known` is how many
    /// there are to be.
    ///
    /// # Errors
    /// `AppliedUnreplicated`, with how many had it in time.
    pub async fn secure(
        &self,
        session: &Arc<Session>,
        durability: Durability,
        known: usize,
    ) -> Result<(), Fault> {
        let Durability::Copies { copies, within } = durability else {
            return Ok(());
        };
        let (queue, replicas) = match copies {
            Copies::Replicas(replicas) => (&self.some, replicas),
            Copies::All => (&self.all, u32::try_from(known).unwrap_or(u32::MAX)),
        };
        if replicas == 0 {
            return Ok(());
        }
        let until = Instant::now() + within;
        let (answer, answered) = oneshot::channel();
        let asked = Asked {
            session: session.clone(),
            replicas,
            until,
            answer,
        };
        match tokio::time::timeout_at(until, queue.send(asked)).await {
            Ok(Ok(())) => {}
            _ => return Err(short(replicas, None)),
        }
        // Whoever counts answers in time, unless the node it counts on has stopped to answer.
        let answer = tokio::time::timeout_at(until + SLICE * 2, answered).await;
        answer
            .ok()
            .and_then(Result::ok)
            .unwrap_or_else(|| Err(short(replicas, None)))
    }
}

impl Witness {
    async fn run(mut self, mut queue: mpsc::Receiver<Asked>) {
        loop {
            if self.waiting.is_empty() {
                match queue.recv().await {
                    Some(asked) => self.waiting.push(asked),
                    None => return,
                }
            }
            while self.waiting.len() < QUEUE
                && let Ok(asked) = queue.try_recv()
            {
                self.waiting.push(asked);
            }
            match self.count().await {
                Ok(count) => self.answer(count),
                Err(fault) => self.fail(&fault),
            }
        }
    }

    /// Writes the marker and waits for it, on the node of the first who waits.
    async fn count(&mut self) -> Result<u32, Fault> {
        let now = Instant::now();
        let Some(first) = self.waiting.first() else {
            return Ok(0);
        };
        let session = first.session.clone();
        session.goes_on()?;
        let fewest = self.waiting.iter().map(|asked| asked.replicas).min();
        let earliest = self.waiting.iter().map(|asked| asked.until).min();
        let left = earliest.map_or(SLICE, |until| until.saturating_duration_since(now));
        // WAIT 0 ms would wait for ever.
        let slice = left.min(SLICE).as_millis().max(1).to_string();
        let link = self.link_to(&session).await?;
        let mut batch = Batch::new(Operation::Wait, Effect::Write);
        batch
            .command("SET", &[&self.marker, b"", b"PX", MARKER_MS])
            .command(
                "WAIT",
                &[fewest.unwrap_or(1).to_string().as_bytes(), slice.as_bytes()],
            );
        match link.execute(batch).await?.as_slice() {
            [Reply::Failed(fault), _] | [_, Reply::Failed(fault)] => Err(fault.clone()),
            [_, Reply::Int(count)] => Ok(u32::try_from(*count).unwrap_or(0)),
            _ => Err(Fault::unknown(
                Cause::Internal,
                "WAIT was answered with an unexpected shape",
            )),
        }
    }

    /// A connection to the node of that session, which must still be of the same history.
    async fn link_to(&mut self, session: &Arc<Session>) -> Result<Arc<Session>, Fault> {
        let standing = self.link.take().filter(|link| {
            link.ended().is_none()
                && link.lineage() == session.lineage()
                && link.master() == session.master()
        });
        let link = match standing {
            Some(link) if link.has_newest(&self.settings.secrets) => link,
            // With newer secrets, or with those from before for as long as these do not work.
            standing => match Session::open(session.master().clone(), 0, &self.settings).await {
                Ok(link) => link,
                Err(fault) => standing.ok_or(fault)?,
            },
        };
        if link.lineage() != session.lineage() {
            let detail = "the master has begun another history";
            return Err(Fault::not_applied(Cause::LineageChanged, detail));
        }
        self.link = Some(link.clone());
        Ok(link)
    }

    /// Those whose session is the one that was counted on, and who have waited long enough.
    fn answer(&mut self, count: u32) {
        let (now, Some(link)) = (Instant::now(), &self.link) else {
            return;
        };
        for asked in std::mem::take(&mut self.waiting) {
            let same = asked.session.lineage() == link.lineage();
            let answer = if !same {
                Err(short(asked.replicas, None))
            } else if count >= asked.replicas {
                Ok(())
            } else if now >= asked.until || asked.session.goes_on().is_err() {
                Err(short(asked.replicas, Some(count)))
            } else {
                self.waiting.push(asked);
                continue;
            };
            // A caller that is gone does not read it.
            let _ = asked.answer.send(answer);
        }
    }

    fn fail(&mut self, fault: &Fault) {
        self.link = None;
        for asked in self.waiting.drain(..) {
            let mut answer = short(asked.replicas, None);
            answer.detail = format!("{}: {}", answer.detail, fault.detail);
            let _ = asked.answer.send(Err(answer));
        }
    }
}

fn short(wanted: u32, had: Option<u32>) -> Fault {
    let detail = match had {
        Some(had) => format!("{had} of {wanted} replicas had the write in time"),
        None => format!("nobody can tell whether {wanted} replicas have the write"),
    };
    Fault {
        cause: Cause::AppliedUnreplicated,
        applied: Applied::Yes,
        detail,
        wait: None,
    }
}
