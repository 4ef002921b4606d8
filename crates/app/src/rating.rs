//! Rating a month: every edge below an organisation, parents first, from one fixed set of usage.

use crate::cx::Cx;
use crate::failure::Failure;
use access::Action;
use base::{OrgId, Period, RunId, Zone};
use lake::{Buckets, GroupBy, RollUp};
use pricing::{Charge, ItemUsage, PriceBook, Window};
use std::collections::{BTreeMap, BTreeSet};
use store::agreements::{self, Agreement};
use store::charges::{self, RatingRun};
use store::orgs::{self, Org};

/// One rated edge.
#[derive(Debug, Clone)]
pub struct RatedEdge {
    /// Who owes.
    pub buyer: Org,
    /// The month, in the calendar of the edge whose prices count.
    pub period: Period,
    /// That calendar.
    pub zone: Zone,
    /// The agreement that was used; that of an edge above when this one has none.
    pub agreement: Agreement,
    /// The charges.
    pub charges: Vec<Charge>,
    /// Usage without a price, as texts for a person.
    pub unrated: Vec<String>,
    /// Usage up to here.
    pub watermark: i64,
}

/// Rates `month` for every edge below `seller` (and the edge into it, if it has prices). Repeating it
/// with the same usage and prices gives the same charges.
///
/// # Errors
/// [`Failure`].
pub async fn rate_below(cx: &Cx, seller: OrgId, month: &str) -> Result<Vec<RatedEdge>, Failure> {
    let grant = cx.allow(Action::CloseBooks, seller).await?;
    cx.app.lake.seal().await?;
    let watermark = cx.app.lake.watermark().await?;
    let mut tx = cx.app.store.read(&grant).await?;
    let tree = orgs::subtree(&mut tx, seller).await?;
    let mut below: BTreeMap<OrgId, BTreeSet<OrgId>> = BTreeMap::new();
    for (ancestor, org) in orgs::pairs_below(&mut tx, seller).await? {
        below.entry(ancestor).or_default().insert(org);
    }
    drop(tx);
    // Who closes below the root passes on what he is charged himself: that edge is rated, but not kept.
    let own = edge_into(cx, seller, month, watermark).await?;
    let mut rated: BTreeMap<OrgId, RatedEdge> = own.map(|edge| (seller, edge)).into_iter().collect();
    let mut order = Vec::new();
    for buyer in tree.into_iter().filter(|org| org.id != seller) {
        let above = buyer.parent.and_then(|parent| rated.get(&parent));
        let under = below.get(&buyer.id).cloned().unwrap_or_default();
        if let Some(edge) = rate_edge(cx, &buyer, month, above, &under, watermark).await? {
            order.push(buyer.id);
            rated.insert(buyer.id, edge);
        }
    }
    Ok(order.into_iter().filter_map(|org| rated.remove(&org)).collect())
}

/// What `seller` itself is charged: by his own prices, or by those of the nearest organisation above.
async fn edge_into(cx: &Cx, seller: OrgId, month: &str, watermark: i64) -> Result<Option<RatedEdge>, Failure> {
    let mut tx = cx.app.store.read(&access::decide_job(cx.realm, seller)).await?;
    let path = orgs::place(&mut tx, seller).await?.path;
    let below = |pairs: Vec<(OrgId, OrgId)>, top: OrgId| -> BTreeSet<OrgId> {
        pairs.into_iter().filter(|(ancestor, _)| *ancestor == top).map(|(_, org)| org).collect()
    };
    for priced in path.iter().skip(1).rev() {
        let org = orgs::get(&mut tx, *priced).await?;
        let period = Period::month(month, &org.zone).map_err(|error| Failure::unreadable("month", error))?;
        let Some(agreement) = agreements::in_force(&mut tx, *priced, period.start_us).await? else { continue };
        let under = below(orgs::pairs_below(&mut tx, *priced).await?, *priced);
        let own = below(orgs::pairs_below(&mut tx, seller).await?, seller);
        drop(tx);
        let (mut edge, _) = rate_by_book(cx, &org, agreement, period, &under, watermark).await?;
        edge.charges.retain(|charge| own.contains(&charge.org));
        return Ok(Some(edge));
    }
    Ok(None)
}

/// Rates an edge by the book of its own agreement.
async fn rate_by_book(
    cx: &Cx,
    buyer: &Org,
    agreement: Agreement,
    period: Period,
    under: &BTreeSet<OrgId>,
    watermark: i64,
) -> Result<(RatedEdge, String), Failure> {
    let usage = usage_for(cx, &agreement.book, period, under, watermark).await?;
    let rated = pricing::rate(&agreement.book, buyer.id, period, active_days(buyer, period)?, &usage)?;
    let unrated = rated.unrated.iter().map(describe).collect();
    let parts = parts_json(&rated.parts);
    let (zone, charges) = (buyer.zone.clone(), rated.charges);
    Ok((RatedEdge { buyer: buyer.clone(), period, zone, agreement, charges, unrated, watermark }, parts))
}

async fn rate_edge(
    cx: &Cx,
    buyer: &Org,
    month: &str,
    above: Option<&RatedEdge>,
    under: &BTreeSet<OrgId>,
    watermark: i64,
) -> Result<Option<RatedEdge>, Failure> {
    let period = Period::month(month, &buyer.zone).map_err(|error| Failure::unreadable("month", error))?;
    let mut tx = cx.app.store.read(&access::decide_job(cx.realm, buyer.id)).await?;
    let own = agreements::in_force(&mut tx, buyer.id, period.start_us).await?;
    drop(tx);
    let (edge, parts_json) = match (own, above) {
        (Some(agreement), _) => rate_by_book(cx, buyer, agreement, period, under, watermark).await?,
        (None, Some(above)) => {
            let shares = pricing::pass_through(&above.charges, buyer.id, |org| under.contains(&org));
            let edge = RatedEdge {
                buyer: buyer.clone(),
                charges: shares.into_iter().map(|share| share.charge).collect(),
                unrated: Vec::new(),
                ..above.clone()
            };
            (edge, "[]".to_owned())
        }
        (None, None) => {
            tracing::warn!(buyer = %buyer.id, "no price agreement: the edge stays unpriced");
            return Ok(None);
        }
    };
    keep(cx, &edge, parts_json).await?;
    Ok(Some(edge))
}

async fn keep(cx: &Cx, edge: &RatedEdge, parts_json: String) -> Result<(), Failure> {
    let own = edge.agreement.buyer == edge.buyer.id;
    let run = RatingRun {
        id: RunId(cx.app.fresh()),
        buyer: edge.buyer.id,
        period: edge.period,
        agreement_version: if own { edge.agreement.version } else { 0 },
        watermark: edge.watermark,
        digest: digest(&edge.charges),
        parts_json,
        unrated_json: serde_json::to_string(&edge.unrated)?,
        rated_us: cx.now_us(),
    };
    let mut tx = cx.app.store.write(&access::decide_job(cx.realm, edge.buyer.id)).await?;
    charges::replace(&mut tx, &run, &edge.charges).await?;
    Ok(tx.commit().await?)
}

/// A hash over all charges: what must be equal when the same month is rated again.
#[must_use]
pub fn digest(charges: &[Charge]) -> String {
    let mut hasher = blake3::Hasher::new();
    for charge in charges {
        hasher
            .update(format!("{}|{}|{}|{}\n", charge.item_code, charge.org, charge.quantity, charge.amount).as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

async fn usage_for(
    cx: &Cx,
    book: &PriceBook,
    period: Period,
    under: &BTreeSet<OrgId>,
    watermark: i64,
) -> Result<Vec<ItemUsage>, Failure> {
    let hourly = book.items.iter().any(|item| item.window == Window::Hour);
    let rows = cx
        .app
        .lake
        .roll_up(RollUp {
            realm: cx.realm,
            orgs: Some(under.clone()),
            user: None,
            meters: BTreeSet::new(),
            period,
            as_of: Some(watermark),
            by: GroupBy { org: true, user: false, dimensions: true },
            buckets: if hourly { Buckets::Hours } else { Buckets::Whole },
        })
        .await?;
    rows.into_iter()
        .map(|row| {
            let org =
                row.org.ok_or_else(|| Failure::new(crate::Kind::Internal, "a roll-up row has no organisation"))?;
            let dimensions = serde_json::from_str(&row.dimensions)?;
            Ok(ItemUsage { org, meter: row.meter, dimensions, hour_us: row.bucket_us, quantity: row.quantity })
        })
        .collect()
}

/// Calendar days of the month on which the edge existed, of all its days.
fn active_days(buyer: &Org, period: Period) -> Result<(u32, u32), Failure> {
    let days = period.days(&buyer.zone)?;
    let active = days.iter().filter(|day| buyer.created_us < day.end_us).count();
    let count = |value: usize| u32::try_from(value).expect("a month has few days");
    Ok((count(active), count(days.len())))
}

fn describe(item: &pricing::Unrated) -> String {
    format!("{} {} {:?} of {}: {}", item.quantity, item.meter, item.dimensions, item.org, item.reason)
}

fn parts_json(parts: &[pricing::ChargePart]) -> String {
    let rows: Vec<_> = parts
        .iter()
        .map(|part| {
            serde_json::json!({
                "item": part.item_code, "tier": part.tier, "quantity": part.quantity,
                "rate": part.rate, "amount": part.amount,
            })
        })
        .collect();
    serde_json::Value::Array(rows).to_string()
}
