//! Why this cent: from a line of a document to the records behind it.

use crate::authority::Cx;
use crate::bills;
use crate::failure::{Failure, Kind};
use crate::rating::{BilledTree, priced_item};
use access::Action;
use base::decimal::{div_round, mul_div};
use base::{AmountPico, InvoiceId, Period, QuantityNano, Rounding};
use lake::{RecordFilter, StoredRecord};
use pricing::{PriceItem, Window};
use std::collections::BTreeSet;

/// The records that make a line of a paper.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The line as printed.
    pub line: billing::InvoiceLine,
    /// One page of its records.
    pub records: Vec<StoredRecord>,
    /// Where the next page begins.
    pub next: Option<(i64, String)>,
    /// How the amount came about, tier by tier, in meter units.
    pub parts: serde_json::Value,
    /// The same in the units of the paper, with the line's share of each tier.
    pub tiers: Vec<TierShare>,
    /// Tree version of the usage.
    pub watermark: i64,
}

/// A tier of a price, in printed units, and how much of it one line has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierShare {
    /// From 0; the allowance has none.
    pub tier: Option<u64>,
    /// Of everything the payer pays for together.
    pub quantity: QuantityNano,
    /// Price of one printed unit.
    pub rate: String,
    /// Of everything together.
    pub amount: AmountPico,
    /// The line's part of the quantity. None where tiers count by the hour: then no part of a month's tier is its own.
    pub own: Option<QuantityNano>,
}

/// Reads the kept parts of an item and turns meter units into printed ones. `own` of `whole` is the line's usage.
fn tiers_of(
    parts: &serde_json::Value,
    item: &PriceItem,
    period: Period,
    (own, whole): (i128, i128),
) -> Result<Vec<TierShare>, Failure> {
    let basis = item.basis(period);
    let mut tiers = Vec::new();
    for part in parts.as_array().into_iter().flatten().filter(|part| part["item"] == item.code.as_str()) {
        let quantity: QuantityNano = serde_json::from_value(part["quantity"].clone())?;
        let units = |nano: i128| div_round(nano, basis, Rounding::HalfAwayFromZero).map(QuantityNano);
        let own = match item.window {
            Window::Month if whole > 0 => Some(units(mul_div(quantity.0, own, whole, Rounding::HalfAwayFromZero)?)?),
            _ => None,
        };
        tiers.push(TierShare {
            tier: part["tier"].as_u64(),
            quantity: units(quantity.0)?,
            rate: part["rate"].as_str().unwrap_or_default().to_owned(),
            amount: serde_json::from_value(part["amount"].clone())?,
            own,
        });
    }
    Ok(tiers)
}

/// From a line of a paper to the records that make it, as of the batch that the paper was made from.
///
/// # Errors
/// [`Kind::Forbidden`] for whoever may see the paper, and not the usage behind this line.
pub async fn trace(
    cx: &Cx,
    invoice: InvoiceId,
    line_no: u32,
    after: Option<(i64, String)>,
    limit: usize,
) -> Result<Trace, Failure> {
    let (_, paper) = bills::get(cx, invoice).await?;
    let payer = paper.draft.profile.payer.org;
    let grant = cx.allow(Action::InvoiceRead, payer).await?;
    let line = paper.draft.lines.iter().find(|line| line.line_no == line_no).cloned();
    let line = line.ok_or_else(|| Failure::not_found("line"))?;
    // The paper is one thing, the usage of the organisation that the line names another.
    if !cx.may(Action::UsageRead, line.source.group).await {
        return Err(Failure::new(Kind::Forbidden, "the records of this line are usage that you may not see"));
    }
    let period = line.original_period.unwrap_or(paper.draft.period);
    let mut tx = cx.read_with(&grant).await?;
    let tree = BilledTree::at(&mut tx, period.start_us).await?;
    let Some((edge, item)) = priced_item(&mut tx, &tree, payer, period, &line.source.item_code).await? else {
        return Err(Failure::not_found("price item"));
    };
    let run = store::charges::run_of(&mut tx, edge, period.start_us).await?;
    let charges = store::charges::of(&mut tx, edge, period.start_us).await?;
    drop(tx);
    let of_item = || charges.iter().filter(|charge| charge.item_code == item.code);
    let whole: i128 = of_item().map(|charge| charge.quantity.0).sum();
    let own: i128 = of_item().filter(|charge| charge.org == line.source.group).map(|charge| charge.quantity.0).sum();
    let limit = limit.clamp(1, 1_000);
    let filter = RecordFilter {
        realm: cx.realm,
        orgs: Some(BTreeSet::from([line.source.group])),
        user: None,
        meters: BTreeSet::from([item.meter.clone()]),
        period,
        as_of: Some(paper.draft.watermark),
        after,
        limit: limit + 1,
    };
    // Tiers are counted over the whole edge; a buyer that passes its seller's prices on must not see them.
    let parts = match run {
        Some(run) if edge == payer => serde_json::from_str(&run.parts_json)?,
        _ => serde_json::Value::Array(Vec::new()),
    };
    // A flat fee has no tiers: its line says its share of the month.
    let tiers = if item.meter.is_empty() { Vec::new() } else { tiers_of(&parts, &item, period, (own, whole))? };
    let mut records = if item.meter.is_empty() {
        Vec::new() // A flat fee has no records.
    } else {
        let picked = move |record: &StoredRecord| {
            let dimensions = serde_json::from_str(&record.dimensions).unwrap_or_default();
            item.matches(&record.meter, &dimensions)
        };
        cx.app.lake.records(filter, picked).await?
    };
    let next = if records.len() > limit {
        records.truncate(limit);
        records.last().map(|record| (record.start_us, record.record_id.clone()))
    } else {
        None
    };
    Ok(Trace { line, records, next, parts, tiers, watermark: paper.draft.watermark })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_in_printed_units_and_parted_by_usage() {
        let book = crate::prices::parse_book(
            r#"{"currency":"EUR","items":[{"code":"s","name":"S","meter":"s3.storage",
                "unit":{"label":"MiB-month","size":1048576,"lasts_period":true},
                "price":{"model":"graduated","tiers":[{"up_to":"20","rate":"0.9"},{"up_to":null,"rate":"0.65"}]}}]}"#,
        );
        let period = Period::month("2026-10", &base::Zone::utc()).unwrap();
        let item = &book.unwrap().items[0];
        let one = item.basis(period); // Byte-seconds of a MiB-month.
        let parts = serde_json::json!([
            { "item": "s", "tier": 0, "quantity": (20 * one).to_string(), "rate": "0.9", "amount": "18" },
            { "item": "s", "tier": 1, "quantity": (10 * one).to_string(), "rate": "0.65", "amount": "6.5" },
            { "item": "t", "tier": 0, "quantity": "7", "rate": "1", "amount": "7" },
        ]);
        let found = tiers_of(&parts, item, period, (1, 4)).unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|tier| (tier.quantity.to_string(), tier.amount.to_string(), tier.own.unwrap().to_string()))
            .collect();
        let want = [("20", "18", "5"), ("10", "6.5", "2.5")];
        assert_eq!(shown, want.map(|(all, amount, own)| (all.to_owned(), amount.to_owned(), own.to_owned())));
    }
}
