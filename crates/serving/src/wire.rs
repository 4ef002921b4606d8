//! How much of an answer the peer has: what its kernel acknowledged, not what ours was handed.
//!
//! Between the two lie the buffers of both kernels, some megabytes of a download that is cut. Where the kernel does not
//! say what was acknowledged (another system than Linux), what it was handed counts.

use hyper::Response;
use hyper::header::DATE;
use rustix::net::Shutdown;
use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How often it is asked what came across, while something is on its way.
const LOOK: Duration = Duration::from_millis(50);

/// A connection's socket, and the bodies of which the peer may not have everything yet.
pub(crate) struct Wire {
    stream: TcpStream,
    /// Bytes that our kernel took since the connection began.
    written: AtomicU64,
    /// At which byte of the connection the body of the running answer begins.
    body_begins: AtomicU64,
    unsettled: Mutex<Vec<Unsettled>>,
    more: Notify,
}

type Settle = Box<dyn FnOnce(u64) + Send>;

struct Unsettled {
    begins: u64,
    bytes: u64,
    settle: Settle,
}

/// What the kernel knows of a connection.
#[derive(Debug, Clone, Copy)]
struct Known {
    acknowledged: u64,
    is_over: bool,
}

/// Whom the sender of a body asks how much of it came across. Every request has one among its extensions.
#[derive(Clone)]
pub struct Receipt(Weak<Wire>);

impl Receipt {
    /// Calls `settle` with how many of the `bytes` of this answer's body the peer has, once all have come across or
    /// the connection is over.
    pub fn when_known(&self, bytes: u64, settle: impl FnOnce(u64) + Send + 'static) {
        let Some(wire) = self.0.upgrade() else { return settle(bytes) };
        let begins = wire.body_begins.load(Ordering::Relaxed);
        wire.unsettled().push(Unsettled { begins, bytes, settle: Box::new(settle) });
        wire.more.notify_one();
    }
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Arc<Self> {
        Arc::new(Self {
            stream,
            written: AtomicU64::new(0),
            body_begins: AtomicU64::new(0),
            unsettled: Mutex::default(),
            more: Notify::new(),
        })
    }

    pub(crate) fn receipt(self: &Arc<Self>) -> Receipt {
        Receipt(Arc::downgrade(self))
    }

    fn unsettled(&self) -> MutexGuard<'_, Vec<Unsettled>> {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next answer's head goes out. Everything before it has gone out already.
    pub(crate) fn begin_answer<B>(&self, answer: &Response<B>) {
        self.body_begins.store(self.written.load(Ordering::Relaxed) + head_bytes(answer), Ordering::Relaxed);
    }

    fn known(&self) -> Known {
        let written = self.written.load(Ordering::Relaxed);
        match acknowledged(&self.stream) {
            // The end of the stream is acknowledged as if it were a byte.
            Some(known) => Known { acknowledged: known.acknowledged.min(written), ..known },
            None => Known { acknowledged: written, is_over: false },
        }
    }

    /// Settles the bodies that the peer has, all of them when the connection is over. Gives whether none is left.
    pub(crate) fn settle_known(&self) -> bool {
        let mut unsettled = self.unsettled();
        if unsettled.is_empty() {
            return true;
        }
        let Known { acknowledged, is_over } = self.known();
        let (settled, left): (Vec<_>, Vec<_>) = std::mem::take(&mut *unsettled)
            .into_iter()
            .partition(|body| is_over || body.begins + body.bytes <= acknowledged);
        let is_settled = left.is_empty();
        *unsettled = left;
        drop(unsettled);
        settle(settled, acknowledged);
        is_settled
    }

    /// Settles bodies for as long as it is polled.
    pub(crate) async fn settle_always(&self) -> Infallible {
        loop {
            self.more.notified().await;
            while !self.settle_known() {
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    /// Tells the peer that nothing more will come, and waits for what is on its way as long as the peer takes some of it
    /// every `idle_max`.
    pub(crate) async fn end(&self, idle_max: Duration) {
        if self.settle_known() {
            return;
        }
        if let Err(error) = rustix::net::shutdown(&self.stream, Shutdown::Write) {
            tracing::debug!(%error, "the connection is over already");
        }
        let (mut taken, mut since) = (self.known().acknowledged, Instant::now());
        while !self.settle_known() && since.elapsed() < idle_max {
            tokio::time::sleep(LOOK).await;
            let now = self.known().acknowledged;
            if now > taken {
                (taken, since) = (now, Instant::now());
            }
        }
    }
}

impl Drop for Wire {
    /// What was not taken is thrown away, and taken off: our kernel would go on delivering it after the end, uncounted.
    fn drop(&mut self) {
        let left = std::mem::take(&mut *self.unsettled());
        if left.is_empty() {
            return;
        }
        if let Err(error) = rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)) {
            tracing::warn!(%error, "what is left of a connection may still be delivered");
        }
        settle(left, self.known().acknowledged);
    }
}

fn settle(bodies: Vec<Unsettled>, acknowledged: u64) {
    for body in bodies {
        (body.settle)(acknowledged.saturating_sub(body.begins).min(body.bytes));
    }
}

#[cfg(target_os = "linux")]
mod tcp_info {
    use nix::{getsockopt_impl, libc, sockopt_impl};

    sockopt_impl!(
        /// The first 128 bytes of `struct tcp_info` of Linux 4.1 and later.
        TcpInfo, GetOnly, libc::IPPROTO_TCP, libc::TCP_INFO, [u64; 16]);
}

/// `tcpi_state` is the first byte, `tcpi_bytes_acked` stands at byte 120 (include/uapi/linux/tcp.h).
#[cfg(target_os = "linux")]
fn acknowledged(stream: &TcpStream) -> Option<Known> {
    const TCP_CLOSE: u8 = 7;
    let info = nix::sys::socket::getsockopt(stream, tcp_info::TcpInfo).ok()?;
    Some(Known { acknowledged: info[15], is_over: info[0].to_ne_bytes()[0] == TCP_CLOSE })
}

#[cfg(not(target_os = "linux"))]
fn acknowledged(_: &TcpStream) -> Option<Known> {
    None
}

/// The size of an answer's head as hyper writes it; a `connection` header that it adds is not among it.
fn head_bytes<B>(answer: &Response<B>) -> u64 {
    const STATUS_LINE: usize = "HTTP/1.1 200 ".len() + "\r\n".len();
    const DATE_LINE: usize = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n".len();
    let reason = answer.status().canonical_reason().unwrap_or("<none>");
    let lines = answer.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    let date = if answer.headers().contains_key(DATE) { 0 } else { DATE_LINE };
    (STATUS_LINE + reason.len() + lines.sum::<usize>() + date + "\r\n".len()) as u64
}

/// The socket as HTTP reads and writes it.
pub(crate) struct Socket(pub(crate) Arc<Wire>);

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.stream.poll_read_ready(cx))?;
            match self.0.stream.try_read_buf(out) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(|_| ())),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.stream.poll_write_ready(cx))?;
            match self.0.stream.try_write_vectored(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => {
                    self.0.written.fetch_add(*written.as_ref().unwrap_or(&0) as u64, Ordering::Relaxed);
                    return Poll::Ready(written);
                }
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(rustix::net::shutdown(&self.0.stream, Shutdown::Write)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connections::Connections;
    use crate::http::serve_connection;
    use bytes::Bytes;
    use http_body_util::Full;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket};
    use tokio::sync::{mpsc, watch};

    const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    fn answer(bytes: usize) -> Response<Full<Bytes>> {
        let answer = Response::builder().header("content-length", bytes).header("x-more", "some text");
        answer.body(Full::new(Bytes::from(vec![7; bytes]))).unwrap()
    }

    /// A client of a server whose answers have so many bytes; what the server hears of each of them.
    async fn client(bytes: usize, receive_buffer: Option<u32>) -> (TcpStream, mpsc::UnboundedReceiver<u64>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(size) = receive_buffer {
            socket.set_recv_buffer_size(size).unwrap();
        }
        let client = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let (heard, hears) = mpsc::unbounded_channel();
        let place = Connections::new(Default::default(), |_| false).admit(peer.ip()).unwrap();
        tokio::spawn(async move {
            let (_stop, stopped) = watch::channel(false);
            serve_connection(stream, place, Duration::from_millis(300), stopped, |request| {
                let (receipt, heard) = (request.extensions().get::<Receipt>().unwrap().clone(), heard.clone());
                async move {
                    let answer = answer(bytes);
                    let told = move |received| heard.send(received).unwrap();
                    answer
                        .map(|body| crate::held::Held::new(body, OnDrop(Some((receipt, bytes as u64, Box::new(told))))))
                }
            })
            .await;
        });
        (client, hears)
    }

    struct OnDrop(Option<(Receipt, u64, Settle)>);

    impl Drop for OnDrop {
        fn drop(&mut self) {
            let (receipt, bytes, told) = self.0.take().unwrap();
            receipt.when_known(bytes, told);
        }
    }

    #[tokio::test]
    async fn what_was_read_is_acknowledged() {
        let (mut client, mut hears) = client(3_000_000, None).await;
        for _ in 0..3 {
            client.write_all(ASK).await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await.unwrap());
            }
            assert_eq!(head.len() as u64, head_bytes(&answer(3_000_000)), "{}", String::from_utf8_lossy(&head));
            client.read_exact(&mut vec![0; 3_000_000]).await.unwrap();
            assert_eq!(hears.recv().await, Some(3_000_000), "before the next request");
        }
    }

    #[tokio::test]
    async fn what_a_client_never_took_is_none() {
        let (mut client, mut hears) = client(1_400_000, Some(16_384)).await;
        client.write_all(ASK).await.unwrap();
        client.read_exact(&mut vec![0; 66_000]).await.unwrap();
        drop(client);
        let received = hears.recv().await.unwrap();
        // What it read, and at most what its own buffer held besides.
        assert!((65_800..66_000 + 65_536).contains(&received), "{received}");
    }

    /// Whoever reads nothing until the connection is cut gets nothing more afterwards than was counted.
    #[tokio::test]
    async fn what_is_taken_off_is_not_delivered() {
        const SIZE: usize = 32 << 20; // More than all buffers on the way hold.
        let (mut client, mut hears) = client(SIZE, Some(16_384)).await;
        client.write_all(ASK).await.unwrap();
        client.readable().await.unwrap();
        let received = hears.recv().await.unwrap();
        assert!(received < SIZE as u64, "the end was cut: {received}");
        let (mut got, mut part) = (0, vec![0; 65_536]);
        while let Ok(count @ 1..) = client.read(&mut part).await {
            got += count as u64;
        }
        assert!(got <= received + head_bytes(&answer(SIZE)), "{got} came, {received} were counted");
    }
}
