//! What a change of rights would do, before it is done: a form sent with `?preview=yes` goes its usual way up to the commit,
//! and instead of the page after it comes who would gain and lose what, with the form to send for good.

use super::fields::Fields;
use super::frame::{Answer, Menu, Page, parse, show};
use crate::Web;
use crate::auth::Visitor;
use crate::problem::PageFailure;
use access::Action;
use app::preview::{self, Difference, Tried};
use app::{Failure, Kind, orgs};
use askama::Template;
use axum::body::{Body, to_bytes};
use axum::extract::{Form, FromRequest, FromRequestParts, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base::OrgId;

/// A form of rights is short.
const BYTES_MAX: usize = 256 << 10;

/// The pages whose forms change rights, and hold no secret that would have to be sent again.
const PAGES: [&str; 7] = ["people", "groups", "policies", "settings", "suspend", "resume", "unattached"];

struct Row {
    name: String,
    org: String,
    reach: &'static str,
    gains: Vec<&'static str>,
    loses: Vec<&'static str>,
}

#[derive(Template)]
#[template(path = "console/preview.html")]
struct PreviewPage {
    page: Page,
    rows: Vec<Row>,
    is_complete: bool,
    action: String,
    fields: Vec<(String, String)>,
    back_href: String,
}

/// Answers a form that is only to be tried.
pub(crate) async fn tried(State(web): State<Web>, request: Request, next: Next) -> Response {
    if !is_meant(&request) {
        return next.run(request).await;
    }
    match answer(&web, request, next).await {
        Ok(response) => response,
        Err(failure) => failure.into_response(),
    }
}

fn is_meant(request: &Request) -> bool {
    let mut parts = request.uri().path().split('/').skip(1);
    let is_of_rights = parts.next() == Some("o") && parts.nth(1).is_some_and(|page| PAGES.contains(&page));
    request.method() == Method::POST && is_of_rights && request.uri().query() == Some("preview=yes")
}

async fn answer(web: &Web, request: Request, next: Next) -> Answer {
    let (mut parts, body) = request.into_parts();
    let unreadable = || PageFailure(Failure::new(Kind::Invalid, "this form cannot be read"));
    let sent = to_bytes(body, BYTES_MAX).await.map_err(|_| unreadable())?;
    let again = Request::from_parts(parts.clone(), Body::from(sent.clone()));
    let Form(fields) = Form::<Fields>::from_request(again, web).await.map_err(|_| unreadable())?;
    let mut visitor = Visitor::from_request_parts(&mut parts, web).await?;
    visitor.0.cx = visitor.0.cx.previewing();
    parts.extensions.insert(visitor.0.cx.preview.clone());
    let (path, back_href) = (parts.uri.path().to_owned(), back_of(&parts.headers));
    let response = next.run(Request::from_parts(parts, Body::from(sent))).await;
    // Refused, or asked for a proof first: as the act itself would be.
    let Some(tried) = preview::of(&visitor.0.cx).await? else { return Ok(response) };
    page(&visitor, tried, path, &fields, back_href).await
}

async fn page(visitor: &Visitor, tried: Tried, action: String, fields: &Fields, back_href: String) -> Answer {
    let org: OrgId = parse(action.split('/').nth(2).unwrap_or_default(), "organisation")?;
    let org = orgs::get(&visitor.0.cx, org).await?;
    show(&PreviewPage {
        page: Page::at(visitor, &org, Menu::People, "What would change").await,
        rows: tried.changes.into_iter().map(row).collect(),
        is_complete: tried.is_complete,
        action,
        fields: fields.pairs().filter(|(name, _)| *name != "csrf").map(owned).collect(),
        back_href,
    })
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn row(found: Difference) -> Row {
    Row {
        name: found.name,
        org: found.org_name,
        reach: match found.reach {
            "self" => "there only",
            "below" => "at what lies below it",
            _ => "there and below",
        },
        gains: words(&found.gains),
        loses: words(&found.loses),
    }
}

fn words(codes: &[&str]) -> Vec<&'static str> {
    codes.iter().filter_map(|code| Action::from_code(code)).map(|action| action.words().trim_end_matches('.')).collect()
}

/// The page that the form was on, if it says so and is one of ours.
fn back_of(headers: &HeaderMap) -> String {
    let from = headers.get(header::REFERER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let path = from.splitn(4, '/').nth(3).map(|path| format!("/{path}")).unwrap_or_default();
    if path.starts_with("/o/") { path } else { "/".to_owned() }
}
