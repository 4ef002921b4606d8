//! The children of an organisation with their figures, a page at a time, and the way into each.

use super::fields::query_value;
use super::frame::{Answer, Empty, Menu, NavItem, Page, TREE_TABS, may, org_of, show, state_words, tabs};
use crate::Web;
use crate::auth::Visitor;
use access::Action;
use access::tree::OrgState;
use app::orgs;
use app::rows::{Child, ChildrenAsked, Org};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query};
use axum::routing::get;
use serde::Deserialize;

/// Children on a page.
const PAGE: usize = 100;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/o/{org}/children", get(list))
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
    /// `Suspend`, `Resume`, or empty when the visitor may do neither.
    act: &'static str,
}

#[derive(Template)]
#[template(path = "console/children.html")]
struct ChildrenPage {
    page: Page,
    tabs: Vec<NavItem>,
    /// Name and address of the parent, if the visitor may see it.
    parent: Option<(String, String)>,
    rows: Vec<ChildRow>,
    next_href: String,
    /// Whether the page begins behind the first child.
    is_later: bool,
    /// Where a child is made; empty when the visitor may not.
    create_href: String,
    own_href: String,
    first_href: String,
    search: String,
    /// Whether there is so much, or so little left, that a search field helps.
    searchable: bool,
    empty: Empty,
}

/// Name and id of the last child of the page before.
#[derive(Deserialize, Default)]
#[serde(default)]
struct After {
    name: String,
    id: String,
    /// Part of a name.
    q: String,
}

async fn list(visitor: Visitor, Path(org): Path<String>, Query(after): Query<After>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    let cx = &visitor.0.cx;
    let asked = ChildrenAsked { after: (&after.name, &after.id), search: &after.q, limit: PAGE as i64 + 1 };
    let mut found = orgs::children(cx, org.id, asked).await?;
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    let may_act = (may(cx, Action::OrgSuspend, org.id).await, cx.may_below(Action::OrgRead, org.id).await);
    let level = orgs::depth(cx, org.id).await? + 1;
    let mut rows = Vec::new();
    for child in &found {
        let looks_in = may_act.1 || may(cx, Action::OrgRead, child.org.id).await;
        rows.push(row(child, level, (may_act.0, looks_in)));
    }
    let next = found.last().filter(|_| more).map(|child| next_href(&org, &child.org, &after.q));
    let parent = orgs::visible_parent(cx, &org).await?;
    let creates = may(cx, Action::OrgCreateChild, org.id).await;
    let create_href = if creates { format!("/o/{}/children/new", org.id) } else { String::new() };
    let page = ChildrenPage {
        page: Page::at(&visitor, &org, Menu::Tree, "Children").await,
        tabs: tabs(cx, org.id, TREE_TABS, "children").await,
        parent: parent.map(|parent| (parent.name, format!("/o/{}/children", parent.id))),
        rows,
        next_href: next.unwrap_or_default(),
        is_later: !after.id.is_empty(),
        first_href: format!("/o/{}/children?q={}", org.id, query_value(&after.q)),
        own_href: format!("/o/{}/children", org.id),
        searchable: more || !after.id.is_empty() || !after.q.is_empty(),
        search: after.q,
        empty: Empty::nothing_yet("No organisation is below this one.", create_href.clone(), "Create one"),
        create_href,
    };
    show(&page)
}

fn next_href(org: &Org, last: &Org, search: &str) -> String {
    format!("/o/{}/children?name={}&id={}&q={}", org.id, query_value(&last.name), last.id, query_value(search))
}

fn row(child: &Child, level: usize, (suspends, looks_in): (bool, bool)) -> ChildRow {
    let id = child.org.id;
    let inside = |page: &str| if looks_in { format!("/o/{id}/{page}") } else { String::new() };
    let act = match child.org.state {
        OrgState::Active if suspends && looks_in => "Suspend",
        OrgState::Suspended if suspends && looks_in => "Resume",
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
        state: state_words(child.org.state),
        active: child.org.state == OrgState::Active,
        cost_default: child.org.settings.cost_default.code(),
        act,
    }
}
