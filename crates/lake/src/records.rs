//! The records behind a figure.

use crate::catalog::live_files;
use crate::error::LakeError;
use crate::open::Lake;
use crate::parquet_file;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use base::{OrgId, Period, QuantityNano, RealmId, UserId};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::BTreeSet;

/// Which records.
#[derive(Debug, Clone)]
pub struct RecordFilter {
    /// Of one realm, always.
    pub realm: RealmId,
    /// Of these organisations; `None` for all.
    pub orgs: Option<BTreeSet<OrgId>>,
    /// Of this user.
    pub user: Option<UserId>,
    /// Of these meters; empty for all.
    pub meters: BTreeSet<String>,
    /// Starting in here.
    pub period: Period,
    /// Up to this batch.
    pub as_of: Option<i64>,
    /// Continue after this place: (start, record id) of the last record seen.
    pub after: Option<(i64, String)>,
    /// At most so many.
    pub limit: usize,
}

/// A record as stored.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct StoredRecord {
    /// Source.
    pub source: String,
    /// The source's id.
    pub record_id: String,
    /// Organisation.
    pub org_id: String,
    /// User; empty when unknown.
    pub user_id: String,
    /// Meter.
    pub meter: String,
    /// Thing used.
    pub resource: String,
    /// Canonical JSON.
    pub dimensions: String,
    /// How much.
    pub quantity: QuantityNano,
    /// First instant.
    pub start_us: i64,
    /// First instant after.
    pub end_us: i64,
    /// 0 usage, 1 correction.
    pub kind: i16,
    /// Its batch.
    pub batch_no: i64,
    /// What else is known, JSON.
    pub attributes: String,
}

impl Lake {
    /// Records in order of (start, record id), from `after` on, at most `limit`; `pick` has the last word
    /// on each (dimension filters of a price item).
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn records(
        &self,
        filter: RecordFilter,
        pick: impl Fn(&StoredRecord) -> bool + Send + 'static,
    ) -> Result<Vec<StoredRecord>, LakeError> {
        let mut files = live_files(&self.inner.catalog).await?;
        let realm = filter.realm.to_string();
        files.retain(|file| file.may_hold(&realm, filter.period, filter.as_of));
        let (table, inner) = (self.inner.table_folder(), self.inner.clone());
        let work = move || {
            let mut best: std::collections::BTreeMap<(i64, String, String), StoredRecord> =
                std::collections::BTreeMap::new();
            for file in &files {
                inner.verified.check(&table, file)?;
                let path = table.join(&file.path);
                let (handle, metadata) = parquet_file::open(&path)?;
                let wrong = |source| LakeError::Parquet { path: path.display().to_string(), source };
                let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(handle, metadata)
                    .with_batch_size(8_192)
                    .build()
                    .map_err(wrong)?;
                for batch in reader {
                    let batch = batch.map_err(|error| wrong(error.into()))?;
                    collect(&batch, &filter, &realm, &pick, &mut best);
                }
            }
            Ok(best.into_values().collect())
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| LakeError::Closed)?
    }
}

fn collect(
    batch: &RecordBatch,
    filter: &RecordFilter,
    realm: &str,
    pick: &impl Fn(&StoredRecord) -> bool,
    best: &mut std::collections::BTreeMap<(i64, String, String), StoredRecord>,
) {
    let repeated = |column: usize, row: usize| -> &str {
        let dictionary = batch.column(column).as_dictionary::<Int32Type>();
        dictionary.values().as_string::<i32>().value(dictionary.keys().value(row) as usize)
    };
    let plain = |column: usize, row: usize| batch.column(column).as_string::<i32>().value(row);
    let instant =
        |column: usize, row: usize| batch.column(column).as_primitive::<TimestampMicrosecondType>().value(row);
    let orgs: Option<BTreeSet<String>> =
        filter.orgs.as_ref().map(|orgs| orgs.iter().map(ToString::to_string).collect());
    let user = filter.user.map(|user| user.to_string());
    for row in 0..batch.num_rows() {
        let start_us = instant(10, row);
        let batch_no = batch.column(13).as_primitive::<Int64Type>().value(row);
        let wanted = repeated(2, row) == realm
            && filter.period.contains(start_us)
            && batch_no <= filter.as_of.unwrap_or(i64::MAX)
            && (filter.meters.is_empty() || filter.meters.contains(repeated(6, row)))
            && orgs.as_ref().is_none_or(|orgs| orgs.contains(repeated(3, row)))
            && user.as_ref().is_none_or(|user| user == repeated(5, row))
            && filter.after.as_ref().is_none_or(|(at, id)| (start_us, plain(1, row)) > (*at, id.as_str()));
        if !wanted {
            continue;
        }
        let record = StoredRecord {
            source: repeated(0, row).to_owned(),
            record_id: plain(1, row).to_owned(),
            org_id: repeated(3, row).to_owned(),
            user_id: repeated(5, row).to_owned(),
            meter: repeated(6, row).to_owned(),
            resource: plain(7, row).to_owned(),
            dimensions: repeated(8, row).to_owned(),
            quantity: QuantityNano(batch.column(9).as_primitive::<Decimal128Type>().value(row)),
            start_us,
            end_us: instant(11, row),
            kind: batch.column(12).as_primitive::<Int16Type>().value(row),
            batch_no,
            attributes: plain(14, row).to_owned(),
        };
        if pick(&record) {
            best.insert((start_us, record.record_id.clone(), record.source.clone()), record);
            if best.len() > filter.limit {
                best.pop_last();
            }
        }
    }
}
