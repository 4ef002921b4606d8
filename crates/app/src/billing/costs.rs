//! What a month costs, with the kinds of cost that the viewer may see, and nothing of the others: not as a
//! column, not in a sum, not as a sort key or filter, not in the words of an error.

use crate::authority::{Cx, Span};
use crate::failure::{Failure, Kind};
use access::{Action, Cost, Costs, visible_costs};
use base::{AmountPico, Currency, OrgId, Period};
use serde::Serialize;
use std::collections::BTreeMap;
use store::charges;
use store::invoices::{self, Listed};

/// One row: an item at an organisation. Kinds that may not be seen are not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CostRow {
    /// The organisation that used it.
    pub org: OrgId,
    /// Its name.
    pub org_name: String,
    /// The price item.
    pub item: String,
    /// The amounts, by kind.
    pub costs: BTreeMap<Cost, AmountPico>,
}

/// The table with its sums.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CostTable {
    /// The kinds that the viewer may see: the columns.
    pub columns: Vec<Cost>,
    /// Which one is shown first.
    pub shown_first: Option<Cost>,
    /// The rows.
    pub rows: Vec<CostRow>,
    /// The sums.
    pub totals: BTreeMap<Cost, AmountPico>,
    /// ISO 4217.
    pub currency: String,
}

/// Which costs the viewer may see at `org`.
///
/// # Errors
/// [`Failure`].
pub async fn visible(cx: &Cx, org: OrgId) -> Result<Costs, Failure> {
    let place = cx.place(org).await?;
    Ok(visible_costs(&cx.actor, &place, &cx.now()))
}

/// A kind of cost by its word. One that may not be seen is refused like one that does not exist would be
/// if it were a secret: the words are the same for every hidden kind.
fn column(text: &str, seen: Costs) -> Result<Cost, Failure> {
    let known = Cost::from_code(text);
    let unknown = || Failure::invalid("sort", text, "is not a column; see the columns of the answer");
    let cost = known.ok_or_else(unknown)?;
    if seen.has(cost) {
        return Ok(cost);
    }
    Err(Failure::new(Kind::Forbidden, "field_not_visible: this column is not shown to you").coded("field_not_visible"))
}

/// What `org` owes its parent for a month, by item and using organisation, in the kinds of cost that the
/// viewer may see. `sort` and `filter` name columns; `filter` is `column>amount`.
///
/// Usage that we meter ourselves has one price, the agreed one: it stands in every kind until bills of
/// providers bring others.
///
/// # Errors
/// [`Failure`]; `field_not_visible` for a hidden column.
pub async fn table(cx: &Cx, org: OrgId, month: &str, sort: &str, filter: &str) -> Result<CostTable, Failure> {
    let grant = cx.allow(Action::CostRead, org).await?;
    let seen = visible(cx, org).await?;
    let sort = if sort.is_empty() { None } else { Some(column(sort, seen)?) };
    let filter = match filter.split_once('>') {
        None if filter.is_empty() => None,
        None => return Err(Failure::invalid("filter", filter, "is not column>amount")),
        Some((name, amount)) => {
            let cost = column(name.trim(), seen)?;
            let amount: AmountPico = amount.trim().parse().map_err(|error| Failure::unreadable("filter", error))?;
            Some((cost, amount))
        }
    };
    let mut tx = cx.read_with(&grant).await?;
    let found = store::orgs::get(&mut tx, org).await?;
    let period = Period::month(month, &found.zone).map_err(|error| Failure::unreadable("month", error))?;
    let names: BTreeMap<OrgId, String> =
        store::orgs::subtree(&mut tx, org).await?.into_iter().map(|org| (org.id, org.name)).collect();
    let mut rows = Vec::new();
    for charge in charges::of(&mut tx, org, period.start_us).await? {
        rows.push(CostRow {
            org: charge.org,
            org_name: names.get(&charge.org).cloned().unwrap_or_else(|| charge.org.to_string()),
            item: charge.item_code,
            costs: seen.iter().map(|cost| (cost, charge.amount)).collect(),
        });
    }
    if let Some((cost, least)) = filter {
        rows.retain(|row| row.costs.get(&cost).is_some_and(|amount| *amount > least));
    }
    if let Some(cost) = sort {
        rows.sort_by(|a, b| b.costs.get(&cost).cmp(&a.costs.get(&cost)));
    }
    let mut totals: BTreeMap<Cost, AmountPico> = BTreeMap::new();
    for (cost, amount) in rows.iter().flat_map(|row| &row.costs) {
        let sum = totals.entry(*cost).or_insert(AmountPico(0));
        sum.0 = sum.0.checked_add(amount.0).ok_or_else(|| Failure::new(Kind::Internal, "a sum is too large"))?;
    }
    let first = found.settings.cost_default;
    Ok(CostTable {
        columns: seen.iter().collect(),
        shown_first: if seen.has(first) { Some(first) } else { seen.iter().last() },
        rows,
        totals,
        currency: found.currency.code().to_owned(),
    })
}

/// A table as CSV: only the columns that the viewer may see.
#[must_use]
pub fn csv(table: &CostTable) -> String {
    let mut out = String::from("organisation,item");
    for cost in &table.columns {
        out.push_str(&format!(",{}_cost", cost.code()));
    }
    out.push_str(",currency\n");
    for row in &table.rows {
        out.push_str(&format!("{},{}", papers::text_cell(&row.org_name), papers::text_cell(&row.item)));
        for cost in &table.columns {
            out.push_str(&format!(",{}", row.costs.get(cost).copied().unwrap_or(AmountPico(0))));
        }
        out.push_str(&format!(",{}\n", table.currency));
    }
    out
}

/// What a node of the tree earns in a month: what it charges below, what it owes above, and the difference.
/// What its parent pays is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Margin {
    /// Charged to the children.
    pub charged_below: AmountPico,
    /// Owed to the parent; zero at the root.
    pub owed_above: AmountPico,
    /// The difference.
    pub margin: AmountPico,
    /// ISO 4217.
    pub currency: String,
}

/// The margin of `org` in a month.
///
/// # Errors
/// [`Failure`].
pub async fn margin(cx: &Cx, org: OrgId, month: &str) -> Result<Margin, Failure> {
    let mut tx = cx.read(Action::MarginRead, org).await?;
    let found = store::orgs::get(&mut tx, org).await?;
    let period = |zone: &base::Zone| Period::month(month, zone).map_err(|error| Failure::unreadable("month", error));
    let owed = sum(&charges::of(&mut tx, org, period(&found.zone)?.start_us).await?)?;
    let mut below = 0_i128;
    for child in store::orgs::children(&mut tx, org).await? {
        if child.currency != found.currency {
            return Err(Failure::conflict("a child is billed in another currency; margins are not added up across"));
        }
        let charged = sum(&charges::of(&mut tx, child.id, period(&child.zone)?.start_us).await?)?;
        below = below.checked_add(charged).ok_or_else(|| Failure::new(Kind::Internal, "a sum is too large"))?;
    }
    Ok(Margin {
        charged_below: AmountPico(below),
        owed_above: AmountPico(owed),
        margin: AmountPico(below - owed),
        currency: found.currency.code().to_owned(),
    })
}

/// What a node of the tree charges one child for a month, and the paper that says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sale {
    /// Who owes.
    pub buyer: OrgId,
    /// Its name.
    pub name: String,
    /// Money of the edge.
    pub currency: Currency,
    /// Charged by the latest rating of the month.
    pub charged: AmountPico,
    /// The month's paper, draft or issued.
    pub paper: Option<Listed>,
}

/// What `org` charges each of its children for a month, by name; who was not charged is left out. Nothing for a caller
/// whose right does not reach all of them: a part would be taken for the whole.
///
/// # Errors
/// [`Failure`].
pub async fn sales(cx: &Cx, org: OrgId, month: &str) -> Result<Vec<Sale>, Failure> {
    let (grant, span) = cx.span(Action::MarginRead, org).await?;
    if span != Span::Below {
        return Ok(Vec::new());
    }
    let mut tx = cx.read_with(&grant).await?;
    let mut found = Vec::new();
    for child in store::orgs::children(&mut tx, org).await? {
        let period = Period::month(month, &child.zone).map_err(|error| Failure::unreadable("month", error))?;
        let charged = AmountPico(sum(&charges::of(&mut tx, child.id, period.start_us).await?)?);
        let paper = invoices::live(&mut tx, child.id, period.start_us, child.invoice_kind).await?;
        if charged != AmountPico::ZERO || paper.is_some() {
            found.push(Sale { buyer: child.id, name: child.name, currency: child.currency, charged, paper });
        }
    }
    found.sort_by(|a, b| (&a.name, a.buyer).cmp(&(&b.name, b.buyer)));
    Ok(found)
}

fn sum(charges: &[pricing::Charge]) -> Result<i128, Failure> {
    let too_large = || Failure::new(Kind::Internal, "a sum is too large");
    charges.iter().try_fold(0_i128, |sum, charge| sum.checked_add(charge.amount.0)).ok_or_else(too_large)
}
