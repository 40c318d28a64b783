//! A stream that notes when it read something: a large reply on its way is a sign of life, although the heartbeat behind it
//! has to wait.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// When something was last read.
#[derive(Debug, Clone)]
pub(super) struct Received {
    origin: Instant,
    /// Nanoseconds after the origin.
    last: Arc<AtomicU64>,
}

impl Received {
    fn now() -> Self {
        Self {
            origin: Instant::now(),
            last: Arc::default(),
        }
    }

    fn note(&self) {
        let nanos = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.last.store(nanos, Ordering::Relaxed);
    }

    /// The beginning, if nothing was read yet.
    pub(super) fn last(&self) -> Instant {
        self.origin + Duration::from_nanos(self.last.load(Ordering::Relaxed))
    }
}

/// Notes.
#[derive(Debug)]
pub(super) struct Listening<S> {
    inner: S,
    received: Received,
}

impl<S> Listening<S> {
    pub(super) fn new(inner: S) -> (Self, Received) {
        let received = Received::now();
        let listening = Self {
            inner,
            received: received.clone(),
        };
        (listening, received)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Listening<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.received.note();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Listening<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_read_is_noted() {
        let (mut listening, received) = Listening::new(&b"0123456789"[..]);
        let began = received.last();
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(received.last(), began);
        let mut buffer = [0; 4];
        listening.read_exact(&mut buffer).await.expect("four bytes");
        assert_eq!(received.last(), began + Duration::from_secs(3));
    }
}
