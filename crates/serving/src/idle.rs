//! Nothing waits for ever on a peer that has stopped: bodies and sockets that end after a silence.

use crate::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Measures a silence. It costs nothing while the peer keeps up.
pub struct Silence {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    running: bool,
}

impl Silence {
    /// A silence that may last `limit`.
    pub fn new(limit: Duration) -> Self {
        Self { limit, timer: None, running: false }
    }

    /// Something came.
    pub fn broken(&mut self) {
        self.running = false;
    }

    /// Nothing came: ready once it lasted too long.
    pub fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        if !self.running {
            timer.as_mut().reset(Instant::now() + limit);
            self.running = true;
        }
        timer.as_mut().poll(cx)
    }
}

/// A body that fails when its sender is silent for too long.
pub struct IdleBody<B> {
    inner: B,
    silence: Silence,
}

impl<B> IdleBody<B> {
    /// Wraps a body.
    pub fn new(inner: B, limit: Duration) -> Self {
        Self { inner, silence: Silence::new(limit) }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for IdleBody<B>
where
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                this.silence.broken();
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => {
                ready!(this.silence.poll_over(cx));
                Poll::Ready(Some(Err(format!("nothing came for {} s", this.silence.limit.as_secs()).into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A socket whose writes fail when its reader takes nothing for too long.
pub struct IdleWrites<S> {
    inner: S,
    silence: Silence,
}

impl<S> IdleWrites<S> {
    /// Wraps a socket.
    pub fn new(inner: S, limit: Duration) -> Self {
        Self { inner, silence: Silence::new(limit) }
    }

    fn check<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.silence.broken();
            return written;
        }
        ready!(self.silence.poll_over(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for IdleWrites<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, out)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for IdleWrites<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write(cx, bytes);
        this.check(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write_vectored(cx, bytes);
        this.check(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use tokio::io::AsyncWriteExt;

    const SHORT: Duration = Duration::from_millis(20);

    /// Two frames, then silence.
    struct Stopped(u8);

    impl Body for Stopped {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            if self.0 == 2 {
                return Poll::Pending;
            }
            self.0 += 1;
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
        }
    }

    #[tokio::test]
    async fn a_body_that_stops_fails() {
        let mut body = IdleBody::new(Stopped(0), SHORT);
        for _ in 0..2 {
            assert!(body.frame().await.unwrap().is_ok());
        }
        assert!(body.frame().await.unwrap().unwrap_err().to_string().starts_with("nothing came"));
    }

    #[tokio::test]
    async fn a_body_that_ends_is_whole() {
        let body = IdleBody::new(http_body_util::Full::new(Bytes::from_static(b"abc")), SHORT);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
    }

    #[tokio::test]
    async fn a_reader_that_stops_fails_the_writer() {
        let (ours, theirs) = tokio::io::duplex(4);
        let mut ours = IdleWrites::new(ours, SHORT);
        assert!(ours.write_all(&[7; 4]).await.is_ok());
        assert_eq!(ours.write_all(&[7; 4]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(theirs);
    }
}
