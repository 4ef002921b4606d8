//! The roll-up: usage of one realm, summed by who, what and when, straight from the files.
//!
//! An own aggregation for this one shape. Repeating columns are read as dictionaries, so that a row is a
//! few small integers; equal neighbours (the files are sorted) skip the hash table.

use crate::catalog::{LiveFile, live_files};
use crate::error::LakeError;
use crate::open::Lake;
use crate::parquet_file;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch};
use base::period::HOUR_US;
use base::{OrgId, Period, QuantityNano, RealmId, UserId};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};
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

/// A multiplicative hash for keys of small integers: the std one costs more than the sum itself.
#[derive(Default, Clone, Copy)]
struct SmallHasher(u64);

impl Hasher for SmallHasher {
    fn finish(&self) -> u64 {
        // The table takes its place from the low bits, and a product mixes upwards only.
        self.0.rotate_left(26)
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }
    fn write_i64(&mut self, value: i64) {
        self.write_u64(value as u64);
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

type SmallMap<K, V> = HashMap<K, V, BuildHasherDefault<SmallHasher>>;

/// Numbers for texts, shared by all files of one worker.
#[derive(Default)]
struct Interner {
    ids: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
}

impl Interner {
    fn id(&mut self, text: &str) -> u32 {
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let id = u32::try_from(self.texts.len()).expect("fewer than 2^32 different texts");
        let text: Arc<str> = text.into();
        self.texts.push(text.clone());
        self.ids.insert(text, id);
        id
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    org: u32,
    user: u32,
    meter: u32,
    dimensions: u32,
    bucket: i64,
}

#[derive(Clone, Copy, Default)]
struct Sum {
    quantity: i128,
    records: u64,
}

/// A predicate or key of a repeating column: for each text whether it counts, and under which number.
const OUT: u32 = u32::MAX;

struct Worker<'a> {
    question: &'a RollUp,
    realm: String,
    org_texts: Option<BTreeSet<String>>,
    user_text: Option<String>,
    texts: Interner,
    sums: SmallMap<Key, Sum>,
    overflow: bool,
}

impl<'a> Worker<'a> {
    fn new(question: &'a RollUp) -> Self {
        Self {
            question,
            realm: question.realm.to_string(),
            org_texts: question.orgs.as_ref().map(|orgs| orgs.iter().map(ToString::to_string).collect()),
            user_text: question.user.map(|user| user.to_string()),
            texts: Interner::default(),
            sums: SmallMap::default(),
            overflow: false,
        }
    }

    /// Numbers of the values of one dictionary column; `OUT` where a value is filtered away.
    fn column(&mut self, array: &ArrayRef, keep: impl Fn(&Self, &str) -> bool, apart: bool) -> Vec<u32> {
        let dictionary = array.as_dictionary::<Int32Type>();
        let values = dictionary.values().as_string::<i32>();
        (0..values.len())
            .map(|index| match values.value(index) {
                value if !keep(self, value) => OUT,
                value if apart => self.texts.id(value),
                _ => self.texts.id(""),
            })
            .collect()
    }

    fn add(&mut self, batch: &RecordBatch) {
        let by = self.question.by;
        let realms = self.column(batch.column(0), |own, value| value == own.realm, false);
        let orgs = self.column(
            batch.column(1),
            |own, value| own.org_texts.as_ref().is_none_or(|orgs| orgs.contains(value)),
            by.org,
        );
        let users =
            self.column(batch.column(2), |own, value| own.user_text.as_ref().is_none_or(|user| user == value), by.user);
        let meters = self.column(
            batch.column(3),
            |own, value| own.question.meters.is_empty() || own.question.meters.contains(value),
            true,
        );
        let dimensions = self.column(batch.column(4), |_, _| true, by.dimensions);
        let keys = |column: usize| batch.column(column).as_dictionary::<Int32Type>().keys().values().clone();
        let (realm_keys, org_keys, user_keys, meter_keys, dimension_keys) =
            (keys(0), keys(1), keys(2), keys(3), keys(4));
        let quantities = batch.column(5).as_primitive::<Decimal128Type>().values();
        let starts = batch.column(6).as_primitive::<TimestampMicrosecondType>().values();
        let batches = batch.column(7).as_primitive::<Int64Type>().values();
        let period = self.question.period;
        let as_of = self.question.as_of.unwrap_or(i64::MAX);
        let mut last: Option<(Key, Sum)> = None;
        for row in 0..batch.num_rows() {
            let start = starts[row];
            let org = orgs[org_keys[row] as usize];
            let user = users[user_keys[row] as usize];
            let meter = meters[meter_keys[row] as usize];
            let out = realms[realm_keys[row] as usize] == OUT || org == OUT || user == OUT || meter == OUT;
            if out || !period.contains(start) || batches[row] > as_of {
                continue;
            }
            let bucket = self.bucket(start);
            let key = Key { org, user, meter, dimensions: dimensions[dimension_keys[row] as usize], bucket };
            match &mut last {
                Some((held, sum)) if *held == key => {
                    let (quantity, overflow) = sum.quantity.overflowing_add(quantities[row]);
                    self.overflow |= overflow;
                    *sum = Sum { quantity, records: sum.records + 1 };
                }
                _ => {
                    let fresh = (key, Sum { quantity: quantities[row], records: 1 });
                    if let Some((key, sum)) = last.replace(fresh) {
                        self.merge(key, sum);
                    }
                }
            }
        }
        if let Some((key, sum)) = last {
            self.merge(key, sum);
        }
    }

    fn bucket(&self, start_us: i64) -> i64 {
        match &self.question.buckets {
            Buckets::Whole => self.question.period.start_us,
            Buckets::Hours => start_us - start_us.rem_euclid(HOUR_US),
            Buckets::At(edges) => match edges.partition_point(|edge| *edge <= start_us) {
                0 => self.question.period.start_us,
                next => edges[next - 1],
            },
        }
    }

    fn merge(&mut self, key: Key, add: Sum) {
        let sum = self.sums.entry(key).or_default();
        let (quantity, overflow) = sum.quantity.overflowing_add(add.quantity);
        self.overflow |= overflow;
        *sum = Sum { quantity, records: sum.records + add.records };
    }

    fn read(&mut self, table: &Path, file: &LiveFile) -> Result<(), LakeError> {
        let path = table.join(&file.path);
        let name = || path.display().to_string();
        let (handle, metadata) = parquet_file::open(&path)?;
        let groups: Vec<usize> = (0..metadata.metadata().num_row_groups())
            .filter(|index| may_hold(metadata.metadata().row_group(*index), self.question, &self.realm))
            .collect();
        if groups.is_empty() {
            return Ok(());
        }
        // realm, org, user, meter, dimensions, quantity, start, batch
        let columns = [2, 3, 5, 6, 8, 9, 10, 13];
        let mask = ProjectionMask::leaves(metadata.metadata().file_metadata().schema_descr(), columns);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(handle, metadata)
            .with_projection(mask)
            .with_row_groups(groups)
            .with_batch_size(16_384)
            .build()
            .map_err(|source| LakeError::Parquet { path: name(), source })?;
        for batch in reader {
            let batch = batch.map_err(|error| LakeError::Parquet { path: name(), source: error.into() })?;
            self.add(&batch);
        }
        Ok(())
    }
}

/// The sums of all workers, under one numbering of the texts.
#[derive(Default)]
struct Whole {
    texts: Interner,
    sums: SmallMap<Key, Sum>,
}

impl Whole {
    fn take(&mut self, worker: Worker<'_>) -> Result<(), LakeError> {
        if worker.overflow {
            return Err(LakeError::Decimal(base::DecimalError::Overflow));
        }
        let renamed: Vec<u32> = worker.texts.texts.iter().map(|text| self.texts.id(text)).collect();
        let name = |id: u32| renamed[id as usize];
        self.sums.reserve(if self.sums.is_empty() { worker.sums.len() } else { 0 });
        for (key, add) in worker.sums {
            let key = Key {
                org: name(key.org),
                user: name(key.user),
                meter: name(key.meter),
                dimensions: name(key.dimensions),
                bucket: key.bucket,
            };
            let sum = self.sums.entry(key).or_default();
            sum.quantity = sum.quantity.checked_add(add.quantity).ok_or(base::DecimalError::Overflow)?;
            sum.records += add.records;
        }
        Ok(())
    }

    /// The rows in order of their texts: texts are compared once each, rows by numbers.
    fn into_rows(self) -> Result<Vec<RolledUp>, LakeError> {
        let texts = self.texts.texts;
        let mut order: Vec<u32> = (0..u32::try_from(texts.len()).expect("fewer than 2^32 texts")).collect();
        order.sort_unstable_by(|a, b| texts[*a as usize].cmp(&texts[*b as usize]));
        let mut rank = vec![0_u32; texts.len()];
        for (place, id) in (0_u32..).zip(order) {
            rank[id as usize] = place;
        }
        let at = |id: u32| u128::from(rank[id as usize]);
        let place = |key: &Key| (at(key.org) << 96) | (at(key.user) << 64) | (at(key.meter) << 32) | at(key.dimensions);
        let mut placed: Vec<(u128, i64, Key, Sum)> =
            self.sums.into_iter().map(|(key, sum)| (place(&key), key.bucket, key, sum)).collect();
        placed.sort_unstable_by_key(|(place, bucket, ..)| (*place, *bucket));
        let rows: Vec<(Key, Sum)> = placed.into_iter().map(|(_, _, key, sum)| (key, sum)).collect();
        let damaged = |_| LakeError::Corrupt("an id in a lake file is damaged".to_owned());
        let mut orgs: SmallMap<u32, Option<OrgId>> = SmallMap::default();
        let mut users: SmallMap<u32, Option<UserId>> = SmallMap::default();
        for (key, _) in &rows {
            let text = |id: u32| &*texts[id as usize];
            if let std::collections::hash_map::Entry::Vacant(e) = orgs.entry(key.org) {
                let org = text(key.org);
                e.insert(if org.is_empty() { None } else { Some(org.parse().map_err(damaged)?) });
            }
            if let std::collections::hash_map::Entry::Vacant(e) = users.entry(key.user) {
                let user = text(key.user);
                e.insert(if user.is_empty() { None } else { Some(user.parse().map_err(damaged)?) });
            }
        }
        let row = |(key, sum): (Key, Sum)| RolledUp {
            org: orgs[&key.org],
            user: users[&key.user],
            meter: texts[key.meter as usize].to_string(),
            dimensions: texts[key.dimensions as usize].to_string(),
            bucket_us: key.bucket,
            quantity: QuantityNano(sum.quantity),
            records: sum.records,
        };
        Ok(rows.into_iter().map(row).collect())
    }
}

/// Whether a row group can hold rows of the question, by its statistics.
fn may_hold(group: &RowGroupMetaData, question: &RollUp, realm: &str) -> bool {
    let text_within = |column: usize, value: &str| match group.column(column).statistics() {
        Some(Statistics::ByteArray(bounds)) => {
            bounds.min_opt().is_none_or(|min| min.data() <= value.as_bytes())
                && bounds.max_opt().is_none_or(|max| max.data() >= value.as_bytes() || !bounds.max_is_exact())
        }
        _ => true,
    };
    let numbers = |column: usize| match group.column(column).statistics() {
        Some(Statistics::Int64(bounds)) => Some((*bounds.min_opt()?, *bounds.max_opt()?)),
        _ => None,
    };
    let in_time = numbers(10).is_none_or(|(min, max)| min < question.period.end_us && max >= question.period.start_us);
    let in_batch = numbers(13).is_none_or(|(min, _)| min <= question.as_of.unwrap_or(i64::MAX));
    let one_of = |column: usize, texts: Vec<String>| texts.iter().any(|text| text_within(column, text));
    text_within(2, realm)
        && in_time
        && in_batch
        && question.orgs.as_ref().is_none_or(|orgs| one_of(3, orgs.iter().map(ToString::to_string).collect()))
        && (question.meters.is_empty() || one_of(6, question.meters.iter().cloned().collect()))
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
        let table = self.inner.table_folder();
        let work = move || roll_up_files(&question, &table, &files);
        tokio::task::spawn_blocking(work).await.map_err(|_| LakeError::Closed)?
    }
}

fn roll_up_files(question: &RollUp, table: &Path, files: &[LiveFile]) -> Result<Vec<RolledUp>, LakeError> {
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(files.len().max(1));
    let run = || {
        let mut worker = Worker::new(question);
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            worker.read(table, file)?;
        }
        Ok::<_, LakeError>(worker)
    };
    let parts = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(run)).collect();
        handles.into_iter().map(|handle| handle.join().expect("a worker does not panic")).collect::<Vec<_>>()
    });
    let mut whole = Whole::default();
    for part in parts {
        whole.take(part?)?;
    }
    whole.into_rows()
}
