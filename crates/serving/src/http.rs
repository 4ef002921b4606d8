//! One HTTP/1.1 connection, from its first byte to its last.

use crate::BoxError;
use crate::connections::{Busy, Connection};
use crate::held::Held;
use crate::idle::IdleWrites;
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// Serves a connection until its peer ends it, it is sent away for another one, or, once `stopped` says so, its running
/// request has ended. A peer that takes nothing of an answer for `idle_max` is gone. While a request runs, from its
/// head to the end of its answer, the connection counts as at work.
pub async fn serve_connection<F, B>(
    stream: TcpStream,
    place: Connection,
    idle_max: Duration,
    mut stopped: watch::Receiver<bool>,
    answer: impl Fn(Request<Incoming>) -> F,
) where
    F: Future<Output = Response<B>>,
    B: Body + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let service = service_fn(|request| {
        let busy: Busy = place.busy();
        let answered = answer(request);
        async move { Ok::<_, Infallible>(answered.await.map(|body| Held::new(body, busy))) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let stream = TokioIo::new(IdleWrites::new(stream, idle_max));
    let mut serving = pin!(builder.serve_connection(stream, service));
    let mut stopping = false;
    loop {
        tokio::select! {
            served = serving.as_mut() => {
                if let Err(error) = served {
                    tracing::debug!(%error, "connection ended early");
                }
                return;
            }
            () = place.sent_away() => return,
            changed = stopped.changed(), if !stopping => {
                stopping = true;
                if changed.is_ok() {
                    serving.as_mut().graceful_shutdown();
                }
            }
        }
    }
}
