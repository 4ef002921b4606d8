//! The audit log: who did what from where, whether it was allowed, what changed, and whether the chain is
//! sound; and the same as a file.

use super::audit_entry::{Entry, Namer, entry, shown_path};
use super::fields::{Fields, day, query_value};
use super::frame::{
    Answer, Choice, Empty, Menu, NavItem, Page, Says, TREE_TABS, choices, may, mendable, org_of, show_with, tabs,
    user_names,
};
use super::person_field::{Suggestion, person, suggestions};
use crate::Web;
use crate::auth::Visitor;
use crate::problem::PageFailure;
use access::Action;
use app::rows::{AuditEvent, AuditFilter, Org};
use app::{Failure, audit, orgs};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use base::OrgId;

/// Entries on a page.
const PAGE: usize = 100;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/o/{org}/audit", get(list)).route("/o/{org}/audit/export/{form}", post(export))
}

const OUTCOMES: [(&str, &str); 3] = [("", "any outcome"), ("allow", "done"), ("deny", "refused")];

#[derive(Template)]
#[template(path = "console/audit.html")]
struct AuditPage {
    page: Page,
    tabs: Vec<NavItem>,
    says: Says,
    /// What the check of the whole chain found; empty below the root, and until it is asked for.
    chain: String,
    chain_broken: bool,
    /// Where it is checked; empty below the root.
    chain_href: String,
    base: String,
    query: Fields,
    suggestions: Vec<Suggestion>,
    zone: String,
    outcomes: Vec<Choice>,
    is_filtered: bool,
    rows: Vec<Entry>,
    next_href: String,
    first_href: String,
    /// Whether the visitor may take the log along; then where.
    exports: bool,
    filter_query: String,
    empty: Empty,
}

/// Those who act without being a person.
const OTHERS: [&str; 2] = ["system", "operator"];

/// The filter of an address.
async fn filter(visitor: &Visitor, org: &Org, query: &Fields) -> Result<AuditFilter, Failure> {
    let since_us = match query.get("since") {
        "" => 0,
        text => day("since", text, &org.zone)?.start_us,
    };
    let text = |name: &str| query.get(name).trim().to_owned();
    let actor = match text("actor") {
        named if named.is_empty() || OTHERS.contains(&named.as_str()) => named,
        named => person(visitor, org.id, "actor", &named).await?.to_string(),
    };
    Ok(AuditFilter { action: text("action"), actor, target: text("target"), outcome: text("outcome"), since_us })
}

const FILTERS: [&str; 5] = ["action", "actor", "target", "outcome", "since"];

/// The filter as it stands in an address.
fn filter_query(query: &Fields) -> String {
    let set = FILTERS.iter().filter(|name| !query.get(name).is_empty());
    set.map(|name| format!("{name}={}", query_value(query.get(name)))).collect::<Vec<_>>().join("&")
}

async fn list(visitor: Visitor, Path(org): Path<String>, Query(query): Query<Fields>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    let cx = &visitor.0.cx;
    let before: i64 = query.get("before").parse().unwrap_or_default();
    let (status, says, wanted) = match filter(&visitor, &org, &query).await {
        Ok(wanted) => (StatusCode::OK, Says::default(), wanted),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            (status, says, AuditFilter::default())
        }
    };
    let mut events = audit::list(cx, org.id, before, &wanted, PAGE as i64 + 1).await?;
    let more = events.len() > PAGE;
    events.truncate(PAGE);
    let users = user_names(&visitor, org.id).await;
    let mut namer = Namer::new(org.id, users, orgs::names_among(cx, org.id, events.iter().flat_map(named)).await?);
    let mut rows = Vec::new();
    for event in &events {
        let actor = namer.actor(cx, &event.actor).await;
        rows.push(entry(event, actor, &namer, &org.zone));
    }
    let base = format!("/o/{}/audit", org.id);
    let filters = filter_query(&query);
    let address = |more: String| [base.clone(), [filters.clone(), more].join("&")].join("?");
    let next = events.last().filter(|_| more).map(|event| address(format!("before={}", event.seq)));
    let (chain, chain_broken) = chain(&visitor, &org, query.has("chain")).await?;
    let page = AuditPage {
        page: Page::at(&visitor, &org, Menu::Tree, "Audit log").await,
        tabs: tabs(cx, org.id, TREE_TABS, "audit").await,
        says,
        chain,
        chain_broken,
        chain_href: if org.parent.is_none() { format!("{base}?chain=check") } else { String::new() },
        suggestions: suggestions(&visitor, org.id).await,
        zone: org.zone.name().to_owned(),
        outcomes: choices(&OUTCOMES, query.get("outcome")),
        is_filtered: !filters.is_empty(),
        rows,
        next_href: next.unwrap_or_default(),
        first_href: if before > 0 { address(String::new()) } else { String::new() },
        exports: may(cx, Action::AuditExport, org.id).await,
        empty: match filters.is_empty() {
            true => Empty::nothing_yet("Acts at this organisation and below are written here.", "", ""),
            false => Empty::nothing_matches("the filter", base.clone()),
        },
        filter_query: filters,
        base,
        query,
    };
    show_with(status, &page)
}

/// The organisations that an entry names.
fn named(event: &AuditEvent) -> Vec<OrgId> {
    let ids = event.path.split('/').chain([event.target.as_str()]).filter_map(|id| id.parse().ok());
    ids.chain([event.org]).collect()
}

/// The chain runs through the whole realm: it is checked where the whole of it may be read, when that is asked for, since
/// every entry is read for it.
async fn chain(visitor: &Visitor, org: &Org, is_asked: bool) -> Result<(String, bool), PageFailure> {
    if org.parent.is_some() || !is_asked {
        return Ok((String::new(), false));
    }
    Ok(match audit::verify(&visitor.0.cx).await? {
        Ok(count) => (format!("The chain of all {count} entries is sound."), false),
        Err(seq) => (format!("The chain is broken at entry {seq}: it, or one before it, was changed."), true),
    })
}

/// The log as a file. Taking it along is written into it, so that it is no mere look.
async fn export(
    visitor: Visitor,
    Path((org, form)): Path<(String, String)>,
    Query(query): Query<Fields>,
    Form(fields): Form<Fields>,
) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    if !["csv", "jsonl"].contains(&form.as_str()) {
        return Err(PageFailure(Failure::not_found("file")));
    }
    let mut events = audit::export(&visitor.0.cx, org.id, &filter(&visitor, &org, &query).await?).await?;
    for event in &mut events {
        event.path = shown_path(&event.path, org.id).to_owned();
    }
    let (content_type, body) = match form.as_str() {
        "csv" => ("text/csv; charset=utf-8", audit::csv(&events)),
        _ => {
            let lines: Result<Vec<String>, _> = events.iter().map(serde_json::to_string).collect();
            ("application/x-ndjson", lines?.into_iter().map(|line| line + "\n").collect())
        }
    };
    let name = format!("attachment; filename=\"audit-{}.{form}\"", org.slug);
    Ok(([(header::CONTENT_TYPE, content_type.to_owned()), (header::CONTENT_DISPOSITION, name)], body).into_response())
}
