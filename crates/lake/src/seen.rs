//! Exactly once: keyed fingerprints of everything that was ever counted.

use crate::error::LakeError;
use crate::open::Engine;
use metering::UsageRecord;
use sqlx::{Any, Row as _, Transaction};
use std::collections::BTreeMap;

/// Identity and content of one record, hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fingerprint {
    pub(crate) id: [u8; 16],
    pub(crate) content: [u8; 8],
}

/// Hashes (realm, source, record id) and, apart from it, everything else. `buffer` is only scratch.
pub(crate) fn fingerprint(key: &[u8; 32], record: &UsageRecord, buffer: &mut Vec<u8>) -> Fingerprint {
    buffer.clear();
    buffer.extend_from_slice(&record.realm.0.to_le_bytes());
    buffer.extend_from_slice(record.source.as_bytes());
    buffer.push(0);
    buffer.extend_from_slice(record.record_id.as_bytes());
    let id = blake3::keyed_hash(key, buffer);
    buffer.clear();
    record.write_content(buffer);
    let content = blake3::keyed_hash(key, buffer);
    let mut print = Fingerprint { id: [0; 16], content: [0; 8] };
    print.id.copy_from_slice(&id.as_bytes()[..16]);
    print.content.copy_from_slice(&content.as_bytes()[..8]);
    print
}

/// Months since the year 0, of the instant's UTC month: by it files are parted and keys can be dropped.
pub(crate) fn month_no(start_us: i64) -> i64 {
    let date = base::Zone::utc().date_of(start_us);
    let number = |range: std::ops::Range<usize>| date.get(range).and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    number(0..4) * 12 + number(5..7) - 1
}

/// Adds new fingerprints of one month. Those that were there before stay as they were and come back with
/// the content they had. `prints` must be sorted and unique, also over all calls for one batch.
pub(crate) async fn insert(
    tx: &mut Transaction<'static, Any>,
    engine: Engine,
    month: i64,
    prints: &[Fingerprint],
    batch_no: i64,
) -> Result<BTreeMap<[u8; 16], [u8; 8]>, LakeError> {
    let mut packed = Vec::with_capacity(prints.len() * 24);
    for print in prints {
        packed.extend_from_slice(&print.id);
        packed.extend_from_slice(&print.content);
    }
    let count = i64::try_from(prints.len()).expect("a batch is small");
    // The two engines unpack a blob in their own ways; the statements are the same otherwise.
    let (add, find) = match engine {
        Engine::Sqlite => (
            "with recursive n (i) as (select 0 union all select i + 1 from n where i + 1 < $2)
             insert into seen (month, fp, content, batch_no)
             select $3, substr($1, i * 24 + 1, 16), substr($1, i * 24 + 17, 8), $4 from n where true
             on conflict (fp) do nothing",
            "with recursive n (i) as (select 0 union all select i + 1 from n where i + 1 < $2)
             select s.fp, s.content
               from n
               join seen s on s.fp = substr($1, i * 24 + 1, 16)
              where s.batch_no <> $3",
        ),
        Engine::Postgres => (
            "insert into seen (month, fp, content, batch_no)
             select $3, substring($1 from i * 24 + 1 for 16), substring($1 from i * 24 + 17 for 8), $4
               from generate_series(0, cast($2 as int) - 1) i
             on conflict (fp) do nothing",
            "select s.fp, s.content
               from generate_series(0, cast($2 as int) - 1) i
               join seen s on s.fp = substring($1 from i * 24 + 1 for 16)
              where s.batch_no <> $3",
        ),
    };
    let added = sqlx::query(add).bind(packed.clone()).bind(count).bind(month).bind(batch_no).execute(&mut **tx).await?;
    if added.rows_affected() == prints.len() as u64 {
        return Ok(BTreeMap::new());
    }
    let rows = sqlx::query(find).bind(packed).bind(count).bind(batch_no).fetch_all(&mut **tx).await?;
    let bytes = |row: &sqlx::any::AnyRow, column: &str| row.try_get::<Vec<u8>, _>(column);
    rows.iter()
        .map(|row| {
            let damaged = |_| LakeError::Corrupt("a fingerprint is damaged".to_owned());
            let id = bytes(row, "fp")?.try_into().map_err(damaged)?;
            let content = bytes(row, "content")?.try_into().map_err(damaged)?;
            Ok((id, content))
        })
        .collect()
}
