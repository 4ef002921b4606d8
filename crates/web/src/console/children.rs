//! The children of an organisation with their figures, a page at a time, and their suspension.

use super::fields::query_value;
use super::frame::{Answer, Empty, Menu, NavItem, Page, Says, TREE_TABS, go, may, mendable, org_of, show_with, tabs};
use crate::Web;
use crate::auth::Visitor;
use access::Action;
use access::tree::{GatewayRule, OrgState};
use app::rows::{Child, Org};
use app::{Failure, org_life, orgs};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query};
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::Deserialize;

/// Children on a page.
const PAGE: usize = 100;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/o/{org}/children", get(list))
        .route("/o/{org}/children/{child}/suspend", post(suspend))
        .route("/o/{org}/children/{child}/resume", post(resume))
}

struct ChildRow {
    name: String,
    slug: String,
    level: usize,
    /// Where one acts inside it; empty when the visitor may not look in.
    href: String,
    settings_href: String,
    people_href: String,
    children_href: String,
    kind: String,
    accounts: i64,
    users: i64,
    children: i64,
    state: &'static str,
    active: bool,
    cost_default: &'static str,
    /// Where it is suspended or resumed; empty when the visitor may do neither.
    act_href: String,
}

#[derive(Template)]
#[template(path = "console/children.html")]
struct ChildrenPage {
    page: Page,
    tabs: Vec<NavItem>,
    says: Says,
    /// Name and address of the parent, if the visitor may see it.
    parent: Option<(String, String)>,
    rows: Vec<ChildRow>,
    next_href: String,
    /// Whether the page begins behind the first child.
    is_later: bool,
    /// Where a child is made; empty when the visitor may not.
    create_href: String,
    own_href: String,
    empty: Empty,
}

/// Name and id of the last child of the page before.
#[derive(Deserialize, Default)]
#[serde(default)]
struct After {
    name: String,
    id: String,
}

async fn list(visitor: Visitor, Path(org): Path<String>, Query(after): Query<After>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    children_page(&visitor, &org, StatusCode::OK, Says::default(), &after).await
}

async fn children_page(visitor: &Visitor, org: &Org, status: StatusCode, says: Says, after: &After) -> Answer {
    let cx = &visitor.0.cx;
    let mut found = orgs::children(cx, org.id, (&after.name, &after.id), PAGE as i64 + 1).await?;
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    let may_act = (may(cx, Action::OrgSuspend, org.id).await, cx.may_below(Action::OrgRead, org.id).await);
    let level = orgs::depth(cx, org.id).await? + 1;
    let mut rows = Vec::new();
    for child in &found {
        let looks_in = may_act.1 || may(cx, Action::OrgRead, child.org.id).await;
        rows.push(row(org, child, level, (may_act.0, looks_in)));
    }
    let next = found.last().filter(|_| more).map(|child| next_href(org, &child.org));
    let parent = orgs::visible_parent(cx, org).await?;
    let creates = may(cx, Action::OrgCreateChild, org.id).await;
    let create_href = if creates { format!("/o/{}/children/new", org.id) } else { String::new() };
    let page = ChildrenPage {
        page: Page::at(visitor, org, Menu::Tree, "Children").await,
        tabs: tabs(cx, org.id, TREE_TABS, "children").await,
        says,
        parent: parent.map(|parent| (parent.name, format!("/o/{}/children", parent.id))),
        rows,
        next_href: next.unwrap_or_default(),
        is_later: !after.id.is_empty(),
        own_href: format!("/o/{}/children", org.id),
        empty: Empty::nothing_yet("No organisation is below this one.", create_href.clone(), "Create one"),
        create_href,
    };
    show_with(status, &page)
}

fn next_href(org: &Org, last: &Org) -> String {
    format!("/o/{}/children?name={}&id={}", org.id, query_value(&last.name), last.id)
}

fn row(org: &Org, child: &Child, level: usize, (suspends, looks_in): (bool, bool)) -> ChildRow {
    let id = child.org.id;
    let inside = |page: &str| if looks_in { format!("/o/{id}/{page}") } else { String::new() };
    let act = match child.org.state {
        OrgState::Active if suspends => "suspend",
        OrgState::Suspended if suspends => "resume",
        _ => "",
    };
    ChildRow {
        name: child.org.name.clone(),
        slug: child.org.slug.clone(),
        level,
        href: inside("overview"),
        settings_href: inside("settings"),
        people_href: inside("people"),
        children_href: inside("children"),
        kind: child.org.kind.clone(),
        accounts: child.accounts,
        users: child.users,
        children: child.children,
        state: child.org.state.code(),
        active: child.org.state == OrgState::Active,
        cost_default: child.org.settings.cost_default.code(),
        act_href: if act.is_empty() { String::new() } else { format!("/o/{}/children/{id}/{act}", org.id) },
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ActForm {
    csrf: String,
    gateway: String,
}

async fn suspend(visitor: Visitor, Path((org, child)): Path<(String, String)>, Form(form): Form<ActForm>) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let (org, child) = (org_of(&visitor, &org).await?, org_of(&visitor, &child).await?);
    let done = match GatewayRule::from_code(&form.gateway) {
        Some(rule) => org_life::suspend(&visitor.0.cx, child.id, rule).await,
        None => Err(Failure::invalid("gateway", &form.gateway, "is not one of deny, read_only, continue")),
    };
    after_act(&visitor, &org, done).await
}

async fn resume(visitor: Visitor, Path((org, child)): Path<(String, String)>, Form(form): Form<ActForm>) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let (org, child) = (org_of(&visitor, &org).await?, org_of(&visitor, &child).await?);
    let done = org_life::resume(&visitor.0.cx, child.id).await;
    after_act(&visitor, &org, done).await
}

async fn after_act(visitor: &Visitor, org: &Org, done: Result<Org, Failure>) -> Answer {
    match done {
        Ok(_) => go(&format!("/o/{}/children", org.id)),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            children_page(visitor, org, status, says, &After::default()).await
        }
    }
}
