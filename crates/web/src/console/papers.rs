//! Statements and invoices of an organisation, and the closing of a month.

use super::confirm::{Confirm, counted};
use super::frame::{Answer, Choice, Empty, Menu, Page, Says, go, may, mendable, months, org_of, show_with};
use crate::auth::Visitor;
use crate::problem::PageFailure;
use crate::{Web, units};
use access::Action;
use app::bills::Closed;
use app::rating::FailedEdge;
use app::rows::{Listed, Org};
use app::{Failure, bills, orgs};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use base::{AmountMinor, Currency, OrgId, Period, Zone};
use serde::Deserialize;
use std::collections::BTreeMap;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/o/{org}/papers", get(papers).post(close))
}

/// A paper in a list.
pub(super) struct PaperRow {
    pub(super) href: String,
    pub(super) month: String,
    pub(super) payer: String,
    pub(super) kind: String,
    pub(super) number: String,
    pub(super) state: String,
    /// When it was issued; empty for a draft.
    pub(super) issued: String,
    pub(super) total: String,
}

pub(super) fn paper_row(listed: &Listed, names: &BTreeMap<OrgId, String>, zone: &Zone) -> PaperRow {
    PaperRow {
        href: format!("/papers/{}", listed.id),
        month: listed.period_name.clone(),
        payer: names.get(&listed.payer).cloned().unwrap_or_else(|| listed.payer.to_string()),
        kind: listed.kind.clone(),
        number: listed.number.clone().unwrap_or_default(),
        state: listed.state.clone(),
        issued: listed.issued_us.map(|at_us| zone.time_of(at_us)).unwrap_or_default(),
        total: units::money(listed.total_minor, listed.currency),
    }
}

#[derive(Template)]
#[template(path = "console/papers.html")]
struct PapersPage {
    page: Page,
    says: Says,
    basis: Vec<String>,
    papers: Vec<PaperRow>,
    empty: Empty,
    /// Only who may close a month gets the form.
    closes: bool,
    months: Vec<Choice>,
    close_href: String,
    /// What the closing left out, for a person to look at.
    left_out: LeftOut,
}

/// What a closing could not put on a paper.
#[derive(Default)]
struct LeftOut {
    unrated: Vec<String>,
    failed: Vec<FailedEdge>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PapersQuery {
    closed: String,
    made: usize,
    kept: usize,
}

async fn papers(visitor: Visitor, Path(org): Path<String>, Query(query): Query<PapersQuery>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    let says = match Period::month(&query.closed, &org.zone) {
        Ok(_) => Says::good(done_words(&query.closed, query.made, query.kept)),
        Err(_) => Says::default(),
    };
    papers_page(&visitor, &org, StatusCode::OK, says, &query.closed, LeftOut::default()).await
}

async fn papers_page(
    visitor: &Visitor,
    org: &Org,
    status: StatusCode,
    says: Says,
    month: &str,
    left_out: LeftOut,
) -> Answer {
    let cx = &visitor.0.cx;
    let listed = bills::list(cx, org.id).await?;
    let names = orgs::names_among(cx, org.id, listed.iter().map(|listed| listed.payer)).await?;
    let closes = may(cx, Action::InvoiceCreate, org.id).await;
    let empty = if closes {
        Empty::nothing_yet("A month becomes papers when it is closed, with the form on this page.", "", "")
    } else {
        let text = "Papers appear here when a month is closed by an admin of the organisation above.";
        Empty::nothing_yet(text, "", "")
    };
    let last = Period::month_of(cx.now_us(), &org.zone)?.previous_month(&org.zone)?.month_name(&org.zone);
    let page = PapersPage {
        page: Page::at(visitor, org, Menu::Papers, "Statements and invoices").await,
        says,
        basis: vec![
            format!("Scope: {} and everything below", org.name),
            "Amounts are net, as printed".to_owned(),
            "Drafts are provisional; issued papers are final".to_owned(),
        ],
        papers: listed.iter().map(|listed| paper_row(listed, &names, &org.zone)).collect(),
        empty,
        closes,
        months: months(cx.now_us(), &org.zone, if month.is_empty() { &last } else { month })?,
        close_href: format!("/o/{}/papers", org.id),
        left_out,
    };
    show_with(status, &page)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct CloseForm {
    csrf: String,
    month: String,
    action: String,
    sure: String,
    /// What the visitor was told would be issued.
    seen: String,
}

/// Drafts are the preview of what issuing would freeze.
async fn close(visitor: Visitor, Path(org): Path<String>, Form(form): Form<CloseForm>) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let org = org_of(&visitor, &org).await?;
    if form.action == "issue"
        && let Some(asked) = ask_to_issue(&visitor, &org, &form).await?
    {
        return Ok(asked);
    }
    match close_month(&visitor, &org, &form).await {
        Ok(closed) if closed.unrated.is_empty() && closed.failed.is_empty() => {
            let (made, kept) = (closed.papers.len(), closed.kept.len());
            go(&format!("/o/{}/papers?closed={}&made={made}&kept={kept}", org.id, form.month))
        }
        // What is on no paper must be seen; making the same papers again changes nothing.
        Ok(closed) => {
            let says = Says::good(done_words(&form.month, closed.papers.len(), closed.kept.len()));
            let left_out = LeftOut { unrated: closed.unrated, failed: closed.failed };
            papers_page(&visitor, &org, StatusCode::OK, says, &form.month, left_out).await
        }
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            papers_page(&visitor, &org, status, says, &form.month, LeftOut::default()).await
        }
    }
}

/// What would be issued, from drafts made at this moment. Nothing is asked of somebody who has just seen the same.
async fn ask_to_issue(visitor: &Visitor, org: &Org, form: &CloseForm) -> Result<Option<Response>, PageFailure> {
    let draft = CloseForm { action: "draft".to_owned(), month: form.month.clone(), ..CloseForm::default() };
    let drafts = match close_month(visitor, org, &draft).await {
        Ok(drafts) => drafts,
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            return papers_page(visitor, org, status, says, &form.month, LeftOut::default()).await.map(Some);
        }
    };
    let now_us = visitor.0.cx.now_us();
    if let Some(ends_us) = drafts.ends_us.filter(|ends_us| now_us < *ends_us) {
        let text = format!(
            "{} is not over: its papers can be issued from {} on. Drafts were made meanwhile.",
            form.month,
            org.zone.time_of(ends_us)
        );
        let left_out = LeftOut { unrated: drafts.unrated, failed: drafts.failed };
        return papers_page(visitor, org, StatusCode::CONFLICT, Says::bad(text), &form.month, left_out).await.map(Some);
    }
    let sums = sums_of(&drafts.papers);
    if form.sure == "yes" && form.seen == sums {
        return Ok(None);
    }
    let mut consequences = vec![
        format!("{sums} for {} become final: figures, names and prices in them never change again.", form.month),
        "Each invoice takes the next number of its seller and is posted to the seller's books.".to_owned(),
    ];
    if form.sure == "yes" {
        consequences.insert(0, format!("The figures have changed since you looked: it was {}.", form.seen));
    }
    if !drafts.kept.is_empty() {
        consequences.push(format!("{} issued before, left as they are.", counted(drafts.kept.len(), "paper")));
    }
    let missing = drafts.failed.iter().map(ToString::to_string).chain(drafts.unrated);
    consequences.extend(missing.map(|text| format!("On no paper: {text}")));
    let page = Confirm {
        page: Page::at(visitor, org, Menu::Papers, "Issue papers").await,
        heading: format!("Issue the papers of {}?", form.month),
        consequences,
        action: format!("/o/{}/papers", org.id),
        fields: vec![("month", form.month.clone()), ("action", "issue".to_owned()), ("seen", sums)],
        button: "Issue".to_owned(),
        back_href: format!("/o/{}/papers", org.id),
    };
    show_with(StatusCode::OK, &page).map(Some)
}

/// `2 invoices over 157.29 EUR and 3 statements`.
fn sums_of(papers: &[Listed]) -> String {
    let mut sums: BTreeMap<Currency, i64> = BTreeMap::new();
    for paper in papers.iter().filter(|paper| paper.kind == "invoice") {
        let sum = sums.entry(paper.currency).or_default();
        *sum = sum.saturating_add(paper.total_minor.0);
    }
    let money: Vec<String> = sums.iter().map(|(currency, sum)| units::money(AmountMinor(*sum), *currency)).collect();
    let invoices = papers.iter().filter(|paper| paper.kind == "invoice").count();
    let statements = counted(papers.len() - invoices, "statement");
    match invoices {
        0 => statements,
        _ => format!("{} over {} and {statements}", counted(invoices, "invoice"), money.join(" and ")),
    }
}

async fn close_month(visitor: &Visitor, org: &Org, form: &CloseForm) -> Result<Closed, Failure> {
    Period::month(&form.month, &org.zone).map_err(|error| Failure::unreadable("month", error))?;
    bills::close_month(&visitor.0.cx, org.id, &form.month, form.action == "issue").await
}

fn done_words(month: &str, made: usize, kept: usize) -> String {
    format!("{month}: {made} made, {kept} issued before and left as they are.")
}
