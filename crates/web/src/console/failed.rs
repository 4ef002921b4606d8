//! What went wrong, on a page with the navigation of whoever asked.

use super::frame::{Menu, Page, may, show_with};
use crate::Web;
use crate::auth::Visitor;
use crate::problem::Failed;
use access::Action;
use app::orgs;
use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use base::OrgId;

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage {
    page: Page,
    text: String,
}

/// The page for a request that failed. Nothing in it depends on whether what was asked for exists.
pub(crate) async fn failed_page(web: &Web, mut asked: Parts, status: StatusCode, failed: Failed) -> Response {
    let path = asked.uri.path().to_owned();
    let page = match Visitor::from_request_parts(&mut asked, web).await {
        Ok(visitor) => page_around(&visitor, &path, failed.title).await,
        Err(_) => Page::bare(failed.title),
    };
    match show_with(status, &FailurePage { page, text: failed.text.clone() }) {
        Ok(response) => response,
        Err(_) => (status, failed.text).into_response(),
    }
}

/// At the organisation of the address, if the visitor may see it; else where they are at home.
async fn page_around(visitor: &Visitor, path: &str, title: &str) -> Page {
    let cx = &visitor.0.cx;
    let org =
        path.strip_prefix("/o/").and_then(|rest| rest.split('/').next()).and_then(|org| org.parse::<OrgId>().ok());
    if let Some(org) = org
        && may(cx, Action::OrgRead, org).await
        && let Ok(org) = orgs::get(cx, org).await
    {
        return Page::at(visitor, &org, Menu::Nowhere, title).await;
    }
    Page::own(visitor, title).await.unwrap_or_else(|_| Page::bare(title))
}
