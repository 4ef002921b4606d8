//! Sealing: a range of the inbox becomes one batch of usage records, exactly once.

use crate::catalog::{self, BatchRow};
use crate::error::LakeError;
use crate::inbox::{self, Group};
use crate::object_index::{self, IndexedEvent};
use crate::open::{Inner, Lake};
use crate::parquet_file::{WrittenFile, fresh_path, write_records};
use crate::quarantine::{self, Rejected};
use crate::seen::{self, Fingerprint};
use metering::mediate::mediate_request;
use metering::s3::S3Request;
use metering::{RawEvent, UsageRecord};
use sqlx::{Any, Transaction};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// What sealing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sealed {
    /// Batches committed.
    pub batches: u64,
    /// Events taken from the inbox.
    pub events: u64,
    /// Records that are new.
    pub records: u64,
    /// Records that were counted before, with the same content.
    pub duplicates: u64,
    /// Events and records that went to quarantine, conflicts included.
    pub rejects: u64,
}

/// A record on its way into a batch.
struct Candidate {
    record: UsageRecord,
    print: Fingerprint,
    /// For the first record of an S3 request: the request, whose effects on the index go with it.
    request: Option<Box<S3Request>>,
}

/// What one range of the inbox holds, before anything is looked up.
#[derive(Default)]
struct Prepared {
    candidates: Vec<Candidate>,
    rejected: Vec<Rejected>,
    events: u64,
}

impl Lake {
    /// Seals everything that is in the inbox now. What comes meanwhile waits for the next time: under
    /// steady load there would be no end to it, in ever smaller batches.
    ///
    /// # Errors
    /// [`LakeError`]; batches that were committed stay, the rest is tried again next time.
    pub async fn seal(&self) -> Result<Sealed, LakeError> {
        // A caller that goes away must not cut a batch from the removal of what it holds.
        let own = self.clone();
        tokio::spawn(async move { own.seal_all().await }).await.map_err(|_| LakeError::Closed)?
    }

    async fn seal_all(&self) -> Result<Sealed, LakeError> {
        let _one = self.inner.sealing.lock().await;
        let mut sum = Sealed::default();
        let settings = self.inner.settings;
        let sealed = catalog::sealed_seq(&self.inner.catalog).await?;
        self.inner.inbox.remove_through(sealed, 0).await?;
        let newest = self.inner.inbox.newest().await?;
        if newest > sealed {
            catalog::note_inbox(&self.inner.catalog, newest).await?;
        }
        let mut done = sealed;
        while done < newest {
            let groups = self.inner.inbox.oldest(settings.batch_events_max, settings.batch_bytes_max).await?;
            let Some(last) = groups.last() else { break };
            done = last.seq;
            sum.add(seal_groups(&self.inner, groups).await?);
        }
        Ok(sum)
    }

    /// The newest batch: "everything up to here" is a fixed set for ever.
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn watermark(&self) -> Result<i64, LakeError> {
        let sql = "select cast(coalesce(max(batch_no), 0) as bigint) from lake_batch";
        Ok(sqlx::query_scalar(sql).fetch_one(&self.inner.catalog).await?)
    }
}

impl Sealed {
    fn add(&mut self, other: Self) {
        self.batches += other.batches;
        self.events += other.events;
        self.records += other.records;
        self.duplicates += other.duplicates;
        self.rejects += other.rejects;
    }
}

async fn seal_groups(inner: &Inner, groups: Vec<Group>) -> Result<Sealed, LakeError> {
    let last_seq = groups.last().map(|group| group.seq);
    let bytes: u64 = groups.iter().map(|group| group.body.len() as u64).sum();
    let groups = Arc::new(groups);
    let sealed = seal_range(inner, &groups, 0..u64::MAX, last_seq).await?;
    if let Some(seq) = last_seq {
        inner.inbox.remove_through(seq, bytes).await?;
    }
    Ok(sealed)
}

/// Seals some of the events of the groups, by their places. One that cannot be worked on must not keep the others
/// waiting: where a batch fails for its data, each half of it is sealed by itself, down to the single event, which is
/// set aside. `sealed_seq` goes with the last part; what was sealed before a crash is known by its ids.
async fn seal_range(
    inner: &Inner,
    groups: &Arc<Vec<Group>>,
    range: Range<u64>,
    sealed_seq: Option<i64>,
) -> Result<Sealed, LakeError> {
    let mut sum = Sealed::default();
    let mut parts = vec![(range, sealed_seq)];
    while let Some((range, sealed_seq)) = parts.pop() {
        let (events, error) = match seal_part(inner, groups, range.clone(), sealed_seq).await {
            Ok(sealed) => {
                sum.add(sealed);
                continue;
            }
            Err((_, error)) if error.is_passing() => return Err(error),
            Err(failed) => failed,
        };
        let end = range.end.min(range.start + events);
        if end - range.start > 1 {
            let middle = range.start + (end - range.start) / 2;
            parts.push((middle..end, sealed_seq)); // The first half is popped first.
            parts.push((range.start..middle, None));
            continue;
        }
        sum.add(set_aside(inner, groups, range.start, &error, sealed_seq).await?);
    }
    Ok(sum)
}

/// Seals a part as one batch. With an error comes how many events there were.
async fn seal_part(
    inner: &Inner,
    groups: &Arc<Vec<Group>>,
    range: Range<u64>,
    sealed_seq: Option<i64>,
) -> Result<Sealed, (u64, LakeError)> {
    let (key, now_us) = (inner.key, inner.world.now_us());
    let work_groups = Arc::clone(groups);
    let count = groups.iter().map(|group| group.events.unsigned_abs()).sum::<u64>();
    let count = range.end.min(count).saturating_sub(range.start);
    let prepared = tokio::task::spawn_blocking(move || prepare(&work_groups, range, &key)).await;
    let write = async {
        // A panic over an event is the event's fault, like an error.
        let prepared = prepared.map_err(|error| LakeError::Corrupt(format!("an event cannot be read: {error}")))?;
        let mut tx = inner.begin_write().await?;
        let sealed = write_batch(inner, &mut tx, prepared, sealed_seq, now_us).await?;
        tx.commit().await?;
        Ok(sealed)
    };
    write.await.map_err(|error| (count, error))
}

/// Puts one event into quarantine that cannot be sealed, with why.
async fn set_aside(
    inner: &Inner,
    groups: &Arc<Vec<Group>>,
    place: u64,
    error: &LakeError,
    sealed_seq: Option<i64>,
) -> Result<Sealed, LakeError> {
    tracing::error!(place, %error, "an event cannot be sealed and is set aside");
    let event = groups.iter().flat_map(|group| inbox::decode(&group.body).0).nth(usize::try_from(place).unwrap_or(0));
    let rejected = match event {
        Some(event) => Rejected::unworkable(&event, error),
        None => Rejected::unreadable(&[], &error.to_string()),
    };
    let prepared = Prepared { rejected: vec![rejected], events: 1, ..Prepared::default() };
    let now_us = inner.world.now_us();
    let mut tx = inner.begin_write().await?;
    let sealed = write_batch(inner, &mut tx, prepared, sealed_seq, now_us).await?;
    tx.commit().await?;
    Ok(sealed)
}

fn prepare(groups: &[Group], range: Range<u64>, key: &[u8; 32]) -> Prepared {
    let mut prepared = Prepared::default();
    let mut buffer = Vec::with_capacity(1_024);
    let mut place = 0;
    for group in groups {
        let (events, damaged) = inbox::decode(&group.body);
        for event in events {
            place += 1;
            if !range.contains(&(place - 1)) {
                continue;
            }
            prepared.events += 1;
            match event {
                // Nearly all events of a busy source are plain usage: they are checked in place.
                RawEvent::Usage(record) => match metering::record::check_content(&record) {
                    Ok(()) => prepared.add(vec![*record], None, key, &mut buffer),
                    Err(reject) => prepared.rejected.push(Rejected::of_event(&RawEvent::Usage(record), reject)),
                },
                RawEvent::S3 { org_path, request } => match mediate_request(&org_path, &request) {
                    Ok(records) => prepared.add(records, Some(request), key, &mut buffer),
                    Err(reject) => {
                        prepared.rejected.push(Rejected::of_event(&RawEvent::S3 { org_path, request }, reject));
                    }
                },
            }
        }
        if let Some(rest) = damaged {
            // Its hash was right, so it was written so: by another version, or by a fault of ours.
            tracing::error!(
                seq = group.seq,
                bytes = rest.len(),
                "a part of a group of the inbox cannot be read and is set aside"
            );
            prepared.rejected.push(Rejected::unreadable(rest, "this part of the inbox cannot be read"));
        }
    }
    prepared
}

impl Prepared {
    fn add(
        &mut self,
        records: Vec<UsageRecord>,
        mut request: Option<Box<S3Request>>,
        key: &[u8; 32],
        buffer: &mut Vec<u8>,
    ) {
        for record in records {
            let print = seen::fingerprint(key, &record, buffer);
            self.candidates.push(Candidate { record, print, request: request.take() });
        }
    }

    pub(crate) fn of_records(records: Vec<UsageRecord>, key: &[u8; 32]) -> Self {
        let mut prepared = Self { events: records.len() as u64, ..Self::default() };
        prepared.add(records, None, key, &mut Vec::new());
        prepared
    }
}

/// Commits records that were made here (storage ticks), in the given transaction.
pub(crate) async fn write_own(
    inner: &Inner,
    tx: &mut Transaction<'static, Any>,
    records: Vec<UsageRecord>,
    now_us: i64,
) -> Result<Sealed, LakeError> {
    let prepared = Prepared::of_records(records, &inner.key);
    write_batch(inner, tx, prepared, None, now_us).await
}

async fn write_batch(
    inner: &Inner,
    tx: &mut Transaction<'static, Any>,
    prepared: Prepared,
    sealed_seq: Option<i64>,
    now_us: i64,
) -> Result<Sealed, LakeError> {
    let batch_no = catalog::next_batch(tx).await?;
    let Prepared { candidates, mut rejected, events } = prepared;
    let offered = candidates.len();
    let (mut kept, conflicts) = keep_new(inner, tx, candidates, batch_no).await?;
    let duplicates = offered - kept.len() - conflicts.len();
    rejected.extend(conflicts.into_iter().map(|candidate| Rejected::conflict(&candidate.record)));
    let indexed: Vec<IndexedEvent> = kept
        .iter_mut()
        .filter_map(|candidate| {
            let request = candidate.request.take()?;
            Some(IndexedEvent { org_path: candidate.record.org_path.clone(), request })
        })
        .collect();
    let mut records: Vec<UsageRecord> = kept.into_iter().map(|candidate| candidate.record).collect();
    let corrections = object_index::apply(tx, indexed).await?;
    if !corrections.is_empty() {
        let corrections = Prepared::of_records(corrections, &inner.key).candidates;
        let (new, _) = keep_new(inner, tx, corrections, batch_no).await?;
        records.extend(new.into_iter().map(|candidate| candidate.record));
    }
    quarantine::insert(tx, &rejected, now_us).await?;
    let count = records.len() as u64;
    let files = write_files(inner, records, batch_no).await?;
    if !files.is_empty() {
        catalog::commit_files(tx, &files, &[], now_us).await?;
    }
    let (duplicates, rejects) = (duplicates as u64, rejected.len() as u64);
    let row = BatchRow { batch_no, sealed_seq, events, records: count, duplicates, rejects, at_us: now_us };
    catalog::insert_batch(tx, &row).await?;
    Ok(Sealed { batches: 1, events, records: count, duplicates, rejects })
}

/// Keeps the candidates that nobody counted before. The second value holds those whose id was counted
/// with other content; what is in neither was a plain duplicate.
async fn keep_new(
    inner: &Inner,
    tx: &mut Transaction<'static, Any>,
    candidates: Vec<Candidate>,
    batch_no: i64,
) -> Result<(Vec<Candidate>, Vec<Candidate>), LakeError> {
    let mut months = MonthMemo::default();
    // Sorted by id, arrival last: the first of equal ids is the one that counts, whatever month it claims.
    let mut order: Vec<(Fingerprint, usize)> =
        candidates.iter().enumerate().map(|(place, candidate)| (candidate.print, place)).collect();
    order.sort_unstable_by_key(|(print, place)| (print.id, *place));
    let mut firsts: BTreeMap<i64, Vec<Fingerprint>> = BTreeMap::new();
    for same in order.chunk_by(|a, b| a.0.id == b.0.id) {
        let (print, place) = same[0];
        firsts.entry(months.of(candidates[place].record.start_us)).or_default().push(print);
    }
    let mut before: BTreeMap<[u8; 16], [u8; 8]> = BTreeMap::new();
    for (month, prints) in &firsts {
        before.extend(seen::insert(tx, inner.engine, *month, prints, batch_no).await?);
    }
    let mut fate = vec![Fate::Duplicate; candidates.len()];
    for same in order.chunk_by(|a, b| a.0.id == b.0.id) {
        let first = same[0].0;
        let counted = before.get(&first.id).copied();
        for (index, (print, place)) in same.iter().enumerate() {
            if counted.unwrap_or(first.content) != print.content {
                fate[*place] = Fate::Conflict;
            } else if counted.is_none() && index == 0 {
                fate[*place] = Fate::New;
            }
        }
    }
    let (mut kept, mut conflicts) = (Vec::with_capacity(candidates.len()), Vec::new());
    for (candidate, fate) in candidates.into_iter().zip(fate) {
        match fate {
            Fate::New => kept.push(candidate),
            Fate::Conflict => conflicts.push(candidate),
            Fate::Duplicate => {}
        }
    }
    Ok((kept, conflicts))
}

/// What becomes of a candidate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    New,
    Duplicate,
    Conflict,
}

/// The month of an instant is asked for a million times a batch, nearly always for the same month.
#[derive(Default)]
struct MonthMemo {
    span: Option<(base::Period, i64)>,
}

impl MonthMemo {
    fn of(&mut self, at_us: i64) -> i64 {
        if let Some((_, month)) = self.span.filter(|(span, _)| span.contains(at_us)) {
            return month;
        }
        let month = seen::month_no(at_us);
        self.span = base::Period::month_of(at_us, &base::Zone::utc()).ok().map(|span| (span, month));
        month
    }
}

async fn write_files(inner: &Inner, records: Vec<UsageRecord>, batch_no: i64) -> Result<Vec<WrittenFile>, LakeError> {
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let mut by_month: BTreeMap<i64, Vec<UsageRecord>> = BTreeMap::new();
    let mut months = MonthMemo::default();
    for record in records {
        by_month.entry(months.of(record.start_us)).or_default().push(record);
    }
    let table = inner.table_folder();
    let paths: Vec<String> =
        by_month.values().map(|records| fresh_path(records[0].start_us, inner.world.fresh_id())).collect();
    let write = move || {
        let parts = by_month.into_values().zip(paths);
        parts.map(|(mut records, path)| write_records(&table, path, &mut records, batch_no)).collect()
    };
    tokio::task::spawn_blocking(write).await.map_err(|_| LakeError::Closed)?
}

impl Inner {
    /// The folder of the usage table.
    pub(crate) fn table_folder(&self) -> std::path::PathBuf {
        self.files.join("main").join("usage")
    }
}
