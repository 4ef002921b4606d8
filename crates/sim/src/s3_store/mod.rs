//! A small S3 server inside the process: plain HTTP on loopback, objects as files of one directory.
//!
//! It is for trying out and for tests only. It never keeps anything over a stop (the index lives in
//! memory and the files go with it), never reads a clock of its own, never speaks TLS, virtual-host
//! addressing, presigned requests or chunk-signed bodies, and answers `NotImplemented` to whatever
//! it does not know. One store is one account; several accounts are several stores, each with a
//! directory of its own.

mod bodies;
mod buckets;
mod call;
mod conditions;
mod faults;
mod files;
mod index;
mod list;
mod multipart;
mod objects;
mod refusal;
mod server;
mod signature;
mod times;
mod uploads;
mod xml;

#[cfg(test)]
mod tests;

pub use faults::Faults;

use base::World;
use index::Index;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A running store. Dropping it stops the server as well; [`S3Store::stop`] also waits for the end.
pub struct S3Store {
    addr: SocketAddr,
    shared: Arc<Shared>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl S3Store {
    /// Serves `listener` until stopped. `credentials` are access key ids with their secrets, all of
    /// them owners of everything; `data_dir` is made when the first object arrives and belongs to
    /// this store alone.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    #[must_use]
    pub fn start(
        listener: TcpListener,
        credentials: Vec<(String, String)>,
        data_dir: PathBuf,
        world: Arc<dyn World>,
    ) -> Self {
        let addr = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            credentials,
            data_dir,
            world,
            index: Mutex::new(Index::default()),
            faults: Faults::default(),
            files_made: AtomicU64::new(0),
            requests_seen: AtomicU64::new(0),
        });
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(server::serve(listener, Arc::clone(&shared), stopped));
        Self { addr, shared, stop, task }
    }

    /// The address it listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The handle that makes requests fail.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.shared.faults.clone()
    }

    /// Requests received so far, refused ones included.
    #[must_use]
    pub fn requests_seen(&self) -> u64 {
        self.shared.requests_seen.load(Ordering::Relaxed)
    }

    /// Closes the listener and every connection, then forgets all objects and their files.
    pub async fn stop(self) {
        let Self { stop, task, .. } = self;
        drop(stop);
        if let Err(error) = task.await {
            tracing::warn!(%error, "s3 store did not stop cleanly");
        }
    }
}

/// What every connection of one store shares.
struct Shared {
    credentials: Vec<(String, String)>,
    data_dir: PathBuf,
    world: Arc<dyn World>,
    index: Mutex<Index>,
    faults: Faults,
    files_made: AtomicU64,
    requests_seen: AtomicU64,
}

impl Shared {
    /// The index, locked. Never held across an await.
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number no other file of this store has.
    fn next_file_number(&self) -> u64 {
        self.files_made.fetch_add(1, Ordering::Relaxed)
    }

    /// A file that takes bytes as they come.
    async fn spool(&self) -> std::io::Result<files::Spool> {
        files::Spool::create(&self.data_dir, self.next_file_number()).await
    }
}
