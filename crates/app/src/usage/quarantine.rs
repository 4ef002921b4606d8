//! Usage that was refused, with its worth at the prices that would have counted.

use crate::authority::Cx;
use crate::failure::Failure;
use access::Action;
use base::{OrgId, Period};
use std::collections::BTreeSet;
use store::{agreements, orgs};

/// Items in quarantine that are shown: of the organisation, not of the realm.
const QUARANTINED_MAX: usize = 1_000;

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
pub async fn list(cx: &Cx, org: OrgId) -> Result<Vec<Held>, Failure> {
    let (grant, span) = cx.span(Action::SourceRead, org).await?;
    let mut tx = cx.read_with(&grant).await?;
    let below: BTreeSet<OrgId> = orgs::subtree(&mut tx, org).await?.into_iter().map(|org| org.id).collect();
    let is_asked = |org: OrgId| below.contains(&org) && span.has(org);
    let items = cx.app.lake.quarantined(cx.realm, QUARANTINED_MAX, is_asked).await?;
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
