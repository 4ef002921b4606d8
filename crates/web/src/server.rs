//! Accepts connections for console and API: with limits on heads, silences, bodies and numbers.

use crate::{Web, api, router};
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use hyper::body::Incoming;
use serving::budget::Budget;
use serving::connections::Connections;
use serving::http::serve_connection;
use serving::idle::IdleBody;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt;

/// How long a client may be silent in the middle of a body, or take nothing of an answer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// A body must have come within this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(300);
/// Bytes of all bodies together.
const BODIES_MAX: usize = 64 << 20;

/// Serves console and API until `shutdown` ends; requests that run are finished, also those whose client has gone.
///
/// # Errors
/// What the system says about the socket.
pub async fn serve(
    listener: TcpListener,
    web: Web,
    connections: Arc<Connections>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let (router, budget) = (router(web), Budget::of(BODIES_MAX));
    let (stop, stopped) = watch::channel(false);
    let mut running = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => match connections.admit(peer.ip()) {
                    Some(place) => {
                        let (router, budget) = (router.clone(), budget.clone());
                        let answer = move |request| answer(router.clone(), budget.clone(), peer, request);
                        running.spawn(serve_connection(stream, place, IDLE_TIMEOUT, stopped.clone(), answer));
                    }
                    None => tracing::warn!(%peer, "no room for a connection: all of them are at work"),
                },
                Err(error) => {
                    // Out of descriptors, most likely: wait for some to come back.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = running.join_next() => {}
            () = &mut shutdown => break,
        }
    }
    drop((listener, stopped));
    if stop.send(true).is_err() {
        tracing::debug!("no connection is open");
    }
    while running.join_next().await.is_some() {}
    api::all_at_their_end().await;
    Ok(())
}

/// Answers one request. Its body takes from the budget what is read of it, and gives it back with the answer.
async fn answer(router: axum::Router, budget: Budget, peer: SocketAddr, request: hyper::Request<Incoming>) -> Response {
    let (parts, body) = request.into_parts();
    let (body, taken) = budget.meter(IdleBody::new(body, IDLE_TIMEOUT));
    let mut request = Request::from_parts(parts, Body::new(Deadline::new(body, BODY_TIMEOUT)));
    request.extensions_mut().insert(ConnectInfo(peer));
    let answered = router.oneshot(request).await.unwrap_or_else(|never| match never {});
    drop(taken);
    answered
}

/// A body that must have come by a certain time, however steadily it drips.
struct Deadline<B> {
    inner: B,
    over: std::pin::Pin<Box<tokio::time::Sleep>>,
}

impl<B> Deadline<B> {
    fn new(inner: B, limit: Duration) -> Self {
        Self { inner, over: Box::pin(tokio::time::sleep(limit)) }
    }
}

impl<B> http_body::Body for Deadline<B>
where
    B: http_body::Body<Data = bytes::Bytes, Error = serving::BoxError> + Unpin,
{
    type Data = bytes::Bytes;
    type Error = serving::BoxError;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        let this = self.get_mut();
        if let std::task::Poll::Ready(frame) = std::pin::Pin::new(&mut this.inner).poll_frame(cx) {
            return std::task::Poll::Ready(frame);
        }
        std::task::ready!(this.over.as_mut().poll(cx));
        std::task::Poll::Ready(Some(Err("the body took too long".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }
}

/// Whether a body failed because it found no room beside others.
pub(crate) fn is_no_room(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<serving::budget::Exhausted>().is_some() {
            return true;
        }
        cause = error.source();
    }
    false
}
