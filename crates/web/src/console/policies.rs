//! Policies: the built-in ones, those of the organisation, and the guard-rails on the way down to it.

use super::fields::Fields;
use super::frame::{
    Answer, Choice, Empty, Menu, NavItem, PEOPLE_TABS, Page, Says, go, may, mendable, org_of, parse, show_with, tabs,
};
use super::listing::Listing;
use crate::Web;
use crate::auth::Visitor;
use crate::problem::PageFailure;
use access::{Action, Builtin};
use app::rows::{Org, StoredPolicy};
use app::{Cx, Failure, orgs, policies};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query};
use axum::http::StatusCode;
use axum::routing::{get, post};
use base::{GuardRailId, OrgId, PolicyId};
use std::collections::BTreeMap;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/o/{org}/policies", get(list))
        .route("/o/{org}/policies/{policy}/delete", post(delete))
        .route("/o/{org}/policies/guards", post(lay))
        .route("/o/{org}/policies/guards/{guard}/lift", post(lift))
}

struct BuiltinRow {
    name: &'static str,
    sentence: &'static str,
    level: &'static str,
    reaches: String,
    actions: Vec<&'static str>,
}

struct CustomRow {
    name: String,
    href: String,
    owner: String,
    level: &'static str,
    version: i64,
    statements: usize,
    /// Where it is deleted; empty when it is not the visitor's.
    delete_href: String,
}

struct GuardRow {
    policy: String,
    laid_by: String,
    /// Where it is lifted; empty when it was laid above, or is not the visitor's to lift.
    lift_href: String,
}

#[derive(Template)]
#[template(path = "console/policies.html")]
struct PoliciesPage {
    page: Page,
    tabs: Vec<NavItem>,
    says: Says,
    builtin: Vec<BuiltinRow>,
    custom: Vec<CustomRow>,
    listing: Listing,
    empty: Empty,
    guards: Vec<GuardRow>,
    /// Where a policy is made; empty when the visitor may not.
    new_href: String,
    /// Whether the visitor may lay guard-rails.
    lays: bool,
    lay_href: String,
    layable: Vec<Choice>,
}

async fn list(visitor: Visitor, Path(org): Path<String>, Query(query): Query<Fields>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    list_page(&visitor, &org, StatusCode::OK, Says::default(), &query).await
}

/// Names of the organisations on the way that the visitor may see, and of this one.
pub(super) async fn place_names(cx: &Cx, org: &Org) -> BTreeMap<OrgId, String> {
    let above = orgs::visible_path(cx, org.id).await.unwrap_or_default();
    above.into_iter().map(|org| (org.id, org.name)).chain([(org.id, org.name.clone())]).collect()
}

/// The name of a place, as far as the visitor may know it.
pub(super) fn place_name(names: &BTreeMap<OrgId, String>, org: OrgId) -> String {
    names.get(&org).cloned().unwrap_or_else(|| "an organisation above".to_owned())
}

async fn list_page(visitor: &Visitor, org: &Org, status: StatusCode, says: Says, query: &Fields) -> Answer {
    let cx = &visitor.0.cx;
    let mut found = policies::list(cx, org.id).await?;
    let layable = found.iter().map(|policy| Choice::new(policy.id.to_string(), &policy.name, "")).collect();
    // One search for both lists: whoever looks for a policy wants to know where it lies as well.
    let listing = Listing::cut(&mut found, query, &format!("/o/{}/policies", org.id), |policy| policy.name.clone());
    let mut guards = policies::guards(cx, org.id).await?;
    guards.retain(|(.., policy)| policy.to_lowercase().contains(&listing.search.to_lowercase()));
    let names = place_names(cx, org).await;
    let (writes, lays) = (may(cx, Action::PolicyWrite, org.id).await, may(cx, Action::PolicyGuard, org.id).await);
    let new_href = if writes { format!("/o/{}/policies/new", org.id) } else { String::new() };
    let guard_row = |(laid_by, id, policy): (OrgId, GuardRailId, String)| GuardRow {
        policy,
        laid_by: place_name(&names, laid_by),
        lift_href: match lays && laid_by == org.id {
            true => format!("/o/{}/policies/guards/{id}/lift", org.id),
            false => String::new(),
        },
    };
    let page = PoliciesPage {
        page: Page::at(visitor, org, Menu::People, "Policies").await,
        tabs: tabs(cx, org.id, PEOPLE_TABS, "policies").await,
        says,
        builtin: Builtin::ALL.iter().map(|builtin| builtin_row(*builtin)).collect(),
        layable,
        custom: found.iter().map(|policy| custom_row(policy, org.id, &names, writes)).collect(),
        listing,
        empty: Empty::nothing_yet(
            "No policy was made here or above. The built-in ones do for most.",
            new_href.clone(),
            "Make a policy",
        ),
        guards: guards.into_iter().map(guard_row).collect(),
        new_href,
        lays,
        lay_href: format!("/o/{}/policies/guards", org.id),
    };
    show_with(status, &page)
}

fn builtin_row(builtin: Builtin) -> BuiltinRow {
    let reaches: Vec<&str> = builtin.reaches().iter().map(|reach| reach.code()).collect();
    BuiltinRow {
        name: builtin.words(),
        sentence: builtin.sentence(),
        level: builtin.level().code(),
        reaches: reaches.join(" or "),
        actions: builtin.actions().iter().map(Action::code).collect(),
    }
}

fn custom_row(policy: &StoredPolicy, org: OrgId, names: &BTreeMap<OrgId, String>, writes: bool) -> CustomRow {
    let href = format!("/o/{org}/policies/{}", policy.id);
    CustomRow {
        name: policy.name.clone(),
        owner: place_name(names, policy.org),
        level: policy.level.code(),
        version: policy.version,
        statements: policy.document.statements.len(),
        delete_href: if writes && policy.org == org { format!("{href}/delete") } else { String::new() },
        href,
    }
}

async fn after(visitor: &Visitor, org: &Org, result: Result<(), Failure>) -> Answer {
    match result {
        Ok(()) => go(&format!("/o/{}/policies", org.id)),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            list_page(visitor, org, status, says, &Fields::default()).await
        }
    }
}

async fn delete(visitor: Visitor, Path((org, policy)): Path<(String, String)>, Form(fields): Form<Fields>) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    let policy: PolicyId = parse(&policy, "policy")?;
    let result = policies::delete(&visitor.0.cx, org.id, policy, fields.has("detach")).await;
    after(&visitor, &org, result).await
}

async fn lay(visitor: Visitor, Path(org): Path<String>, Form(fields): Form<Fields>) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    let policy: PolicyId = parse(fields.get("policy"), "policy")?;
    let result = policies::lay_guard(&visitor.0.cx, org.id, policy).await.map(|_| ());
    after(&visitor, &org, result).await
}

async fn lift(visitor: Visitor, Path((org, guard)): Path<(String, String)>, Form(fields): Form<Fields>) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    let guard: GuardRailId = guard.parse().map_err(|_| PageFailure(Failure::not_found("guard-rail")))?;
    let result = policies::lift_guard(&visitor.0.cx, org.id, guard).await;
    after(&visitor, &org, result).await
}
