//! Usage from outside: CloudEvents, answered item by item.

use crate::authority::Cx;
use crate::failure::Failure;
use access::Action;
use base::OrgId;
use lake::RawBatch;
use metering::{Meter, RawEvent, Reject};
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
    let grant = cx.allow(Action::UsageSend, org).await?;
    let parts = sources::events::split(content_type, body).map_err(|reason| Failure::unreadable("body", reason))?;
    let mut tx = cx.read_with(&grant).await?;
    let known: BTreeMap<String, Meter> =
        meters::all(&mut tx).await?.into_iter().map(|meter| (meter.code.clone(), meter)).collect();
    drop(tx);
    // A correction lowers a bill: whoever is billed here must not send it for himself.
    let seller = cx.place(org).await?.parent().unwrap_or(org);
    let may_correct = cx.may(Action::InvoiceCreate, seller).await;
    let mut batch = RawBatch::default();
    let mut rejected = Vec::new();
    let mut paths: BTreeMap<OrgId, Option<String>> = BTreeMap::new();
    for (index, raw) in parts.into_iter().enumerate() {
        let parsed = sources::events::parse(raw.get(), cx.realm, org, cx.now_us());
        let checked = parsed.and_then(|record| {
            check_meter(&known, &record)?;
            check_correction(&record, may_correct)?;
            Ok(record)
        });
        match checked {
            Err(reject) => rejected.push(RejectedItem { index, reject }),
            Ok(mut record) => {
                if let std::collections::btree_map::Entry::Vacant(e) = paths.entry(record.org) {
                    e.insert(path_below(cx, org, record.org).await?);
                }
                match &paths[&record.org] {
                    Some(path) => {
                        record.org_path.clone_from(path);
                        if org != cx.realm.root() {
                            record.source = format!("{org}:{}", record.source);
                        }
                        batch.push(&RawEvent::Usage(Box::new(record)));
                    }
                    None => {
                        let reason = "is not this organisation or one below it";
                        let subject = record.org.to_string();
                        let reject = Reject::new(&record.source, &record.record_id, "subject", &subject, reason);
                        rejected.push(RejectedItem { index, reject });
                    }
                }
            }
        }
    }
    let accepted = batch.len();
    cx.app.lake.append(batch).await?;
    Ok(Taken { accepted, rejected })
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

/// The path of `target` if it lies at or below `org`.
async fn path_below(cx: &Cx, org: OrgId, target: OrgId) -> Result<Option<String>, Failure> {
    match cx.place(target).await {
        Ok(place) if place.path.contains(&org) && cx.may(Action::UsageSend, target).await => {
            Ok(Some(crate::authority::log::path_text(&place.path)))
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
