//! Why this cent: from a line of a paper to its tiers and to the records that make it.

use super::frame::{Answer, Menu, Page, name_of, parse, show, user_names};
use super::paper::{basis, heading};
use crate::auth::Visitor;
use crate::problem::PageFailure;
use crate::{Web, units};
use app::rows::StoredRecord;
use app::trace::TierShare;
use app::{Failure, bills, orgs, trace};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query};
use axum::routing::get;
use base::{Currency, InvoiceId, QuantityNano, Zone};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Records on one page.
const RECORDS_MAX: usize = 100;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/papers/{id}/lines/{no}", get(line))
}

/// What one tier added to the amount of the item, and the line's part of it.
struct PartRow {
    tier: String,
    own: String,
    rate: String,
    quantity: String,
    amount: String,
}

struct RecordRow {
    time: String,
    id: String,
    user: String,
    resource: String,
    quantity: String,
    dimensions: String,
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
    let trace = trace::trace(cx, id, no, place(&query.after)?, RECORDS_MAX).await?;
    let payer = orgs::get(cx, listed.payer).await?;
    let names = user_names(&visitor, payer.id).await;
    let here = format!("/papers/{id}/lines/{no}");
    let heading = heading(&invoice);
    let (currency, zone) = (invoice.draft.profile.currency, &invoice.draft.profile.zone);
    let source = &trace.line.source;
    let period = trace.line.original_period.unwrap_or(invoice.draft.period);
    let facts = vec![
        ("Item", format!("{} ({})", source.description, source.item_code)),
        ("Used by", source.group_name.clone()),
        ("Usage of", period.month_name(zone)),
        ("Quantity", format!("{} {}", units::grouped(&source.quantity.to_string()), source.unit)),
        ("Unit price", price(&source.unit_price, currency.code())),
        ("Share", source.note.clone()),
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
        parts: trace.tiers.iter().map(|tier| part_row(tier, &source.unit, currency)).collect(),
        records: trace.records.iter().map(|record| record_row(record, &names, zone)).collect(),
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

fn part_row(tier: &TierShare, unit: &str, currency: Currency) -> PartRow {
    let in_units = |quantity: QuantityNano| format!("{} {unit}", units::grouped(&quantity.to_string()));
    PartRow {
        tier: tier.tier.map_or_else(|| "included".to_owned(), |tier| format!("tier {}", tier + 1)),
        own: tier.own.map_or_else(|| "counted by the hour".to_owned(), in_units),
        rate: format!("{} {currency}", tier.rate),
        quantity: in_units(tier.quantity),
        amount: units::exact_money(tier.amount, currency),
    }
}

/// `class A, billed yes` from the dimensions of a record.
fn dimension_words(json: &str) -> String {
    let read: BTreeMap<String, String> = serde_json::from_str(json).unwrap_or_default();
    read.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}

fn record_row(record: &StoredRecord, names: &BTreeMap<String, String>, zone: &Zone) -> RecordRow {
    RecordRow {
        time: zone.time_of(record.start_us),
        id: record.record_id.clone(),
        user: name_of(names, &record.user_id),
        resource: record.resource.clone(),
        quantity: units::grouped(&record.quantity.to_string()),
        dimensions: dimension_words(&record.dimensions),
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
    fn tiers_and_dimensions_read_well() {
        let tier = TierShare {
            tier: Some(0),
            quantity: QuantityNano::units(5_000),
            rate: "0.01".to_owned(),
            amount: "50".parse().unwrap(),
            own: Some(QuantityNano::units(1_250)),
        };
        let row = part_row(&tier, "GiB", Currency::EUR);
        let shown = [row.tier, row.own, row.rate, row.quantity, row.amount];
        assert_eq!(shown, ["tier 1", "1,250 GiB", "0.01 EUR", "5,000 GiB", "50.00 EUR"]);
        assert_eq!(dimension_words(r#"{"class":"A","billed":"yes"}"#), "billed yes, class A");
    }
}
