//! Groups of an organisation: many people, many policies.

use super::fields::Fields;
use super::frame::{
    Answer, Choice, Empty, Menu, NavItem, PEOPLE_TABS, Page, Says, go, may, mendable, org_of, parse, show_with, tabs,
};
use super::listing::Listing;
use super::people::{givable, given_words, policy_choices, reaches};
use super::person::give;
use super::person_field::{Suggestion, person, suggestions_here};
use crate::Web;
use crate::auth::Visitor;
use crate::problem::PageFailure;
use access::Action;
use app::giving::Givable;
use app::groups::{self, GroupDetail};
use app::rows::{Holder, Org};
use app::{Failure, bindings};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query};
use axum::http::StatusCode;
use axum::routing::{get, post};
use base::{BindingId, GroupId, OrgId, UserId};

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/o/{org}/groups", get(list).post(create))
        .route("/o/{org}/groups/{group}", get(group))
        .route("/o/{org}/groups/{group}/{act}", post(act))
}

struct GroupRow {
    name: String,
    href: String,
    source: &'static str,
    members: usize,
    given: Vec<String>,
}

#[derive(Template)]
#[template(path = "console/groups.html")]
struct GroupsPage {
    page: Page,
    tabs: Vec<NavItem>,
    says: Says,
    rows: Vec<GroupRow>,
    listing: Listing,
    empty: Empty,
    /// Whether the visitor may make and change groups.
    writes: bool,
    create_href: String,
    name: String,
}

/// Who keeps a group or a membership of it.
fn source_words(source: &str) -> &'static str {
    match source {
        "scim" => "the directory",
        "sso" => "the identity provider",
        _ => "people here",
    }
}

async fn list(visitor: Visitor, Path(org): Path<String>, Query(query): Query<Fields>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    list_page(&visitor, &org, StatusCode::OK, Says::default(), query).await
}

async fn list_page(visitor: &Visitor, org: &Org, status: StatusCode, says: Says, entry: Fields) -> Answer {
    let cx = &visitor.0.cx;
    let mut found = groups::list(cx, org.id).await?;
    let base = format!("/o/{}/groups", org.id);
    let listing = Listing::cut(&mut found, &entry, &base, |detail| detail.group.name.clone());
    let writes = may(cx, Action::GroupWrite, org.id).await;
    let next = if writes { "The form below makes the first one." } else { "" };
    let page = GroupsPage {
        page: Page::at(visitor, org, Menu::People, "Groups").await,
        tabs: tabs(cx, org.id, PEOPLE_TABS, "groups").await,
        says,
        rows: found.iter().map(|detail| group_row(org.id, detail)).collect(),
        listing,
        empty: Empty::nothing_yet(format!("A group gives many people the same policies. {next}"), "", ""),
        writes,
        create_href: base,
        name: entry.get("name").to_owned(),
    };
    show_with(status, &page)
}

fn group_row(org: OrgId, detail: &GroupDetail) -> GroupRow {
    GroupRow {
        name: detail.group.name.clone(),
        href: format!("/o/{org}/groups/{}", detail.group.id),
        source: source_words(&detail.group.source),
        members: detail.members.len(),
        given: detail.given.iter().map(given_words).collect(),
    }
}

async fn create(visitor: Visitor, Path(org): Path<String>, Form(fields): Form<Fields>) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    match groups::create(&visitor.0.cx, org.id, fields.get("name")).await {
        Ok(group) => go(&format!("/o/{}/groups/{}", org.id, group.id)),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            list_page(&visitor, &org, status, says, fields).await
        }
    }
}

struct MemberRow {
    id: String,
    name: String,
    href: String,
    source: &'static str,
}

struct GivenRow {
    id: String,
    words: String,
    /// Whether it is given at this very organisation.
    here: bool,
}

#[derive(Template)]
#[template(path = "console/group.html")]
struct GroupPage {
    page: Page,
    tabs: Vec<NavItem>,
    says: Says,
    base: String,
    name: String,
    source: &'static str,
    members: Vec<MemberRow>,
    given: Vec<GivenRow>,
    writes: bool,
    binds: bool,
    suggestions: Vec<Suggestion>,
    policies: Vec<Choice>,
    sentences: Vec<Givable>,
    reaches: Vec<Choice>,
    entry: Fields,
}

async fn group(visitor: Visitor, Path((org, group)): Path<(String, String)>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    let group: GroupId = parse(&group, "group")?;
    group_page(&visitor, (&org, group), StatusCode::OK, Says::default(), Fields::default()).await
}

async fn group_page(
    visitor: &Visitor,
    (org, group): (&Org, GroupId),
    status: StatusCode,
    says: Says,
    entry: Fields,
) -> Answer {
    let cx = &visitor.0.cx;
    let found = groups::list(cx, org.id).await?.into_iter().find(|detail| detail.group.id == group);
    let detail = found.ok_or_else(|| PageFailure(Failure::not_found("group")))?;
    let (writes, binds) = (may(cx, Action::GroupWrite, org.id).await, may(cx, Action::PolicyBind, org.id).await);
    let sentences = if binds { givable(cx, org.id).await } else { Vec::new() };
    let page = GroupPage {
        page: Page::at(visitor, org, Menu::People, &detail.group.name).await,
        tabs: tabs(cx, org.id, PEOPLE_TABS, "groups").await,
        says,
        base: format!("/o/{}/groups/{group}", org.id),
        source: source_words(&detail.group.source),
        suggestions: if writes { suggestions_here(visitor, org.id).await } else { Vec::new() },
        members: detail.members.iter().map(|member| member_row(org.id, member)).collect(),
        given: detail
            .given
            .iter()
            .map(|given| GivenRow { id: given.id.to_string(), words: given_words(given), here: given.org == org.id })
            .collect(),
        name: detail.group.name,
        writes,
        binds,
        policies: policy_choices(&sentences, entry.get("policy")),
        sentences,
        reaches: reaches(entry.get("reach")),
        entry,
    };
    show_with(status, &page)
}

fn member_row(org: OrgId, (user, name, source): &(UserId, String, String)) -> MemberRow {
    MemberRow {
        id: user.to_string(),
        name: name.clone(),
        href: format!("/o/{org}/people/{user}"),
        source: source_words(source),
    }
}

async fn act(
    visitor: Visitor,
    Path((org, group, act)): Path<(String, String, String)>,
    Form(fields): Form<Fields>,
) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    let group: GroupId = parse(&group, "group")?;
    let cx = &visitor.0.cx;
    let result = match act.as_str() {
        "add" => match person(&visitor, org.id, "user", fields.get("user")).await {
            Ok(user) => groups::add_member(cx, org.id, group, user).await,
            Err(failure) => Err(failure),
        },
        "take" => groups::remove_member(cx, org.id, group, parse::<UserId>(fields.get("user"), "user")?).await,
        "give" => give(cx, &org, Holder::Group(group), &fields).await,
        "withdraw" => {
            let binding: BindingId = parse(fields.get("binding"), "binding")?;
            bindings::unbind_of(cx, org.id, Holder::Group(group), binding).await
        }
        "delete" => groups::delete(cx, org.id, group).await,
        _ => Err(Failure::not_found("page")),
    };
    match result {
        Ok(()) if act == "delete" => go(&format!("/o/{}/groups", org.id)),
        Ok(()) => go(&format!("/o/{}/groups/{group}", org.id)),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            group_page(&visitor, (&org, group), status, says, fields).await
        }
    }
}
