//! The inbox: events wait here from their acknowledgement until a batch holds them.
//!
//! One committer takes what arrived while it wrote the last group, and writes it as one row: a group
//! commit without a timer. An append returns when its group is on disk.

use crate::error::LakeError;
use crate::ingest::Settings;
use crate::open::{Engine, Lake};
use metering::RawEvent;
use sqlx::{AnyPool, Executor, Row as _};
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

impl RawBatch {
    /// Adds an event.
    pub fn push(&mut self, event: &RawEvent) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 5]);
        let kind = match event {
            RawEvent::Usage(record) => {
                record.write_compact(&mut self.bytes);
                KIND_COMPACT
            }
            RawEvent::S3 { .. } => {
                serde_json::to_writer(&mut self.bytes, event).expect("our own events are JSON");
                KIND_JSON
            }
        };
        let length = u32::try_from(self.bytes.len() - start - 5).expect("events are checked to be short");
        self.bytes[start] = kind;
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

/// Reads a group back.
pub(crate) fn decode(bytes: &[u8]) -> Result<Vec<RawEvent>, LakeError> {
    let damaged = || LakeError::Corrupt("a group of the inbox is damaged".to_owned());
    let mut events = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (head, tail) = rest.split_first_chunk::<5>().ok_or_else(damaged)?;
        let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let body = tail.get(..length).ok_or_else(damaged)?;
        rest = &tail[length..];
        events.push(match head[0] {
            KIND_COMPACT => RawEvent::Usage(Box::new(metering::UsageRecord::read_compact(body).ok_or_else(damaged)?)),
            KIND_JSON => serde_json::from_slice(body).map_err(|_| damaged())?,
            _ => return Err(damaged()),
        });
    }
    Ok(events)
}

struct Waiting {
    batch: RawBatch,
    done: oneshot::Sender<Result<(), String>>,
}

pub(crate) struct Inbox {
    pool: AnyPool,
    sender: Mutex<Option<mpsc::Sender<Waiting>>>,
    room: Arc<Room>,
}

/// Bytes that wait unsealed, and who waits for them to become fewer.
struct Room {
    bytes: AtomicU64,
    bytes_max: u64,
    freed: Notify,
}

/// One committed row of the inbox.
pub(crate) struct Group {
    pub(crate) seq: i64,
    pub(crate) events: i64,
    pub(crate) body: Vec<u8>,
}

pub(crate) async fn start(
    pool: AnyPool,
    engine: Engine,
    sealed_seq: i64,
    settings: Settings,
) -> Result<Inbox, LakeError> {
    let blob = if engine == Engine::Sqlite { "blob" } else { "bytea" };
    if engine == Engine::Sqlite {
        let sql = format!(
            "create table if not exists inbox (seq bigint not null primary key, events bigint not null, body {blob} not null)"
        );
        pool.execute(sqlx::AssertSqlSafe(sql)).await?;
    }
    // A crash between a batch's commit and the removal of its groups leaves groups that are sealed already.
    sqlx::query("delete from inbox where seq <= $1").bind(sealed_seq).execute(&pool).await?;
    let left = sqlx::query(
        "select cast(coalesce(max(seq), 0) as bigint) as seq, cast(coalesce(sum(length(body)), 0) as bigint) as size
           from inbox",
    );
    let left = left.fetch_one(&pool).await?;
    let next_seq = left.try_get::<i64, _>("seq")?.max(sealed_seq) + 1;
    let bytes = AtomicU64::new(u64::try_from(left.try_get::<i64, _>("size")?).unwrap_or(0));
    let room = Arc::new(Room { bytes, bytes_max: settings.inbox_bytes_max, freed: Notify::new() });
    let (sender, receiver) = mpsc::channel(4_096);
    tokio::spawn(commit_groups(pool.clone(), receiver, next_seq, settings));
    Ok(Inbox { pool, sender: Mutex::new(Some(sender)), room })
}

async fn commit_groups(pool: AnyPool, mut receiver: mpsc::Receiver<Waiting>, first_seq: i64, settings: Settings) {
    let mut seq = first_seq;
    while let Some(first) = receiver.recv().await {
        let mut waiting = vec![first];
        let mut size = waiting[0].batch.bytes.len();
        while size < settings.group_bytes_max {
            let Ok(next) = receiver.try_recv() else { break };
            size += next.batch.bytes.len();
            waiting.push(next);
        }
        let events: u64 = waiting.iter().map(|part| part.batch.events).sum();
        let mut body = Vec::with_capacity(size);
        for part in &mut waiting {
            body.append(&mut part.batch.bytes);
        }
        if settings.ack_before_commit {
            for part in waiting.drain(..) {
                let _ = part.done.send(Ok(()));
            }
            // The fault must be wide enough for a kill to hit it: the control's only purpose.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let insert = sqlx::query("insert into inbox (seq, events, body) values ($1, $2, $3)")
            .bind(seq)
            .bind(i64::try_from(events).expect("a group is small"))
            .bind(body);
        let result = insert.execute(&pool).await.map(drop).map_err(|error| error.to_string());
        seq += i64::from(result.is_ok());
        for part in waiting {
            let _ = part.done.send(result.clone());
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
            result.await.map_err(|_| LakeError::Closed)?.map_err(LakeError::Corrupt)
        };
        let kept = kept.await;
        if kept.is_err() {
            self.room.free(size);
        }
        kept
    }

    /// The oldest groups, together at least one and at most about `events_max` events.
    pub(crate) async fn oldest(&self, events_max: u64) -> Result<Vec<Group>, LakeError> {
        let mut groups = Vec::new();
        let mut events = 0;
        let mut after = 0_i64;
        loop {
            let page = sqlx::query("select seq, events, body from inbox where seq > $1 order by seq limit 64")
                .bind(after)
                .fetch_all(&self.pool)
                .await?;
            if page.is_empty() {
                return Ok(groups);
            }
            for row in page {
                let group =
                    Group { seq: row.try_get("seq")?, events: row.try_get("events")?, body: row.try_get("body")? };
                after = group.seq;
                events += group.events.unsigned_abs();
                if events > events_max && !groups.is_empty() {
                    return Ok(groups);
                }
                groups.push(group);
            }
        }
    }

    pub(crate) async fn remove_through(&self, seq: i64, bytes: u64) -> Result<(), LakeError> {
        sqlx::query("delete from inbox where seq <= $1").bind(seq).execute(&self.pool).await?;
        self.room.free(bytes);
        Ok(())
    }

    pub(crate) async fn close(&self) {
        if let Ok(mut sender) = self.sender.lock() {
            sender.take();
        }
        self.pool.close().await;
    }
}

impl Room {
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
