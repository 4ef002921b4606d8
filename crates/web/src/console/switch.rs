//! Another organisation: all that the visitor may see, with a search, and their favourites among them.

use super::fields::{Fields, query_value};
use super::frame::{Answer, Page, go, parse, path_words, show};
use super::listing::Listing;
use crate::Web;
use crate::auth::Visitor;
use access::Action;
use app::orgs;
use app::rows::Org;
use askama::Template;
use axum::Router;
use axum::extract::{Form, Query};
use axum::routing::{get, post};
use base::OrgId;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn router() -> Router<Web> {
    Router::new().route("/switch", get(list)).route("/switch/favourite", post(mark))
}

struct PlaceRow {
    id: String,
    name: String,
    href: String,
    kind: String,
    /// Names of what lies above it, as far as the visitor may know.
    path: String,
    is_favourite: bool,
}

#[derive(Template)]
#[template(path = "console/switch.html")]
struct SwitchPage {
    page: Page,
    rows: Vec<PlaceRow>,
    listing: Listing,
}

async fn list(visitor: Visitor, Query(query): Query<Fields>) -> Answer {
    let cx = &visitor.0.cx;
    let seen = orgs::reached_rows(cx, Action::OrgRead).await?;
    let marked: BTreeSet<OrgId> = orgs::favourites(cx).await?.into_iter().map(|org| org.id).collect();
    let names: BTreeMap<OrgId, &Org> = seen.iter().map(|org| (org.id, org)).collect();
    let mut found: Vec<&Org> = seen.iter().collect();
    found.sort_by_key(|org| (!marked.contains(&org.id), org.name.to_lowercase(), org.id));
    let text = |org: &&Org| format!("{} {} {}", org.name, org.slug, org.id);
    let listing = Listing::cut(&mut found, &query, "/switch", text);
    let mut rows = Vec::new();
    for org in found {
        // What the sets of the decision do not know, a guard-rail for one, the decision itself does.
        if cx.may(Action::OrgRead, org.id).await {
            rows.push(row(org, &names, marked.contains(&org.id)));
        }
    }
    show(&SwitchPage { page: Page::own(&visitor, "Switch organisation").await?, rows, listing })
}

fn row(org: &Org, names: &BTreeMap<OrgId, &Org>, is_favourite: bool) -> PlaceRow {
    PlaceRow {
        id: org.id.to_string(),
        name: org.name.clone(),
        href: format!("/o/{}/overview", org.id),
        kind: org.kind.clone(),
        path: path_words(names, org.id),
        is_favourite,
    }
}

async fn mark(visitor: Visitor, Form(fields): Form<Fields>) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org: OrgId = parse(fields.get("org"), "organisation")?;
    orgs::set_favourite(&visitor.0.cx, org, fields.get("favourite") != "no").await?;
    go(&format!("/switch?q={}", query_value(fields.get("q"))))
}
