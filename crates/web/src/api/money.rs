//! Prices, the close of a month, papers and the ledger.

use super::bodies::{CloseMonth, NewPrices};
use super::figures::{Balance, Closed, PaperRow, Prices, Trace};
use super::idempotent::Change;
use super::models::List;
use super::request::{Answer, Asked, ListAsked, Refused, id, page, parsed};
use crate::auth::Caller;
use app::{bills, prices, trace};
use axum::Json;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base::{Currency, InvoiceId, OrgId};
use serde::Deserialize;

/// Records of a page when the caller names no limit.
const RECORDS_DEFAULT: usize = 100;

/// Lists all versions of what an organisation pays its parent, newest first.
#[utoipa::path(get, path = "/v1/orgs/{org}/prices", params(ListAsked), responses((status = 200, body = List<Prices>)))]
pub(super) async fn list_prices(
    Caller(me): Caller,
    Path(org): Path<String>,
    Asked(asked): Asked<ListAsked>,
) -> Answer<List<Prices>> {
    let rows = prices::history(&me.cx, id(&org, "organisation")?).await?.into_iter().map(Prices::from).collect();
    Ok(Json(page(rows, &asked, |version| version.id.clone())?))
}

/// Sets what an organisation pays its parent, from the beginning of a month on.
#[utoipa::path(
    put,
    path = "/v1/orgs/{org}/prices",
    request_body = NewPrices,
    responses((status = 200, body = Prices))
)]
pub(super) async fn set_prices(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let buyer: OrgId = id(&org, "organisation")?;
    let body: NewPrices = change.json()?;
    let book = prices::parse_book(&body.book.to_string())?;
    let work = async { Ok(Prices::from(prices::set(change.cx(), buyer, &body.month, book).await?)) };
    change.once(StatusCode::OK, work).await
}

/// Rates a month below an organisation and drafts, or issues, its papers.
///
/// Drafts can be made again at any time; issuing waits until the month is over. An Idempotency-Key is
/// required.
#[utoipa::path(
    post,
    path = "/v1/orgs/{org}/close",
    request_body = CloseMonth,
    responses((status = 200, body = Closed))
)]
pub(super) async fn close_month(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    change.require_key()?;
    let seller: OrgId = id(&org, "organisation")?;
    let body: CloseMonth = change.json()?;
    let work = async { Ok(Closed::from(bills::close_month(change.cx(), seller, &body.month, body.issue).await?)) };
    change.once(StatusCode::OK, work).await
}

/// Lists the papers to an organisation and everything below it.
#[utoipa::path(
    get,
    path = "/v1/orgs/{org}/papers",
    params(ListAsked),
    responses((status = 200, body = List<PaperRow>))
)]
pub(super) async fn list_papers(
    Caller(me): Caller,
    Path(org): Path<String>,
    Asked(asked): Asked<ListAsked>,
) -> Answer<List<PaperRow>> {
    let rows = bills::list(&me.cx, id(&org, "organisation")?).await?.into_iter().map(PaperRow::from).collect();
    Ok(Json(page(rows, &asked, |paper| paper.id.clone())?))
}

fn file(content_type: &str, name: &str, body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    (headers, body).into_response()
}

/// Gives a paper as it is printed.
#[utoipa::path(
    get,
    path = "/v1/papers/{id}",
    responses((status = 200, description = "The paper.", body = serde_json::Value))
)]
pub(super) async fn get_paper(Caller(me): Caller, Path(paper): Path<String>) -> Result<Response, Refused> {
    let paper = bills::paper(&me.cx, id(&paper, "paper")?).await?;
    let mut text = serde_json::to_string_pretty(&paper)?;
    text.push('\n');
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// Gives a paper as PDF.
#[utoipa::path(
    get,
    path = "/v1/papers/{id}/pdf",
    responses((status = 200, description = "The PDF.", body = Vec<u8>, content_type = "application/pdf"))
)]
pub(super) async fn get_paper_pdf(Caller(me): Caller, Path(paper): Path<String>) -> Result<Response, Refused> {
    let paper: InvoiceId = id(&paper, "paper")?;
    let bytes = bills::pdf(&me.cx, paper).await?;
    Ok(file("application/pdf", &format!("{paper}.pdf"), Body::from(bytes)))
}

/// Gives the lines of a paper as CSV.
#[utoipa::path(
    get,
    path = "/v1/papers/{id}/csv",
    responses((status = 200, description = "The CSV.", body = String, content_type = "text/csv"))
)]
pub(super) async fn get_paper_csv(Caller(me): Caller, Path(paper): Path<String>) -> Result<Response, Refused> {
    let paper: InvoiceId = id(&paper, "paper")?;
    let text = bills::csv(&me.cx, paper).await?;
    Ok(file("text/csv; charset=utf-8", &format!("{paper}.csv"), Body::from(text)))
}

/// Which records of a line.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordsAsked {
    /// `next.after_us` of the page before.
    after_us: Option<i64>,
    /// `next.after_id` of the page before.
    after_id: Option<String>,
    /// Records of a page: 100 if left out, 1,000 at most.
    limit: Option<usize>,
}

/// Lists the usage records that make a line of a paper.
#[utoipa::path(
    get,
    path = "/v1/papers/{id}/lines/{no}/records",
    params(RecordsAsked),
    responses((status = 200, body = Trace))
)]
pub(super) async fn list_records(
    Caller(me): Caller,
    Path((paper, no)): Path<(String, String)>,
    Asked(asked): Asked<RecordsAsked>,
) -> Answer<Trace> {
    let paper: InvoiceId = id(&paper, "paper")?;
    let no: u32 = id(&no, "line")?;
    let after = match (asked.after_us, asked.after_id) {
        (Some(after_us), Some(after_id)) => Some((after_us, after_id)),
        (None, None) => None,
        _ => return Err(Refused::malformed("after_us", "after_us and after_id go together")),
    };
    let (listed, _) = bills::get(&me.cx, paper).await?;
    let trace = trace::trace(&me.cx, paper, no, after, asked.limit.unwrap_or(RECORDS_DEFAULT)).await?;
    Ok(Json(Trace::new(trace, listed.currency)))
}

/// Lists the balances of the books of an organisation; they add up to zero in each currency.
#[utoipa::path(
    get,
    path = "/v1/orgs/{org}/ledger",
    params(ListAsked),
    responses((status = 200, body = List<Balance>))
)]
pub(super) async fn list_balances(
    Caller(me): Caller,
    Path(org): Path<String>,
    Asked(asked): Asked<ListAsked>,
) -> Answer<List<Balance>> {
    let mut rows = Vec::new();
    for (currency, account, amount) in bills::balances(&me.cx, id(&org, "organisation")?).await? {
        let currency: Currency = parsed("currency", &currency)?;
        rows.push(Balance::new(account, amount, currency));
    }
    Ok(Json(page(rows, &asked, |row| format!("{} {}", row.balance.currency, row.account))?))
}
