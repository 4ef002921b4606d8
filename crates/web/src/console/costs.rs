//! What a month costs, with the kinds of cost that the visitor may see, sorted and filtered by address.

use super::fields::{Fields, query_value};
use super::frame::{
    Answer, Choice, Empty, Menu, NavItem, Page, Says, USAGE_TABS, may, mendable, months, org_of, show_with, tabs,
};
use super::settings::cost_words;
use crate::auth::Visitor;
use crate::problem::PageFailure;
use crate::{Web, units};
use access::{Action, Cost};
use app::costs::{self, CostTable};
use app::rows::Org;
use app::{Cx, Failure};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use base::decimal::{PICO_DIGITS, format_scaled};
use base::{AmountPico, Currency, Period};
use std::collections::BTreeMap;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/o/{org}/costs", get(page)).route("/o/{org}/costs/csv", get(csv))
}

struct Head {
    label: &'static str,
    href: String,
    sorted: bool,
}

struct Row {
    org: String,
    item: String,
    cells: Vec<String>,
}

#[derive(Template)]
#[template(path = "console/costs.html")]
struct CostsPage {
    page: Page,
    tabs: Vec<NavItem>,
    says: Says,
    basis: Vec<String>,
    months: Vec<Choice>,
    columns: Vec<Choice>,
    sort: String,
    more_than: String,
    heads: Vec<Head>,
    rows: Vec<Row>,
    totals: Vec<String>,
    csv_href: String,
    clear_href: String,
    /// The same view with exact amounts, or with money.
    exact: bool,
    exact_href: String,
    margin: Option<Margin>,
    empty: Empty,
}

struct Margin {
    charged_below: String,
    owed_above: String,
    margin: String,
}

/// What was asked: the address holds the whole view.
#[derive(Clone)]
struct Asked {
    month: String,
    sort: String,
    column: String,
    more_than: String,
    /// Amounts to their last digit instead of money.
    exact: bool,
}

impl Asked {
    fn read(query: &Fields, running: String) -> Self {
        let month = query.get("month").to_owned();
        Self {
            month: if month.is_empty() { running } else { month },
            sort: query.get("sort").to_owned(),
            column: query.get("column").to_owned(),
            more_than: query.get("more_than").trim().to_owned(),
            exact: query.has("exact"),
        }
    }

    fn filter(&self) -> String {
        if self.more_than.is_empty() { String::new() } else { format!("{}>{}", self.column, self.more_than) }
    }

    /// The same view sorted by another column.
    fn query(&self, sort: &str) -> String {
        let mut query = format!("month={}&sort={}", query_value(&self.month), query_value(sort));
        if !self.more_than.is_empty() {
            let (column, more_than) = (query_value(&self.column), query_value(&self.more_than));
            query.push_str(&format!("&column={column}&more_than={more_than}"));
        }
        if self.exact {
            query.push_str("&exact=1");
        }
        query
    }
}

fn asked(cx: &Cx, org: &Org, query: &Fields) -> Result<Asked, PageFailure> {
    let running = Period::month_of(cx.now_us(), &org.zone)?.month_name(&org.zone);
    Ok(Asked::read(query, running))
}

async fn table(cx: &Cx, org: &Org, asked: &Asked) -> Result<CostTable, Failure> {
    costs::table(cx, org.id, &asked.month, &asked.sort, &asked.filter()).await
}

async fn page(visitor: Visitor, Path(org): Path<String>, Query(query): Query<Fields>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    let cx = &visitor.0.cx;
    let mut asked = asked(cx, &org, &query)?;
    let (status, says, found) = match table(cx, &org, &asked).await {
        Ok(found) => (StatusCode::OK, Says::default(), found),
        Err(failure) => {
            // What was asked cannot be shown: the plain view of the running month can.
            let (status, says) = mendable(failure)?;
            asked = self::asked(cx, &org, &Fields::default())?;
            let found = table(cx, &org, &asked).await?;
            (status, says, found)
        }
    };
    let base = format!("/o/{}/costs", org.id);
    let figure = figures_of(&found, asked.exact, org.currency);
    let other = Asked { exact: !asked.exact, ..asked.clone() };
    let view = Page::at(&visitor, &org, Menu::Usage, "Costs").await;
    let first = found.shown_first.map(Cost::code).unwrap_or_default();
    let page = CostsPage {
        page: view,
        tabs: tabs(cx, org.id, USAGE_TABS, "costs").await,
        says,
        basis: basis(&org, &found, &asked),
        months: months(cx.now_us(), &org.zone, &asked.month)?,
        columns: found
            .columns
            .iter()
            .map(|cost| {
                Choice::new(cost.code(), cost_words(*cost), if asked.column.is_empty() { first } else { &asked.column })
            })
            .collect(),
        more_than: asked.more_than.clone(),
        sort: asked.sort.clone(),
        heads: found.columns.iter().map(|cost| head(&base, *cost, &asked)).collect(),
        totals: cells(&found.columns, &found.totals, &figure),
        exact: asked.exact,
        exact_href: format!("{base}?{}", other.query(&asked.sort)),
        csv_href: format!("{base}/csv?{}", asked.query(&asked.sort)),
        clear_href: format!("{base}?month={}", query_value(&asked.month)),
        margin: margin(cx, &org, &asked.month).await?,
        empty: empty(&base, &org, &asked),
        rows: found
            .rows
            .iter()
            .map(|row| Row {
                org: row.org_name.clone(),
                item: row.item.clone(),
                cells: cells(&found.columns, &row.costs, &figure),
            })
            .collect(),
    };
    show_with(status, &page)
}

fn empty(base: &str, org: &Org, asked: &Asked) -> Empty {
    if org.parent.is_none() {
        let text = format!("Nobody charges {}: it is at the top. What it charges others is on its overview.", org.name);
        let href = format!("/o/{}/overview?month={}", org.id, query_value(&asked.month));
        return Empty::nothing_yet(text, href, "Revenue and customers");
    }
    if asked.more_than.is_empty() {
        return Empty::nothing_yet(
            format!(
                "Nothing is charged for {} yet. Charges are made when the month is closed, as drafts too.",
                asked.month
            ),
            "",
            "",
        );
    }
    let filter = format!("more than {} of {} cost", asked.more_than, asked.column);
    Empty::nothing_matches(&filter, format!("{base}?month={}", query_value(&asked.month)))
}

fn basis(org: &Org, found: &CostTable, asked: &Asked) -> Vec<String> {
    let first = found.shown_first.map(cost_words).unwrap_or("none");
    vec![
        format!("Scope: {} and everything below, owed to its parent", org.name),
        format!("Period: {}, {}", asked.month, org.zone.name()),
        format!("Currency: {}, net, {}", found.currency, if asked.exact { "exact" } else { "rounded for showing" }),
        format!("Shown first: {first}"),
    ]
}

fn head(base: &str, cost: Cost, asked: &Asked) -> Head {
    Head {
        label: cost_words(cost),
        href: format!("{base}?{}", asked.query(cost.code())),
        sorted: asked.sort == cost.code(),
    }
}

/// How the table writes an amount: as money, or exactly, with as many decimals as its longest figure needs.
fn figures_of(found: &CostTable, exact: bool, currency: Currency) -> impl Fn(AmountPico) -> String + use<> {
    let amounts = found.rows.iter().flat_map(|row| row.costs.values()).chain(found.totals.values());
    let needed = |amount: &AmountPico| amount.to_string().split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let decimals = u32::try_from(amounts.map(needed).max().unwrap_or_default()).unwrap_or(PICO_DIGITS);
    move |amount| match exact {
        true => units::grouped(&format_scaled(amount.0, PICO_DIGITS, decimals.max(currency.minor_digits()))),
        false => units::money_figure(amount, currency),
    }
}

fn cells(columns: &[Cost], costs: &BTreeMap<Cost, AmountPico>, figure: &impl Fn(AmountPico) -> String) -> Vec<String> {
    columns.iter().map(|cost| figure(costs.get(cost).copied().unwrap_or(AmountPico::ZERO))).collect()
}

async fn margin(cx: &Cx, org: &Org, month: &str) -> Result<Option<Margin>, PageFailure> {
    if !may(cx, Action::MarginRead, org.id).await {
        return Ok(None);
    }
    // Children in several currencies have no one margin: then there is no line.
    let Ok(found) = costs::margin(cx, org.id, month).await else { return Ok(None) };
    let money = |amount: AmountPico| units::exact_money(amount, org.currency);
    Ok(Some(Margin {
        charged_below: money(found.charged_below),
        owed_above: money(found.owed_above),
        margin: money(found.margin),
    }))
}

async fn csv(visitor: Visitor, Path(org): Path<String>, Query(query): Query<Fields>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    let cx = &visitor.0.cx;
    let asked = asked(cx, &org, &query)?;
    let body = costs::csv(&table(cx, &org, &asked).await?);
    let name = format!("attachment; filename=\"costs-{}-{}.csv\"", org.slug, asked.month);
    let headers = [(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, body).into_response())
}
