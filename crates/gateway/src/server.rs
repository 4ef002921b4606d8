//! Accepts connections and serves them until told to stop.
//!
//! A connection is served by one thread with its own connections to upstreams: passing a small request on
//! costs less than waking another thread for it.

use crate::gateway::Gateway;
use crate::port::Port;
use hyper::body::Incoming;
use serving::connections::{Connection, Connections};
use serving::http::serve_connection;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// How long the events of requests that were cut off at the stop may take.
const EVENTS_TIMEOUT: Duration = Duration::from_secs(4);

/// A connection on its way to its thread.
struct Arrival {
    stream: std::net::TcpStream,
    source_ip: IpAddr,
    place: Connection,
}

/// A thread that serves connections.
struct Worker {
    arrivals: mpsc::UnboundedSender<Arrival>,
    /// Connections that it serves.
    load: Arc<AtomicUsize>,
    ended: oneshot::Receiver<()>,
}

/// Serves `listener` until `shutdown` resolves; then lets running requests end, cuts off those that do not,
/// and lets their events be recorded: half a minute in all.
pub async fn serve<P: Port>(
    listener: TcpListener,
    gateway: Arc<Gateway<P>>,
    connections: Arc<Connections>,
    shutdown: impl Future<Output = ()>,
) {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let workers: io::Result<Vec<Worker>> = (0..count).map(|no| Worker::start(no, &gateway)).collect();
    let workers = match workers {
        Ok(workers) => workers,
        Err(error) => return tracing::error!(%error, "the gateway cannot start its threads"),
    };
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => match connections.admit(peer.ip()) {
                    Some(place) => hand_over(&workers, stream, peer.ip(), place),
                    None => tracing::warn!(%peer, "no room for a connection: all of them are at work"),
                },
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
    for Worker { arrivals, ended, .. } in workers {
        drop(arrivals);
        // An error means that the thread is over as well.
        let _ = ended.await;
    }
}

/// Gives a connection to the thread with the fewest.
fn hand_over(workers: &[Worker], stream: TcpStream, source_ip: IpAddr, place: Connection) {
    let least = workers.iter().min_by_key(|worker| worker.load.load(Ordering::Relaxed));
    let worker = least.expect("there is a thread for each processor");
    match stream.into_std() {
        Ok(stream) => {
            worker.load.fetch_add(1, Ordering::Relaxed);
            if worker.arrivals.send(Arrival { stream, source_ip, place }).is_err() {
                tracing::error!("a thread of the gateway has ended");
            }
        }
        Err(error) => tracing::warn!(%error, "cannot take a connection"),
    }
}

impl Worker {
    fn start<P: Port>(no: usize, gateway: &Gateway<P>) -> io::Result<Self> {
        let gateway = Arc::new(gateway.for_thread().map_err(io::Error::other)?);
        let (arrivals, arriving) = mpsc::unbounded_channel();
        let load = Arc::new(AtomicUsize::new(0));
        let (end, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let its_load = Arc::clone(&load);
        std::thread::Builder::new().name(format!("gateway-{no}")).spawn(move || {
            runtime.block_on(serve_arrivals(gateway, arriving, its_load));
            let _ = end.send(());
        })?;
        Ok(Self { arrivals, load, ended })
    }
}

/// Ends when the sender has gone and everything is recorded, or the time is up.
async fn serve_arrivals<P: Port>(
    gateway: Arc<Gateway<P>>,
    mut arriving: mpsc::UnboundedReceiver<Arrival>,
    load: Arc<AtomicUsize>,
) {
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    loop {
        let arrival = tokio::select! {
            arrival = arriving.recv() => arrival,
            Some(_) = connections.join_next() => continue,
        };
        let Some(Arrival { stream, source_ip, place }) = arrival else { break };
        let (gateway, stopped, load) = (Arc::clone(&gateway), stopped.clone(), Arc::clone(&load));
        connections.spawn(async move {
            match TcpStream::from_std(stream) {
                Ok(stream) => connection(stream, source_ip, gateway, place, stopped).await,
                Err(error) => tracing::warn!(%error, "cannot take a connection"),
            }
            load.fetch_sub(1, Ordering::Relaxed);
        });
    }
    drop(stopped);
    if stop.send(true).is_err() {
        tracing::debug!("no connection is open");
    }
    drain(&gateway, &stop, connections).await;
}

async fn drain<P: Port>(gateway: &Gateway<P>, stop: &watch::Sender<bool>, mut connections: JoinSet<()>) {
    let recorded = async || {
        while !gateway.recorder.is_idle() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let all_done = async {
        // Every connection holds a receiver.
        stop.closed().await;
        recorded().await;
    };
    if tokio::time::timeout(gateway.settings.drain_max, all_done).await.is_ok() {
        return;
    }
    tracing::warn!("requests that were still running are cut off");
    connections.shutdown().await;
    if tokio::time::timeout(EVENTS_TIMEOUT, recorded()).await.is_err() {
        tracing::error!("events of requests that were cut off are not recorded");
    }
}

async fn connection<P: Port>(
    stream: TcpStream,
    source_ip: IpAddr,
    gateway: Arc<Gateway<P>>,
    place: Connection,
    stopped: watch::Receiver<bool>,
) {
    let idle_max = gateway.settings.client_idle_max;
    let answer = |request: hyper::Request<Incoming>| {
        let gateway = Arc::clone(&gateway);
        let proxies = &gateway.settings.proxies;
        let lines = request.headers().get_all(proxies.header()).iter();
        let source_ip = proxies.client(source_ip, lines.map(|line| line.to_str().unwrap_or("?"))).to_string();
        async move { gateway.handle(request, source_ip).await }
    };
    serve_connection(stream, place, idle_max, stopped, answer).await;
}
