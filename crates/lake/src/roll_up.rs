//! The roll-up: usage of one realm, summed by who, what and when, straight from the files.
//!
//! An own aggregation for this one shape. Only the columns of the question are read, repeating ones as
//! dictionaries, so that a row is a few small integers. The files are sorted: rows of one series (who and what)
//! are neighbours, and its instants ascend, so that most rows cost a comparison and an addition.

use crate::catalog::{LiveFile, live_files};
use crate::condition::{Condition, Fit, conditions, numbers_within};
use crate::error::LakeError;
use crate::open::Lake;
use crate::parquet_file;
use crate::sums::{Series, Sums, Totals};
use crate::verified::Verified;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int32Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch};
use base::period::HOUR_US;
use base::{OrgId, Period, QuantityNano, RealmId, UserId};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder, RowFilter};
use std::collections::BTreeSet;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Which columns the answer keeps apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GroupBy {
    /// By organisation.
    pub org: bool,
    /// By user.
    pub user: bool,
    /// By the meter's dimensions.
    pub dimensions: bool,
}

/// How the answer is cut in time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Buckets {
    /// Not at all.
    #[default]
    Whole,
    /// By hour of UTC.
    Hours,
    /// At these instants, ascending: local days, months of a zone.
    At(Vec<i64>),
}

/// A question.
#[derive(Debug, Clone)]
pub struct RollUp {
    /// Whose usage: one realm, always.
    pub realm: RealmId,
    /// Only these organisations; `None` for the whole realm.
    pub orgs: Option<BTreeSet<OrgId>>,
    /// Only this user.
    pub user: Option<UserId>,
    /// Only these meters; empty for all.
    pub meters: BTreeSet<String>,
    /// Records that start in here.
    pub period: Period,
    /// Only batches up to this one: the figure of that day, for ever.
    pub as_of: Option<i64>,
    /// What is kept apart.
    pub by: GroupBy,
    /// How time is cut.
    pub buckets: Buckets,
}

/// One row of the answer. Columns that were not asked for are empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct RolledUp {
    /// Organisation.
    pub org: Option<OrgId>,
    /// User.
    pub user: Option<UserId>,
    /// Meter code.
    pub meter: String,
    /// Canonical JSON of the dimensions.
    pub dimensions: String,
    /// Start of the bucket.
    pub bucket_us: i64,
    /// The sum.
    pub quantity: QuantityNano,
    /// How many records are in it.
    pub records: u64,
}

/// Rows that are decoded at once: a few hundred KiB of each column, which the caches hold.
const BATCH_ROWS: usize = 8_192;

/// The columns that tell series apart, in the order of [`Series`], with their places in the file.
const SERIES_COLUMNS: [(&str, usize); 4] = [("org_id", 3), ("user_id", 5), ("meter", 6), ("dimensions", 8)];
const QUANTITY: usize = 9;
const START: usize = 10;

/// A dictionary that was seen last, with the numbers of its texts.
type Named = (ArrayRef, Arc<[u32]>);

/// A column that tells series apart: its dictionary's texts by their numbers, and the code of each row.
struct Key<'a> {
    slot: usize,
    names: Arc<[u32]>,
    codes: &'a [i32],
}

struct Worker<'a> {
    question: &'a RollUp,
    conditions: &'a [Arc<Condition>],
    sums: Sums,
    named: [Option<Named>; 4],
}

impl<'a> Worker<'a> {
    fn new(question: &'a RollUp, conditions: &'a [Arc<Condition>]) -> Self {
        Self { question, conditions, sums: Sums::default(), named: Default::default() }
    }

    /// Adds every `parts`-th row group of a file, from number `part` on.
    fn read(&mut self, table: &Path, piece: &Piece<'_>) -> Result<(), LakeError> {
        let path = table.join(&piece.file.path);
        let (handle, metadata) = parquet_file::open(&path)?;
        for group in (piece.part..metadata.metadata().num_row_groups()).step_by(piece.parts) {
            self.read_group(&handle, &metadata, group)
                .map_err(|source| LakeError::Parquet { path: path.display().to_string(), source })?;
        }
        Ok(())
    }

    fn read_group(
        &mut self,
        handle: &File,
        metadata: &ArrowReaderMetadata,
        index: usize,
    ) -> Result<(), parquet::errors::ParquetError> {
        let group = metadata.metadata().row_group(index);
        let fits: Vec<Fit> = self.conditions.iter().map(|condition| condition.fit(group)).collect();
        if fits.contains(&Fit::Nothing) {
            return Ok(());
        }
        let schema = metadata.metadata().file_metadata().schema_descr();
        let open = self.conditions.iter().zip(&fits).filter(|(_, fit)| **fit == Fit::Something);
        let predicates = open.map(|(condition, _)| condition.predicate(schema)).collect();
        let by = self.question.by;
        let apart = SERIES_COLUMNS.iter().zip([by.org, by.user, true, by.dimensions]);
        let mut columns: Vec<usize> = apart.filter(|(_, apart)| *apart).map(|((_, column), _)| *column).collect();
        columns.push(QUANTITY);
        // Where all rows fall into one bucket, their instants need not be read.
        let bucket = self.bucket_of_all(numbers_within(group, START));
        if bucket.is_none() {
            columns.push(START);
        }
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(handle.try_clone()?, metadata.clone())
            .with_projection(ProjectionMask::leaves(schema, columns))
            .with_row_groups(vec![index]) // One at a time: a batch never spans two dictionaries.
            .with_row_filter(RowFilter::new(predicates))
            .with_batch_size(BATCH_ROWS)
            .build()?;
        for batch in reader {
            self.add(&batch?, bucket);
        }
        Ok(())
    }

    fn bucket_of_all(&self, within: Option<(i64, i64)>) -> Option<i64> {
        if self.question.buckets == Buckets::Whole {
            return Some(self.question.period.start_us);
        }
        let (min, max) = within?;
        let (bucket_us, span) = self.bucket(min);
        span.contains(&max).then_some(bucket_us)
    }

    /// The bucket of an instant, and the instants that share it.
    fn bucket(&self, at_us: i64) -> (i64, Range<i64>) {
        let period = self.question.period;
        match &self.question.buckets {
            Buckets::Whole => (period.start_us, i64::MIN..i64::MAX),
            Buckets::Hours => {
                let start_us = at_us - at_us.rem_euclid(HOUR_US);
                (start_us, start_us..start_us + HOUR_US)
            }
            Buckets::At(edges) => {
                let next = edges.partition_point(|edge| *edge <= at_us);
                let end_us = edges.get(next).copied().unwrap_or(i64::MAX);
                match next {
                    0 => (period.start_us, i64::MIN..end_us),
                    next => (edges[next - 1], edges[next - 1]..end_us),
                }
            }
        }
    }

    /// The numbers of a dictionary's texts. Batches of a row group share their dictionary.
    fn names(&mut self, slot: usize, values: &ArrayRef) -> Arc<[u32]> {
        match &self.named[slot] {
            Some((held, names)) if held.to_data().ptr_eq(&values.to_data()) => names.clone(),
            _ => {
                let texts = values.as_string::<i32>();
                let names: Arc<[u32]> = (0..texts.len()).map(|index| self.sums.name(texts.value(index))).collect();
                self.named[slot] = Some((values.clone(), names.clone()));
                names
            }
        }
    }

    /// Adds rows; `bucket_us` is the bucket of all of them, if they share one.
    fn add(&mut self, batch: &RecordBatch, bucket_us: Option<i64>) {
        let keys = self.keys(batch);
        let quantities = batch.column_by_name("quantity").expect("it is always read");
        let quantities = quantities.as_primitive::<Decimal128Type>().values();
        let starts = batch.column_by_name("start_at");
        let starts = starts.map(|starts| starts.as_primitive::<TimestampMicrosecondType>().values());
        let mut row = 0;
        while row < quantities.len() {
            let differs = |other: &usize| keys.iter().any(|key| key.codes[*other] != key.codes[row]);
            let end = (row + 1..quantities.len()).find(differs).unwrap_or(quantities.len());
            let mut series = Series::default();
            for key in &keys {
                series[key.slot] = key.names[key.codes[row] as usize];
            }
            let place = self.sums.place(series);
            match (bucket_us, starts) {
                (Some(bucket_us), _) => self.sums.add(place, bucket_us, &quantities[row..end]),
                (None, Some(starts)) => self.add_series(place, &starts[row..end], &quantities[row..end]),
                (None, None) => unreachable!("instants are read unless all rows share a bucket"),
            }
            row = end;
        }
    }

    /// Adds rows of one series, bucket by bucket.
    fn add_series(&mut self, place: usize, mut starts: &[i64], mut quantities: &[i128]) {
        while let Some(first) = starts.first() {
            let (bucket_us, span) = self.bucket(*first);
            let same = starts.iter().take_while(|start| span.contains(start)).count();
            self.sums.add(place, bucket_us, &quantities[..same]);
            (starts, quantities) = (&starts[same..], &quantities[same..]);
        }
    }

    /// The columns of a batch that tell its series apart.
    fn keys<'b>(&mut self, batch: &'b RecordBatch) -> Vec<Key<'b>> {
        let mut keys = Vec::with_capacity(SERIES_COLUMNS.len());
        for (slot, (name, _)) in SERIES_COLUMNS.iter().enumerate() {
            if let Some(array) = batch.column_by_name(name) {
                let array = array.as_dictionary::<Int32Type>();
                keys.push(Key { slot, names: self.names(slot, array.values()), codes: array.keys().values() });
            }
        }
        keys
    }
}

impl LiveFile {
    pub(crate) fn may_hold(&self, realm: &str, period: Period, as_of: Option<i64>) -> bool {
        self.realm_min.as_str() <= realm
            && self.realm_max.as_str() >= realm
            && self.start_min_us < period.end_us
            && self.start_max_us >= period.start_us
            && self.batch_min <= as_of.unwrap_or(i64::MAX)
    }
}

impl Lake {
    /// Answers a roll-up, rows in order of their columns. The same question as of the same batch gives
    /// the same answer, whatever was compacted or arrived since.
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn roll_up(&self, question: RollUp) -> Result<Vec<RolledUp>, LakeError> {
        let mut files = live_files(&self.inner.catalog).await?;
        let realm = question.realm.to_string();
        files.retain(|file| file.may_hold(&realm, question.period, question.as_of));
        let (table, inner) = (self.inner.table_folder(), self.inner.clone());
        let work = move || roll_up_files(&question, &table, &files, &inner.verified);
        tokio::task::spawn_blocking(work).await.map_err(|_| LakeError::Closed)?
    }
}

/// Work for one worker at a time: every `parts`-th row group of a file, from number `part` on.
struct Piece<'a> {
    file: &'a LiveFile,
    part: usize,
    parts: usize,
}

/// Files from so many rows on are cut into a piece for each worker.
const LARGE_FILE_ROWS: i64 = 500_000;

/// Runs `work` for each of `count` things, several at a time.
fn for_each_of(count: usize, work: impl Fn(usize) -> Result<(), LakeError> + Sync) -> Result<(), LakeError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(count);
    let next = AtomicUsize::new(0);
    let run = || loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        if index >= count {
            return Ok(());
        }
        work(index)?;
    };
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        handles.into_iter().try_for_each(|handle| handle.join().expect("a worker does not panic"))
    })
}

fn roll_up_files(
    question: &RollUp,
    table: &Path,
    files: &[LiveFile],
    verified: &Verified,
) -> Result<Vec<RolledUp>, LakeError> {
    for_each_of(files.len(), |index| verified.check(table, &files[index]))?;
    let conditions = conditions(question);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let parts_of = |file: &LiveFile| if file.rows < LARGE_FILE_ROWS { 1 } else { threads };
    let pieces: Vec<Piece<'_>> = files
        .iter()
        .flat_map(|file| (0..parts_of(file)).map(move |part| Piece { file, part, parts: parts_of(file) }))
        .collect();
    let next = AtomicUsize::new(0);
    let run = || {
        let mut worker = Worker::new(question, &conditions);
        while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
            worker.read(table, piece)?;
        }
        Ok::<_, LakeError>(worker.sums)
    };
    let parts = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads.min(pieces.len())).map(|_| scope.spawn(run)).collect();
        handles.into_iter().map(|handle| handle.join().expect("a worker does not panic")).collect::<Vec<_>>()
    });
    let mut whole = Totals::default();
    for part in parts {
        whole.take(part?)?;
    }
    whole.into_rows()
}
