//! What an organisation earns in a month: revenue, cost and margin, what is owed to it, and each customer's part.

use super::frame::may;
use super::overview::Card;
use crate::problem::PageFailure;
use crate::units;
use access::Action;
use app::costs::{self, Sale};
use app::rows::Org;
use app::{Cx, bills};
use base::{AmountPico, Currency};
use std::collections::BTreeMap;

/// A customer's part of a month.
pub(super) struct SaleRow {
    pub(super) name: String,
    pub(super) href: String,
    pub(super) charged: String,
    /// `issued`, `draft` or empty.
    pub(super) state: String,
    pub(super) issued: bool,
    pub(super) paper_href: String,
    pub(super) total: String,
}

/// The cards and rows; empty where the visitor may not see what is earned, or nothing is.
#[derive(Default)]
pub(super) struct Earnings {
    pub(super) cards: Vec<Card>,
    pub(super) rows: Vec<SaleRow>,
}

pub(super) async fn earnings(cx: &Cx, org: &Org, month: &str) -> Result<Earnings, PageFailure> {
    if !may(cx, Action::MarginRead, org.id).await {
        return Ok(Earnings::default());
    }
    let sales = costs::sales(cx, org.id, month).await?;
    if sales.is_empty() {
        return Ok(Earnings::default());
    }
    let papers = may(cx, Action::InvoiceRead, org.id).await;
    let rows = sales.iter().map(|sale| row(sale, month, papers)).collect();
    Ok(Earnings { cards: cards(cx, org, month, &sales).await?, rows })
}

fn row(sale: &Sale, month: &str, papers: bool) -> SaleRow {
    let paper = sale.paper.as_ref().filter(|_| papers);
    SaleRow {
        name: sale.name.clone(),
        href: format!("/o/{}/overview?month={month}", sale.buyer),
        charged: units::exact_money(sale.charged, sale.currency),
        issued: paper.is_some_and(|paper| paper.state == "issued"),
        state: paper.map(|paper| paper.state.clone()).unwrap_or_default(),
        paper_href: paper.map(|paper| format!("/papers/{}", paper.id)).unwrap_or_default(),
        total: paper.map(|paper| units::money(paper.total_minor, paper.currency)).unwrap_or_default(),
    }
}

async fn cards(cx: &Cx, org: &Org, month: &str, sales: &[Sale]) -> Result<Vec<Card>, PageFailure> {
    let mut revenue: BTreeMap<Currency, AmountPico> = BTreeMap::new();
    for sale in sales {
        let sum = revenue.entry(sale.currency).or_default();
        *sum = sum.plus(sale.charged)?;
    }
    let words = |sums: &BTreeMap<Currency, AmountPico>| {
        let each = sums.iter().map(|(currency, sum)| units::exact_money(*sum, *currency));
        each.collect::<Vec<_>>().join(", ")
    };
    let customers = format!("charged to {} below it, drafts too", sales.len());
    let mut cards = vec![card(format!("Revenue {month}"), words(&revenue), customers, String::new())];
    // Children in several currencies have no one margin.
    if let Ok(margin) = costs::margin(cx, org.id, month).await {
        let costs_href = format!("/o/{}/costs?month={month}", org.id);
        let owed = if org.parent.is_some() { "owed to the organisation above" } else { "nobody charges it" };
        let money = |amount| units::exact_money(amount, org.currency);
        cards.push(card(format!("Cost {month}"), money(margin.owed_above), owed.to_owned(), costs_href));
        cards.push(card(
            format!("Margin {month}"),
            money(margin.margin),
            "revenue less cost".to_owned(),
            String::new(),
        ));
    }
    if may(cx, Action::LedgerRead, org.id).await {
        let balances = bills::balances(cx, org.id).await?;
        let owed = balances.iter().filter(|(_, account, _)| account == "receivable");
        let money = owed.filter_map(|(currency, _, sum)| Some(units::money(*sum, currency.parse().ok()?)));
        let figure = money.collect::<Vec<_>>().join(", ");
        let hint = "all issued invoices; payments are not recorded here".to_owned();
        let figure = if figure.is_empty() { "none".to_owned() } else { figure };
        cards.push(card("Receivables".to_owned(), figure, hint, format!("/o/{}/papers", org.id)));
    }
    Ok(cards)
}

fn card(label: String, figure: String, hint: String, href: String) -> Card {
    Card { label, figure, hint, href }
}
