//! The inbox: events wait here from their acknowledgement until a batch holds them.
//!
//! One committer takes what arrived while it wrote the last group, and writes it as one group: a group
//! commit without a timer. An append returns when its group is on disk, in a file (`inbox_log`) or in a
//! table (`inbox_table`).

use crate::error::LakeError;
use crate::inbox_log::{self, Log};
use crate::inbox_table::Table;
use crate::ingest::Settings;
use crate::open::Lake;
use metering::RawEvent;
use metering::s3::S3Request;
use sqlx::AnyPool;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, mpsc, oneshot};

/// Events encoded for the inbox: build one, append it once.
#[derive(Debug, Default, Clone)]
pub struct RawBatch {
    bytes: Vec<u8>,
    events: u64,
}

const KIND_JSON: u8 = 1;
const KIND_COMPACT: u8 = 2;
const KIND_S3: u8 = 3;

impl RawBatch {
    /// Adds an event.
    pub fn push(&mut self, event: &RawEvent) {
        match event {
            RawEvent::Usage(record) => self.add(KIND_COMPACT, |out| record.write_compact(out)),
            RawEvent::S3 { org_path, request } => self.push_s3(org_path, request),
        }
    }

    /// Adds a request of the S3 gateway.
    pub fn push_s3(&mut self, org_path: &str, request: &S3Request) {
        self.add(KIND_S3, |out| request.write_compact(org_path, out));
    }

    fn add(&mut self, kind: u8, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[kind, 0, 0, 0, 0]);
        write(&mut self.bytes);
        let length = u32::try_from(self.bytes.len() - start - 5).expect("events are checked to be short");
        self.bytes[start + 1..start + 5].copy_from_slice(&length.to_le_bytes());
        self.events += 1;
    }

    /// How many events are in it.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.events
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events == 0
    }
}

/// Reads a group back: its events, and what stands behind the first one that cannot be read.
pub(crate) fn decode(bytes: &[u8]) -> (Vec<RawEvent>, Option<&[u8]>) {
    let mut events = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some((event, tail)) = decode_one(rest) else { return (events, Some(rest)) };
        events.push(event);
        rest = tail;
    }
    (events, None)
}

fn decode_one(bytes: &[u8]) -> Option<(RawEvent, &[u8])> {
    let (head, tail) = bytes.split_first_chunk::<5>()?;
    let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
    let body = tail.get(..length)?;
    let event = match head[0] {
        KIND_COMPACT => RawEvent::Usage(Box::new(metering::UsageRecord::read_compact(body)?)),
        KIND_S3 => {
            let (org_path, request) = S3Request::read_compact(body)?;
            RawEvent::S3 { org_path, request: Box::new(request) }
        }
        // Of an older version.
        KIND_JSON => serde_json::from_slice(body).ok()?,
        _ => return None,
    };
    Some((event, &tail[length..]))
}

/// Events that wait for their group, and who waits with them.
struct Waiting {
    batch: RawBatch,
    done: oneshot::Sender<Result<(), String>>,
}

/// Where groups are kept.
enum Kept {
    /// Files in the data folder, beside a catalog in SQLite.
    Log(Arc<Log>),
    /// A table, beside a catalog in PostgreSQL.
    Table(Table),
}

pub(crate) struct Inbox {
    kept: Kept,
    sender: Mutex<Option<mpsc::Sender<Waiting>>>,
    room: Arc<Room>,
}

/// Bytes that wait unsealed, and who waits for them to become fewer.
struct Room {
    bytes: AtomicU64,
    bytes_max: u64,
    freed: Notify,
}

/// One committed group.
pub(crate) struct Group {
    pub(crate) seq: i64,
    pub(crate) events: i64,
    pub(crate) body: Vec<u8>,
}

/// Opens the inbox in files.
pub(crate) fn start_log(opened: inbox_log::Opened, settings: Settings) -> Result<Inbox, LakeError> {
    let inbox_log::Opened { log, mut writer, bytes } = opened;
    let (sender, mut receiver) = mpsc::channel(WAITING_MAX);
    let commit = move || {
        while let Some(first) = receiver.blocking_recv() {
            let mut group = gather(first, &mut receiver, settings.group_bytes_max);
            if settings.ack_before_commit {
                group.answer(&Ok(()));
                std::thread::sleep(FAULT_PAUSE);
            }
            let result = writer.append(group.events, &group.body).map_err(|error| error.to_string());
            group.answer(&result);
        }
    };
    // Flushing waits for the disk, so it has a thread of its own. It ends with the last sender.
    let thread = std::thread::Builder::new().name("inbox".to_owned()).spawn(commit);
    thread.map_err(|source| LakeError::Io { path: "inbox".to_owned(), source })?;
    Ok(Inbox { kept: Kept::Log(log), sender: Mutex::new(Some(sender)), room: Room::new(bytes, settings) })
}

/// Opens the inbox in a table.
pub(crate) async fn start_table(pool: AnyPool, sealed: i64, settings: Settings) -> Result<Inbox, LakeError> {
    let (table, bytes) = Table::open(pool, sealed).await?;
    let (sender, mut receiver) = mpsc::channel(WAITING_MAX);
    let mut writer = table.writer();
    tokio::spawn(async move {
        while let Some(first) = receiver.recv().await {
            let mut group = gather(first, &mut receiver, settings.group_bytes_max);
            if settings.ack_before_commit {
                group.answer(&Ok(()));
                tokio::time::sleep(FAULT_PAUSE).await;
            }
            let body = std::mem::take(&mut group.body);
            let result = writer.append(group.events, body).await.map_err(|error| error.to_string());
            group.answer(&result);
        }
    });
    Ok(Inbox { kept: Kept::Table(table), sender: Mutex::new(Some(sender)), room: Room::new(bytes, settings) })
}

/// Appends that may wait for the committer; more wait before it.
const WAITING_MAX: usize = 4_096;

/// The fault must be wide enough for a kill to hit it: the control's only purpose.
const FAULT_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

/// What is committed together.
struct Gathered {
    done: Vec<oneshot::Sender<Result<(), String>>>,
    events: u32,
    body: Vec<u8>,
}

/// Takes what arrived while the last group was written.
fn gather(first: Waiting, receiver: &mut mpsc::Receiver<Waiting>, bytes_max: usize) -> Gathered {
    let mut events = first.batch.events;
    let mut group = Gathered { done: vec![first.done], events: 0, body: first.batch.bytes };
    while group.body.len() < bytes_max {
        let Ok(mut next) = receiver.try_recv() else { break };
        events += next.batch.events;
        group.body.append(&mut next.batch.bytes);
        group.done.push(next.done);
    }
    group.events = u32::try_from(events).expect("a group is small");
    group
}

impl Gathered {
    fn answer(&mut self, result: &Result<(), String>) {
        for done in self.done.drain(..) {
            let _ = done.send(result.clone());
        }
    }
}

impl Inbox {
    async fn append(&self, batch: RawBatch) -> Result<(), LakeError> {
        let size = batch.bytes.len() as u64;
        self.room.wait().await;
        let sender = self.sender.lock().ok().and_then(|sender| sender.clone()).ok_or(LakeError::Closed)?;
        let (done, result) = oneshot::channel();
        // Counted before it can be sealed, so that what is freed was counted.
        self.room.bytes.fetch_add(size, Ordering::Relaxed);
        let kept = async {
            sender.send(Waiting { batch, done }).await.map_err(|_| LakeError::Closed)?;
            result.await.map_err(|_| LakeError::Closed)?.map_err(LakeError::NotKept)
        };
        let kept = kept.await;
        if kept.is_err() {
            self.room.free(size);
        }
        kept
    }

    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.room.bytes.load(Ordering::Relaxed)
    }

    /// The number of the newest group that is on disk.
    pub(crate) async fn newest(&self) -> Result<i64, LakeError> {
        match &self.kept {
            Kept::Table(table) => table.newest().await,
            Kept::Log(log) => Ok(log.newest()),
        }
    }

    /// The oldest groups, together at least one and at most about `events_max` events and `bytes_max`
    /// bytes.
    pub(crate) async fn oldest(&self, events_max: u64, bytes_max: u64) -> Result<Vec<Group>, LakeError> {
        match &self.kept {
            Kept::Table(table) => table.oldest(events_max, bytes_max).await,
            Kept::Log(log) => {
                let log = Arc::clone(log);
                tokio::task::spawn_blocking(move || log.oldest(events_max, bytes_max))
                    .await
                    .map_err(|_| LakeError::Closed)?
            }
        }
    }

    /// A batch holds the groups up to `seq`, the last of them with together `bytes` bytes.
    pub(crate) async fn remove_through(&self, seq: i64, bytes: u64) -> Result<(), LakeError> {
        match &self.kept {
            Kept::Table(table) => self.room.free(table.remove_through(seq).await?),
            Kept::Log(log) => {
                log.remove_through(seq);
                self.room.free(bytes);
            }
        }
        Ok(())
    }

    pub(crate) async fn close(&self) {
        if let Ok(mut sender) = self.sender.lock() {
            sender.take();
        }
        if let Kept::Table(table) = &self.kept {
            table.close().await;
        }
    }
}

impl Room {
    fn new(bytes: u64, settings: Settings) -> Arc<Self> {
        let bytes = AtomicU64::new(bytes);
        Arc::new(Self { bytes, bytes_max: settings.inbox_bytes_max, freed: Notify::new() })
    }

    async fn wait(&self) {
        loop {
            let freed = self.freed.notified();
            if self.bytes.load(Ordering::Relaxed) < self.bytes_max {
                return;
            }
            freed.await;
        }
    }

    fn free(&self, bytes: u64) {
        let _ = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| Some(held.saturating_sub(bytes)));
        self.freed.notify_waiters();
    }
}

impl Lake {
    /// Takes events in. When it returns, they are on disk and will be counted exactly once, whatever
    /// happens to this process. Waits while too much is unsealed; never drops.
    ///
    /// # Errors
    /// [`LakeError`]: the events may or may not have been kept; send them again.
    pub async fn append(&self, batch: RawBatch) -> Result<(), LakeError> {
        if batch.is_empty() { Ok(()) } else { self.inner.inbox.append(batch).await }
    }
}
