//! Notices connections that never greet.
//!
//! HTTP/2 begins with a preface and a SETTINGS frame of the client. Once they are there, hyper's keepalive finds dead
//! peers; before, nothing does, and connections are bounded.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How long a client may take to greet. Clients do it at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// The preface (24 bytes) and the header of the SETTINGS frame (9 bytes).
const BYTES: u64 = 33;

/// What was read so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Greeting(Arc<AtomicU64>);

impl Greeting {
    /// Counts what is read from a stream.
    pub(super) fn watch<IO>(stream: IO) -> (Counted<IO>, Self) {
        let greeting = Self::default();
        let counted = Counted {
            stream,
            read: greeting.clone(),
        };
        (counted, greeting)
    }

    /// Completes if the greeting is missing when its time is over; never otherwise.
    pub(super) async fn missing(self) {
        tokio::time::sleep(PATIENCE).await;
        if self.0.load(Ordering::Relaxed) >= BYTES {
            std::future::pending::<()>().await;
        }
    }
}

/// A stream whose reads are counted.
#[derive(Debug)]
pub(super) struct Counted<IO> {
    stream: IO,
    read: Greeting,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Counted<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let read = buf.filled().len() - before;
        self.read.0.fetch_add(read as u64, Ordering::Relaxed);
        polled
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Counted<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_connection_that_does_not_greet_is_given_up() {
        for (bytes, given_up) in [(0, true), (1, true), (BYTES - 1, true), (BYTES, false)] {
            let (mut client, server) = tokio::io::duplex(64);
            let (mut counted, greeting) = Greeting::watch(server);
            client
                .write_all(&vec![0; bytes as usize])
                .await
                .expect("write");
            let mut read = vec![0; bytes as usize];
            counted.read_exact(&mut read).await.expect("read");
            let mut missing = Box::pin(greeting.missing());
            assert!(poll!(&mut missing).is_pending());
            tokio::time::advance(PATIENCE).await;
            assert_eq!(poll!(&mut missing).is_ready(), given_up, "{bytes} bytes");
        }
    }
}
