//! Whether issued documents still follow from the usage and the prices that they were made from: what is looked at before a
//! backup is relied on.

use crate::authority::lockout::trial;
use crate::authority::{App, Cx, Operator, Origin, Preview, actor_of};
use crate::bills::lines_of;
use crate::failure::{Failure, Kind};
use crate::rating::{Rated, rate_as_of};
use access::Action;
use base::{AmountMinor, AmountPico, OrgId, QuantityNano, RealmId};
use billing::{BillError, Invoice, InvoiceLine};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use store::invoices::{self, Listed};
use store::{Tx, across, bindings};

/// What was made again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recomputed {
    /// Documents that came out the same.
    pub same: usize,
    /// Those that did not, in words.
    pub differing: Vec<String>,
}

/// Makes the issued documents of the last closed month of each tree again, in memory, from the usage up to the batch that
/// each was made from, and compares line by line. Lines that correct earlier months are left out.
///
/// # Errors
/// [`Failure`] when a tree has nobody who could close its month.
pub async fn last_months(app: &Arc<App>, operator: &Operator) -> Result<Recomputed, Failure> {
    let mut found = Recomputed::default();
    for (realm, _) in across::realms(operator.store()).await? {
        let mut tx = operator.read(realm).await?;
        let mut issued = invoices::to_payers_below(&mut tx, realm.root()).await?;
        issued.retain(|document| document.state == "issued");
        let Some(month) = issued.iter().map(|document| document.period_name.clone()).max() else { continue };
        issued.retain(|document| document.period_name == month);
        let cx = somebody(app, &mut tx, realm).await?;
        recompute(&cx, &mut tx, &month, &issued, &mut found).await?;
    }
    Ok(found)
}

/// Somebody who may close the months of a tree.
async fn somebody(app: &Arc<App>, tx: &mut Tx, realm: RealmId) -> Result<Cx, Failure> {
    let now_us = app.now_us();
    for candidate in bindings::admins(tx, realm.root()).await? {
        let (actor, context) = (actor_of(app, tx, candidate.user).await?, trial(now_us, None));
        let (origin, preview) = (Origin::default(), Preview::default());
        let cx = Cx { app: app.clone(), actor, realm, context, origin, preview };
        if cx.may(Action::InvoiceCreate, realm.root()).await {
            return Ok(cx);
        }
    }
    Err(Failure::new(Kind::Forbidden, format!("{realm}: nobody there may close a month, so none can be made again")))
}

async fn recompute(
    cx: &Cx,
    tx: &mut Tx,
    month: &str,
    issued: &[Listed],
    found: &mut Recomputed,
) -> Result<(), Failure> {
    let root = cx.realm.root();
    let grant = cx.allow(Action::InvoiceCreate, root).await?;
    let mut rated: BTreeMap<i64, Rated> = BTreeMap::new();
    for listed in issued {
        let (_, invoice) = invoices::get(tx, listed.id).await?;
        let watermark = invoice.draft.watermark;
        let rated = match rated.entry(watermark) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => free.insert(rate_as_of(cx, &grant, root, month, watermark).await?.0),
        };
        let (was, is) = (figures(&invoice.draft.lines), figures(&made_again(rated, &invoice)?));
        if was == is && is_sum_of_lines(&invoice) {
            found.same += 1;
        } else {
            let name = listed.number.clone().unwrap_or_else(|| listed.id.to_string());
            let payer = &invoice.draft.profile.payer.name;
            found.differing.push(format!("{name} of {month} to {payer:?} does not follow from its usage and prices"));
        }
    }
    Ok(())
}

/// The lines of a document as its usage and prices give them now.
fn made_again(rated: &Rated, invoice: &Invoice) -> Result<Vec<InvoiceLine>, Failure> {
    let edge = rated.edges.iter().find(|edge| edge.buyer.id == invoice.draft.profile.payer.org);
    let Some(edge) = edge else { return Ok(Vec::new()) };
    let (profile, sources) = (invoice.draft.profile.clone(), lines_of(&rated.tree, edge)?);
    match billing::draft(profile, edge.period, sources, Vec::new(), invoice.draft.watermark) {
        Err(BillError::Empty { .. }) => Ok(Vec::new()),
        draft => Ok(draft?.lines),
    }
}

type Figures = BTreeMap<(String, OrgId), (QuantityNano, AmountPico, AmountMinor)>;

fn figures(lines: &[InvoiceLine]) -> Figures {
    let own = lines.iter().filter(|line| line.original_period.is_none());
    own.map(|line| {
        let source = &line.source;
        ((source.item_code.clone(), source.group), (source.quantity, source.amount, line.amount_minor))
    })
    .collect()
}

fn is_sum_of_lines(invoice: &Invoice) -> bool {
    invoice.draft.lines.iter().map(|line| i128::from(line.amount_minor.0)).sum::<i128>()
        == i128::from(invoice.draft.total_minor.0)
}
