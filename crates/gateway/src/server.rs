//! Accepts connections and serves them until told to stop.

use crate::gateway::Gateway;
use crate::port::Port;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// How long running requests and events may take after the stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves `listener` until `shutdown` resolves; then lets running requests end and their events be
/// recorded, for at most half a minute.
pub async fn serve<P: Port>(listener: TcpListener, gateway: Arc<Gateway<P>>, shutdown: impl Future<Output = ()>) {
    let (stop, stopped) = watch::channel(false);
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let source_ip = peer.ip().to_string();
                    tokio::spawn(connection(stream, source_ip, Arc::clone(&gateway), stopped.clone()));
                }
                Err(error) => {
                    // Out of descriptors, most likely: wait for some to come back.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            () = &mut shutdown => break,
        }
    }
    drop(listener);
    drop(stopped);
    if stop.send(true).is_err() {
        tracing::debug!("no connection is open");
    }
    drain(&gateway, &stop).await;
}

async fn drain<P: Port>(gateway: &Gateway<P>, stop: &watch::Sender<bool>) {
    let all_done = async {
        // Every connection holds a receiver.
        stop.closed().await;
        while gateway.pending.load(Ordering::Acquire) > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(DRAIN_TIMEOUT, all_done).await.is_err() {
        tracing::warn!("requests were still running at the end of the drain time");
    }
}

async fn connection<P: Port>(
    stream: TcpStream,
    source_ip: String,
    gateway: Arc<Gateway<P>>,
    mut stopped: watch::Receiver<bool>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let gateway = Arc::clone(&gateway);
        let source_ip = source_ip.clone();
        async move { Ok::<_, Infallible>(gateway.handle(request, source_ip).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut stopping = false;
    loop {
        tokio::select! {
            served = serving.as_mut() => {
                if let Err(error) = served {
                    tracing::debug!(%error, "connection ended early");
                }
                return;
            }
            changed = stopped.changed(), if !stopping => {
                stopping = true;
                if changed.is_ok() {
                    serving.as_mut().graceful_shutdown();
                }
            }
        }
    }
}
