//! Rating a month: every edge below an organisation, parents first, from one fixed set of usage.

use crate::authority::Cx;
use crate::failure::Failure;
use access::tree::OrgState;
use access::{Action, Grant};
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
    /// Days of the month on which that edge existed, of all its days: the share of flat fees.
    pub days: (u32, u32),
    /// The agreement that was used; that of an edge above when this one has none.
    pub agreement: Agreement,
    /// The charges.
    pub charges: Vec<Charge>,
    /// Usage without a price, as texts for a person.
    pub unrated: Vec<String>,
    /// Usage up to here.
    pub watermark: i64,
}

/// An edge, or a paper of one, that failed by itself; the others stand.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FailedEdge {
    /// Who would owe.
    pub org: OrgId,
    /// Its name.
    pub name: String,
    /// Why, for a person.
    pub reason: String,
}

impl FailedEdge {
    pub(crate) fn new(buyer: &Org, failure: &Failure) -> Self {
        let cause = std::error::Error::source(failure).map(ToString::to_string).unwrap_or_default();
        tracing::error!(buyer = %buyer.id, %failure, cause, "an edge cannot be billed");
        Self::because(buyer, failure.to_string())
    }

    /// One that pays by prices of an edge that failed.
    fn below(buyer: &Org, above: &str) -> Self {
        Self::because(buyer, format!("the prices of {above} count here, which failed"))
    }

    fn because(buyer: &Org, reason: String) -> Self {
        Self { org: buyer.id, name: buyer.name.clone(), reason }
    }
}

impl std::fmt::Display for FailedEdge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}): {}", self.name, self.org, self.reason)
    }
}

/// What a rating gave: the edges, and those without one.
#[derive(Debug)]
pub struct Rated {
    /// The edges, parents first.
    pub edges: Vec<RatedEdge>,
    /// Edges that failed.
    pub failed: Vec<FailedEdge>,
    /// Organisations that nobody charges for what they used, since neither they nor one above have prices.
    pub unpriced: Vec<Org>,
    /// The tree that was rated.
    pub(crate) tree: BilledTree,
    /// The right that it was rated by.
    pub(crate) grant: Grant,
}

/// The tree as it is billed in a month: an organisation that moved is billed by its old parent up to the
/// end of the month.
#[derive(Debug)]
pub(crate) struct BilledTree {
    orgs: BTreeMap<OrgId, Org>,
    children: BTreeMap<OrgId, Vec<OrgId>>,
}

impl BilledTree {
    pub(crate) async fn at(tx: &mut store::Tx, at_us: i64) -> Result<Self, Failure> {
        let mut tree = Self { orgs: BTreeMap::new(), children: BTreeMap::new() };
        for org in orgs::billed_tree(tx, at_us).await? {
            if let Some(parent) = org.parent {
                tree.children.entry(parent).or_default().push(org.id);
            }
            tree.orgs.insert(org.id, org);
        }
        Ok(tree)
    }

    /// The tree in the month of `org`'s calendar.
    pub(crate) async fn of_month(tx: &mut store::Tx, org: OrgId, month: &str) -> Result<Self, Failure> {
        let zone = orgs::get(tx, org).await?.zone;
        let period = Period::month(month, &zone).map_err(|error| Failure::unreadable("month", error))?;
        Self::at(tx, period.start_us).await
    }

    /// `top` and everything below it, parents before their children, siblings by name.
    pub(crate) fn subtree(&self, top: OrgId) -> Vec<&Org> {
        let mut found: Vec<&Org> = self.orgs.get(&top).into_iter().collect();
        let mut next = 0;
        while next < found.len() {
            let below = self.children.get(&found[next].id).into_iter().flatten();
            found.extend(below.filter_map(|child| self.orgs.get(child)));
            next += 1;
        }
        found
    }

    pub(crate) fn below(&self, top: OrgId) -> BTreeSet<OrgId> {
        self.subtree(top).into_iter().map(|org| org.id).collect()
    }

    /// What `org` was called; its id if it is not in the tree.
    pub(crate) fn name_of(&self, org: OrgId) -> String {
        self.orgs.get(&org).map_or_else(|| org.to_string(), |org| org.name.clone())
    }

    /// `org` and those above it, the root left out.
    pub(crate) fn edges_above(&self, org: OrgId) -> Vec<&Org> {
        let mut found = Vec::new();
        let mut next = self.orgs.get(&org);
        while let Some(org) = next.filter(|org| org.parent.is_some()) {
            found.push(org);
            next = org.parent.and_then(|parent| self.orgs.get(&parent));
        }
        found
    }
}

/// Rates `month` for every edge below `seller` and keeps the charges. Repeating it with the same usage and
/// prices gives the same charges.
///
/// # Errors
/// [`Failure`]; an edge that fails does not stop the others.
pub async fn rate_below(cx: &Cx, seller: OrgId, month: &str) -> Result<Rated, Failure> {
    let (grant, span) = cx.span(Action::InvoiceCreate, seller).await?;
    cx.app.lake.seal().await?;
    let watermark = cx.app.lake.watermark().await?;
    let (mut rated, parts) = rate_as_of(cx, &grant, seller, month, watermark).await?;
    // What is sold further down is the business of whoever sells it there.
    let sells = |org: &Org| org.parent.is_some_and(|parent| span.has(parent));
    let below: BTreeSet<OrgId> =
        rated.tree.subtree(seller).into_iter().filter(|org| sells(org)).map(|org| org.id).collect();
    let (kept, parts): (Vec<_>, Vec<_>) =
        std::mem::take(&mut rated.edges).into_iter().zip(parts).filter(|(edge, _)| sells(&edge.buyer)).unzip();
    rated.edges = kept;
    rated.failed.retain(|edge| below.contains(&edge.org));
    rated.unpriced.retain(sells);
    rated.unpriced = with_usage(cx, std::mem::take(&mut rated.unpriced), month, watermark).await?;
    let mut lost: BTreeMap<OrgId, String> = BTreeMap::new();
    for (edge, parts_json) in std::mem::take(&mut rated.edges).into_iter().zip(parts) {
        let above = edge.buyer.parent.and_then(|parent| lost.get(&parent));
        let failed = match above.filter(|_| edge.agreement.buyer != edge.buyer.id) {
            Some(name) => FailedEdge::below(&edge.buyer, name),
            None => match keep(cx, &grant, &edge, parts_json).await {
                Ok(()) => {
                    rated.edges.push(edge);
                    continue;
                }
                // Charges that are not kept must not be billed: no paper could be explained by them.
                Err(failure) => FailedEdge::new(&edge.buyer, &failure),
            },
        };
        lost.insert(failed.org, failed.name.clone());
        rated.failed.push(failed);
    }
    Ok(rated)
}

/// Rates without keeping anything: what [`rate_below`] keeps, and what late usage is compared with. Beside
/// each edge stand the parts of its tiers.
pub(crate) async fn rate_as_of(
    cx: &Cx,
    grant: &Grant,
    seller: OrgId,
    month: &str,
    watermark: i64,
) -> Result<(Rated, Vec<String>), Failure> {
    let mut tx = cx.read_with(grant).await?;
    let tree = BilledTree::of_month(&mut tx, seller, month).await?;
    drop(tx);
    // Who closes below the root passes on what he is charged himself: that edge is rated, but not kept.
    let (mut order, mut unpriced, mut failures) = (Vec::new(), Vec::new(), BTreeMap::new());
    let own = match edge_into(cx, grant, &tree, seller, month, watermark).await {
        Err(failure) if matches!(failure.kind, crate::Kind::Internal) => {
            // Those below with prices of their own are billed all the same. Why it failed is the business of the
            // organisation above.
            tracing::error!(%seller, %failure, "what the seller is charged cannot be rated");
            let reason = "what it is charged itself cannot be rated; the organisation above knows why".to_owned();
            let own = tree.subtree(seller).into_iter().take(1);
            failures.extend(own.map(|org| (seller, FailedEdge::because(org, reason.clone()))));
            None
        }
        other => other?,
    };
    let mut rated: BTreeMap<OrgId, (RatedEdge, String)> =
        own.map(|edge| (seller, (edge, String::new()))).into_iter().collect();
    for buyer in tree.subtree(seller).into_iter().filter(|org| org.id != seller) {
        let above = buyer.parent.and_then(|parent| rated.get(&parent)).map(|(edge, _)| edge);
        match rate_edge(cx, grant, buyer, month, above, &tree.below(buyer.id), watermark).await {
            Ok(Some(edge)) => {
                order.push(buyer.id);
                rated.insert(buyer.id, edge);
            }
            Ok(None) => match buyer.parent.and_then(|parent| failures.get(&parent)) {
                Some(FailedEdge { name, .. }) => {
                    let failed = FailedEdge::below(buyer, name);
                    failures.insert(buyer.id, failed);
                }
                None => unpriced.push(buyer.clone()),
            },
            Err(failure) if matches!(failure.kind, crate::Kind::Internal) => {
                failures.insert(buyer.id, FailedEdge::new(buyer, &failure));
            }
            Err(failure) => return Err(failure),
        }
    }
    let (edges, parts) = order.into_iter().filter_map(|org| rated.remove(&org)).unzip();
    unpriced.retain(|org| org.state != OrgState::Deleted);
    let failed = tree.subtree(seller).into_iter().filter_map(|org| failures.remove(&org.id)).collect();
    Ok((Rated { edges, failed, unpriced, tree, grant: grant.clone() }, parts))
}

/// Those that used something in the month: nobody gives anything away at the others.
async fn with_usage(cx: &Cx, orgs: Vec<Org>, month: &str, watermark: i64) -> Result<Vec<Org>, Failure> {
    let mut by_zone: BTreeMap<String, (Zone, BTreeSet<OrgId>)> = BTreeMap::new();
    for org in &orgs {
        let place = by_zone.entry(org.zone.name().to_owned());
        place.or_insert_with(|| (org.zone.clone(), BTreeSet::new())).1.insert(org.id);
    }
    let mut used: BTreeSet<OrgId> = BTreeSet::new();
    for (zone, ids) in by_zone.into_values() {
        let question = RollUp {
            realm: cx.realm,
            orgs: Some(ids),
            user: None,
            meters: BTreeSet::new(),
            period: Period::month(month, &zone).map_err(|error| Failure::unreadable("month", error))?,
            as_of: Some(watermark),
            by: GroupBy { org: true, user: false, dimensions: true },
            buckets: Buckets::Whole,
        };
        let rows = cx.app.lake.roll_up(question).await?;
        for row in rows {
            if row.quantity.0 != 0 && !is_free(&row.meter, &serde_json::from_str(&row.dimensions)?) {
                used.extend(row.org);
            }
        }
    }
    Ok(orgs.into_iter().filter(|org| used.contains(&org.id)).collect())
}

/// Requests that the gateway itself marks as not billed need no price.
fn is_free(meter: &str, dimensions: &BTreeMap<String, String>) -> bool {
    meter == metering::meter::S3_REQUESTS && dimensions.get("billed").is_some_and(|billed| billed == "no")
}

/// What `seller` itself is charged: by his own prices, or by those of the nearest organisation above.
async fn edge_into(
    cx: &Cx,
    grant: &Grant,
    tree: &BilledTree,
    seller: OrgId,
    month: &str,
    watermark: i64,
) -> Result<Option<RatedEdge>, Failure> {
    for org in tree.edges_above(seller) {
        let period = Period::month(month, &org.zone).map_err(|error| Failure::unreadable("month", error))?;
        let mut tx = cx.read_with(grant).await?;
        let Some(agreement) = agreements::in_force(&mut tx, org.id, period.start_us).await? else { continue };
        drop(tx);
        let (mut edge, _) = rate_by_book(cx, org, agreement, period, &tree.below(org.id), watermark).await?;
        let own = tree.below(seller);
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
    let days = active_days(buyer, period)?;
    let rated = pricing::rate(&agreement.book, buyer.id, period, days, &usage)?;
    let unrated = describe(buyer, &rated.unrated);
    let parts = parts_json(&rated.parts);
    let (zone, charges) = (buyer.zone.clone(), rated.charges);
    Ok((RatedEdge { buyer: buyer.clone(), period, zone, days, agreement, charges, unrated, watermark }, parts))
}

async fn rate_edge(
    cx: &Cx,
    grant: &Grant,
    buyer: &Org,
    month: &str,
    above: Option<&RatedEdge>,
    under: &BTreeSet<OrgId>,
    watermark: i64,
) -> Result<Option<(RatedEdge, String)>, Failure> {
    let period = Period::month(month, &buyer.zone).map_err(|error| Failure::unreadable("month", error))?;
    let mut tx = cx.read_with(grant).await?;
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
            tracing::debug!(buyer = %buyer.id, "no price agreement: the edge stays unpriced");
            return Ok(None);
        }
    };
    Ok(Some((edge, parts_json)))
}

async fn keep(cx: &Cx, grant: &Grant, edge: &RatedEdge, parts_json: String) -> Result<(), Failure> {
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
    let mut tx = cx.keep_with(grant).await?;
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

/// Usage without a price, a line for each meter and reason.
fn describe(buyer: &Org, unrated: &[pricing::Unrated]) -> Vec<String> {
    let mut groups: BTreeMap<(&str, &str), (i128, BTreeSet<OrgId>)> = BTreeMap::new();
    for item in unrated {
        if is_free(&item.meter, &item.dimensions) {
            continue;
        }
        let group = groups.entry((item.reason, &item.meter)).or_default();
        group.0 = group.0.saturating_add(item.quantity.0);
        group.1.insert(item.org);
    }
    let line = |((reason, meter), (quantity, orgs)): ((&str, &str), (i128, BTreeSet<OrgId>))| {
        let places =
            if orgs.len() == 1 { "one organisation".to_owned() } else { format!("{} organisations", orgs.len()) };
        format!("{}: {} of {meter} at {places}: {reason}", buyer.name, base::QuantityNano(quantity))
    };
    groups.into_iter().map(line).collect()
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
