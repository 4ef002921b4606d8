//! Compaction: many small sorted files of a month become one, by a streaming merge in bounded memory.

use crate::catalog::{self, LiveFile, live_files};
use crate::error::LakeError;
use crate::open::Lake;
use crate::parquet_file::{FileWriter, WrittenFile, fresh_path, schema};
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int64Type, TimestampMicrosecondType};
use arrow_row::{OwnedRow, RowConverter, Rows, SortField};
use arrow_select::interleave::interleave_record_batch;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::path::Path;

/// Files of a month below this size are merged ...
const SMALL_BYTES: i64 = 64 << 20;
/// ... when there are more than so many of them ...
const SMALL_FILES_MAX: usize = 16;
/// ... at most so many at once: each one in the merge holds two batches in memory.
const MERGE_FILES_MAX: usize = 64;
/// A merged file ends at about this size.
const FILE_BYTES_MAX: usize = 192 << 20;
const BATCH_ROWS: usize = 4_096;

/// What a compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compacted {
    /// Files retired.
    pub files_in: u64,
    /// Files written.
    pub files_out: u64,
    /// Rows rewritten.
    pub rows: u64,
}

impl Lake {
    /// Merges small files, month by month, until no month has too many of them. Damaged files are left alone, and
    /// each month stands by itself.
    ///
    /// # Errors
    /// [`LakeError`] of a month that failed; a merge whose rows or sums differ is thrown away.
    pub async fn compact(&self) -> Result<Compacted, LakeError> {
        let _one = self.inner.compacting.lock().await;
        let (mut done, mut failed) = (Compacted::default(), None);
        let mut months = BTreeSet::new();
        loop {
            let mut files = live_files(&self.inner.catalog).await?;
            files.retain(|file| !self.inner.verified.is_damaged(file) && !months.contains(month_of(file)));
            let Some(inputs) = crowded_month(files) else { break };
            match self.merge_month(&inputs).await {
                Ok(merged) => {
                    done.files_in += merged.files_in;
                    done.files_out += merged.files_out;
                    done.rows += merged.rows;
                }
                // What is damaged is left out from now on; the other files of its month are merged.
                Err(LakeError::Damaged { .. }) => {}
                Err(error) if error.is_passing() => return Err(error),
                Err(error) => {
                    tracing::error!(month = month_of(&inputs[0]), %error, "a month cannot be compacted");
                    months.insert(month_of(&inputs[0]).to_owned());
                    failed = Some(error);
                }
            }
        }
        failed.map_or(Ok(done), Err)
    }

    /// Merges files. Sealing goes on meanwhile: only the exchange in the catalog waits for its turn.
    async fn merge_month(&self, inputs: &[LiveFile]) -> Result<Compacted, LakeError> {
        let ids: Vec<u128> = (0..64).map(|_| self.inner.world.fresh_id()).collect();
        let (table, inner, files) = (self.inner.table_folder(), self.inner.clone(), inputs.to_vec());
        let work = move || {
            for file in &files {
                inner.verified.check(&table, file)?;
            }
            merge(&table, &files, &ids)
        };
        let written = tokio::task::spawn_blocking(work).await.map_err(|_| LakeError::Closed)??;
        let retired: Vec<i64> = inputs.iter().map(|file| file.file_id).collect();
        let _one = self.inner.sealing.lock().await;
        let mut tx = self.inner.begin_write().await?;
        catalog::next_batch(&mut tx).await?; // The lock; the number itself stays unused.
        catalog::commit_files(&mut tx, &written, &retired, self.inner.world.now_us()).await?;
        tx.commit().await?;
        Ok(Compacted {
            files_in: inputs.len() as u64,
            files_out: written.len() as u64,
            rows: written.iter().map(|file| file.rows.unsigned_abs()).sum::<u64>(),
        })
    }
}

impl Lake {
    /// Removes files that compaction retired at or before `before_us`: time travel reaches back to then.
    /// Rating never needs them, since every row carries its batch. Gives how many were removed.
    ///
    /// # Errors
    /// [`LakeError`]; a file that cannot be deleted is left on the disk, out of the catalog.
    pub async fn expire(&self, before_us: i64) -> Result<u64, LakeError> {
        let _one = self.inner.sealing.lock().await;
        let mut tx = self.inner.begin_write().await?;
        let paths = catalog::forget_retired(&mut tx, before_us).await?;
        tx.commit().await?;
        let table = self.inner.table_folder();
        for path in &paths {
            if let Err(error) = std::fs::remove_file(table.join(path)) {
                tracing::warn!(path, %error, "a retired file stays on the disk");
            }
        }
        Ok(paths.len() as u64)
    }
}

/// The folder of a file: one for each month.
fn month_of(file: &LiveFile) -> &str {
    file.path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn crowded_month(files: Vec<LiveFile>) -> Option<Vec<LiveFile>> {
    let mut months: BTreeMap<String, Vec<LiveFile>> = BTreeMap::new();
    for file in files.into_iter().filter(|file| file.bytes < SMALL_BYTES) {
        let month = month_of(&file).to_owned();
        months.entry(month).or_default().push(file);
    }
    let mut crowded = months.into_values().find(|files| files.len() > SMALL_FILES_MAX)?;
    crowded.truncate(MERGE_FILES_MAX);
    Some(crowded)
}

/// One input of the merge: the batch in hand and the place in it.
struct Input {
    reader: ParquetRecordBatchReader,
    path: String,
}

impl Input {
    fn open(table: &Path, file: &LiveFile) -> Result<Self, LakeError> {
        let full = table.join(&file.path);
        let path = full.display().to_string();
        let handle = std::fs::File::open(&full).map_err(|source| LakeError::Io { path: path.clone(), source })?;
        let options = ArrowReaderOptions::new().with_schema(schema()).with_skip_arrow_metadata(true);
        let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(handle, options)
            .and_then(|builder| builder.with_batch_size(BATCH_ROWS).build())
            .map_err(|source| LakeError::Parquet { path: path.clone(), source })?;
        Ok(Self { reader, path })
    }

    fn next(&mut self) -> Result<Option<RecordBatch>, LakeError> {
        let wrong =
            |error: arrow_schema::ArrowError| LakeError::Parquet { path: self.path.clone(), source: error.into() };
        self.reader.next().transpose().map_err(wrong)
    }
}

/// Rows and the sum of each meter, of what went in and of what came out.
#[derive(Default, PartialEq, Eq, Debug)]
struct Check {
    rows: u64,
    sums: BTreeMap<String, i128>,
}

impl Check {
    fn add(&mut self, batch: &RecordBatch) {
        let meters = batch.column(6).as_string::<i32>();
        let quantities = batch.column(9).as_primitive::<Decimal128Type>();
        self.rows += batch.num_rows() as u64;
        for row in 0..batch.num_rows() {
            let meter = meters.value(row);
            match self.sums.get_mut(meter) {
                Some(sum) => *sum = sum.wrapping_add(quantities.value(row)),
                None => {
                    self.sums.insert(meter.to_owned(), quantities.value(row));
                }
            }
        }
    }
}

struct Merge<'a> {
    table: &'a Path,
    ids: std::slice::Iter<'a, u128>,
    writer: Option<FileWriter>,
    written: Vec<WrittenFile>,
    check: Check,
}

fn merge(table: &Path, files: &[LiveFile], ids: &[u128]) -> Result<Vec<WrittenFile>, LakeError> {
    let schema = schema();
    // realm, path, meter, start, record id: the order of every file.
    let order = [2, 4, 6, 10, 1];
    let fields = order.iter().map(|column| SortField::new(schema.field(*column).data_type().clone())).collect();
    let arrow = |error: arrow_schema::ArrowError| LakeError::Corrupt(format!("merge: {error}"));
    let converter = RowConverter::new(fields).map_err(arrow)?;
    let rows_of = |batch: &RecordBatch| -> Result<Rows, LakeError> {
        let columns: Vec<_> = order.iter().map(|column| batch.column(*column).clone()).collect();
        converter.convert_columns(&columns).map_err(arrow)
    };
    let mut read = Check::default();
    let mut inputs = files.iter().map(|file| Input::open(table, file)).collect::<Result<Vec<_>, _>>()?;
    let mut held: Vec<Option<(RecordBatch, Rows)>> = Vec::new();
    let mut heap: BinaryHeap<Reverse<(OwnedRow, usize, usize)>> = BinaryHeap::new();
    for (index, input) in inputs.iter_mut().enumerate() {
        let batch = input.next()?;
        let pair = batch.map(|batch| rows_of(&batch).map(|rows| (batch, rows))).transpose()?;
        if let Some((batch, rows)) = &pair {
            read.add(batch);
            heap.push(Reverse((rows.row(0).owned(), index, 0)));
        }
        held.push(pair);
    }
    let mut out = Merge { table, ids: ids.iter(), writer: None, written: Vec::new(), check: Check::default() };
    let mut picks: Vec<(usize, usize)> = Vec::with_capacity(BATCH_ROWS);
    while let Some(Reverse((_, index, row))) = heap.pop() {
        picks.push((index, row));
        let (batch, rows) = held[index].as_ref().expect("a queued input holds a batch");
        if row + 1 < batch.num_rows() {
            heap.push(Reverse((rows.row(row + 1).owned(), index, row + 1)));
            if picks.len() < BATCH_ROWS {
                continue;
            }
            out.flush(&held, &mut picks)?;
        } else {
            // The batch is used up: what was picked from it must be written before it is replaced.
            out.flush(&held, &mut picks)?;
            let next = inputs[index].next()?;
            let pair = next.map(|batch| rows_of(&batch).map(|rows| (batch, rows))).transpose()?;
            if let Some((batch, rows)) = &pair {
                read.add(batch);
                heap.push(Reverse((rows.row(0).owned(), index, 0)));
                held[index] = pair;
            }
        }
    }
    out.flush(&held, &mut picks)?;
    out.end_file()?;
    if out.check != read {
        return Err(LakeError::Corrupt("a merge changed rows or sums and was thrown away".to_owned()));
    }
    Ok(out.written)
}

impl Merge<'_> {
    fn flush(
        &mut self,
        held: &[Option<(RecordBatch, Rows)>],
        picks: &mut Vec<(usize, usize)>,
    ) -> Result<(), LakeError> {
        if picks.is_empty() {
            return Ok(());
        }
        let empty = RecordBatch::new_empty(schema());
        let batches: Vec<&RecordBatch> =
            held.iter().map(|pair| pair.as_ref().map_or(&empty, |(batch, _)| batch)).collect();
        let batch =
            interleave_record_batch(&batches, picks).map_err(|error| LakeError::Corrupt(format!("merge: {error}")))?;
        picks.clear();
        self.check.add(&batch);
        self.write(&batch)
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        let starts = batch.column(10).as_primitive::<TimestampMicrosecondType>();
        if self.writer.is_none() {
            let id = self.ids.next().ok_or_else(|| LakeError::Corrupt("a merge made too many files".to_owned()))?;
            self.writer = Some(FileWriter::create(self.table, fresh_path(starts.value(0), *id))?);
        }
        let writer = self.writer.as_mut().expect("it was made above");
        widen_all(writer, batch);
        writer.write(batch)?;
        if writer.bytes() >= FILE_BYTES_MAX { self.end_file() } else { Ok(()) }
    }

    fn end_file(&mut self) -> Result<(), LakeError> {
        if let Some(writer) = self.writer.take() {
            self.written.push(writer.finish()?);
        }
        Ok(())
    }
}

fn widen_all(writer: &mut FileWriter, batch: &RecordBatch) {
    let quantities = batch.column(9).as_primitive::<Decimal128Type>();
    let instants = |column: usize| batch.column(column).as_primitive::<TimestampMicrosecondType>();
    let batches = batch.column(13).as_primitive::<Int64Type>();
    let (starts, ends) = (instants(10), instants(11));
    for row in 0..batch.num_rows() {
        for (slot, column) in [0, 2, 3, 4, 6].into_iter().enumerate() {
            writer.spread().add_text(slot, batch.column(column).as_string::<i32>().value(row));
        }
        writer.spread().add_numbers(quantities.value(row), starts.value(row), ends.value(row), batches.value(row));
    }
}
