//! Cloud connections: which external account belongs to which organisation, now and before.

use super::fields::{Fields, day};
use super::frame::{
    Answer, Choice, Empty, Menu, NavItem, Page, STORAGE_TABS, Says, choices, go, may, mendable, org_names, org_of,
    parse, show_with, tabs,
};
use super::listing::Listing;
use super::org_field::{self, OrgSuggestion};
use crate::Web;
use crate::auth::Visitor;
use access::Action;
use app::cloud_links::{self, NewLink};
use app::rows::{CloudLink, Org};
use app::{Failure, orgs};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query};
use axum::http::StatusCode;
use axum::routing::{get, post};
use base::{CloudLinkId, OrgId, Period, Zone};
use std::collections::BTreeMap;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/o/{org}/cloud", get(list).post(connect))
        .route("/o/{org}/cloud/{link}/hand-over", post(hand_over))
        .route("/o/{org}/cloud/{link}/end", post(end))
}

const PROVIDERS: [(&str, &str); 6] = [
    ("s3", "S3"),
    ("cloudstack", "CloudStack"),
    ("aws", "AWS"),
    ("azure", "Azure"),
    ("gcp", "Google Cloud"),
    ("other", "another one"),
];

struct LinkRow {
    name: String,
    provider: String,
    account: String,
    org: String,
    from: String,
    to: String,
    /// `planned`, `connected` or `past`.
    state: &'static str,
    /// Where it is handed over or ended; empty when that is over, or not the visitor's to do.
    href: String,
}

#[derive(Template)]
#[template(path = "console/cloud.html")]
struct CloudPage {
    page: Page,
    tabs: Vec<NavItem>,
    says: Says,
    rows: Vec<LinkRow>,
    listing: Listing,
    empty: Empty,
    /// Whether the visitor may connect here.
    writes: bool,
    base: String,
    providers: Vec<Choice>,
    targets: Vec<OrgSuggestion>,
    next_month: String,
    zone: String,
    entry: Fields,
}

async fn list(visitor: Visitor, Path(org): Path<String>, Query(query): Query<Fields>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    list_page(&visitor, &org, StatusCode::OK, Says::default(), query).await
}

async fn list_page(visitor: &Visitor, org: &Org, status: StatusCode, says: Says, entry: Fields) -> Answer {
    let cx = &visitor.0.cx;
    let mut found = cloud_links::list(cx, org.id).await?;
    let tree = orgs::subtree(cx, org.id).await?;
    let names = org_names(&tree);
    let base = format!("/o/{}/cloud", org.id);
    let text = |link: &CloudLink| {
        let org = names.get(&link.org).map(String::as_str).unwrap_or_default();
        format!("{} {} {} {org}", link.name, link.provider, link.external_account)
    };
    let listing = Listing::cut(&mut found, &entry, &base, text);
    let writes = may(cx, Action::SourceWrite, org.id).await;
    let mut rows = Vec::new();
    for link in &found {
        let acts = writes || may(cx, Action::SourceWrite, link.org).await;
        rows.push(row(link, &names, (cx.now_us(), &org.zone), if acts { &base } else { "" }));
    }
    let next_us = Period::month_of(cx.now_us(), &org.zone)?.end_us;
    let page = CloudPage {
        page: Page::at(visitor, org, Menu::Sources, "Cloud connections").await,
        tabs: tabs(cx, org.id, STORAGE_TABS, "cloud").await,
        says,
        rows,
        listing,
        empty: Empty::nothing_yet("No cloud account belongs here or below.", "", ""),
        writes,
        base,
        providers: choices(&PROVIDERS, entry.get("provider")),
        targets: org_field::suggestions(&tree),
        next_month: Period::month_of(next_us, &org.zone)?.month_name(&org.zone),
        zone: org.zone.name().to_owned(),
        entry,
    };
    show_with(status, &page)
}

fn row(link: &CloudLink, names: &BTreeMap<OrgId, String>, (now_us, zone): (i64, &Zone), base: &str) -> LinkRow {
    let state = match link.to_us {
        Some(to_us) if to_us <= now_us => "past",
        _ if link.from_us > now_us => "planned",
        _ => "connected",
    };
    let provider = PROVIDERS.iter().find(|(word, _)| *word == link.provider);
    LinkRow {
        name: link.name.clone(),
        provider: provider.map_or_else(|| link.provider.clone(), |(_, words)| (*words).to_owned()),
        account: link.external_account.clone(),
        org: names.get(&link.org).cloned().unwrap_or_else(|| link.org.to_string()),
        from: zone.time_of(link.from_us),
        to: link.to_us.map(|at_us| zone.time_of(at_us)).unwrap_or_default(),
        state,
        href: if base.is_empty() || state == "past" { String::new() } else { format!("{base}/{}", link.id) },
    }
}

async fn after(visitor: &Visitor, org: &Org, result: Result<(), Failure>, fields: Fields) -> Answer {
    match result {
        Ok(()) => go(&format!("/o/{}/cloud", org.id)),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            list_page(visitor, org, status, says, fields).await
        }
    }
}

async fn connect(visitor: Visitor, Path(org): Path<String>, Form(fields): Form<Fields>) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    let result = link(&visitor, &org, &fields).await;
    after(&visitor, &org, result, fields).await
}

async fn link(visitor: &Visitor, org: &Org, fields: &Fields) -> Result<(), Failure> {
    let from_us = match fields.get("from").trim() {
        "" => None,
        text => Some(day("from", text, &org.zone)?.start_us),
    };
    let new = NewLink {
        provider: fields.get("provider").to_owned(),
        external_account: fields.get("external_account").to_owned(),
        name: fields.get("name").to_owned(),
        from_us,
    };
    cloud_links::link(&visitor.0.cx, org.id, new).await.map(|_| ())
}

async fn hand_over(visitor: Visitor, Path((org, link)): Path<(String, String)>, Form(fields): Form<Fields>) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    let link: CloudLinkId = parse(&link, "cloud connection")?;
    let month = Some(fields.get("month").trim()).filter(|month| !month.is_empty());
    let cx = &visitor.0.cx;
    let result = match org_field::org(&orgs::subtree(cx, org.id).await?, "to", fields.get("to")) {
        Ok(to) => cloud_links::hand_over(cx, link, to, month).await.map(|_| ()),
        Err(failure) => Err(failure),
    };
    after(&visitor, &org, result, Fields::default()).await
}

async fn end(visitor: Visitor, Path((org, link)): Path<(String, String)>, Form(fields): Form<Fields>) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    let link: CloudLinkId = parse(&link, "cloud connection")?;
    let result = cloud_links::unlink(&visitor.0.cx, link).await;
    after(&visitor, &org, result, Fields::default()).await
}
