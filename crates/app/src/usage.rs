//! Usage as people look at it, and the way from a figure to its records.

use crate::authority::{Cx, Span};
use crate::failure::Failure;
use crate::rating::BilledTree;
use access::Action;
use base::{InvoiceId, OrgId, Period, UserId};
use lake::{Buckets, GroupBy, RecordFilter, RollUp, RolledUp, StoredRecord};
use std::collections::BTreeSet;
use store::{agreements, orgs};

/// A question about usage.
#[derive(Debug, Clone)]
pub struct Question {
    /// `2026-10`; the current month if left out.
    pub month: Option<String>,
    /// Only this user.
    pub user: Option<UserId>,
    /// Only this meter.
    pub meter: Option<String>,
    /// Keep organisations, users, dimensions apart.
    pub by: GroupBy,
    /// Cut into local days.
    pub daily: bool,
}

/// Usage with the month it belongs to and how far the data reach.
#[derive(Debug, Clone)]
pub struct Usage {
    /// The month.
    pub period: Period,
    /// Its name.
    pub period_name: String,
    /// Calendar of it.
    pub zone: base::Zone,
    /// Everything up to this instant is in it.
    pub through_us: i64,
    /// Batch up to which it is counted.
    pub watermark: i64,
    /// The rows.
    pub rows: Vec<RolledUp>,
}

/// Usage of `org` and everything below it. Who may only see his own usage gets his own.
///
/// # Errors
/// [`Failure`].
pub async fn ask(cx: &Cx, org: OrgId, mut question: Question) -> Result<Usage, Failure> {
    let (grant, span) = match cx.span(Action::UsageRead, org).await {
        Ok(found) => found,
        Err(failure) if failure.kind == crate::Kind::Forbidden => {
            question.user = Some(cx.user());
            (cx.allow(Action::UsageReadOwn, org).await?, Span::Below)
        }
        Err(failure) => return Err(failure),
    };
    let mut tx = cx.read_with(&grant).await?;
    let home = orgs::get(&mut tx, org).await?;
    let mut below: BTreeSet<OrgId> = orgs::subtree(&mut tx, org).await?.into_iter().map(|org| org.id).collect();
    below.retain(|org| span.has(*org));
    drop(tx);
    let period = match &question.month {
        Some(month) => Period::month(month, &home.zone).map_err(|error| Failure::unreadable("month", error))?,
        None => Period::month_of(cx.now_us(), &home.zone)?,
    };
    let buckets = if question.daily {
        Buckets::At(period.days(&home.zone)?.iter().map(|day| day.start_us).collect())
    } else {
        Buckets::Whole
    };
    let through_us = cx.now_us().min(period.end_us);
    cx.app.lake.seal().await?;
    let watermark = cx.app.lake.watermark().await?;
    let rows = cx
        .app
        .lake
        .roll_up(RollUp {
            realm: cx.realm,
            orgs: Some(below),
            user: question.user,
            meters: question.meter.into_iter().collect(),
            period,
            as_of: Some(watermark),
            by: question.by,
            buckets,
        })
        .await?;
    Ok(Usage { period, period_name: period.month_name(&home.zone), zone: home.zone, through_us, watermark, rows })
}

/// The records that make a line of a paper.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The line as printed.
    pub line: billing::InvoiceLine,
    /// One page of its records.
    pub records: Vec<StoredRecord>,
    /// Where the next page begins.
    pub next: Option<(i64, String)>,
    /// How the amount came about, tier by tier.
    pub parts: serde_json::Value,
    /// Tree version of the usage.
    pub watermark: i64,
}

/// From a line of a paper to the records that make it, as of the batch that the paper was made from.
///
/// # Errors
/// [`Failure`].
pub async fn trace(
    cx: &Cx,
    invoice: InvoiceId,
    line_no: u32,
    after: Option<(i64, String)>,
    limit: usize,
) -> Result<Trace, Failure> {
    let (_, paper) = crate::bills::get(cx, invoice).await?;
    let payer = paper.draft.profile.payer.org;
    let grant = cx.allow(Action::InvoiceRead, payer).await?;
    let line = paper.draft.lines.iter().find(|line| line.line_no == line_no).cloned();
    let line = line.ok_or_else(|| Failure::not_found("line"))?;
    let period = line.original_period.unwrap_or(paper.draft.period);
    let mut tx = cx.read_with(&grant).await?;
    let tree = BilledTree::at(&mut tx, period.start_us).await?;
    let Some((edge, item)) = priced_item(&mut tx, &tree, payer, period, &line.source.item_code).await? else {
        return Err(Failure::not_found("price item"));
    };
    let run = store::charges::run_of(&mut tx, edge, period.start_us).await?;
    drop(tx);
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
    // Tiers are counted over the whole edge; a buyer that passes its seller's prices on must not see them.
    let parts = match run {
        Some(run) if edge == payer => serde_json::from_str(&run.parts_json)?,
        _ => serde_json::Value::Array(Vec::new()),
    };
    Ok(Trace { line, records, next, parts, watermark: paper.draft.watermark })
}

/// The edge whose prices count for `payer`, and the item in them.
pub(crate) async fn priced_item(
    tx: &mut store::Tx,
    tree: &BilledTree,
    payer: OrgId,
    period: Period,
    code: &str,
) -> Result<Option<(OrgId, pricing::PriceItem)>, Failure> {
    for edge in tree.edges_above(payer) {
        if let Some(agreement) = agreements::in_force(tx, edge.id, period.start_us).await? {
            return Ok(agreement.book.items.into_iter().find(|item| item.code == code).map(|item| (edge.id, item)));
        }
    }
    Ok(None)
}

/// Rejected usage of `org` and below, with the money it would be worth at today's prices of its edge.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Held {
    /// The item.
    #[serde(flatten)]
    pub item: lake::Quarantined,
    /// Amount and currency, when a price covers it.
    pub worth: Option<(base::AmountPico, base::Currency)>,
}

/// Usage in quarantine.
///
/// # Errors
/// [`Failure`].
pub async fn quarantine(cx: &Cx, org: OrgId) -> Result<Vec<Held>, Failure> {
    let (grant, span) = cx.span(Action::SourceRead, org).await?;
    let mut items = cx.app.lake.quarantined(cx.realm, 1_000).await?;
    let mut tx = cx.read_with(&grant).await?;
    let below: BTreeSet<OrgId> = orgs::subtree(&mut tx, org).await?.into_iter().map(|org| org.id).collect();
    items.retain(|item| below.contains(&item.org) && span.has(item.org));
    let mut held = Vec::new();
    for item in items {
        let worth = worth_of(&mut tx, cx.now_us(), &item).await?;
        held.push(Held { item, worth });
    }
    Ok(held)
}

async fn worth_of(
    tx: &mut store::Tx,
    now_us: i64,
    item: &lake::Quarantined,
) -> Result<Option<(base::AmountPico, base::Currency)>, Failure> {
    if item.quantity.0 <= 0 {
        return Ok(None);
    }
    for edge in orgs::path(tx, item.org).await?.iter().rev() {
        let Some(agreement) = agreements::in_force(tx, *edge, now_us).await? else { continue };
        let period = Period::month_of(now_us, &orgs::get(tx, *edge).await?.zone)?;
        let body: serde_json::Value = serde_json::from_str(&item.body).unwrap_or_default();
        let dimensions = serde_json::from_value(body["usage"]["dimensions"].clone())
            .or_else(|_| serde_json::from_value(body["dimensions"].clone()))
            .unwrap_or_default();
        let usage = pricing::ItemUsage {
            org: item.org,
            meter: item.meter.clone(),
            dimensions,
            hour_us: period.start_us,
            quantity: item.quantity,
        };
        let mut book = agreement.book;
        book.items.retain(|item| !item.meter.is_empty());
        let rated = pricing::rate(&book, item.org, period, (1, 1), &[usage])?;
        let amount = pricing::edge::total(&rated.charges)?;
        return Ok((!rated.charges.is_empty()).then_some((amount, book.currency)));
    }
    Ok(None)
}
