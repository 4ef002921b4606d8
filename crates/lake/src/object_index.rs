//! The object index: what is stored, who owns it, and byte-seconds for every hour of it.
//!
//! Writes and deletes come from the gateway's events; the sweep compares with the account itself and
//! books the difference. Storage is an exact integral: bytes x microseconds, no sampling.

use crate::error::LakeError;
use crate::object_history::{Booking, Owner};
use crate::object_rows::{Index, ObjectName, insert_many, owner_from, parsed};
use crate::open::Lake;
use crate::seal::{Sealed, write_own};
use base::period::{HOUR_US, format_instant};
use base::{AccountId, OrgId, QuantityNano, RealmId, UserId};
use metering::meter::S3_STORAGE;
use metering::s3::{ObjectChange, S3Request, STANDARD};
use metering::{RecordKind, UsageRecord};
use sqlx::{Any, Row as _, Transaction};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The source name of storage records.
const SOURCE: &str = "s3-storage";

/// A request that was counted for the first time, with what it did to the index.
pub(crate) struct IndexedEvent {
    pub(crate) org_path: String,
    pub(crate) request: Box<S3Request>,
}

impl Owner {
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
            dimensions: BTreeMap::from([
                ("bucket".to_owned(), self.bucket.clone()),
                ("storage_class".to_owned(), self.class.clone()),
            ]),
            quantity: QuantityNano(quantity),
            start_us: hour_us,
            end_us: hour_us + HOUR_US,
            kind,
            attributes,
        }
    }
}

fn floor_hour(at_us: i64) -> i64 {
    at_us - at_us.rem_euclid(HOUR_US)
}

/// Byte-microseconds as nano byte-seconds: exact.
fn nano_byte_seconds(bytes: i64, span_us: i64) -> i128 {
    i128::from(bytes) * i128::from(span_us) * 1_000
}

/// Object changes that are held in memory at once.
const CHANGES_MAX: usize = 10_000;
/// What is over is remembered for so long: an event that comes later than this is taken for the newest of
/// its object, and a listing that takes longer may book again what was deleted meanwhile.
const PAST_US: i64 = 24 * HOUR_US;

/// What happened to objects in one instant, by a request or a sweep.
struct Step<'a> {
    account: String,
    at_us: i64,
    name: String,
    owner: Arc<Owner>,
    changes: &'a [ObjectChange],
}

impl Step<'_> {
    /// The owner of what is stored in a class.
    fn owner_in(&self, class: &str) -> Arc<Owner> {
        if self.owner.class == class {
            return Arc::clone(&self.owner);
        }
        Arc::new(Owner { class: class.to_owned(), ..(*self.owner).clone() })
    }

    fn object(&self, name: &str) -> ObjectName {
        (self.owner.realm, name.to_owned())
    }

    /// Objects whose history this touches; uploads whose parts it ends.
    fn names(&self, objects: &mut BTreeSet<ObjectName>, uploads: &mut BTreeSet<ObjectName>) {
        for change in self.changes {
            match change {
                ObjectChange::Put { object, .. } | ObjectChange::Delete { object } => {
                    objects.insert(self.object(object));
                }
                ObjectChange::PutPart { upload, part, .. } => {
                    objects.insert(self.object(&part_name(upload, *part)));
                    objects.insert(self.object(&end_name(upload)));
                }
                ObjectChange::EndUpload { upload } => {
                    objects.insert(self.object(&end_name(upload)));
                    uploads.insert(self.object(upload));
                }
            }
        }
    }

    fn apply(&self, index: &mut Index) -> Result<Vec<Booking>, LakeError> {
        let mut booked = Vec::new();
        let size = |bytes: u64| i64::try_from(bytes).map_err(|_| LakeError::Decimal(base::DecimalError::Overflow));
        for change in self.changes {
            match change {
                ObjectChange::Put { object, size_bytes, class } => {
                    let history = index.history(&self.object(object));
                    booked.extend(history.put(self.at_us, &self.owner_in(class), &self.account, size(*size_bytes)?));
                }
                ObjectChange::Delete { object } => booked.extend(self.delete(index, &self.object(object), self.at_us)),
                ObjectChange::PutPart { upload, part, size_bytes, class } => {
                    let part = self.object(&part_name(upload, *part));
                    let ended_us = index.history(&self.object(&end_name(upload))).ended_us();
                    let history = index.history(&part);
                    booked.extend(history.put(self.at_us, &self.owner_in(class), &self.account, size(*size_bytes)?));
                    // It came late: its upload is over.
                    if let Some(ended_us) = ended_us.filter(|ended_us| *ended_us > self.at_us) {
                        booked.extend(self.delete(index, &part, ended_us));
                    }
                }
                ObjectChange::EndUpload { upload } => {
                    for part in index.parts(&self.object(upload)) {
                        booked.extend(self.delete(index, &part, self.at_us));
                    }
                    booked.extend(self.delete(index, &self.object(&end_name(upload)), self.at_us));
                }
            }
        }
        Ok(booked)
    }

    fn delete(&self, index: &mut Index, object: &ObjectName, at_us: i64) -> Vec<Booking> {
        index.history(object).delete(at_us, &self.owner, &self.account)
    }
}

/// Names a part of an unfinished upload in the index.
#[must_use]
pub fn part_name(upload: &str, part: u32) -> String {
    format!("{upload}/{part:05}")
}

/// Never stored: only its end is remembered.
fn end_name(upload: &str) -> String {
    format!("{upload}/")
}

/// Applies the effects of requests. Gives correction records for hours that were closed before a late
/// request was known.
pub(crate) async fn apply(
    tx: &mut Transaction<'static, Any>,
    mut events: Vec<IndexedEvent>,
) -> Result<Vec<UsageRecord>, LakeError> {
    events.retain(|event| !event.request.changes.is_empty());
    events.sort_by_key(|event| event.request.at_us);
    let steps: Vec<Step<'_>> = events.iter().map(IndexedEvent::step).collect();
    apply_steps(tx, &steps).await
}

impl IndexedEvent {
    fn step(&self) -> Step<'_> {
        let request = &self.request;
        let owner = Owner {
            realm: request.realm,
            org: request.org,
            user: Some(request.user),
            bucket: request.bucket.clone(),
            class: STANDARD.to_owned(),
            org_path: self.org_path.clone(),
        };
        Step {
            account: request.account.map(|account| account.to_string()).unwrap_or_default(),
            at_us: request.at_us,
            name: request.request_id.to_string(),
            owner: Arc::new(owner),
            changes: &request.changes,
        }
    }
}

async fn apply_steps(tx: &mut Transaction<'static, Any>, steps: &[Step<'_>]) -> Result<Vec<UsageRecord>, LakeError> {
    let mut corrections = Vec::new();
    let mut rest = steps;
    while !rest.is_empty() {
        let mut size = 0;
        let fits = rest.iter().take_while(|step| {
            size += step.changes.len();
            size <= CHANGES_MAX
        });
        let (now, later) = rest.split_at(fits.count().max(1));
        rest = later;
        let (mut objects, mut uploads) = (BTreeSet::new(), BTreeSet::new());
        for step in now {
            step.names(&mut objects, &mut uploads);
        }
        let mut index = Index::load(tx, objects, &uploads).await?;
        let mut changes = Vec::new();
        for step in now {
            let booked = net(step.apply(&mut index)?);
            changes.extend(booked.into_iter().enumerate().map(|(no, booking)| Noted {
                name: step.name.clone(),
                no: no + 1,
                booking,
            }));
        }
        index.save(tx).await?;
        book(tx, changes, &mut corrections).await?;
    }
    Ok(corrections)
}

/// One booking for each owner and instant; what cancels out is none.
fn net(booked: Vec<Booking>) -> Vec<Booking> {
    let mut sums: BTreeMap<(Arc<Owner>, i64), i64> = BTreeMap::new();
    for Booking { owner, at_us, delta_bytes } in booked {
        *sums.entry((owner, at_us)).or_default() += delta_bytes;
    }
    let sums = sums.into_iter().filter(|(_, delta_bytes)| *delta_bytes != 0);
    sums.map(|((owner, at_us), delta_bytes)| Booking { owner, at_us, delta_bytes }).collect()
}

/// A difference of stored bytes, with what its row or its records are named by.
struct Noted {
    name: String,
    no: usize,
    booking: Booking,
}

/// Books differences of stored bytes: in running hours as changes, in closed hours as corrections.
async fn book(
    tx: &mut Transaction<'static, Any>,
    noted: Vec<Noted>,
    corrections: &mut Vec<UsageRecord>,
) -> Result<(), LakeError> {
    let mut levels: BTreeMap<Arc<Owner>, Vec<Noted>> = BTreeMap::new();
    for noted in noted {
        levels.entry(Arc::clone(&noted.booking.owner)).or_default().push(noted);
    }
    let mut running = Vec::new();
    for (owner, noted) in levels {
        let first_us = noted.iter().map(|noted| noted.booking.at_us).min().expect("a level has a booking");
        let ticked_us = ticked_us(tx, &owner, first_us).await?;
        let (late, now): (Vec<_>, Vec<_>) = noted.into_iter().partition(|noted| noted.booking.at_us < ticked_us);
        running.extend(now);
        if late.is_empty() {
            continue;
        }
        for noted in &late {
            correct(noted, ticked_us, corrections);
        }
        let delta: i64 = late.iter().map(|noted| noted.booking.delta_bytes).sum();
        raise_level(tx, &owner, delta).await?;
    }
    save_changes(tx, &running).await
}

/// Up to when the hours of an owner are closed.
async fn ticked_us(tx: &mut Transaction<'static, Any>, owner: &Owner, first_us: i64) -> Result<i64, LakeError> {
    let sql = "insert into s3_level (realm_id, org_id, user_id, bucket, class, org_path, bytes, ticked_us)
               values ($1, $2, $3, $4, $5, $6, 0, $7)
               on conflict (realm_id, org_id, user_id, bucket, class) do update set org_path = excluded.org_path
               returning ticked_us";
    let ticked_us = sqlx::query_scalar(sql)
        .bind(owner.realm.to_string())
        .bind(owner.org.to_string())
        .bind(owner.user_text())
        .bind(owner.bucket.clone())
        .bind(owner.class.clone())
        .bind(owner.org_path.clone())
        .bind(floor_hour(first_us));
    Ok(ticked_us.fetch_one(&mut **tx).await?)
}

/// Corrections of the hours that were closed without this difference.
fn correct(noted: &Noted, ticked_us: i64, corrections: &mut Vec<UsageRecord>) {
    let Booking { owner, at_us, delta_bytes } = &noted.booking;
    let mut hour = floor_hour(*at_us);
    while hour < ticked_us {
        let span = hour + HOUR_US - (*at_us).max(hour);
        let id = format!("late/{}/{}/{}", noted.name, noted.no, format_instant(hour));
        let quantity = nano_byte_seconds(*delta_bytes, span);
        corrections.push(owner.record(id, hour, quantity, RecordKind::Correction, "{}".to_owned()));
        hour += HOUR_US;
    }
}

async fn raise_level(tx: &mut Transaction<'static, Any>, owner: &Owner, delta: i64) -> Result<(), LakeError> {
    let sql = "update s3_level set bytes = bytes + $6
                where realm_id = $1 and org_id = $2 and user_id = $3 and bucket = $4 and class = $5";
    sqlx::query(sql)
        .bind(owner.realm.to_string())
        .bind(owner.org.to_string())
        .bind(owner.user_text())
        .bind(owner.bucket.clone())
        .bind(owner.class.clone())
        .bind(delta)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn save_changes(tx: &mut Transaction<'static, Any>, rows: &[Noted]) -> Result<(), LakeError> {
    let head = "insert into s3_change (realm_id, change_id, org_id, user_id, bucket, class, at_us, delta_bytes)";
    insert_many(tx, head, 8, "", rows, |query, noted| {
        let Booking { owner, at_us, delta_bytes } = &noted.booking;
        query
            .bind(owner.realm.to_string())
            .bind(format!("{}/{}", noted.name, noted.no))
            .bind(owner.org.to_string())
            .bind(owner.user_text())
            .bind(owner.bucket.clone())
            .bind(owner.class.clone())
            .bind(*at_us)
            .bind(*delta_bytes)
    })
    .await
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
            let forget = sqlx::query("delete from s3_past where until_us < $1");
            forget.bind(self.inner.world.now_us() - PAST_US).execute(&mut *tx).await?;
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
    let sql = "select realm_id, org_id, user_id, bucket, class, org_path, bytes, ticked_us
                 from s3_level
                where ticked_us < $1
                order by realm_id, org_id, user_id, bucket, class";
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
        let sql = "update s3_level set bytes = $6, ticked_us = $7
                    where realm_id = $1 and org_id = $2 and user_id = $3 and bucket = $4 and class = $5";
        sqlx::query(sql)
            .bind(owner.realm.to_string())
            .bind(owner.org.to_string())
            .bind(owner.user_text())
            .bind(owner.bucket.clone())
            .bind(owner.class.clone())
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
                where realm_id = $1 and org_id = $2 and user_id = $3 and bucket = $4 and class = $5 and at_us < $6
                returning at_us, delta_bytes";
    let rows = sqlx::query(sql)
        .bind(owner.realm.to_string())
        .bind(owner.org.to_string())
        .bind(owner.user_text())
        .bind(owner.bucket.clone())
        .bind(owner.class.clone())
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
            let mut id = format!("{}/{}/{}/{}", format_instant(hour), owner.org, owner.user_text(), owner.bucket);
            // Hours of before have no class in their names: none of them is written as another one.
            if owner.class != STANDARD {
                id.push('/');
                id.push_str(&owner.class);
            }
            let attributes = format!(r#"{{"bytes_at_start":{at_start},"bytes_at_end":{bytes}}}"#);
            records.push(owner.record(id, hour, quantity, kind, attributes));
        }
        hour = end;
    }
    bytes
}

/// Whose an object is that the index does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenOwner {
    /// Organisation of the mapping that covers it.
    pub org: OrgId,
    /// Its place in the tree.
    pub org_path: String,
    /// User of the mapping, if it belongs to one.
    pub user: Option<UserId>,
    /// Virtual bucket of the mapping.
    pub bucket: String,
}

/// A version of an object, or a part of an unfinished upload, that a listing of the account showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenObject {
    /// Its name in the index.
    pub object: String,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Storage class.
    pub class: String,
    /// Whose it is if the index does not know it.
    pub owner: Arc<SeenOwner>,
    /// An organisation and its virtual bucket that gave it up: what the index knows as theirs goes to the owner.
    pub given_up: Option<(OrgId, String)>,
    /// What it is called in messages: virtual bucket and key.
    pub shown: String,
}

/// All that an account holds, as far as it could be listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Versions and parts.
    pub objects: Vec<SeenObject>,
    /// Whether all versions are in it; else the current ones only, and others stay as they are.
    pub has_versions: bool,
    /// Whether the parts of unfinished uploads are in it; else they stay as they are.
    pub has_parts: bool,
}

/// What a sweep found and repaired.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Drift {
    /// Objects compared.
    pub compared: u64,
    /// In the account, not in the index.
    pub added: u64,
    /// In the index, not in the account.
    pub removed: u64,
    /// With another size.
    pub resized: u64,
    /// In another storage class, or another organisation's since its own gave them up.
    pub moved: u64,
    /// Bytes booked, net.
    pub bytes: i64,
    /// What the account does not list, in words; empty when all was compared.
    pub unlisted: Vec<String>,
    /// The first of the differences, by virtual bucket and key.
    pub examples: Vec<String>,
}

/// Differences that are named.
const EXAMPLES_MAX: usize = 20;

impl Drift {
    fn name(&mut self, what: impl FnOnce() -> String) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(what());
        }
    }

    /// Whether anything differed.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.added + self.removed + self.resized + self.moved > 0
    }
}

impl Lake {
    /// Compares the index with a full listing of an account that began at `started_us`, and books the
    /// difference as of then. Objects written or deleted since then are left alone. What was changed past the gateway
    /// stays whose it was; only what nobody wrote before goes to who holds the mapping.
    ///
    /// # Errors
    /// [`LakeError`]; nothing is booked then.
    pub async fn reconcile(
        &self,
        realm: RealmId,
        account: AccountId,
        listing: &Listing,
        started_us: i64,
    ) -> Result<Drift, LakeError> {
        self.seal().await?;
        let _one = self.inner.sealing.lock().await;
        let now_us = self.inner.world.now_us();
        let mut tx = self.inner.begin_write().await?;
        let known = known_objects(&mut tx, realm, account, started_us).await?;
        let (drift, repairs) = compare(known, realm, listing)?;
        let name = format!("sweep/{account}/{now_us}");
        let steps: Vec<Step<'_>> = repairs
            .iter()
            .enumerate()
            .map(|(no, (owner, change))| Step {
                account: account.to_string(),
                at_us: started_us,
                name: format!("{name}/{no}"),
                owner: Arc::clone(owner),
                changes: std::slice::from_ref(change),
            })
            .collect();
        let corrections = apply_steps(&mut tx, &steps).await?;
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
        let sql = "select org_id, org_path, user_id, bucket, '' as class, cast(sum(size_bytes) as bigint) as size
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

/// What the index knows of an object of the account.
struct Known {
    owner: Arc<Owner>,
    size_bytes: i64,
    newest_us: i64,
    /// Something happened to it since the listing began: the listing may be right or wrong about it.
    is_newer: bool,
    is_there: bool,
}

async fn known_objects(
    tx: &mut Transaction<'static, Any>,
    realm: RealmId,
    account: AccountId,
    started_us: i64,
) -> Result<BTreeMap<String, Known>, LakeError> {
    // The later row counts: what is there now.
    let sql =
        "select object, org_id, org_path, user_id, bucket, class, size_bytes, until_us as newest_us, 0 as is_there
                 from s3_past
                where realm_id = $1 and account_id = $2 and until_us >= $3
                union all
               select object, org_id, org_path, user_id, bucket, class, size_bytes, at_us as newest_us, 1 as is_there
                 from s3_object
                where realm_id = $1 and account_id = $2
                order by is_there";
    let rows = sqlx::query(sql)
        .bind(realm.to_string())
        .bind(account.to_string())
        .bind(started_us)
        .fetch_all(&mut **tx)
        .await?;
    let mut known = BTreeMap::new();
    for row in rows {
        let newest_us = row.try_get::<i64, _>("newest_us")?;
        let object = Known {
            owner: Arc::new(owner_from(&row, realm)?),
            size_bytes: row.try_get("size_bytes")?,
            newest_us,
            is_newer: newest_us >= started_us,
            is_there: row.try_get::<i64, _>("is_there")? == 1,
        };
        known.insert(row.try_get("object")?, object);
    }
    Ok(known)
}

/// What comes before the version or the part: the object's or the upload's own name.
fn stem(object: &str) -> &str {
    object.split(['.', '/']).next().unwrap_or(object)
}

fn has_given_up(owner: &Owner, item: &SeenObject) -> bool {
    item.given_up.as_ref().is_some_and(|(org, bucket)| *org == owner.org && *bucket == owner.bucket)
}

type Repair = (Arc<Owner>, ObjectChange);

/// The change that makes the index say what was seen. A part is named by its upload and number.
fn repair_of(item: &SeenObject) -> ObjectChange {
    let (object, size_bytes, class) = (item.object.clone(), item.size_bytes, item.class.clone());
    ObjectChange::Put { object, size_bytes, class }
}

fn compare(
    known: BTreeMap<String, Known>,
    realm: RealmId,
    listing: &Listing,
) -> Result<(Drift, Vec<Repair>), LakeError> {
    let mut drift = Drift::default();
    let mut repairs = Vec::new();
    let mut listed = BTreeSet::new();
    // Who wrote a key last owns what is found of it, whichever mapping covers it now.
    let mut owners: BTreeMap<&str, (i64, &Arc<Owner>)> = BTreeMap::new();
    for (object, known) in known.iter().filter(|(_, known)| known.is_there) {
        let newest = owners.entry(stem(object)).or_insert((known.newest_us, &known.owner));
        if known.newest_us > newest.0 {
            *newest = (known.newest_us, &known.owner);
        }
    }
    for item in &listing.objects {
        listed.insert(item.object.as_str());
        drift.compared += 1;
        let size = i64::try_from(item.size_bytes).map_err(|_| LakeError::Decimal(base::DecimalError::Overflow))?;
        let before = known.get(&item.object);
        let is_same = |known: &Known| {
            known.size_bytes == size && known.owner.class == item.class && !has_given_up(&known.owner, item)
        };
        if before.is_some_and(|known| known.is_newer || (known.is_there && is_same(known))) {
            continue;
        }
        let before = before.filter(|known| known.is_there);
        let writer =
            before.map(|known| &known.owner).or_else(|| owners.get(stem(&item.object)).map(|(_, owner)| *owner));
        let owner = match writer.filter(|owner| !has_given_up(owner, item)) {
            Some(owner) => Arc::clone(owner),
            None => Arc::new(Owner {
                realm,
                org: item.owner.org,
                user: item.owner.user,
                bucket: item.owner.bucket.clone(),
                class: item.class.clone(),
                org_path: item.owner.org_path.clone(),
            }),
        };
        drift.bytes += size - before.map_or(0, |known| known.size_bytes);
        match before {
            None => {
                drift.added += 1;
                drift.name(|| format!("found {}: {size} bytes", item.shown));
            }
            Some(known) if known.size_bytes != size => {
                drift.resized += 1;
                let was = known.size_bytes;
                drift.name(|| format!("resized {}: {was} bytes, now {size}", item.shown));
            }
            Some(known) => {
                drift.moved += 1;
                let was = if known.owner.class == item.class { "given up" } else { known.owner.class.as_str() };
                drift.name(|| format!("moved {}: {was}, now {}", item.shown, item.class));
            }
        }
        repairs.push((owner, repair_of(item)));
    }
    for (object, known) in &known {
        let is_covered = match (object.contains('/'), object.contains('.')) {
            (true, _) => listing.has_parts,
            (false, true) => listing.has_versions,
            (false, false) => true,
        };
        if is_covered && known.is_there && !known.is_newer && !listed.contains(object.as_str()) {
            drift.removed += 1;
            drift.bytes -= known.size_bytes;
            let (bucket, was) = (&known.owner.bucket, known.size_bytes);
            drift.name(|| format!("gone from {bucket}: {was} bytes"));
            repairs.push((Arc::clone(&known.owner), ObjectChange::Delete { object: object.clone() }));
        }
    }
    Ok((drift, repairs))
}
