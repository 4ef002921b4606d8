//! Usage that could not be counted, with the money it would be worth.

use super::figures::plain;
use super::frame::{Answer, Empty, Menu, NavItem, Page, STORAGE_TABS, org_of, show, tabs};
use crate::auth::Visitor;
use crate::problem::PageFailure;
use crate::{Web, units};
use app::usage::quarantine::Held;
use app::{orgs, usage};
use askama::Template;
use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use base::{AmountPico, Currency, OrgId, Zone};
use std::collections::BTreeMap;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/o/{org}/quarantine", get(list))
}

struct HeldRow {
    received: String,
    org: String,
    meter: String,
    quantity: String,
    record: String,
    field: String,
    value: String,
    reason: String,
    worth: String,
}

#[derive(Template)]
#[template(path = "console/quarantine.html")]
struct QuarantinePage {
    page: Page,
    tabs: Vec<NavItem>,
    basis: Vec<String>,
    totals: Vec<String>,
    rows: Vec<HeldRow>,
    empty: Empty,
}

async fn list(visitor: Visitor, Path(org): Path<String>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    let cx = &visitor.0.cx;
    let held = usage::quarantine::list(cx, org.id).await?;
    let names = orgs::names(cx, org.id).await?;
    show(&QuarantinePage {
        page: Page::at(&visitor, &org, Menu::Sources, "Quarantine").await,
        tabs: tabs(cx, org.id, STORAGE_TABS, "quarantine").await,
        basis: vec![
            format!("Scope: {} and everything below", org.name),
            format!("As of {}", org.zone.time_of(cx.now_us())),
            "Worth: rounded, net, at the prices in force now, without tiers of other usage".to_owned(),
        ],
        totals: totals(&held)?,
        rows: held.iter().map(|held| row(held, &names, &org.zone)).collect(),
        empty: Empty::nothing_yet("All usage that arrived was counted.", "", ""),
    })
}

/// What all of it would be worth, by currency.
fn totals(held: &[Held]) -> Result<Vec<String>, PageFailure> {
    let mut sums: BTreeMap<Currency, AmountPico> = BTreeMap::new();
    for (amount, currency) in held.iter().filter_map(|held| held.worth) {
        let sum = sums.entry(currency).or_default();
        *sum = sum.plus(amount)?;
    }
    Ok(sums.into_iter().map(|(currency, amount)| units::exact_money(amount, currency)).collect())
}

fn row(held: &Held, names: &BTreeMap<OrgId, String>, zone: &Zone) -> HeldRow {
    let item = &held.item;
    HeldRow {
        received: zone.time_of(item.received_us),
        org: names.get(&item.org).cloned().unwrap_or_else(|| item.org.to_string()),
        meter: item.meter.clone(),
        quantity: plain(item.quantity.0),
        record: format!("{} {}", item.reject.source, item.reject.record_id),
        field: item.reject.field.clone(),
        value: item.reject.value.clone(),
        reason: item.reject.reason.clone(),
        worth: held
            .worth
            .map_or_else(|| "no price".to_owned(), |(amount, currency)| units::exact_money(amount, currency)),
    }
}
