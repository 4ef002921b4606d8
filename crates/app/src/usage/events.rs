//! Usage from outside: CloudEvents, answered item by item.

use crate::authority::Cx;
use crate::authority::log::path_text;
use crate::failure::Failure;
use access::Action;
use base::{OrgId, UserId};
use lake::RawBatch;
use metering::{Meter, RawEvent, Reject, UsageRecord};
use std::collections::BTreeMap;
use store::meters;

/// The answer to a batch: how many were taken, and each that was not.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Taken {
    /// Events that are on disk now and will be counted once.
    pub accepted: u64,
    /// Events that were refused, by their place in the batch, from 0.
    pub rejected: Vec<RejectedItem>,
}

/// One refused event.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RejectedItem {
    /// Place in the batch.
    pub index: usize,
    /// Field, value, reason.
    #[serde(flatten)]
    pub reject: Reject,
}

/// Takes a body of CloudEvents for `org` (and, by their subject, organisations below it). When it
/// returns, the accepted ones are durable. Below the root the organisation stands in front of the source:
/// two tenants choose their sources and ids by themselves, and neither can take the other's.
///
/// # Errors
/// [`Failure`] when the body as a whole cannot be read; nothing is taken then.
pub async fn ingest(cx: &Cx, org: OrgId, content_type: &str, body: &str) -> Result<Taken, Failure> {
    let mut tx = cx.read(Action::UsageSend, org).await?;
    let known: BTreeMap<String, Meter> =
        meters::all(&mut tx).await?.into_iter().map(|meter| (meter.code.clone(), meter)).collect();
    drop(tx);
    // A correction lowers a bill: whoever is billed here must not send it for themselves.
    let seller = cx.place(org).await?.parent().unwrap_or(org);
    let may_correct = cx.may(Action::InvoiceCreate, seller).await;
    let (realm, now_us) = (cx.realm, cx.now_us());
    let (media, body) = (content_type.to_owned(), body.to_owned());
    // Thousands of events take a while to read: not on a thread that others wait for.
    let read = move || {
        let parts = sources::events::split(&media, &body)?;
        let checked = parts.into_iter().map(|raw| {
            let record = sources::events::parse(raw.get(), realm, org, now_us)?;
            check_meter(&known, &record)?;
            check_correction(&record, may_correct)?;
            Ok(record)
        });
        Ok::<Vec<Result<UsageRecord, Reject>>, String>(checked.collect())
    };
    let parsed = tokio::task::spawn_blocking(read).await?.map_err(|reason| Failure::unreadable("body", reason))?;
    let mut batch = RawBatch::default();
    let mut rejected = Vec::new();
    let mut known = Named { cx, org, paths: BTreeMap::new(), users: BTreeMap::new() };
    for (index, checked) in parsed.into_iter().enumerate() {
        let placed = match checked {
            Ok(record) => known.place(record).await?,
            Err(reject) => Err(reject),
        };
        match placed {
            Err(reject) => rejected.push(RejectedItem { index, reject }),
            Ok(mut record) => {
                if org != cx.realm.root() {
                    record.source = format!("{org}:{}", record.source);
                }
                batch.push(&RawEvent::Usage(Box::new(record)));
            }
        }
    }
    let accepted = batch.len();
    cx.app.lake.append(batch).await?;
    Ok(Taken { accepted, rejected })
}

/// Whom events of one request name: looked up with the sender's eyes, each once.
struct Named<'a> {
    cx: &'a Cx,
    org: OrgId,
    paths: BTreeMap<OrgId, Option<Vec<OrgId>>>,
    users: BTreeMap<(OrgId, UserId), bool>,
}

impl Named<'_> {
    /// Gives a record its place in the tree, or says what it names that the sender may not speak for.
    async fn place(&mut self, mut record: UsageRecord) -> Result<Result<UsageRecord, Reject>, Failure> {
        let reject = |record: &UsageRecord, field: &str, value: &str, reason: &str| {
            Ok(Err(Reject::new(&record.source, &record.record_id, field, value, reason)))
        };
        if let std::collections::btree_map::Entry::Vacant(e) = self.paths.entry(record.org) {
            e.insert(path_below(self.cx, self.org, record.org).await?);
        }
        let Some(path) = &self.paths[&record.org] else {
            let reason = "is not this organisation or one below it";
            return reject(&record, "subject", &record.org.to_string(), reason);
        };
        record.org_path = path_text(path);
        let Some(user) = record.user else { return Ok(Ok(record)) };
        let key = (record.org, user);
        if !self.users.contains_key(&key) {
            let mut tx = self.cx.look_around().await?;
            let places = store::memberships::of_user(&mut tx, user).await?;
            // Whoever belongs there, or on the way from the sender's organisation down to it, can have used it.
            let from = path.iter().position(|org| *org == self.org).unwrap_or(0);
            self.users.insert(key, places.iter().any(|found| path[from..].contains(&found.org)));
        }
        if self.users[&key] {
            return Ok(Ok(record));
        }
        reject(&record, "data.user", &user.to_string(), "is nobody of this organisation")
    }
}

fn check_correction(record: &metering::UsageRecord, may_correct: bool) -> Result<(), Reject> {
    if record.kind != metering::RecordKind::Correction || may_correct {
        return Ok(());
    }
    let reason = "only those who may close the books of the organisation above can send corrections";
    Err(Reject::new(&record.source, &record.record_id, "data.kind", "correction", reason))
}

fn check_meter(known: &BTreeMap<String, Meter>, record: &metering::UsageRecord) -> Result<(), Reject> {
    let reject = |field: &str, value: &str, reason: &str| {
        Err(Reject::new(&record.source, &record.record_id, field, value, reason))
    };
    let Some(meter) = known.get(&record.meter) else {
        return reject("type", &record.meter, "is not a meter of this realm; define it first");
    };
    match record.dimensions.keys().find(|name| !meter.dimensions.contains(name)) {
        Some(name) => reject("data.dimensions", name, "is not a dimension of the meter"),
        None => Ok(()),
    }
}

/// The path of `target` if it lies at or below `org` and the caller may send usage for it.
async fn path_below(cx: &Cx, org: OrgId, target: OrgId) -> Result<Option<Vec<OrgId>>, Failure> {
    match cx.place(target).await {
        Ok(place) if place.path.contains(&org) && cx.may(Action::UsageSend, target).await => {
            Ok(Some(place.path.clone()))
        }
        Ok(_) => Ok(None),
        Err(failure) if failure.kind == crate::Kind::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Defines a meter for the realm's own events. Defining the same meter again changes nothing.
///
/// # Errors
/// [`Failure`] naming the field at fault.
pub async fn define_meter(cx: &Cx, meter: Meter) -> Result<(), Failure> {
    if !metering::meter::is_meter_code(&meter.code) || meter.code.starts_with("s3.") {
        return Err(Failure::invalid("code", &meter.code, "must be lower-case words joined by dots, not below s3."));
    }
    if meter.unit.chars().count() > 64 || meter.unit.chars().any(char::is_control) {
        return Err(Failure::invalid("unit", &meter.unit, "must have at most 64 printable characters"));
    }
    if meter.aggregation == metering::Aggregation::Max {
        return Err(Failure::invalid("aggregation", "max", "is not rated yet; use sum"));
    }
    let good_name = |name: &String| metering::meter::is_meter_code(name) && !name.contains('.');
    if meter.dimensions.len() > 16 || !meter.dimensions.iter().all(good_name) {
        return Err(Failure::invalid("dimensions", &meter.dimensions.join(" "), "must be at most 16 lower-case words"));
    }
    let mut tx = cx.change(Action::SourceWrite, cx.realm.root()).await?;
    if meters::insert(&mut tx, &meter, cx.now_us()).await? == 0 {
        let found = meters::all(&mut tx).await?;
        if !found.contains(&meter) {
            return Err(Failure::conflict(format!("code: meter {:?} is defined already, in another way", meter.code)));
        }
    }
    let detail = serde_json::json!({ "unit": meter.unit, "dimensions": meter.dimensions });
    tx.done(cx.realm.root(), "meter.define", &meter.code, detail).await
}

/// The gateway's meters and the realm's own.
///
/// # Errors
/// [`Failure`].
pub async fn meters(cx: &Cx) -> Result<Vec<Meter>, Failure> {
    let mut tx = cx.look_around().await?;
    let mut found = metering::meter::s3_meters();
    found.extend(meters::all(&mut tx).await?);
    Ok(found)
}
