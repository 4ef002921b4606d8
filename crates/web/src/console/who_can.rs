//! Who can do what, and why: the answer of the decision itself for each person, statement by statement, with
//! what everybody has now or as if a draft were given.

use super::fields::Fields;
use super::frame::{Answer, Choice, Empty, Menu, NavItem, PEOPLE_TABS, Page, Says, mendable, org_of, show_with, tabs};
use super::person_field::{Suggestion, person, suggestions};
use super::policies::{place_name, place_names};
use super::policy_form::read_json;
use crate::Web;
use crate::auth::Visitor;
use crate::problem::PageFailure;
use access::Action;
use access::policy::Effect;
use app::rows::Org;
use app::who_can::{Explanation, Reason, WhoCan};
use app::{Failure, Kind, orgs, who_can};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query};
use axum::http::StatusCode;
use axum::routing::get;
use base::OrgId;
use std::collections::BTreeMap;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/o/{org}/access", get(ask).post(ask_with_draft))
}

struct StatementRow {
    policy: String,
    place: String,
    effect: &'static str,
    holds: bool,
}

struct PersonRow {
    name: String,
    href: String,
    allowed: bool,
    reason: String,
    statements: Vec<StatementRow>,
}

#[derive(Template)]
#[template(path = "console/access.html")]
struct AccessPage {
    page: Page,
    tabs: Vec<NavItem>,
    says: Says,
    href: String,
    actions: Vec<Choice>,
    action: String,
    resource: String,
    suggestions: Vec<Suggestion>,
    /// Whom the draft is tried on.
    holder: String,
    draft: String,
    /// Name of the person to whom the draft is as if given; empty without one.
    as_if: String,
    rows: Vec<PersonRow>,
    asked: usize,
    can: usize,
    empty: Empty,
}

async fn ask(visitor: Visitor, Path(org): Path<String>, Query(query): Query<Fields>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    answer(&visitor, &org, &query).await
}

async fn ask_with_draft(visitor: Visitor, Path(org): Path<String>, Form(fields): Form<Fields>) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    answer(&visitor, &org, &fields).await
}

async fn answer(visitor: &Visitor, org: &Org, fields: &Fields) -> Answer {
    let cx = &visitor.0.cx;
    let (status, says, found) = match explain(visitor, org, fields).await {
        Ok(found) => (StatusCode::OK, Says::default(), found),
        Err(failure) if failure.kind == Kind::Forbidden => return Err(PageFailure(failure)),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            (status, says, WhoCan { asked: 0, can: 0, people: Vec::new() })
        }
    };
    let mut names = place_names(cx, org).await;
    names.extend(orgs::names(cx, org.id).await?);
    let as_if = if fields.get("draft").trim().is_empty() { None } else { found.people.first() };
    let page = AccessPage {
        page: Page::at(visitor, org, Menu::People, "Who can do what, and why").await,
        tabs: tabs(cx, org.id, PEOPLE_TABS, "access").await,
        says,
        href: format!("/o/{}/access", org.id),
        actions: action_choices(fields.get("action")),
        action: asked_action(fields).map(|action| action.code().to_owned()).unwrap_or_default(),
        resource: fields.get("resource").to_owned(),
        as_if: as_if.map(|person| person.name.clone()).unwrap_or_default(),
        suggestions: suggestions(visitor, org.id).await,
        holder: fields.get("holder").to_owned(),
        draft: fields.get("draft").to_owned(),
        asked: found.asked,
        can: found.can,
        rows: found.people.into_iter().map(|row| person_row(org.id, row, &names)).collect(),
        empty: Empty::nothing_yet("Nobody belongs here or below.", "", ""),
    };
    show_with(status, &page)
}

fn action_choices(chosen: &str) -> Vec<Choice> {
    let chosen = if chosen.is_empty() { Action::OrgRead.code() } else { chosen };
    let label = |action: &Action| format!("{}: {}", action.code(), action.words().trim_end_matches('.').to_lowercase());
    Action::ALL.iter().map(|action| Choice::new(action.code(), label(action), chosen)).collect()
}

fn asked_action(fields: &Fields) -> Result<Action, Failure> {
    if fields.get("action").is_empty() { Ok(Action::OrgRead) } else { fields.word("action", Action::from_code) }
}

async fn explain(visitor: &Visitor, org: &Org, fields: &Fields) -> Result<WhoCan, Failure> {
    let cx = &visitor.0.cx;
    let action = asked_action(fields)?;
    let resource = fields.get("resource").trim();
    if fields.get("draft").trim().is_empty() {
        return who_can::who_can(cx, org.id, action, resource, None, None).await;
    }
    let document = read_json(fields.get("draft"))?;
    let holder = person(visitor, org.id, "holder", fields.get("holder")).await?;
    who_can::who_can(cx, org.id, action, resource, Some(holder), Some(&document)).await
}

fn person_row(org: OrgId, found: Explanation, names: &BTreeMap<OrgId, String>) -> PersonRow {
    PersonRow {
        href: format!("/o/{org}/people/{}", found.user),
        name: found.name,
        allowed: found.allowed,
        reason: match found.reason.as_str() {
            "" => "a statement allows it, and none denies it".to_owned(),
            "not found" => "belongs to no organisation on the way here".to_owned(),
            reason => reason.to_owned(),
        },
        statements: found.statements.iter().map(|reason| statement_row(reason, names)).collect(),
    }
}

fn statement_row(reason: &Reason, names: &BTreeMap<OrgId, String>) -> StatementRow {
    let place = match reason.org.parse::<OrgId>() {
        Ok(org) => place_name(names, org),
        Err(_) => "an organisation above".to_owned(),
    };
    StatementRow {
        policy: reason.name.clone(),
        place,
        effect: match reason.effect {
            Effect::Allow => "ALLOW",
            Effect::Deny => "DENY",
        },
        holds: reason.holds,
    }
}
