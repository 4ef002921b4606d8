//! The DuckLake 1.0 catalog and our own tables beside it.
//!
//! The layout was taken from what DuckDB 1.5.5 writes and reads; `tests/it/duckdb.py` is the proof. The
//! table-wide column statistics stay without bounds on purpose: stale bounds make DuckDB lose rows, and
//! it prunes by the statistics of each file anyway.

use crate::error::LakeError;
use crate::open::Engine;
use crate::parquet_file::{COLUMNS, WrittenFile};
use base::World;
use sqlx::any::AnyPoolOptions;
use sqlx::{Any, AnyPool, Executor, Row as _, Transaction};
use std::path::Path;

const DUCKLAKE_SQL: &str = include_str!("../sql/ducklake.sql");
const LAKE_SQL: &str = include_str!("../sql/lake.sql");
const LAKE_2_SQL: &str = include_str!("../sql/lake_2.sql");
const LAKE_3_SQL: &str = include_str!("../sql/lake_3.sql");
const LAKE_4_SQL: &str = include_str!("../sql/lake_4.sql");

/// The one table of the catalog.
const TABLE_ID: i64 = 1;
const PARTITION_ID: i64 = 2;

pub(crate) async fn migrate(url: &str, engine: Engine, files: &Path, now_us: i64) -> Result<(), LakeError> {
    let pool = AnyPoolOptions::new().max_connections(1).connect(url).await?;
    let result = migrate_with(&pool, engine, files, now_us).await;
    pool.close().await;
    result
}

async fn migrate_with(pool: &AnyPool, engine: Engine, files: &Path, now_us: i64) -> Result<(), LakeError> {
    let begin = if engine == Engine::Sqlite { "begin immediate" } else { "begin" };
    if engine == Engine::Sqlite {
        pool.execute("pragma journal_mode = wal").await?;
    }
    let mut tx = pool.begin_with(begin).await?;
    if engine == Engine::Postgres {
        tx.execute("select pg_advisory_xact_lock(7215001)").await?;
        tx.execute("create schema if not exists lake").await?;
        tx.execute("set local search_path to lake").await?;
    }
    tx.execute("create table if not exists lake_version (version bigint not null primary key)").await?;
    let done = sqlx::query_scalar::<_, i64>("select version from lake_version").fetch_all(&mut *tx).await?;
    if done.is_empty() {
        create(&mut tx, engine, files, now_us).await?;
    }
    if !done.contains(&2) {
        run(&mut tx, engine, LAKE_2_SQL).await?;
        if engine == Engine::Postgres {
            tx.execute(POSTGRES_LOCKS).await?;
        }
        tx.execute("insert into lake_version (version) values (2)").await?;
    }
    if !done.contains(&3) {
        run(&mut tx, engine, LAKE_3_SQL).await?;
        tx.execute("insert into lake_version (version) values (3)").await?;
    }
    if !done.contains(&4) {
        run(&mut tx, engine, LAKE_4_SQL).await?;
        if engine == Engine::Postgres {
            tx.execute(POSTGRES_LOCKS).await?;
        }
        tx.execute("insert into lake_version (version) values (4)").await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn create(
    tx: &mut Transaction<'static, Any>,
    engine: Engine,
    files: &Path,
    now_us: i64,
) -> Result<(), LakeError> {
    run(tx, engine, DUCKLAKE_SQL).await?;
    run(tx, engine, LAKE_SQL).await?;
    let data_path = format!("{}/", files.display());
    insert_metadata(tx, &data_path).await?;
    let now = timestamp_text(now_us);
    sqlx::query("insert into ducklake_snapshot (snapshot_id, snapshot_time, schema_version, next_catalog_id, next_file_id) values (0, $1, 0, 3, 0)")
        .bind(now).execute(&mut **tx).await?;
    tx.execute("insert into ducklake_snapshot_changes (snapshot_id, changes_made) values (0, 'created_schema:\"main\",created_table:\"main\".\"usage\",altered_table:1')").await?;
    tx.execute("insert into ducklake_schema (schema_id, schema_uuid, begin_snapshot, schema_name, path, path_is_relative) values (0, '6d657465-7268-4f75-8365-000000000000', 0, 'main', 'main/', 1)").await?;
    tx.execute("insert into ducklake_table (table_id, table_uuid, begin_snapshot, schema_id, table_name, path, path_is_relative) values (1, '6d657465-7268-4f75-8365-000000000001', 0, 0, 'usage', 'usage/', 1)").await?;
    tx.execute("insert into ducklake_schema_versions (begin_snapshot, schema_version, table_id) values (0, 0, 1)")
        .await?;
    tx.execute("insert into ducklake_partition_info (partition_id, table_id, begin_snapshot) values (2, 1, 0)").await?;
    tx.execute("insert into ducklake_partition_column (partition_id, table_id, partition_key_index, column_id, \"transform\") values (2, 1, 0, 11, 'year'), (2, 1, 1, 11, 'month')").await?;
    tx.execute(
        "insert into ducklake_table_stats (table_id, record_count, next_row_id, file_size_bytes) values (1, 0, 0, 0)",
    )
    .await?;
    for (column_id, column) in (1_i64..).zip(COLUMNS) {
        sqlx::query("insert into ducklake_column (column_id, begin_snapshot, table_id, column_order, column_name, column_type, default_value, nulls_allowed, default_value_type, default_value_dialect) values ($1, 0, 1, $1, $2, $3, 'NULL', 0, 'literal', 'duckdb')")
            .bind(column_id).bind(column.name).bind(column.ducklake_type).execute(&mut **tx).await?;
        sqlx::query("insert into ducklake_table_column_stats (table_id, column_id, contains_null) values (1, $1, 0)")
            .bind(column_id)
            .execute(&mut **tx)
            .await?;
    }
    tx.execute("insert into lake_state (one, sealed_seq, batch_no, fingerprint_key) values (1, 0, 0, '')").await?;
    tx.execute("insert into lake_version (version) values (1)").await?;
    Ok(())
}

async fn run(tx: &mut Transaction<'static, Any>, engine: Engine, text: &'static str) -> Result<(), LakeError> {
    for statement in text.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        let statement = match engine {
            Engine::Sqlite => statement.replace("bytes_type", "blob"),
            Engine::Postgres => statement.replace("bytes_type", "bytea").replace(" without rowid", ""),
        };
        tx.execute(sqlx::AssertSqlSafe(statement)).await?;
    }
    Ok(())
}

async fn insert_metadata(tx: &mut Transaction<'static, Any>, data_path: &str) -> Result<(), LakeError> {
    let rows = [("version", "1.0"), ("created_by", "meterhouse"), ("data_path", data_path), ("encrypted", "false")];
    for (key, value) in rows {
        let sql = "insert into ducklake_metadata (\"key\", \"value\") values ($1, $2)";
        sqlx::query(sql).bind(key.to_owned()).bind(value.to_owned()).execute(&mut **tx).await?;
    }
    Ok(())
}

/// Row security for the tables of the lake that hold tenants' rows; `*` is the sealer.
const POSTGRES_LOCKS: &str = "
do $$
declare place record;
begin
  grant usage on schema lake to meterhouse_app;
  for place in select tablename as name from pg_tables where schemaname = 'lake' loop
    execute format('grant select, insert, update, delete on lake.%I to meterhouse_app', place.name);
  end loop;
  for place in
    select table_name as name from information_schema.columns where table_schema = 'lake' and column_name = 'realm_id'
  loop
    execute format('alter table lake.%I enable row level security', place.name);
    execute format('alter table lake.%I force row level security', place.name);
    execute format('drop policy if exists realm_only on lake.%I', place.name);
    execute format('create policy realm_only on lake.%I using (realm_id = current_setting(''meterhouse.realm_id'', true)
      or current_setting(''meterhouse.realm_id'', true) = ''*'')', place.name);
  end loop;
end $$";

/// `2026-10-01 00:00:00.5+00`: the form in which DuckLake keeps instants.
pub(crate) fn timestamp_text(at_us: i64) -> String {
    base::period::format_instant(at_us).replace('T', " ").replace('Z', "+00")
}

/// The key of the fingerprints, made once: nobody outside can forge a collision.
pub(crate) async fn fingerprint_key(pool: &AnyPool, world: &dyn World) -> Result<[u8; 32], LakeError> {
    let mut fresh = [0_u8; 32];
    world.fill_random(&mut fresh);
    sqlx::query("update lake_state set fingerprint_key = $1 where one = 1 and fingerprint_key = ''")
        .bind(hex::encode(fresh))
        .execute(pool)
        .await?;
    let kept = sqlx::query_scalar::<_, String>("select fingerprint_key from lake_state where one = 1");
    let mut key = [0_u8; 32];
    hex::decode_to_slice(kept.fetch_one(pool).await?, &mut key)
        .map_err(|_| LakeError::Corrupt("the fingerprint key is damaged".to_owned()))?;
    Ok(key)
}

pub(crate) async fn sealed_seq(pool: &AnyPool) -> Result<i64, LakeError> {
    Ok(sqlx::query_scalar("select sealed_seq from lake_state where one = 1").fetch_one(pool).await?)
}

/// Takes the next batch number; also the lock that lets one writer at a time through to the commit.
pub(crate) async fn next_batch(tx: &mut Transaction<'static, Any>) -> Result<i64, LakeError> {
    let sql = "update lake_state set batch_no = batch_no + 1 where one = 1 returning batch_no";
    Ok(sqlx::query_scalar(sql).fetch_one(&mut **tx).await?)
}

/// The row of a batch; its unique inbox range makes a second sealing of the same groups fail.
pub(crate) struct BatchRow {
    pub(crate) batch_no: i64,
    pub(crate) sealed_seq: Option<i64>,
    pub(crate) events: u64,
    pub(crate) records: u64,
    pub(crate) duplicates: u64,
    pub(crate) rejects: u64,
    pub(crate) at_us: i64,
}

pub(crate) async fn insert_batch(tx: &mut Transaction<'static, Any>, row: &BatchRow) -> Result<(), LakeError> {
    let count = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    sqlx::query("insert into lake_batch (batch_no, sealed_seq, events, records, duplicates, rejects, at_us) values ($1, $2, $3, $4, $5, $6, $7)")
        .bind(row.batch_no)
        .bind(row.sealed_seq)
        .bind(count(row.events))
        .bind(count(row.records))
        .bind(count(row.duplicates))
        .bind(count(row.rejects))
        .bind(row.at_us)
        .execute(&mut **tx)
        .await?;
    if let Some(seq) = row.sealed_seq {
        sqlx::query("update lake_state set sealed_seq = $1 where one = 1").bind(seq).execute(&mut **tx).await?;
    }
    Ok(())
}

/// Registers files (and retires others) as one new snapshot. Gives the snapshot's number.
pub(crate) async fn commit_files(
    tx: &mut Transaction<'static, Any>,
    added: &[WrittenFile],
    retired: &[i64],
    now_us: i64,
) -> Result<i64, LakeError> {
    let newest = "select snapshot_id, schema_version, next_catalog_id, next_file_id
                    from ducklake_snapshot order by snapshot_id desc limit 1";
    let row = sqlx::query(newest).fetch_one(&mut **tx).await?;
    let snapshot: i64 = row.try_get::<i64, _>("snapshot_id")? + 1;
    let first_file: i64 = row.try_get("next_file_id")?;
    let files = i64::try_from(added.len()).expect("few files");
    sqlx::query("insert into ducklake_snapshot (snapshot_id, snapshot_time, schema_version, next_catalog_id, next_file_id) values ($1, $2, $3, $4, $5)")
        .bind(snapshot)
        .bind(timestamp_text(now_us))
        .bind(row.try_get::<i64, _>("schema_version")?)
        .bind(row.try_get::<i64, _>("next_catalog_id")?)
        .bind(first_file + files)
        .execute(&mut **tx)
        .await?;
    let change = if retired.is_empty() { "inserted_into_table:1" } else { "compacted_table:1" };
    sqlx::query(
        "insert into ducklake_snapshot_changes (snapshot_id, changes_made, author) values ($1, $2, 'meterhouse')",
    )
    .bind(snapshot)
    .bind(change)
    .execute(&mut **tx)
    .await?;
    let (mut rows_out, mut bytes_out) = (0, 0);
    for file_id in retired {
        let sql = "update ducklake_data_file set end_snapshot = $1 where table_id = 1 and data_file_id = $2 and end_snapshot is null
                   returning record_count, file_size_bytes";
        let row = sqlx::query(sql).bind(snapshot).bind(*file_id).fetch_optional(&mut **tx).await?;
        let row = row.ok_or_else(|| LakeError::Corrupt(format!("file {file_id} is no longer live")))?;
        let mark =
            sqlx::query("update lake_file set retired_us = $1 where data_file_id = $2").bind(now_us).bind(*file_id);
        mark.execute(&mut **tx).await?;
        rows_out += row.try_get::<i64, _>("record_count")?;
        bytes_out += row.try_get::<i64, _>("file_size_bytes")?;
    }
    let mut next_row: i64 = sqlx::query_scalar("select next_row_id from ducklake_table_stats where table_id = 1")
        .fetch_one(&mut **tx)
        .await?;
    let (mut rows_in, mut bytes_in) = (0, 0);
    for (file_id, file) in (first_file..).zip(added) {
        insert_file(tx, snapshot, file_id, next_row, file).await?;
        next_row += file.rows;
        rows_in += file.rows;
        bytes_in += file.bytes;
    }
    sqlx::query("update ducklake_table_stats set record_count = record_count + $1, next_row_id = $2, file_size_bytes = file_size_bytes + $3 where table_id = 1")
        .bind(rows_in - rows_out)
        .bind(next_row)
        .bind(bytes_in - bytes_out)
        .execute(&mut **tx)
        .await?;
    Ok(snapshot)
}

async fn insert_file(
    tx: &mut Transaction<'static, Any>,
    snapshot: i64,
    file_id: i64,
    row_id_start: i64,
    file: &WrittenFile,
) -> Result<(), LakeError> {
    sqlx::query("insert into ducklake_data_file (data_file_id, table_id, begin_snapshot, path, path_is_relative, file_format, record_count, file_size_bytes, footer_size, row_id_start, partition_id) values ($1, $2, $3, $4, 1, 'parquet', $5, $6, $7, $8, $9)")
        .bind(file_id)
        .bind(TABLE_ID)
        .bind(snapshot)
        .bind(file.path.clone())
        .bind(file.rows)
        .bind(file.bytes)
        .bind(file.footer_bytes)
        .bind(row_id_start)
        .bind(PARTITION_ID)
        .execute(&mut **tx)
        .await?;
    for (index, value) in [(0_i64, &file.year), (1, &file.month)] {
        sqlx::query("insert into ducklake_file_partition_value (data_file_id, table_id, partition_key_index, partition_value) values ($1, 1, $2, $3)")
            .bind(file_id)
            .bind(index)
            .bind(value.clone())
            .execute(&mut **tx)
            .await?;
    }
    for bounds in &file.bounds {
        sqlx::query("insert into ducklake_file_column_stats (data_file_id, table_id, column_id, value_count, null_count, min_value, max_value) values ($1, 1, $2, $3, 0, $4, $5)")
            .bind(file_id)
            .bind(bounds.column_id)
            .bind(file.rows)
            .bind(bounds.min.clone())
            .bind(bounds.max.clone())
            .execute(&mut **tx)
            .await?;
    }
    let sql =
        "insert into lake_file (data_file_id, realm_min, realm_max, start_min_us, start_max_us, batch_min, batch_max, hash)
               values ($1, $2, $3, $4, $5, $6, $7, $8)";
    sqlx::query(sql)
        .bind(file_id)
        .bind(file.realm_min.clone())
        .bind(file.realm_max.clone())
        .bind(file.start_min_us)
        .bind(file.start_max_us)
        .bind(file.batch_min)
        .bind(file.batch_max)
        .bind(file.hash.clone())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// A live file with the bounds that reads are pruned by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LiveFile {
    pub(crate) file_id: i64,
    pub(crate) path: String,
    pub(crate) rows: i64,
    pub(crate) bytes: i64,
    pub(crate) realm_min: String,
    pub(crate) realm_max: String,
    pub(crate) start_min_us: i64,
    pub(crate) start_max_us: i64,
    pub(crate) batch_min: i64,
    pub(crate) batch_max: i64,
    /// BLAKE3 of the whole file; empty when it is not known yet.
    pub(crate) hash: String,
}

/// The files that are live now.
pub(crate) async fn live_files(pool: &AnyPool) -> Result<Vec<LiveFile>, LakeError> {
    let sql =
        "select d.data_file_id, d.path, d.record_count, d.file_size_bytes, f.realm_min, f.realm_max, f.start_min_us,
                      f.start_max_us, f.batch_min, f.batch_max, f.hash
                 from ducklake_data_file d
                 join lake_file f on f.data_file_id = d.data_file_id
                where d.table_id = 1 and d.end_snapshot is null
                order by d.data_file_id";
    let rows = sqlx::query(sql).fetch_all(pool).await?;
    rows.iter()
        .map(|row| {
            Ok(LiveFile {
                file_id: row.try_get("data_file_id")?,
                path: row.try_get("path")?,
                rows: row.try_get("record_count")?,
                bytes: row.try_get("file_size_bytes")?,
                realm_min: row.try_get("realm_min")?,
                realm_max: row.try_get("realm_max")?,
                start_min_us: row.try_get("start_min_us")?,
                start_max_us: row.try_get("start_max_us")?,
                batch_min: row.try_get("batch_min")?,
                batch_max: row.try_get("batch_max")?,
                hash: row.try_get("hash")?,
            })
        })
        .collect()
}

/// Forgets files that were retired at or before `before_us`, and the snapshots that only they served. Gives
/// the paths, which nobody can reach any more.
pub(crate) async fn forget_retired(
    tx: &mut Transaction<'static, Any>,
    before_us: i64,
) -> Result<Vec<String>, LakeError> {
    let sql = "select d.data_file_id, d.path, d.end_snapshot
                 from lake_file f
                 join ducklake_data_file d on d.data_file_id = f.data_file_id
                where f.retired_us is not null and f.retired_us <= $1
                order by d.data_file_id";
    let rows = sqlx::query(sql).bind(before_us).fetch_all(&mut **tx).await?;
    let mut paths = Vec::new();
    let mut oldest_kept = 0_i64;
    for row in rows {
        let file_id: i64 = row.try_get("data_file_id")?;
        oldest_kept = oldest_kept.max(row.try_get("end_snapshot")?);
        paths.push(row.try_get("path")?);
        for table in ["ducklake_file_column_stats", "ducklake_file_partition_value", "ducklake_data_file", "lake_file"]
        {
            let sql = sqlx::AssertSqlSafe(format!("delete from {table} where data_file_id = $1"));
            sqlx::query(sql).bind(file_id).execute(&mut **tx).await?;
        }
    }
    for table in ["ducklake_snapshot", "ducklake_snapshot_changes"] {
        let sql = sqlx::AssertSqlSafe(format!("delete from {table} where snapshot_id < $1"));
        sqlx::query(sql).bind(oldest_kept).execute(&mut **tx).await?;
    }
    Ok(paths)
}

/// Every path that the catalog knows, retired files included.
pub(crate) async fn known_paths(pool: &AnyPool) -> Result<std::collections::BTreeSet<String>, LakeError> {
    let sql = "select path from ducklake_data_file where table_id = 1";
    Ok(sqlx::query_scalar::<_, String>(sql).fetch_all(pool).await?.into_iter().collect())
}

/// Notes how far the inbox was seen to reach.
pub(crate) async fn note_inbox(pool: &AnyPool, newest: i64) -> Result<(), LakeError> {
    let sql = "update lake_state set inbox_seq = $1 where one = 1 and inbox_seq < $1";
    sqlx::query(sql).bind(newest).execute(pool).await?;
    Ok(())
}

/// How far the inbox was seen to reach before.
/// Sets the newest group of the inbox that was seen.
pub(crate) async fn set_inbox_seq(pool: &AnyPool, seq: i64) -> Result<(), LakeError> {
    sqlx::query("update lake_state set inbox_seq = $1 where one = 1").bind(seq).execute(pool).await?;
    Ok(())
}

pub(crate) async fn inbox_seq(pool: &AnyPool) -> Result<i64, LakeError> {
    Ok(sqlx::query_scalar("select inbox_seq from lake_state where one = 1").fetch_one(pool).await?)
}
