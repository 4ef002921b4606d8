//! What could not be counted: kept with its reason until a person settles it.

use crate::error::LakeError;
use crate::open::Lake;
use base::{OrgId, QuantityNano, RealmId};
use metering::{RawEvent, Reject, UsageRecord};
use sqlx::{Any, Row as _, Transaction};

/// A rejected item with what is known of its worth.
pub(crate) struct Rejected {
    realm: RealmId,
    org: OrgId,
    meter: String,
    quantity: QuantityNano,
    reject: Reject,
    body: String,
}

impl Rejected {
    pub(crate) fn of_event(event: &RawEvent, reject: Reject) -> Self {
        let body = serde_json::to_string(event).expect("our own events are JSON");
        match event {
            RawEvent::S3 { request, .. } => Self {
                realm: request.realm,
                org: request.org,
                meter: "s3.requests".to_owned(),
                quantity: QuantityNano::units(1),
                reject,
                body,
            },
            RawEvent::Usage(record) => Self::of_record(record, reject, body),
        }
    }

    fn of_record(record: &UsageRecord, reject: Reject, body: String) -> Self {
        let (meter, quantity) = (record.meter.clone(), record.quantity);
        Self { realm: record.realm, org: record.org, meter, quantity, reject, body }
    }

    /// An event that fails for what it holds, where no check of ours names the field.
    pub(crate) fn unworkable(event: &RawEvent, error: &crate::error::LakeError) -> Self {
        let reason = format!("cannot be worked on: {error}");
        let reject = match event {
            RawEvent::S3 { request, .. } => {
                let id = request.request_id.to_string();
                Reject::new(metering::mediate::S3_SOURCE, &id, "event", "", &reason)
            }
            RawEvent::Usage(record) => Reject::new(&record.source, &record.record_id, "event", "", &reason),
        };
        Self::of_event(event, reject)
    }

    /// Bytes that are no event.
    pub(crate) fn unreadable(bytes: &[u8], reason: &str) -> Self {
        let content = hex::encode(&blake3::hash(bytes).as_bytes()[..8]);
        Self {
            realm: RealmId(0),
            org: OrgId(0),
            meter: String::new(),
            quantity: QuantityNano(0),
            reject: Reject::new("inbox", &content, "event", "", reason),
            body: hex::encode(&bytes[..bytes.len().min(4_096)]),
        }
    }

    pub(crate) fn conflict(record: &UsageRecord) -> Self {
        tracing::error!(source = record.source, record_id = record.record_id, "same record id with other content");
        let reason = "was counted before with other content; nothing was replaced";
        let reject = Reject::new(&record.source, &record.record_id, "id", &record.record_id, reason);
        Self::of_record(record, reject, serde_json::to_string(record).expect("our own records are JSON"))
    }
}

/// A text that every engine stores: PostgreSQL knows no NUL. What is refused for one must still be kept.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

pub(crate) async fn insert(
    tx: &mut Transaction<'static, Any>,
    rejected: &[Rejected],
    now_us: i64,
) -> Result<(), LakeError> {
    let sql = "insert into quarantine (realm_id, source, record_id, content, org_id, field, value, reason, meter,
                                       quantity_nano, body, received_us)
               values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
               on conflict (realm_id, source, record_id, content) do nothing";
    for item in rejected {
        let content = hex::encode(&blake3::hash(item.body.as_bytes()).as_bytes()[..8]);
        sqlx::query(sql)
            .bind(item.realm.to_string())
            .bind(storable(&item.reject.source))
            .bind(storable(&item.reject.record_id))
            .bind(content)
            .bind(item.org.to_string())
            .bind(storable(&item.reject.field))
            .bind(storable(&item.reject.value))
            .bind(storable(&item.reject.reason))
            .bind(storable(&item.meter))
            .bind(item.quantity.0.to_string())
            .bind(storable(&item.body))
            .bind(now_us)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// An item in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Quarantined {
    /// Whose usage it claims to be.
    pub org: OrgId,
    /// Why it is here.
    pub reject: Reject,
    /// What it would count for.
    pub meter: String,
    /// How much it would count.
    pub quantity: QuantityNano,
    /// The item as it came.
    pub body: String,
    /// When it came.
    pub received_us: i64,
}

impl Lake {
    /// Items of a realm in quarantine, newest first: the first `limit` of those whose organisation is asked for.
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn quarantined(
        &self,
        realm: RealmId,
        limit: usize,
        is_asked: impl Fn(OrgId) -> bool,
    ) -> Result<Vec<Quarantined>, LakeError> {
        let mut found = Vec::new();
        let mut after = (i64::MAX, String::new(), String::new());
        loop {
            let page = self.quarantine_page(realm, &after).await?;
            let Some(last) = page.last() else { return Ok(found) };
            after = (last.received_us, last.reject.source.clone(), last.reject.record_id.clone());
            found.extend(page.into_iter().filter(|item| is_asked(item.org)));
            if found.len() >= limit {
                found.truncate(limit);
                return Ok(found);
            }
        }
    }

    async fn quarantine_page(
        &self,
        realm: RealmId,
        (received_us, source, record_id): &(i64, String, String),
    ) -> Result<Vec<Quarantined>, LakeError> {
        let mut tx = self.inner.begin_read(realm).await?;
        let sql = "select source, record_id, org_id, field, value, reason, meter, quantity_nano, body, received_us
                     from quarantine
                    where realm_id = $1
                      and (received_us < $2 or (received_us = $2 and (source > $3 or (source = $3 and record_id > $4))))
                    order by received_us desc, source, record_id
                    limit 1000";
        let query = sqlx::query(sql).bind(realm.to_string()).bind(*received_us);
        let rows = query.bind(source.clone()).bind(record_id.clone()).fetch_all(&mut *tx).await?;
        let damaged = |what: &str| LakeError::Corrupt(format!("{what} in quarantine is damaged"));
        rows.iter()
            .map(|row| {
                Ok(Quarantined {
                    org: row.try_get::<String, _>("org_id")?.parse().map_err(|_| damaged("org_id"))?,
                    reject: Reject {
                        source: row.try_get("source")?,
                        record_id: row.try_get("record_id")?,
                        field: row.try_get("field")?,
                        value: row.try_get("value")?,
                        reason: row.try_get("reason")?,
                    },
                    meter: row.try_get("meter")?,
                    quantity: QuantityNano(
                        row.try_get::<String, _>("quantity_nano")?.parse().map_err(|_| damaged("quantity_nano"))?,
                    ),
                    body: row.try_get("body")?,
                    received_us: row.try_get("received_us")?,
                })
            })
            .collect()
    }
}
