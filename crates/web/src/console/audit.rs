//! The audit log: who did what, and whether the chain is sound.

use super::frame::{
    Answer, Empty, Menu, NavItem, Page, TREE_TABS, instant, name_of, org_names, org_of, show, tabs, user_names,
};
use crate::Web;
use crate::auth::Visitor;
use crate::problem::PageFailure;
use app::rows::{AuditEvent, AuditFilter, Org};
use app::{audit, orgs};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query};
use axum::routing::get;
use base::OrgId;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Entries on the page.
const ENTRIES_MAX: i64 = 500;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/o/{org}/audit", get(list))
}

struct EventRow {
    seq: i64,
    at: String,
    actor: String,
    org: String,
    action: String,
    target: String,
    detail: String,
}

#[derive(Template)]
#[template(path = "console/audit.html")]
struct AuditPage {
    page: Page,
    tabs: Vec<NavItem>,
    /// What the check of the whole chain found; empty below the root.
    chain: String,
    chain_broken: bool,
    filter: String,
    rows: Vec<EventRow>,
    empty: Empty,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct AuditQuery {
    q: String,
}

async fn list(visitor: Visitor, Path(org): Path<String>, Query(query): Query<AuditQuery>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    let cx = &visitor.0.cx;
    let events = audit::list(cx, org.id, 0, &AuditFilter::default(), ENTRIES_MAX).await?;
    let names = org_names(&orgs::subtree(cx, org.id).await?);
    let users = user_names(&visitor, org.id).await;
    let (chain, chain_broken) = chain(&visitor, &org).await?;
    let mut rows: Vec<EventRow> = events.iter().map(|event| row(event, &users, &names)).collect();
    let filter = query.q.trim().to_lowercase();
    rows.retain(|row| matches(row, &filter));
    let empty = if filter.is_empty() {
        Empty::nothing_yet("Acts at this organisation and below are written here.", "", "")
    } else {
        Empty::nothing_matches(&format!("{:?}", query.q.trim()), format!("/o/{}/audit", org.id))
    };
    show(&AuditPage {
        page: Page::at(&visitor, &org, Menu::Tree, "Audit log").await,
        tabs: tabs(cx, org.id, TREE_TABS, "audit").await,
        chain,
        chain_broken,
        filter: query.q,
        rows,
        empty,
    })
}

/// The chain runs through the whole realm: it is checked where the whole of it may be read.
async fn chain(visitor: &Visitor, org: &Org) -> Result<(String, bool), PageFailure> {
    if org.parent.is_some() {
        return Ok((String::new(), false));
    }
    Ok(match audit::verify(&visitor.0.cx).await? {
        Ok(count) => (format!("The chain of all {count} entries is sound."), false),
        Err(seq) => (format!("The chain is broken at entry {seq}: it, or one before it, was changed."), true),
    })
}

fn row(event: &AuditEvent, users: &BTreeMap<String, String>, names: &BTreeMap<OrgId, String>) -> EventRow {
    EventRow {
        seq: event.seq,
        at: instant(event.at_us),
        actor: name_of(users, &event.actor),
        org: names.get(&event.org).cloned().unwrap_or_else(|| event.org.to_string()),
        action: event.action.clone(),
        target: event.target.clone(),
        detail: event.detail_json.clone(),
    }
}

/// Whether a part of the entry holds the filter's text. The filter is in lower case.
fn matches(row: &EventRow, filter: &str) -> bool {
    let parts = [&row.actor, &row.org, &row.action, &row.target, &row.detail];
    parts.iter().any(|part| part.to_lowercase().contains(filter))
}
