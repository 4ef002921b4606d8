//! One HTTP/1.1 connection, from its first byte to its last.

use crate::BoxError;
use crate::connections::{Busy, Connection};
use crate::held::Held;
use crate::idle::IdleWrites;
use crate::wire::{Socket, Wire};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// Serves a connection until its peer ends it, it is sent away for another one, or, once `stopped` says so, its running
/// request has ended. A peer that takes nothing of an answer for `idle_max` is gone. While a request runs, from its
/// head to the end of its answer, the connection counts as at work. Each request has a [`Receipt`](crate::wire::Receipt).
pub async fn serve_connection<F, B>(
    stream: TcpStream,
    place: Connection,
    idle_max: Duration,
    stopped: watch::Receiver<bool>,
    answer: impl Fn(Request<Incoming>) -> F,
) where
    F: Future<Output = Response<B>>,
    B: Body + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let wire = Wire::new(stream);
    let may_take_more = serve_requests(&wire, &place, idle_max, stopped, answer).await;
    if may_take_more {
        tokio::select! {
            () = wire.end(idle_max) => {}
            () = place.sent_away() => {}
        }
    }
}

/// Gives whether the peer may still take what was sent: not if it took nothing for too long, or was sent away for another
/// one.
async fn serve_requests<F, B>(
    wire: &Arc<Wire>,
    place: &Connection,
    idle_max: Duration,
    mut stopped: watch::Receiver<bool>,
    answer: impl Fn(Request<Incoming>) -> F,
) -> bool
where
    F: Future<Output = Response<B>>,
    B: Body + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let service = service_fn(|mut request| {
        let busy: Busy = place.busy();
        wire.settle_known();
        request.extensions_mut().insert(wire.receipt());
        let answered = answer(request);
        async move {
            let response = answered.await;
            wire.begin_answer(&response);
            Ok::<_, Infallible>(response.map(|body| Held::new(body, busy)))
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let stream = TokioIo::new(IdleWrites::new(Socket(Arc::clone(wire)), idle_max));
    let mut serving = pin!(builder.serve_connection(stream, service));
    let mut settling = pin!(wire.settle_always());
    let mut stopping = false;
    loop {
        tokio::select! {
            served = serving.as_mut() => {
                let Err(error) = served else { return true };
                tracing::debug!(%error, "connection ended early");
                let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
                return cause.is_none_or(|cause| cause.kind() != io::ErrorKind::TimedOut);
            }
            never = settling.as_mut() => match never {},
            () = place.sent_away() => return false,
            changed = stopped.changed(), if !stopping => {
                stopping = true;
                if changed.is_ok() {
                    serving.as_mut().graceful_shutdown();
                }
            }
        }
    }
}
