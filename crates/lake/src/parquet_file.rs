//! The columns of the usage table, and writing and opening its files.

use crate::catalog::timestamp_text;
use crate::error::LakeError;
use arrow_array::builder::{Decimal128Builder, StringBuilder};
use arrow_array::{ArrayRef, Int16Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use metering::UsageRecord;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::{ArrowWriter, PARQUET_FIELD_ID_META_KEY};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// A column of the usage table. Its place, from 1, is its id in the catalog and in the files.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) ducklake_type: &'static str,
    /// Few different values: read as a dictionary.
    repeats: bool,
}

const fn column(name: &'static str, ducklake_type: &'static str, repeats: bool) -> Column {
    Column { name, ducklake_type, repeats }
}

pub(crate) const COLUMNS: [Column; 15] = [
    column("source", "varchar", true),
    column("record_id", "varchar", false),
    column("realm_id", "varchar", true),
    column("org_id", "varchar", true),
    column("org_path", "varchar", true),
    column("user_id", "varchar", true),
    column("meter", "varchar", true),
    column("resource", "varchar", false),
    column("dimensions", "varchar", true),
    column("quantity", "decimal(38,9)", false),
    column("start_at", "timestamptz", false),
    column("end_at", "timestamptz", false),
    column("kind", "int16", false),
    column("batch_no", "int64", false),
    column("attributes", "varchar", false),
];

/// Rows of a row group: also the step in which reads are pruned.
const GROUP_ROWS: usize = 122_880;
/// Rows of a page: what is skipped or unpacked as a whole.
const PAGE_ROWS: usize = 8_192;
/// At most so many bytes of different quantities are kept as a dictionary of a row group.
const QUANTITIES_BYTES_MAX: usize = 64 << 10;

fn data_type(column: &Column, as_dictionary: bool) -> DataType {
    match column.ducklake_type {
        "decimal(38,9)" => DataType::Decimal128(38, 9),
        "timestamptz" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        "int16" => DataType::Int16,
        "int64" => DataType::Int64,
        _ if as_dictionary && column.repeats => {
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
        }
        _ => DataType::Utf8,
    }
}

fn schema_as(as_dictionary: bool) -> SchemaRef {
    let fields: Vec<Field> = (1..)
        .zip(&COLUMNS)
        .map(|(id, column): (i32, _)| {
            let meta = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string())]);
            Field::new(column.name, data_type(column, as_dictionary), false).with_metadata(meta)
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// The schema that is written.
pub(crate) fn schema() -> SchemaRef {
    schema_as(false)
}

/// Opens a file for reading, with repeating columns as dictionaries.
pub(crate) fn open(path: &Path) -> Result<(File, ArrowReaderMetadata), LakeError> {
    let name = || path.display().to_string();
    let file = File::open(path).map_err(|source| LakeError::Io { path: name(), source })?;
    let options = ArrowReaderOptions::new().with_schema(schema_as(true)).with_skip_arrow_metadata(true);
    let metadata =
        ArrowReaderMetadata::load(&file, options).map_err(|source| LakeError::Parquet { path: name(), source })?;
    Ok((file, metadata))
}

/// Bounds of one column, in the text form of the catalog.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    pub(crate) column_id: i64,
    pub(crate) min: String,
    pub(crate) max: String,
}

/// A file on disk that the catalog does not know yet.
#[derive(Debug, Clone)]
pub(crate) struct WrittenFile {
    pub(crate) path: String,
    pub(crate) rows: i64,
    pub(crate) bytes: i64,
    pub(crate) footer_bytes: i64,
    pub(crate) year: String,
    pub(crate) month: String,
    pub(crate) bounds: Vec<Bounds>,
    pub(crate) realm_min: String,
    pub(crate) realm_max: String,
    pub(crate) start_min_us: i64,
    pub(crate) start_max_us: i64,
    pub(crate) batch_min: i64,
    pub(crate) batch_max: i64,
    /// BLAKE3 of the whole file, as it was meant to be written.
    pub(crate) hash: String,
}

/// Text columns whose bounds are worth keeping: what people filter by.
const BOUNDED: [usize; 5] = [0, 2, 3, 4, 6];

/// Running bounds of the rows written to a file.
#[derive(Default)]
pub(crate) struct Spread {
    texts: [Option<(String, String)>; 5],
    quantity: Option<(i128, i128)>,
    start: Option<(i64, i64)>,
    end: Option<(i64, i64)>,
    batch: Option<(i64, i64)>,
}

fn widen<T: PartialOrd + Copy>(bounds: &mut Option<(T, T)>, value: T) {
    let (min, max) = bounds.get_or_insert((value, value));
    if value < *min {
        *min = value;
    }
    if value > *max {
        *max = value;
    }
}

impl Spread {
    pub(crate) fn add_text(&mut self, slot: usize, value: &str) {
        let Some((min, max)) = &mut self.texts[slot] else {
            self.texts[slot] = Some((value.to_owned(), value.to_owned()));
            return;
        };
        if value < min.as_str() {
            value.clone_into(min);
        } else if value > max.as_str() {
            value.clone_into(max);
        }
    }

    pub(crate) fn add_numbers(&mut self, quantity: i128, start_us: i64, end_us: i64, batch_no: i64) {
        widen(&mut self.quantity, quantity);
        widen(&mut self.start, start_us);
        widen(&mut self.end, end_us);
        widen(&mut self.batch, batch_no);
    }

    fn finish(self, path: String, hash: String, (rows, bytes, footer_bytes): (i64, i64, i64)) -> WrittenFile {
        let mut bounds = Vec::new();
        for (slot, column) in BOUNDED.into_iter().enumerate() {
            if let Some((min, max)) = self.texts[slot].clone() {
                bounds.push(Bounds { column_id: column as i64 + 1, min, max });
            }
        }
        let (realm_min, realm_max) = self.texts[1].clone().expect("a file has rows");
        let (quantity, start) = (self.quantity.expect("a file has rows"), self.start.expect("a file has rows"));
        let (end, batch) = (self.end.expect("a file has rows"), self.batch.expect("a file has rows"));
        let decimal = |value| base::decimal::format_scaled(value, 9, 9);
        bounds.push(Bounds { column_id: 10, min: decimal(quantity.0), max: decimal(quantity.1) });
        bounds.push(Bounds { column_id: 11, min: timestamp_text(start.0), max: timestamp_text(start.1) });
        bounds.push(Bounds { column_id: 12, min: timestamp_text(end.0), max: timestamp_text(end.1) });
        bounds.push(Bounds { column_id: 14, min: batch.0.to_string(), max: batch.1.to_string() });
        let date = base::Zone::utc().date_of(start.0);
        let year = date[..4].trim_start_matches('0').to_owned();
        let month = date[5..7].trim_start_matches('0').to_owned();
        WrittenFile {
            path,
            rows,
            bytes,
            footer_bytes,
            year,
            month,
            bounds,
            realm_min,
            realm_max,
            start_min_us: start.0,
            start_max_us: start.1,
            batch_min: batch.0,
            batch_max: batch.1,
            hash,
        }
    }
}

/// The path of a new file, relative to the table: `year=2026/month=10/<id>.parquet`.
pub(crate) fn fresh_path(start_us: i64, id: u128) -> String {
    let date = base::Zone::utc().date_of(start_us);
    let (year, month) = (&date[..4], date[5..7].trim_start_matches('0'));
    format!("year={year}/month={month}/{}.parquet", base::ids::encode_base32(id))
}

/// How the columns are stored: small pages, so that a question about a few rows reads a few; instants as packed
/// differences; quantities by number only while few of them are different, since most never come again.
fn properties() -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).expect("1 is a level of zstd")))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_column_dictionary_page_size_limit(ColumnPath::from("quantity"), QUANTITIES_BYTES_MAX);
    for column in ["record_id", "resource", "start_at", "end_at"].map(ColumnPath::from) {
        properties = properties.set_column_dictionary_enabled(column, false);
    }
    for column in ["start_at", "end_at"].map(ColumnPath::from) {
        properties = properties.set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
    }
    properties.build()
}

/// A file that is hashed on its way to the disk: what is stored is the hash of what was meant.
struct Hashed {
    file: File,
    hasher: blake3::Hasher,
}

impl std::io::Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// A file being written.
pub(crate) struct FileWriter {
    writer: ArrowWriter<Hashed>,
    full: std::path::PathBuf,
    path: String,
    spread: Spread,
}

impl FileWriter {
    /// Begins a file below `table` (the folder of the table).
    pub(crate) fn create(table: &Path, path: String) -> Result<Self, LakeError> {
        let full = table.join(&path);
        let io = |source| LakeError::Io { path: full.display().to_string(), source };
        std::fs::create_dir_all(full.parent().expect("a file has a folder")).map_err(io)?;
        let file = File::create_new(&full).map_err(io)?; // A name that exists belongs to another file.
        let hashed = Hashed { file, hasher: blake3::Hasher::new() };
        let writer = ArrowWriter::try_new(hashed, schema(), Some(properties()))
            .map_err(|source| LakeError::Parquet { path: full.display().to_string(), source })?;
        Ok(Self { writer, full, path, spread: Spread::default() })
    }

    pub(crate) fn spread(&mut self) -> &mut Spread {
        &mut self.spread
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        self.writer.write(batch).map_err(|source| LakeError::Parquet { path: self.full.display().to_string(), source })
    }

    /// Bytes written so far, about.
    pub(crate) fn bytes(&self) -> usize {
        self.writer.bytes_written() + self.writer.in_progress_size()
    }

    /// Ends the file and makes it durable, its folder entry included.
    pub(crate) fn finish(mut self) -> Result<WrittenFile, LakeError> {
        let name = self.full.display().to_string();
        let metadata = self.writer.finish().map_err(|source| LakeError::Parquet { path: name.clone(), source })?;
        let io = |source| LakeError::Io { path: name.clone(), source };
        let hashed = self.writer.inner();
        let hash = hashed.hasher.finalize().to_hex().to_string();
        let file = &hashed.file;
        file.sync_all().map_err(io)?;
        let bytes = file.metadata().map_err(io)?.len();
        File::open(self.full.parent().expect("a file has a folder"))
            .and_then(|folder| folder.sync_all())
            .map_err(io)?;
        let footer_bytes = footer_length(&self.full).map_err(io)?;
        let rows = metadata.file_metadata().num_rows();
        let bytes = i64::try_from(bytes).expect("a file is smaller than 2^63 bytes");
        Ok(self.spread.finish(self.path, hash, (rows, bytes, footer_bytes)))
    }
}

/// The four bytes before the last `PAR1`: the length of the footer's metadata.
fn footer_length(path: &Path) -> std::io::Result<i64> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-8))?;
    let mut length = [0_u8; 4];
    file.read_exact(&mut length)?;
    Ok(i64::from(u32::from_le_bytes(length)))
}

/// Writes records of one month, sorted, as one file.
pub(crate) fn write_records(
    table: &Path,
    path: String,
    records: &mut [UsageRecord],
    batch_no: i64,
) -> Result<WrittenFile, LakeError> {
    records.sort_unstable_by(|a, b| {
        (a.realm, &a.org_path, &a.meter, a.start_us, &a.record_id).cmp(&(
            b.realm,
            &b.org_path,
            &b.meter,
            b.start_us,
            &b.record_id,
        ))
    });
    let mut writer = FileWriter::create(table, path)?;
    for chunk in records.chunks(16_384) {
        let batch = to_batch(chunk, batch_no, &mut writer.spread);
        writer.write(&batch)?;
    }
    writer.finish()
}

fn to_batch(records: &[UsageRecord], batch_no: i64, spread: &mut Spread) -> RecordBatch {
    let mut texts: [StringBuilder; 10] = std::array::from_fn(|_| StringBuilder::new());
    let mut quantities = Decimal128Builder::with_capacity(records.len());
    let mut last_org = None;
    // Sorted neighbours mostly share these: their texts are made once.
    let mut ids = [String::new(), String::new()];
    let (mut user, mut dimensions) = (String::new(), String::new());
    let mut before: Option<&UsageRecord> = None;
    for record in records {
        if before.is_none_or(|before| (before.realm, before.org) != (record.realm, record.org)) {
            ids = [record.realm.to_string(), record.org.to_string()];
        }
        if before.is_none_or(|before| before.user != record.user) {
            user = record.user.map(|user| user.to_string()).unwrap_or_default();
        }
        if before.is_none_or(|before| before.dimensions != record.dimensions) {
            dimensions = record.dimensions_json();
        }
        before = Some(record);
        let row: [&str; 10] = [
            &record.source,
            &record.record_id,
            &ids[0],
            &ids[1],
            &record.org_path,
            &user,
            &record.meter,
            &record.resource,
            &dimensions,
            &record.attributes,
        ];
        for (builder, text) in texts.iter_mut().zip(row) {
            builder.append_value(text);
        }
        quantities.append_value(record.quantity.0);
        if last_org != Some((&record.realm, &record.org_path, &record.org, &record.meter, &record.source)) {
            for (slot, text) in [row[0], row[2], row[3], row[4], row[6]].into_iter().enumerate() {
                spread.add_text(slot, text);
            }
            last_org = Some((&record.realm, &record.org_path, &record.org, &record.meter, &record.source));
        }
        spread.add_numbers(record.quantity.0, record.start_us, record.end_us, batch_no);
    }
    let instants = |read: fn(&UsageRecord) -> i64| {
        let values: Vec<i64> = records.iter().map(read).collect();
        Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC")) as ArrayRef
    };
    let [source, record_id, realm, org, org_path, user, meter, resource, dimensions, attributes] =
        texts.map(|mut builder| Arc::new(builder.finish()) as ArrayRef);
    let quantity = quantities.finish().with_precision_and_scale(38, 9).expect("38 digits with 9 decimals");
    let kinds: Vec<i16> = records.iter().map(|record| record.kind.code()).collect();
    let columns: Vec<ArrayRef> = vec![
        source,
        record_id,
        realm,
        org,
        org_path,
        user,
        meter,
        resource,
        dimensions,
        Arc::new(quantity),
        instants(|record| record.start_us),
        instants(|record| record.end_us),
        Arc::new(Int16Array::from(kinds)),
        Arc::new(Int64Array::from(vec![batch_no; records.len()])),
        attributes,
    ];
    RecordBatch::try_new(schema(), columns).expect("the columns follow the schema")
}
