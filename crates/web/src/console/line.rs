//! Why this cent: from a line of a paper to its tiers and to the records that make it.

use super::frame::{Answer, Menu, Page, name_of, parse, show, user_names};
use super::paper::{basis, heading};
use crate::auth::Visitor;
use crate::problem::PageFailure;
use crate::{Web, units};
use app::rows::StoredRecord;
use app::{Failure, bills, orgs, usage};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query};
use axum::routing::get;
use base::InvoiceId;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Records on one page.
const RECORDS_MAX: usize = 100;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/papers/{id}/lines/{no}", get(line))
}

/// What one tier added to the amount of the item.
struct PartRow {
    tier: String,
    quantity: String,
    rate: String,
    amount: String,
}

struct RecordRow {
    time: String,
    id: String,
    user: String,
    resource: String,
    quantity: String,
    dimensions: String,
    batch: i64,
    kind: &'static str,
}

#[derive(Template)]
#[template(path = "console/line.html")]
struct LinePage {
    page: Page,
    basis: Vec<String>,
    paper: String,
    paper_href: String,
    no: u32,
    facts: Vec<(&'static str, String)>,
    parts: Vec<PartRow>,
    records: Vec<RecordRow>,
    meter: String,
    /// Empty on the first page.
    first_href: String,
    /// Empty on the last page.
    next_href: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct LineQuery {
    after: String,
}

async fn line(visitor: Visitor, Path((id, no)): Path<(String, String)>, Query(query): Query<LineQuery>) -> Answer {
    let id: InvoiceId = parse(&id, "invoice")?;
    let no: u32 = parse(&no, "line")?;
    let cx = &visitor.0.cx;
    let (listed, invoice) = bills::get(cx, id).await?;
    let trace = usage::trace(cx, id, no, place(&query.after)?, RECORDS_MAX).await?;
    let payer = orgs::get(cx, listed.payer).await?;
    let names = user_names(&visitor, payer.id).await;
    let here = format!("/papers/{id}/lines/{no}");
    let heading = heading(&invoice);
    let currency = invoice.draft.profile.currency;
    let source = &trace.line.source;
    let period = trace.line.original_period.unwrap_or(invoice.draft.period);
    let facts = vec![
        ("Item", format!("{} ({})", source.description, source.item_code)),
        ("Used by", source.group_name.clone()),
        ("Usage of", period.month_name(&invoice.draft.profile.zone)),
        ("Quantity", format!("{} {}", units::grouped(&source.quantity.to_string()), source.unit)),
        ("Unit price", price(&source.unit_price, currency.code())),
        ("Exact amount", format!("{} {currency}", units::grouped(&source.amount.to_string()))),
        ("As printed", units::money(trace.line.amount_minor, currency)),
    ];
    show(&LinePage {
        page: Page::at(&visitor, &payer, Menu::Papers, "Why this amount").await,
        basis: basis(&invoice, listed.state == "issued"),
        paper: heading,
        paper_href: format!("/papers/{id}"),
        no,
        facts,
        parts: part_rows(&trace.parts, &source.item_code),
        records: trace.records.iter().map(|record| record_row(record, &names)).collect(),
        meter: trace.records.first().map(|record| record.meter.clone()).unwrap_or_default(),
        first_href: if query.after.is_empty() { String::new() } else { here.clone() },
        next_href: trace.next.map(|next| format!("{here}?after={}", encode(&next))).unwrap_or_default(),
    })
}

fn price(unit_price: &str, currency: &str) -> String {
    match (unit_price, unit_price.split_once(" beyond ")) {
        ("", _) => "a difference to what was billed before".to_owned(),
        ("by tier", _) => "by tier".to_owned(),
        (_, Some((rate, included))) => format!("{rate} {currency} beyond {included}"),
        (_, None) => format!("{unit_price} {currency}"),
    }
}

/// Reads where a page of records begins: `start~record id`.
fn place(after: &str) -> Result<Option<(i64, String)>, PageFailure> {
    if after.is_empty() {
        return Ok(None);
    }
    let read = |text: &str| {
        let (start, id) = text.split_once('~')?;
        Some((start.parse().ok()?, id.to_owned()))
    };
    let wrong = || PageFailure(Failure::invalid("after", after, "is not a place that a page of records names"));
    read(after).map(Some).ok_or_else(wrong)
}

fn encode((start_us, id): &(i64, String)) -> String {
    format!("{start_us}~{}", utf8_percent_encode(id, NON_ALPHANUMERIC))
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn part_rows(parts: &Value, code: &str) -> Vec<PartRow> {
    let all = parts.as_array().map(Vec::as_slice).unwrap_or_default();
    let own = all.iter().filter(|part| part["item"].as_str() == Some(code));
    own.map(|part| PartRow {
        tier: part["tier"].as_u64().map_or_else(|| "included".to_owned(), |tier| format!("tier {}", tier + 1)),
        quantity: units::grouped(&text(&part["quantity"])),
        rate: text(&part["rate"]),
        amount: units::grouped(&text(&part["amount"])),
    })
    .collect()
}

fn record_row(record: &StoredRecord, names: &BTreeMap<String, String>) -> RecordRow {
    RecordRow {
        time: base::period::format_instant(record.start_us),
        id: record.record_id.clone(),
        user: name_of(names, &record.user_id),
        resource: record.resource.clone(),
        quantity: units::grouped(&record.quantity.to_string()),
        dimensions: record.dimensions.clone(),
        batch: record.batch_no,
        kind: if record.kind == 0 { "" } else { "correction" },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_round_trip() {
        let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        for id in ["req_1.out", "a~b&c=d", "ü/#?"] {
            let next = (-5, id.to_owned());
            assert_eq!(place(&decoded(&encode(&next))).ok().flatten(), Some(next));
        }
        assert!(place("soon").is_err());
    }

    #[test]
    fn parts_of_other_items_are_left_out() {
        let parts = serde_json::json!([
            { "item": "a", "tier": null, "quantity": "1000", "rate": "0", "amount": "0" },
            { "item": "a", "tier": 0, "quantity": "5000", "rate": "0.01", "amount": "50" },
            { "item": "b", "tier": 0, "quantity": "7", "rate": "1", "amount": "7" },
        ]);
        let rows = part_rows(&parts, "a");
        let seen: Vec<_> =
            rows.iter().map(|row| (row.tier.as_str(), row.quantity.as_str(), row.amount.as_str())).collect();
        assert_eq!(seen, [("included", "1,000", "0"), ("tier 1", "5,000", "50")]);
    }
}
