//! The object index: what is stored, who owns it, and byte-seconds for every hour of it.
//!
//! Writes and deletes come from the gateway's events; the sweep compares with the account itself and
//! books the difference. Storage is an exact integral: bytes x microseconds, no sampling.

use crate::error::LakeError;
use crate::open::Lake;
use crate::seal::{Sealed, write_own};
use base::period::{HOUR_US, format_instant};
use base::{AccountId, OrgId, QuantityNano, RealmId, UserId};
use metering::meter::S3_STORAGE;
use metering::s3::{ObjectChange, S3Request};
use metering::{RecordKind, UsageRecord};
use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};
use std::collections::{BTreeMap, BTreeSet};

/// The source name of storage records.
const SOURCE: &str = "s3-storage";

/// A request that was counted for the first time, with what it did to the index.
pub(crate) struct IndexedEvent {
    pub(crate) org_path: String,
    pub(crate) request: Box<S3Request>,
}

/// Who owns stored bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Owner {
    realm: RealmId,
    org: OrgId,
    user: Option<UserId>,
    bucket: String,
    org_path: String,
}

impl Owner {
    fn user_text(&self) -> String {
        self.user.map(|user| user.to_string()).unwrap_or_default()
    }

    /// `quantity` nano byte-seconds of one hour.
    fn record(&self, id: String, hour_us: i64, quantity: i128, kind: RecordKind, attributes: String) -> UsageRecord {
        UsageRecord {
            source: SOURCE.to_owned(),
            record_id: id,
            realm: self.realm,
            org: self.org,
            org_path: self.org_path.clone(),
            user: self.user,
            meter: S3_STORAGE.to_owned(),
            resource: self.bucket.clone(),
            dimensions: BTreeMap::from([("bucket".to_owned(), self.bucket.clone())]),
            quantity: QuantityNano(quantity),
            start_us: hour_us,
            end_us: hour_us + HOUR_US,
            kind,
            attributes,
        }
    }
}

fn parsed<T: std::str::FromStr>(row: &AnyRow, column: &str) -> Result<T, LakeError> {
    let text: String = row.try_get(column)?;
    text.parse().map_err(|_| LakeError::Corrupt(format!("{column} {text:?} of the object index")))
}

fn owner_from(row: &AnyRow, realm: RealmId) -> Result<Owner, LakeError> {
    let user: String = row.try_get("user_id")?;
    Ok(Owner {
        realm,
        org: parsed(row, "org_id")?,
        user: if user.is_empty() { None } else { Some(parsed(row, "user_id")?) },
        bucket: row.try_get("bucket")?,
        org_path: row.try_get("org_path")?,
    })
}

fn floor_hour(at_us: i64) -> i64 {
    at_us - at_us.rem_euclid(HOUR_US)
}

/// Byte-microseconds as nano byte-seconds: exact.
fn nano_byte_seconds(bytes: i64, span_us: i64) -> i128 {
    i128::from(bytes) * i128::from(span_us) * 1_000
}

/// Applies the effects of requests. Gives correction records for hours that were closed before a late
/// request was known.
pub(crate) async fn apply(
    tx: &mut Transaction<'static, Any>,
    mut events: Vec<IndexedEvent>,
) -> Result<Vec<UsageRecord>, LakeError> {
    events.sort_by_key(|event| event.request.at_us);
    let mut corrections = Vec::new();
    for event in events {
        let request = &event.request;
        let owner = Owner {
            realm: request.realm,
            org: request.org,
            user: Some(request.user),
            bucket: request.bucket.clone(),
            org_path: event.org_path.clone(),
        };
        let account = request.account.map(|account| account.to_string()).unwrap_or_default();
        let mut step = Step {
            tx,
            realm: request.realm,
            account,
            at_us: request.at_us,
            name: request.request_id.to_string(),
            no: 0,
            corrections: &mut corrections,
        };
        for change in &request.changes {
            match change {
                ObjectChange::Put { object, size_bytes } => step.put(object, &owner, *size_bytes).await?,
                ObjectChange::Delete { object } => step.delete(object).await?,
                ObjectChange::PutPart { upload, part, size_bytes } => {
                    step.put(&format!("{upload}/{part:05}"), &owner, *size_bytes).await?;
                }
                ObjectChange::EndUpload { upload } => step.end_upload(upload).await?,
            }
        }
    }
    Ok(corrections)
}

/// The changes of one request, at one instant.
struct Step<'a> {
    tx: &'a mut Transaction<'static, Any>,
    realm: RealmId,
    account: String,
    at_us: i64,
    name: String,
    no: u32,
    corrections: &'a mut Vec<UsageRecord>,
}

impl Step<'_> {
    /// Whether something later than this step is known of the object: then the step came late and is over.
    async fn is_outdated(&mut self, object: &str) -> Result<bool, LakeError> {
        let sql = "select at_us from s3_object where realm_id = $1 and object = $2";
        let known: Option<i64> = sqlx::query_scalar(sql)
            .bind(self.realm.to_string())
            .bind(object.to_owned())
            .fetch_optional(&mut **self.tx)
            .await?;
        Ok(known.is_some_and(|at_us| at_us > self.at_us))
    }

    async fn put(&mut self, object: &str, owner: &Owner, size_bytes: u64) -> Result<(), LakeError> {
        if self.is_outdated(object).await? {
            return Ok(());
        }
        self.delete(object).await?;
        let size = i64::try_from(size_bytes).map_err(|_| LakeError::Decimal(base::DecimalError::Overflow))?;
        sqlx::query("insert into s3_object (realm_id, object, account_id, org_id, org_path, user_id, bucket, size_bytes, at_us) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)")
            .bind(self.realm.to_string())
            .bind(object.to_owned())
            .bind(self.account.clone())
            .bind(owner.org.to_string())
            .bind(owner.org_path.clone())
            .bind(owner.user_text())
            .bind(owner.bucket.clone())
            .bind(size)
            .bind(self.at_us)
            .execute(&mut **self.tx)
            .await?;
        self.change(owner, size).await
    }

    async fn delete(&mut self, object: &str) -> Result<(), LakeError> {
        let sql = "delete from s3_object where realm_id = $1 and object = $2 and at_us <= $3
                   returning org_id, org_path, user_id, bucket, size_bytes";
        let row = sqlx::query(sql)
            .bind(self.realm.to_string())
            .bind(object.to_owned())
            .bind(self.at_us)
            .fetch_optional(&mut **self.tx)
            .await?;
        let Some(row) = row else { return Ok(()) };
        let owner = owner_from(&row, self.realm)?;
        self.change(&owner, -row.try_get::<i64, _>("size_bytes")?).await
    }

    async fn end_upload(&mut self, upload: &str) -> Result<(), LakeError> {
        let sql = "select object from s3_object where realm_id = $1 and object >= $2 and object < $3 order by object";
        let parts = sqlx::query_scalar::<_, String>(sql)
            .bind(self.realm.to_string())
            .bind(format!("{upload}/"))
            .bind(format!("{upload}0"))
            .fetch_all(&mut **self.tx)
            .await?;
        for part in parts {
            self.delete(&part).await?;
        }
        Ok(())
    }

    /// Books a change of stored bytes: in the running hour as a change, in closed hours as corrections.
    async fn change(&mut self, owner: &Owner, delta: i64) -> Result<(), LakeError> {
        if delta == 0 {
            return Ok(());
        }
        self.no += 1;
        let sql = "insert into s3_level (realm_id, org_id, user_id, bucket, org_path, bytes, ticked_us)
                   values ($1, $2, $3, $4, $5, 0, $6)
                   on conflict (realm_id, org_id, user_id, bucket) do update set org_path = excluded.org_path
                   returning ticked_us";
        let ticked_us: i64 = sqlx::query_scalar(sql)
            .bind(self.realm.to_string())
            .bind(owner.org.to_string())
            .bind(owner.user_text())
            .bind(owner.bucket.clone())
            .bind(owner.org_path.clone())
            .bind(floor_hour(self.at_us))
            .fetch_one(&mut **self.tx)
            .await?;
        if self.at_us >= ticked_us {
            return self.note_change(owner, delta).await;
        }
        let mut hour = floor_hour(self.at_us);
        while hour < ticked_us {
            let span = hour + HOUR_US - self.at_us.max(hour);
            let id = format!("late/{}/{}/{}", self.name, self.no, format_instant(hour));
            let quantity = nano_byte_seconds(delta, span);
            self.corrections.push(owner.record(id, hour, quantity, RecordKind::Correction, "{}".to_owned()));
            hour += HOUR_US;
        }
        let sql = "update s3_level set bytes = bytes + $5
                    where realm_id = $1 and org_id = $2 and user_id = $3 and bucket = $4";
        sqlx::query(sql)
            .bind(self.realm.to_string())
            .bind(owner.org.to_string())
            .bind(owner.user_text())
            .bind(owner.bucket.clone())
            .bind(delta)
            .execute(&mut **self.tx)
            .await?;
        Ok(())
    }

    async fn note_change(&mut self, owner: &Owner, delta: i64) -> Result<(), LakeError> {
        sqlx::query("insert into s3_change (realm_id, change_id, org_id, user_id, bucket, at_us, delta_bytes) values ($1, $2, $3, $4, $5, $6, $7)")
            .bind(self.realm.to_string())
            .bind(format!("{}/{}", self.name, self.no))
            .bind(owner.org.to_string())
            .bind(owner.user_text())
            .bind(owner.bucket.clone())
            .bind(self.at_us)
            .bind(delta)
            .execute(&mut **self.tx)
            .await?;
        Ok(())
    }
}

/// Records that one tick may write in one transaction.
const TICK_RECORDS_MAX: usize = 100_000;

impl Lake {
    /// Writes the byte-seconds of every whole hour that ended at or before `until_us` and was not
    /// written yet. Seals first, so that requests of those hours are in. Repeating it changes nothing.
    ///
    /// # Errors
    /// [`LakeError`]; hours that were written stay written.
    pub async fn tick_storage(&self, until_us: i64) -> Result<Sealed, LakeError> {
        self.seal().await?;
        let _one = self.inner.sealing.lock().await;
        let until_us = floor_hour(until_us);
        let mut sum = Sealed::default();
        loop {
            let mut tx = self.inner.begin_write().await?;
            let (records, more) = close_hours(&mut tx, until_us).await?;
            if records.is_empty() && !more {
                tx.commit().await?;
                return Ok(sum);
            }
            if !records.is_empty() {
                let sealed = write_own(&self.inner, &mut tx, records, self.inner.world.now_us()).await?;
                sum.batches += sealed.batches;
                sum.records += sealed.records;
            }
            tx.commit().await?;
            if !more {
                return Ok(sum);
            }
        }
    }
}

/// Moves levels forward to `until_us`; says whether some are left for the next transaction.
async fn close_hours(tx: &mut Transaction<'static, Any>, until_us: i64) -> Result<(Vec<UsageRecord>, bool), LakeError> {
    let sql = "select realm_id, org_id, user_id, bucket, org_path, bytes, ticked_us
                 from s3_level
                where ticked_us < $1
                order by realm_id, org_id, user_id, bucket";
    let levels = sqlx::query(sql).bind(until_us).fetch_all(&mut **tx).await?;
    let mut records = Vec::new();
    for row in levels {
        if records.len() >= TICK_RECORDS_MAX {
            return Ok((records, true));
        }
        let owner = owner_from(&row, parsed(&row, "realm_id")?)?;
        let changes = take_changes(tx, &owner, until_us).await?;
        let bytes =
            integrate(&owner, row.try_get("bytes")?, row.try_get("ticked_us")?, until_us, &changes, &mut records);
        let sql = "update s3_level set bytes = $5, ticked_us = $6
                    where realm_id = $1 and org_id = $2 and user_id = $3 and bucket = $4";
        sqlx::query(sql)
            .bind(owner.realm.to_string())
            .bind(owner.org.to_string())
            .bind(owner.user_text())
            .bind(owner.bucket.clone())
            .bind(bytes)
            .bind(until_us)
            .execute(&mut **tx)
            .await?;
    }
    Ok((records, false))
}

async fn take_changes(
    tx: &mut Transaction<'static, Any>,
    owner: &Owner,
    until_us: i64,
) -> Result<Vec<(i64, i64)>, LakeError> {
    let sql = "delete from s3_change
                where realm_id = $1 and org_id = $2 and user_id = $3 and bucket = $4 and at_us < $5
                returning at_us, delta_bytes";
    let rows = sqlx::query(sql)
        .bind(owner.realm.to_string())
        .bind(owner.org.to_string())
        .bind(owner.user_text())
        .bind(owner.bucket.clone())
        .bind(until_us)
        .fetch_all(&mut **tx)
        .await?;
    let mut changes = rows
        .iter()
        .map(|row| Ok((row.try_get("at_us")?, row.try_get("delta_bytes")?)))
        .collect::<Result<Vec<_>, LakeError>>()?;
    changes.sort_unstable();
    Ok(changes)
}

/// One record for each hour with stored bytes; gives the level at the end.
fn integrate(
    owner: &Owner,
    mut bytes: i64,
    from_us: i64,
    until_us: i64,
    changes: &[(i64, i64)],
    records: &mut Vec<UsageRecord>,
) -> i64 {
    let mut left = changes.iter().peekable();
    let mut hour = from_us;
    while hour < until_us {
        let end = hour + HOUR_US;
        let at_start = bytes;
        let mut quantity = nano_byte_seconds(bytes, HOUR_US);
        while let Some((at_us, delta)) = left.next_if(|(at_us, _)| *at_us < end) {
            quantity += nano_byte_seconds(*delta, end - at_us);
            bytes += delta;
        }
        if quantity != 0 {
            let kind = if quantity < 0 { RecordKind::Correction } else { RecordKind::Usage };
            let id = format!("{}/{}/{}/{}", format_instant(hour), owner.org, owner.user_text(), owner.bucket);
            let attributes = format!(r#"{{"bytes_at_start":{at_start},"bytes_at_end":{bytes}}}"#);
            records.push(owner.record(id, hour, quantity, kind, attributes));
        }
        hour = end;
    }
    bytes
}

/// An object that a listing of the account showed, with the owner it gets if the index does not know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenObject {
    /// Hash of account, bucket and key.
    pub object: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Organisation of the mapping that covers it.
    pub org: OrgId,
    /// Its place in the tree.
    pub org_path: String,
    /// User of the mapping, if it belongs to one.
    pub user: Option<UserId>,
    /// Virtual bucket of the mapping.
    pub bucket: String,
}

/// What a sweep found and repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drift {
    /// Objects compared.
    pub compared: u64,
    /// In the account, not in the index.
    pub added: u64,
    /// In the index, not in the account.
    pub removed: u64,
    /// With another size.
    pub resized: u64,
    /// Bytes booked, net.
    pub bytes: i64,
}

impl Lake {
    /// Compares the index with a full listing of an account that began at `started_us`, and books the
    /// difference now. Objects written since then are left alone; parts of uploads are not listed and
    /// stay as they are.
    ///
    /// # Errors
    /// [`LakeError`]; nothing is booked then.
    pub async fn reconcile(
        &self,
        realm: RealmId,
        account: AccountId,
        seen: &[SeenObject],
        started_us: i64,
    ) -> Result<Drift, LakeError> {
        self.seal().await?;
        let _one = self.inner.sealing.lock().await;
        let now_us = self.inner.world.now_us();
        let mut tx = self.inner.begin_write().await?;
        let sql = "select object, size_bytes, at_us from s3_object where realm_id = $1 and account_id = $2";
        let rows = sqlx::query(sql).bind(realm.to_string()).bind(account.to_string()).fetch_all(&mut *tx).await?;
        let mut known: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for row in rows {
            known.insert(row.try_get("object")?, (row.try_get("size_bytes")?, row.try_get("at_us")?));
        }
        let mut drift = Drift::default();
        let mut corrections = Vec::new();
        let name = format!("sweep/{account}/{now_us}");
        let mut step = Step {
            tx: &mut tx,
            realm,
            account: account.to_string(),
            at_us: now_us,
            name,
            no: 0,
            corrections: &mut corrections,
        };
        let mut listed = BTreeSet::new();
        for item in seen {
            listed.insert(item.object.as_str());
            drift.compared += 1;
            let size = i64::try_from(item.size_bytes).map_err(|_| LakeError::Decimal(base::DecimalError::Overflow))?;
            let before = known.get(&item.object);
            if before.is_some_and(|(bytes, at_us)| *bytes == size || *at_us >= started_us) {
                continue;
            }
            drift.bytes += size - before.map_or(0, |(bytes, _)| *bytes);
            *(if before.is_some() { &mut drift.resized } else { &mut drift.added }) += 1;
            let owner = Owner {
                realm,
                org: item.org,
                user: item.user,
                bucket: item.bucket.clone(),
                org_path: item.org_path.clone(),
            };
            step.put(&item.object, &owner, item.size_bytes).await?;
        }
        for (object, (bytes, at_us)) in &known {
            let is_part = object.contains('/');
            if !is_part && *at_us < started_us && !listed.contains(object.as_str()) {
                drift.removed += 1;
                drift.bytes -= bytes;
                step.delete(object).await?;
            }
        }
        if !corrections.is_empty() {
            write_own(&self.inner, &mut tx, corrections, now_us).await?;
        }
        tx.commit().await?;
        Ok(drift)
    }

    /// Bytes stored now by organisation, user and bucket, as the index knows them.
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn stored_bytes(&self, realm: RealmId) -> Result<Vec<(OrgId, Option<UserId>, String, i64)>, LakeError> {
        let mut tx = self.inner.begin_read(realm).await?;
        let sql = "select org_id, org_path, user_id, bucket, cast(sum(size_bytes) as bigint) as size
                     from s3_object
                    where realm_id = $1
                    group by org_id, org_path, user_id, bucket
                    order by org_id, user_id, bucket";
        let rows = sqlx::query(sql).bind(realm.to_string()).fetch_all(&mut *tx).await?;
        rows.iter()
            .map(|row| {
                let owner = owner_from(row, realm)?;
                Ok((owner.org, owner.user, owner.bucket, row.try_get("size")?))
            })
            .collect()
    }
}
