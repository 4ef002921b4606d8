//! One statement or invoice as printed, and its files.

use super::frame::{Answer, Menu, Page, parse, show};
use crate::auth::Visitor;
use crate::problem::PageFailure;
use crate::{Web, units};
use app::{Failure, bills, orgs};
use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use base::{AmountMinor, Currency, InvoiceId};
use billing::{Invoice, InvoiceKind, InvoiceLine, Party};

pub(super) fn router() -> Router<Web> {
    Router::new().route("/papers/{id}", get(paper)).route("/papers/{id}/file/{form}", get(file))
}

struct LineRow {
    href: String,
    description: String,
    quantity: String,
    unit: String,
    unit_price: String,
    amount: String,
    /// For an adjustment, the month it belongs to; for a part of a fee, which part.
    note: String,
    /// For an adjustment, the paper it corrects.
    corrects_href: String,
}

/// The lines of one department.
struct Group {
    name: String,
    lines: Vec<LineRow>,
    subtotal: String,
}

struct PartyBlock {
    name: String,
    address: Vec<String>,
}

#[derive(Template)]
#[template(path = "console/paper.html")]
struct PaperPage {
    page: Page,
    basis: Vec<String>,
    id: InvoiceId,
    heading: String,
    issued: bool,
    seller: PartyBlock,
    payer: PartyBlock,
    facts: Vec<(&'static str, String)>,
    groups: Vec<Group>,
    total: String,
    note: &'static str,
    list_href: String,
}

async fn paper(visitor: Visitor, Path(id): Path<String>) -> Answer {
    let id: InvoiceId = parse(&id, "invoice")?;
    let (listed, invoice) = bills::get(&visitor.0.cx, id).await?;
    let payer = orgs::get(&visitor.0.cx, listed.payer).await?;
    let draft = &invoice.draft;
    let issued = listed.state == "issued";
    let heading = heading(&invoice);
    show(&PaperPage {
        page: Page::at(&visitor, &payer, Menu::Papers, &heading).await,
        basis: basis(&invoice, issued),
        id,
        heading,
        issued,
        seller: party(&draft.profile.seller),
        payer: party(&draft.profile.payer),
        facts: facts(&invoice, issued),
        groups: groups(&invoice)?,
        total: units::money(draft.total_minor, draft.profile.currency),
        note: note(draft.profile.kind),
        list_href: format!("/o/{}/papers", payer.id),
    })
}

/// What a paper is called: `Invoice INV-2026-000001`, `Statement 2026-10`.
pub(super) fn heading(invoice: &Invoice) -> String {
    let word = match invoice.draft.profile.kind {
        InvoiceKind::Invoice => "Invoice",
        InvoiceKind::Statement => "Statement",
    };
    format!("{word} {}", invoice.number.as_deref().unwrap_or(&invoice.draft.period_name))
}

fn note(kind: InvoiceKind) -> &'static str {
    match kind {
        InvoiceKind::Invoice => "Amounts are net; tax is not part of this paper.",
        InvoiceKind::Statement => "Internal statement: no money moves.",
    }
}

/// What the figures of a paper are based on.
pub(super) fn basis(invoice: &Invoice, issued: bool) -> Vec<String> {
    let draft = &invoice.draft;
    vec![
        format!("Scope: {} and everything below it that it pays for", draft.profile.payer.name),
        format!("Period: {}, {}", draft.period_name, draft.profile.zone.name()),
        format!("Currency: {}, net", draft.profile.currency),
        format!("Usage received by {}", draft.profile.zone.time_of(invoice.issued_us)),
        if issued { "Final" } else { "Provisional: a draft" }.to_owned(),
    ]
}

fn facts(invoice: &Invoice, issued: bool) -> Vec<(&'static str, String)> {
    let draft = &invoice.draft;
    let zone = &draft.profile.zone;
    let frozen = if issued { zone.time_of(invoice.issued_us) } else { "not issued".to_owned() };
    vec![
        ("Number", invoice.number.clone().unwrap_or_else(|| "none".to_owned())),
        ("Month", draft.period_name.clone()),
        ("Days", format!("{} to {}", zone.date_of(draft.period.start_us), zone.date_of(draft.period.end_us - 1))),
        ("Time zone", zone.name().to_owned()),
        ("Issued", frozen),
        ("Rounding", "each line once, half away from zero; the total is the sum of the lines".to_owned()),
    ]
}

fn party(party: &Party) -> PartyBlock {
    PartyBlock { name: party.name.clone(), address: party.address.clone() }
}

fn groups(invoice: &Invoice) -> Result<Vec<Group>, PageFailure> {
    let currency = invoice.draft.profile.currency;
    let subtotals = invoice.draft.subtotals()?.into_iter();
    let group = |(name, sum): (String, AmountMinor)| {
        let own = invoice.draft.lines.iter().filter(|line| line.source.group_name == name);
        let lines = own.map(|line| line_row(invoice, line, currency)).collect();
        Group { lines, subtotal: units::money(sum, currency), name }
    };
    Ok(subtotals.map(group).collect())
}

fn line_row(invoice: &Invoice, line: &InvoiceLine, currency: Currency) -> LineRow {
    let zone = &invoice.draft.profile.zone;
    let late = line.original_period.map(|period| format!("belongs to {}", period.month_name(zone)));
    LineRow {
        href: format!("/papers/{}/lines/{}", invoice.id, line.line_no),
        description: line.source.description.clone(),
        quantity: units::grouped(&line.source.quantity.to_string()),
        unit: line.source.unit.clone(),
        unit_price: line.source.unit_price.clone(),
        amount: units::money(line.amount_minor, currency),
        note: late.unwrap_or_else(|| line.source.note.clone()),
        corrects_href: line.corrects.map(|paper| format!("/papers/{paper}")).unwrap_or_default(),
    }
}

async fn file(visitor: Visitor, Path((id, form)): Path<(String, String)>) -> Answer {
    let id: InvoiceId = parse(&id, "invoice")?;
    let cx = &visitor.0.cx;
    let (content_type, body) = match form.as_str() {
        "pdf" => ("application/pdf", bills::pdf(cx, id).await?),
        "csv" => ("text/csv; charset=utf-8", bills::csv(cx, id).await?.into_bytes()),
        "json" => ("application/json", serde_json::to_vec_pretty(&bills::paper(cx, id).await?)?),
        _ => return Err(PageFailure(Failure::not_found("file"))),
    };
    let (_, invoice) = bills::get(cx, id).await?;
    let disposition = format!("attachment; filename=\"{}.{form}\"", file_name(&heading(&invoice)));
    let headers = [(header::CONTENT_TYPE, content_type.to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    Ok((StatusCode::OK, headers, Body::from(body)).into_response())
}

/// Letters, digits, dots and hyphens only.
fn file_name(heading: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' };
    heading.chars().map(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_plain() {
        assert_eq!(file_name("Invoice INV-2026-000001"), "invoice-inv-2026-000001");
        assert_eq!(file_name("Statement 2026-10\"\r\n"), "statement-2026-10---");
    }
}
