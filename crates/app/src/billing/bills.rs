//! Closing a month: statements for departments, invoices for customers.

use crate::authority::Cx;
use crate::failure::{Failure, Kind};
use crate::named::Bill;
use crate::rating;
use crate::rating::{BilledTree, FailedEdge, RatedEdge, rate_as_of, rate_below};
use access::{Action, Ask, Grant};
use base::{AmountPico, InvoiceId, OrgId, Period, QuantityNano, Rounding};
use billing::{Adjustment, Invoice, InvoiceKind, LineSource, Party, Profile};
use lake::{Buckets, GroupBy, RollUp};
use papers::{Paper, PaperKind, PaperLine, PaperPeriod};
use pricing::{Model, PriceItem};
use std::collections::{BTreeMap, BTreeSet};
use store::invoices::{self, Listed};
use store::orgs::{self, Org};
use store::{Tx, entries};

/// Closed months that late usage is still looked for in.
const LATE_MONTHS: usize = 3;

/// The outcome of closing a month.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Closed {
    /// Papers made, issued or drafted.
    pub papers: Vec<Listed>,
    /// Papers of this month that were issued before and stay as they are.
    pub kept: Vec<Listed>,
    /// Usage without a price, for a person to look at.
    pub unrated: Vec<String>,
    /// Edges and papers that failed, each by itself; the others stand.
    pub failed: Vec<FailedEdge>,
    /// When the month has ended for every buyer: from then on papers can be issued. None without buyers.
    pub ends_us: Option<i64>,
}

/// Rates `month` below `seller` and drafts, or issues, a paper for each edge with charges. Drafts can be
/// made again at any time; issuing waits until the month is over.
///
/// # Errors
/// [`Failure`]; each paper stands or falls by itself.
pub async fn close_month(cx: &Cx, seller: OrgId, month: &str, issue: bool) -> Result<Closed, Failure> {
    cx.app.lake.tick_storage(cx.now_us()).await?;
    let rated = rate_below(cx, seller, month).await?;
    if issue && rated.edges.iter().any(|edge| cx.now_us() < edge.period.end_us) {
        return Err(Failure::conflict(format!("month: {month} is not over; only drafts can be made")));
    }
    // Said aloud, for their usage is given away: whole organisations first, then single meters.
    let unpriced = rated.unpriced.iter();
    let mut unrated: Vec<String> =
        unpriced.map(|org| format!("{} ({}): no price agreement here or above", org.name, org.id)).collect();
    unrated.extend(rated.edges.iter().flat_map(|edge| edge.unrated.iter().cloned()));
    let ends_us = rated.edges.iter().map(|edge| edge.period.end_us).max();
    let mut closed = Closed { papers: Vec::new(), kept: Vec::new(), unrated, failed: rated.failed, ends_us };
    let mut late = late_differences(cx, &rated.grant, seller, month, &rated.edges, &mut closed.failed).await?;
    for edge in rated.edges {
        let adjustments = late.remove(&edge.buyer.id).unwrap_or_default();
        let buyer = edge.buyer.clone();
        match write_paper(cx, &rated.tree, edge, adjustments, issue).await {
            Ok(Written::New(listed)) => closed.papers.push(listed),
            Ok(Written::Before(listed)) => closed.kept.push(listed),
            Ok(Written::Nothing) => {}
            // Each paper is a transaction of its own: one that fails is named, the others stand.
            Err(failure) => closed.failed.push(FailedEdge::new(&buyer, &failure)),
        }
    }
    Ok(closed)
}

/// Whether usage of the running month or the one before, at `org` or below, is on no issued paper yet.
pub(crate) async fn has_unbilled_usage(cx: &Cx, grant: &Grant, org: OrgId) -> Result<bool, Failure> {
    cx.app.lake.seal().await?;
    let mut tx = cx.read_with(grant).await?;
    let found = orgs::get(&mut tx, org).await?;
    let tree = BilledTree::at(&mut tx, cx.now_us()).await?;
    let mut period = Period::month_of(cx.now_us(), &found.zone)?;
    for _ in 0..2 {
        let live = invoices::live(&mut tx, org, period.start_us, found.invoice_kind).await?;
        if live.is_none_or(|paper| paper.state != "issued") {
            let question = RollUp {
                realm: cx.realm,
                orgs: Some(tree.below(org)),
                user: None,
                meters: BTreeSet::new(),
                period,
                as_of: None,
                by: GroupBy::default(),
                buckets: Buckets::Whole,
            };
            if !cx.app.lake.roll_up(question).await?.is_empty() {
                return Ok(true);
            }
        }
        period = period.previous_month(&found.zone)?;
    }
    Ok(false)
}

enum Written {
    New(Listed),
    Before(Listed),
    Nothing,
}

async fn write_paper(
    cx: &Cx,
    tree: &BilledTree,
    edge: RatedEdge,
    adjustments: Vec<Adjustment>,
    issue: bool,
) -> Result<Written, Failure> {
    let grant = cx.allow(Action::InvoiceCreate, edge.buyer.parent.unwrap_or(edge.buyer.id)).await?;
    let mut tx = cx.change_with(&grant).await?; // The seller's lock row: numbers go one by one.
    let kind = edge.buyer.invoice_kind;
    let start_us = edge.period.start_us;
    let dropped = invoices::drop_draft(&mut tx, edge.buyer.id, start_us, kind).await?;
    if let Some(listed) = invoices::live(&mut tx, edge.buyer.id, start_us, kind).await? {
        return Ok(Written::Before(listed));
    }
    let seller = orgs::get(&mut tx, grant.org()).await?;
    let sources = lines_of(tree, &edge)?;
    let profile = profile_of(&seller, &edge);
    let period = edge.period;
    let draft = match billing::draft(profile, period, sources, adjustments, edge.watermark) {
        Err(billing::BillError::Empty { .. }) => {
            if dropped > 0 {
                let detail = serde_json::json!({ "payer": edge.buyer.id, "reason": "nothing is owed any more" });
                tx.done(grant.org(), "paper.drop", &edge.buyer.id.to_string(), detail).await?;
            }
            return Ok(Written::Nothing);
        }
        other => other?,
    };
    let id = InvoiceId(cx.app.fresh());
    let now_us = cx.now_us();
    let number = match (issue, kind) {
        (true, InvoiceKind::Invoice) => Some(take_number(&mut tx, &seller, now_us).await?),
        _ => None,
    };
    let invoice = if issue {
        billing::finalise(draft, id, number, now_us)?
    } else {
        Invoice { id, number, issued_us: now_us, draft }
    };
    invoices::insert(&mut tx, &invoice, issue, now_us).await?;
    if issue && kind == InvoiceKind::Invoice {
        entries::insert(&mut tx, &ledger::entry_for_issue(&invoice)?).await?;
    }
    let act = if issue { "paper.issue" } else { "paper.draft" };
    let detail =
        serde_json::json!({ "payer": edge.buyer.id, "month": invoice.draft.period_name, "number": invoice.number });
    let (listed, _) = invoices::get(&mut tx, id).await?;
    tx.done(seller.id, act, &id.to_string(), detail).await?;
    Ok(Written::New(listed))
}

async fn take_number(tx: &mut Tx, seller: &Org, now_us: i64) -> Result<String, Failure> {
    let series = format!("INV-{}", &seller.zone.date_of(now_us)[..4]);
    let number = invoices::next_number(tx, seller.id, &series).await?;
    Ok(format!("{series}-{number:06}"))
}

fn profile_of(seller: &Org, edge: &RatedEdge) -> Profile {
    let party = |org: &Org| Party { org: org.id, name: org.name.clone(), address: org.address.clone() };
    Profile {
        kind: edge.buyer.invoice_kind,
        seller: party(seller),
        payer: party(&edge.buyer),
        currency: edge.agreement.book.currency,
        zone: edge.zone.clone(),
        rounding: Rounding::HalfAwayFromZero,
    }
}

/// One line for each item and organisation, items in the order of the book. Lines without quantity and
/// amount are left out.
pub(crate) fn lines_of(tree: &BilledTree, edge: &RatedEdge) -> Result<Vec<LineSource>, Failure> {
    let mut lines = Vec::new();
    for item in &edge.agreement.book.items {
        for charge in edge.charges.iter().filter(|charge| charge.item_code == item.code) {
            if charge.quantity.0 != 0 || charge.amount.0 != 0 {
                let mut line = line_of(tree, item, edge.period, charge.org, charge.quantity, charge.amount)?;
                line.note = share_note(item, edge.days);
                lines.push(line);
            }
        }
    }
    Ok(lines)
}

/// Which share of a flat fee was charged; empty for the whole.
fn share_note(item: &PriceItem, (active, days): (u32, u32)) -> String {
    match item.model {
        Model::Flat { .. } if active < days => format!("{active} of {days} days"),
        _ => String::new(),
    }
}

fn line_of(
    tree: &BilledTree,
    item: &PriceItem,
    period: Period,
    org: OrgId,
    quantity: QuantityNano,
    amount: AmountPico,
) -> Result<LineSource, Failure> {
    let units = base::decimal::div_round(quantity.0, item.basis(period), Rounding::HalfAwayFromZero)?;
    let unit_price = match &item.model {
        // A free allowance counts once for the whole bill: the line alone cannot be multiplied out.
        Model::PerUnit { rate } if item.included.0 > 0 => format!("{rate} beyond {}", item.included),
        Model::PerUnit { rate } => rate.to_string(),
        Model::Graduated { .. } | Model::Volume { .. } => "by tier".to_owned(),
        Model::Flat { amount } => amount.to_string(),
    };
    Ok(LineSource {
        item_code: item.code.clone(),
        description: item.name.clone(),
        group: org,
        group_name: tree.name_of(org),
        quantity: QuantityNano(units),
        unit: if matches!(item.model, Model::Flat { .. }) { "month".to_owned() } else { item.unit.label.clone() },
        unit_price,
        amount,
        note: String::new(),
    })
}

/// For each payer: what earlier, issued months owe more or less than was billed, by item and group. Edges
/// whose earlier month cannot be rated are added to `failed`; the next close tries them again.
async fn late_differences(
    cx: &Cx,
    grant: &Grant,
    seller: OrgId,
    month: &str,
    rated: &[RatedEdge],
    failed: &mut Vec<FailedEdge>,
) -> Result<BTreeMap<OrgId, Vec<Adjustment>>, Failure> {
    let mut late: BTreeMap<OrgId, Vec<Adjustment>> = BTreeMap::new();
    let Some(first) = rated.first() else { return Ok(late) };
    let mut period = Period::month(month, &first.buyer.zone).map_err(|error| Failure::unreadable("month", error))?;
    for _ in 0..LATE_MONTHS {
        period = period.previous_month(&first.buyer.zone)?;
        let name = period.month_name(&first.buyer.zone);
        let mut tx = cx.read_with(grant).await?;
        let papers = invoices::issued_below(&mut tx, seller, &name).await?;
        drop(tx);
        if papers.is_empty() {
            continue; // The month was never closed: it will be billed as itself.
        }
        let (earlier, _) = rate_as_of(cx, grant, seller, &name, first.watermark).await?;
        failed.extend(earlier.failed.into_iter().map(|edge| {
            let reason = format!("late usage of {name} is not looked for: {}", edge.reason);
            FailedEdge { reason, ..edge }
        }));
        for edge in earlier.edges {
            let own = |paper: &&Listed| paper.payer == edge.buyer.id && paper.period_start_us == edge.period.start_us;
            let paper = papers.iter().find(own);
            if paper.is_some_and(|paper| paper.currency != edge.agreement.book.currency) {
                continue; // Differences are never added up across currencies.
            }
            match differences(cx, grant, &earlier.tree, &edge, paper).await {
                Ok(found) => late.entry(edge.buyer.id).or_default().extend(found),
                Err(failure) if failure.kind == Kind::Internal => {
                    let reason = format!("late usage of {name} cannot be billed: {failure}");
                    failed.push(FailedEdge { reason, ..FailedEdge::new(&edge.buyer, &failure) });
                }
                Err(failure) => return Err(failure),
            }
        }
    }
    Ok(late)
}

/// What an edge owes for a closed month beyond what its papers say; a month without paper was billed at zero.
async fn differences(
    cx: &Cx,
    grant: &Grant,
    tree: &BilledTree,
    edge: &RatedEdge,
    paper: Option<&Listed>,
) -> Result<Vec<Adjustment>, Failure> {
    let mut tx = cx.read_with(grant).await?;
    let mut owed: BTreeMap<(String, OrgId), i128> = BTreeMap::new();
    for charge in &edge.charges {
        *owed.entry((charge.item_code.clone(), charge.org)).or_default() += charge.amount.0;
    }
    for (item, org, billed) in invoices::billed_for_period(&mut tx, edge.buyer.id, edge.period.start_us).await? {
        *owed.entry((item, org)).or_default() -= billed.0;
    }
    let period_name = edge.period.month_name(&edge.zone);
    let mut found = Vec::new();
    for ((code, org), difference) in owed.into_iter().filter(|(_, difference)| *difference != 0) {
        let priced = rating::priced_item(&mut tx, tree, edge.buyer.id, edge.period, &code).await?;
        let Some((_, item)) = priced else { continue };
        let mut source = line_of(tree, &item, edge.period, org, QuantityNano(0), AmountPico(difference))?;
        source.description = format!("{} (late usage of {period_name})", source.description);
        source.unit_price = String::new();
        let corrects = paper.map(|paper| paper.id);
        let period_name = period_name.clone();
        found.push(Adjustment { period: edge.period, period_name, corrects, source });
    }
    Ok(found)
}

/// Papers to `org` and everything below it.
///
/// # Errors
/// [`Failure`].
pub async fn list(cx: &Cx, org: OrgId) -> Result<Vec<Listed>, Failure> {
    let (grant, span) = cx.span(Action::InvoiceRead, org).await?;
    let mut tx = cx.read_with(&grant).await?;
    let mut found = invoices::to_payers_below(&mut tx, org).await?;
    found.retain(|row| span.has(row.payer));
    Ok(found)
}

/// A paper. One that belongs to somebody else is as unknown as one that never was.
///
/// # Errors
/// [`Kind::NotFound`].
pub async fn get(cx: &Cx, invoice: InvoiceId) -> Result<(Listed, Invoice), Failure> {
    let (_, Bill(listed, invoice)) = cx.find::<Bill>(invoice, Ask::of(Action::InvoiceRead)).await?;
    Ok((listed, invoice))
}

/// A paper as it is printed.
///
/// # Errors
/// [`Failure`].
pub async fn paper(cx: &Cx, invoice: InvoiceId) -> Result<Paper, Failure> {
    let (listed, invoice) = get(cx, invoice).await?;
    let draft = &invoice.draft;
    let digits = draft.profile.currency.minor_digits();
    let zone = &draft.profile.zone;
    let kind = match draft.profile.kind {
        InvoiceKind::Invoice => PaperKind::Invoice,
        InvoiceKind::Statement => PaperKind::Statement,
    };
    let party = |party: &Party| papers::Party { name: party.name.clone(), lines: party.address.clone() };
    let total = draft.total_minor.to_major(digits);
    let lines = draft.lines.iter().map(|line| PaperLine {
        no: line.line_no,
        group: line.source.group_name.clone(),
        description: line.source.description.clone(),
        quantity: line.source.quantity.to_string(),
        unit: line.source.unit.clone(),
        unit_price: line.source.unit_price.clone(),
        amount: line.amount_minor.to_major(digits),
        note: match line.original_period {
            Some(period) => format!("belongs to {}", period.month_name(zone)),
            None => line.source.note.clone(),
        },
    });
    let subtotals = draft.subtotals()?.into_iter().map(|(name, sum)| (name, sum.to_major(digits))).collect();
    let issued = listed.state == "issued";
    let mut notes =
        vec!["Each line is rounded once, half away from zero; the total is the sum of the lines.".to_owned()];
    if kind == PaperKind::Statement {
        notes.push("Internal statement: no money moves.".to_owned());
    } else {
        notes.push("Amounts are net; tax is not part of this paper.".to_owned());
    }
    Ok(Paper {
        kind,
        number: invoice.number.clone(),
        title: if kind == PaperKind::Invoice { "Invoice" } else { "Statement" }.to_owned(),
        status: if issued { "issued" } else { "draft" }.to_owned(),
        issued_on: issued.then(|| zone.date_of(invoice.issued_us)),
        due_on: None,
        period: PaperPeriod {
            start: zone.instant_of(draft.period.start_us),
            end: zone.instant_of(draft.period.end_us),
            last_day: zone.date_of(draft.period.end_us - 1),
            label: draft.period_name.clone(),
            zone: zone.name().to_owned(),
        },
        currency: draft.profile.currency.code().to_owned(),
        supplier: party(&draft.profile.seller),
        customer: party(&draft.profile.payer),
        lines: lines.collect(),
        subtotals,
        net: total.clone(),
        tax: Vec::new(),
        total,
        notes,
        usage_received_by: Some(zone.instant_of(invoice.issued_us)), // A draft keeps when it was made there.
    })
}

/// The PDF of a paper.
///
/// # Errors
/// [`Kind::Busy`] when too many are being made; [`Failure`].
pub async fn pdf(cx: &Cx, invoice: InvoiceId) -> Result<Vec<u8>, Failure> {
    let paper = paper(cx, invoice).await?;
    let turn = cx.app.pdf_turns.take().await?;
    let work = move || {
        let _turn = turn; // Kept until it is made, also when nobody waits for it any more.
        papers::pdf(&paper)
    };
    Ok(tokio::task::spawn_blocking(work).await??)
}

/// The lines of a paper as CSV.
///
/// # Errors
/// [`Failure`].
pub async fn csv(cx: &Cx, invoice: InvoiceId) -> Result<String, Failure> {
    Ok(papers::csv(&paper(cx, invoice).await?))
}

/// Balances of the books of `org`: they add up to zero in each currency.
///
/// # Errors
/// [`Failure`].
pub async fn balances(cx: &Cx, org: OrgId) -> Result<Vec<(String, String, base::AmountMinor)>, Failure> {
    let mut tx = cx.read(Action::LedgerRead, org).await?;
    Ok(entries::balances(&mut tx, org).await?)
}
