//! Prices that an organisation pays its parent: all versions, and the form for the next one.

use super::frame::{Answer, Empty, Menu, Page, Says, go, may, mendable, name_of, org_of, show_with, user_names};
use crate::auth::Visitor;
use crate::problem::PageFailure;
use crate::{Web, units};
use access::Action;
use app::rows::{Agreement, Org};
use app::{Failure, prices};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query};
use axum::http::StatusCode;
use axum::routing::get;
use base::{Period, QuantityNano};
use pricing::{Model, PriceItem, Tier, Window};
use serde::Deserialize;
use std::collections::BTreeMap;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/o/{org}/prices", get(price_history).post(set))
}

/// What the form starts with where nothing was agreed yet.
const STARTER: &str = r#"{
  "currency": "EUR",
  "items": [
    {
      "code": "s3-storage",
      "name": "S3 storage",
      "meter": "s3.storage",
      "unit": { "label": "GiB-month", "size": 1073741824, "lasts_period": true },
      "price": { "model": "per_unit", "rate": "0.02" }
    },
    {
      "code": "s3-requests-a",
      "name": "S3 requests, writes and lists",
      "meter": "s3.requests",
      "only": { "billed": ["yes"], "class": ["A"] },
      "unit": { "label": "1,000 requests", "size": 1000 },
      "price": { "model": "per_unit", "rate": "0.005" }
    },
    {
      "code": "s3-requests-b",
      "name": "S3 requests, reads",
      "meter": "s3.requests",
      "only": { "billed": ["yes"], "class": ["B"] },
      "unit": { "label": "1,000 requests", "size": 1000 },
      "price": { "model": "per_unit", "rate": "0.0004" }
    },
    {
      "code": "s3-bytes-out",
      "name": "S3 bytes out",
      "meter": "s3.bytes_out",
      "unit": { "label": "GiB", "size": 1073741824 },
      "included": "100",
      "price": {
        "model": "graduated",
        "tiers": [{ "up_to": "10240", "rate": "0.05" }, { "up_to": null, "rate": "0.04" }]
      }
    }
  ]
}
"#;

struct VersionRow {
    version: i64,
    from: String,
    made: String,
    by: String,
}

struct ItemRow {
    code: String,
    name: String,
    meter: String,
    only: String,
    unit: String,
    included: String,
    window: &'static str,
    model: &'static str,
    rates: Vec<String>,
}

/// What was typed into the form.
struct Entry {
    month: String,
    book: String,
}

#[derive(Template)]
#[template(path = "console/prices.html")]
struct PricesPage {
    page: Page,
    says: Says,
    basis: Vec<String>,
    newest: i64,
    items: Vec<ItemRow>,
    versions: Vec<VersionRow>,
    empty: Empty,
    /// Only who may set these prices gets the form.
    sets: bool,
    set_href: String,
    entry: Entry,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PricesQuery {
    version: String,
}

async fn price_history(visitor: Visitor, Path(org): Path<String>, Query(query): Query<PricesQuery>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    let says = match query.version.parse::<i64>() {
        Ok(version) => Says::good(format!("Version {version} is kept. It counts from the month it begins with.")),
        Err(_) => Says::default(),
    };
    prices_page(&visitor, &org, StatusCode::OK, says, None).await
}

async fn prices_page(visitor: &Visitor, org: &Org, status: StatusCode, says: Says, entry: Option<Entry>) -> Answer {
    let cx = &visitor.0.cx;
    let history = prices::history(cx, org.id).await?;
    let sets = may_set(visitor, org).await;
    let names = user_names(visitor, org.id).await;
    let entry = match entry {
        Some(entry) => entry,
        None => Entry {
            month: Period::month_of(cx.now_us(), &org.zone)?.month_name(&org.zone),
            book: book_text(org, &history)?,
        },
    };
    let newest = history.first();
    let page = PricesPage {
        page: Page::at(visitor, org, Menu::Prices, "Prices").await,
        says,
        basis: vec![
            format!("What {} pays its parent", org.name),
            format!("Currency: {}, net", newest.map_or(org.currency, |newest| newest.book.currency)),
            format!("Months of {}", org.zone.name()),
        ],
        newest: newest.map_or(0, |newest| newest.version),
        items: newest.map(|newest| newest.book.items.iter().map(item_row).collect()).unwrap_or_default(),
        versions: history.iter().map(|agreement| version_row(agreement, org, &names)).collect(),
        empty: empty(org, sets),
        sets,
        set_href: format!("/o/{}/prices", org.id),
        entry,
    };
    show_with(status, &page)
}

/// Prices of an edge are set by its seller.
async fn may_set(visitor: &Visitor, org: &Org) -> bool {
    match org.parent {
        Some(seller) => may(&visitor.0.cx, Action::RuleWrite, seller).await,
        None => false,
    }
}

fn empty(org: &Org, sets: bool) -> Empty {
    match (org.parent, sets) {
        (None, _) => Empty::nothing_yet("The root of a tree pays nobody; prices stand on the edges below it.", "", ""),
        (_, true) => Empty::nothing_yet(
            "Without prices of its own the prices of its parent count. The form below starts with an example.",
            "",
            "",
        ),
        (_, false) => Empty::no_right(format!(
            "{} has no prices of its own; those of its parent count. An admin of the organisation above can set some.",
            org.name
        )),
    }
}

fn book_text(org: &Org, history: &[Agreement]) -> Result<String, PageFailure> {
    match history.first() {
        Some(newest) => Ok(serde_json::to_string_pretty(&newest.book)?),
        None => Ok(STARTER.replace("\"EUR\"", &format!("\"{}\"", org.currency))),
    }
}

fn version_row(agreement: &Agreement, org: &Org, names: &BTreeMap<String, String>) -> VersionRow {
    let from = Period::month_of(agreement.effective_from_us, &org.zone);
    VersionRow {
        version: agreement.version,
        from: from.map(|period| period.month_name(&org.zone)).unwrap_or_default(),
        made: org.zone.time_of(agreement.created_us),
        by: name_of(names, &agreement.created_by),
    }
}

fn item_row(item: &PriceItem) -> ItemRow {
    let (model, rates) = model_words(&item.model);
    let only = item.only.iter().map(|(name, values)| format!("{name} is {}", values.join(" or ")));
    let lasts = if item.unit.lasts_period { ", for the whole month" } else { "" };
    let flat = matches!(item.model, Model::Flat { .. });
    ItemRow {
        code: item.code.clone(),
        name: item.name.clone(),
        meter: item.meter.clone(),
        only: only.collect::<Vec<_>>().join("; "),
        unit: if flat {
            "month".to_owned()
        } else {
            format!("{} = {} of the meter{lasts}", item.unit.label, units::grouped(&item.unit.size.to_string()))
        },
        included: if item.included == QuantityNano(0) {
            String::new()
        } else {
            units::grouped(&item.included.to_string())
        },
        window: match item.window {
            Window::Hour => "each hour",
            Window::Month => "month",
        },
        model,
        rates,
    }
}

fn model_words(model: &Model) -> (&'static str, Vec<String>) {
    match model {
        Model::PerUnit { rate } => ("each unit", vec![rate.to_string()]),
        Model::Flat { amount } => ("flat, by days in the first month", vec![amount.to_string()]),
        Model::Graduated { tiers } => ("graduated: each tier prices its own units", tier_words(tiers)),
        Model::Volume { tiers } => ("volume: the tier reached prices all units", tier_words(tiers)),
    }
}

fn tier_words(tiers: &[Tier]) -> Vec<String> {
    let words = |tier: &Tier| match tier.up_to {
        Some(bound) => format!("up to {}: {}", units::grouped(&bound.to_string()), tier.rate),
        None => format!("above: {}", tier.rate),
    };
    tiers.iter().map(words).collect()
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PricesForm {
    csrf: String,
    month: String,
    book: String,
}

async fn set(visitor: Visitor, Path(org): Path<String>, Form(form): Form<PricesForm>) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let org = org_of(&visitor, &org).await?;
    match set_book(&visitor, &org, &form).await {
        Ok(agreement) => go(&format!("/o/{}/prices?version={}", org.id, agreement.version)),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            let entry = Entry { month: form.month, book: form.book };
            prices_page(&visitor, &org, status, says, Some(entry)).await
        }
    }
}

async fn set_book(visitor: &Visitor, org: &Org, form: &PricesForm) -> Result<Agreement, Failure> {
    let book = prices::parse_book(&form.book)?;
    prices::set(&visitor.0.cx, org.id, form.month.trim(), book).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_starter_is_a_good_book() {
        let book = prices::parse_book(STARTER).ok().unwrap();
        let rows: Vec<ItemRow> = book.items.iter().map(item_row).collect();
        assert_eq!(rows[3].rates, ["up to 10,240: 0.05", "above: 0.04"]);
        assert_eq!(rows[1].only, "billed is yes; class is A");
        assert_eq!(rows[0].unit, "GiB-month = 1,073,741,824 of the meter, for the whole month");
    }
}
