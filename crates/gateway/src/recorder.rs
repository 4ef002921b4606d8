//! Events on their way to the meter: at once and waited for, or gathered for some milliseconds.
//!
//! Nothing is dropped: what cannot be recorded is tried again for ever, and while too much waits, the
//! gateway refuses requests.

use crate::gateway::Gateway;
use crate::port::{Port, PortError};
use metering::s3::S3Request;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Events of reads are gathered for so long before they are written together.
const GATHER: Duration = Duration::from_millis(50);

/// So many are not gathered any longer.
const GATHERED_MAX: usize = 256;

/// An event that cannot be recorded is tried again for ever, with a pause that doubles up to this.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// With so many events unrecorded the gateway refuses new requests: the meter blocks rather than drops.
const UNRECORDED_MAX: usize = 1_000;

/// What waits to be recorded.
#[derive(Default)]
pub(crate) struct Recorder {
    gathered: Mutex<Vec<S3Request>>,
    /// Events that are not durable yet, gathered or being written.
    pending: AtomicUsize,
    /// Requests whose event is still in the making.
    running: AtomicUsize,
}

impl Recorder {
    /// A request has begun that will have an event.
    pub(crate) fn begun(&self) {
        self.running.fetch_add(1, Ordering::AcqRel);
    }

    /// Its event was handed over.
    pub(crate) fn ended(&self) {
        self.running.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether every event of every request is durable.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.load(Ordering::Acquire) == 0 && self.pending.load(Ordering::Acquire) == 0
    }

    /// Whether too much waits for more to be taken on.
    pub(crate) fn is_full(&self) -> bool {
        self.pending.load(Ordering::Acquire) >= UNRECORDED_MAX
    }

    fn gathered(&self) -> MutexGuard<'_, Vec<S3Request>> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn done(&self, events: usize) {
        self.pending.fetch_sub(events, Ordering::AcqRel);
    }

    /// Takes everything that was gathered.
    fn take(&self) -> Vec<S3Request> {
        std::mem::take(&mut *self.gathered())
    }
}

impl<P: Port> Gateway<P> {
    /// Records an event and waits until it is durable. After an error it is recorded all the same, later.
    pub(crate) async fn record(self: &Arc<Self>, event: S3Request) -> Result<(), PortError> {
        let recorded = self.port.record(std::slice::from_ref(&event)).await;
        if recorded.is_err() {
            // The caller answers 503, and still nothing is lost: the id makes repeats harmless.
            self.record_later(event);
        }
        recorded
    }

    /// Records an event soon, together with others.
    pub(crate) fn record_later(self: &Arc<Self>, event: S3Request) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            tracing::error!(request_id = %event.request_id, "metering event lost: no runtime to record it");
            return;
        };
        self.recorder.pending.fetch_add(1, Ordering::AcqRel);
        let mut gathered = self.recorder.gathered();
        gathered.push(event);
        match gathered.len() {
            // The first one brings the others along.
            1 => drop(runtime.spawn(Arc::clone(self).record_gathered(GATHER))),
            GATHERED_MAX => drop(runtime.spawn(Arc::clone(self).record_gathered(Duration::ZERO))),
            _ => {}
        }
    }

    async fn record_gathered(self: Arc<Self>, wait: Duration) {
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let mut left = self.recorder.take();
        let mut pause = Duration::from_millis(100);
        while !left.is_empty() {
            match self.port.record(&left).await {
                Ok(()) => return self.recorder.done(left.len()),
                Err(error) => tracing::error!(events = left.len(), %error, "metering event not recorded yet"),
            }
            left = self.record_each(left).await;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// One event that is refused must not hold up the others: gives those that are.
    async fn record_each(&self, events: Vec<S3Request>) -> Vec<S3Request> {
        let mut refused = Vec::new();
        for event in events {
            match self.port.record(std::slice::from_ref(&event)).await {
                Ok(()) => self.recorder.done(1),
                Err(_) => refused.push(event),
            }
        }
        refused
    }
}
