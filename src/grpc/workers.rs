//! The threads that serve connections: each has a runtime of its own, and a connection stays where it began.
//!
//! A runtime of one thread needs no locks between its tasks, and steals nothing. Connections are dealt out in turn: one
//! client has one or two, and whoever accepts first would get both.
//!
//! Not here: what is served (`server`), and everything that is not a call: the links to Redis and the Sentinels have a
//! thread of their own, so that a large value on its way cannot hold up a heartbeat.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::{Builder, Handle};

/// Serves connections.
#[derive(Debug, Clone)]
pub struct Workers {
    runtimes: Arc<[Handle]>,
    turn: Arc<AtomicUsize>,
}

impl Workers {
    /// So many threads, which run until the process ends. Each runs inside `within`, which knows where the metrics
    /// belong that a call is the first to use, such as those of a cache.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start<W>(count: usize, within: W) -> io::Result<Self>
    where
        W: Fn(&mut dyn FnMut()) + Clone + Send + 'static,
    {
        let start = |_| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let handle = runtime.handle().clone();
            let within = within.clone();
            let thread = std::thread::Builder::new().name("worker".to_owned());
            thread.spawn(move || within(&mut || runtime.block_on(std::future::pending())))?;
            Ok(handle)
        };
        Ok(Self {
            runtimes: (0..count).map(start).collect::<io::Result<_>>()?,
            turn: Arc::default(),
        })
    }

    /// Whose turn it is.
    pub(super) fn next(&self) -> &Handle {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        &self.runtimes[turn % self.runtimes.len()]
    }
}

/// A stream that can be read and written on another runtime than the one that accepted it.
pub(super) trait Moved: Sized {
    /// # Errors
    /// The system refuses.
    fn onto(self, runtime: &Handle) -> io::Result<Self>;
}

impl Moved for TcpStream {
    fn onto(self, runtime: &Handle) -> io::Result<Self> {
        let stream = self.into_std()?;
        let _entered = runtime.enter();
        Self::from_std(stream)
    }
}

impl Moved for UnixStream {
    fn onto(self, runtime: &Handle) -> io::Result<Self> {
        let stream = self.into_std()?;
        let _entered = runtime.enter();
        Self::from_std(stream)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn connections_are_dealt_out_in_turn_and_live_on_their_worker() {
        let workers = Workers::start(3, |serve| serve()).expect("threads");
        let mut threads = Vec::new();
        for _ in 0..6 {
            let (mut near, far) = UnixStream::pair().expect("a pair");
            let worker = workers.next();
            let mut far = far.onto(worker).expect("moved");
            let mut serving = tokio::task::JoinSet::new();
            let echo = async move {
                let mut byte = [0];
                far.read_exact(&mut byte).await.expect("a byte");
                far.write_all(&byte).await.expect("sent");
                std::thread::current().id()
            };
            serving.spawn_on(echo, worker);
            near.write_all(b"x").await.expect("sent");
            near.read_exact(&mut [0]).await.expect("the echo");
            let thread = serving.join_next().await.expect("it served");
            threads.push(thread.expect("no panic"));
        }
        let own = std::thread::current().id();
        assert_eq!(threads[..3], threads[3..]);
        let all = std::collections::HashSet::from([own, threads[0], threads[1], threads[2]]);
        assert_eq!(all.len(), 4);
    }
}
