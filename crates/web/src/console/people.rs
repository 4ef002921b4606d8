//! People of an organisation: where they are members, what they were given, who was invited, and the link
//! that is shown once.

use super::fields::{Fields, query_value};
use super::frame::{
    Answer, Choice, Empty, Menu, NavItem, PEOPLE_TABS, Page, Says, choices, go, instant, may, mendable, org_of,
    own_url, parse, show, show_with, tabs,
};
use crate::Web;
use crate::auth::Visitor;
use access::{Action, PolicyRef, Propagate};
use app::giving::Givable;
use app::people::{self, Given, Person};
use app::rows::{Invitation, Org, PeopleQuestion};
use app::{Cx, Failure, giving, groups, invitations, unattached};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use base::{InvitationId, OrgId, UserId};
use std::collections::BTreeMap;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/o/{org}/people", get(list))
        .route("/o/{org}/people/invite", post(invite))
        .route("/o/{org}/people/invitations/{invitation}/cancel", post(cancel))
}

/// People on a page.
const PAGE: usize = 100;

/// How far a policy reaches, in the words of people.
const REACHES: [(&str, &str); 3] =
    [("", "as far as the policy usually does"), ("self", "here only"), ("subtree", "here and everything below")];

struct PersonRow {
    name: String,
    href: String,
    email: String,
    kind: &'static str,
    state: String,
    active: bool,
    members: Vec<String>,
    given: Vec<String>,
    groups: Vec<String>,
}

struct InvitationRow {
    email: String,
    policy: String,
    reach: &'static str,
    made: String,
    ends: String,
    cancel_href: String,
}

#[derive(Template)]
#[template(path = "console/people.html")]
struct PeoplePage {
    page: Page,
    tabs: Vec<NavItem>,
    says: Says,
    people: Vec<PersonRow>,
    count: i64,
    /// Where those are who belong nowhere; empty when there is nobody, or the visitor does not see them.
    unattached_href: String,
    search: String,
    search_href: String,
    first_href: String,
    next_href: String,
    invitations: Vec<InvitationRow>,
    invites: bool,
    invite_href: String,
    policies: Vec<Choice>,
    sentences: Vec<Givable>,
    reaches: Vec<Choice>,
    email: String,
    empty: Empty,
}

/// What somebody is, for people.
pub(super) fn kind_words(kind: &str) -> &'static str {
    if kind == "service" { "service" } else { "person" }
}

/// How far, in the words of people.
pub(super) fn reach_words(reach: Propagate) -> &'static str {
    match reach {
        Propagate::Here => "here only",
        Propagate::Subtree => "and everything below",
    }
}

/// The entries of a select of reaches.
pub(super) fn reaches(chosen: &str) -> Vec<Choice> {
    choices(&REACHES, chosen)
}

/// The reach of a form; the usual one of the policy where nothing was chosen.
pub(super) fn reach_of(fields: &Fields, policy: PolicyRef) -> Result<Propagate, Failure> {
    match fields.get("reach") {
        "" => Ok(giving::usual_reach(policy)),
        _ => fields.word("reach", Propagate::from_code),
    }
}

/// The policies that the visitor may give; the weakest one first, so that nobody makes an admin by a slip.
pub(super) async fn givable(cx: &Cx, org: OrgId) -> Vec<Givable> {
    let found = giving::givable(cx, org).await.unwrap_or_default();
    let (builtin, custom): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|givable| matches!(givable.policy, PolicyRef::Builtin(_)));
    builtin.into_iter().rev().chain(custom).collect()
}

/// The entries of a select of policies.
pub(super) fn policy_choices(found: &[Givable], chosen: &str) -> Vec<Choice> {
    found.iter().map(|givable| Choice::new(givable.policy.to_string(), &givable.name, chosen)).collect()
}

/// A policy that was given, in words.
pub(super) fn given_words(given: &Given) -> String {
    let via = given.via.as_ref().map(|group| format!(", through the group {group}")).unwrap_or_default();
    let until = given.not_after_us.map(|at_us| format!(", until {}", instant(at_us))).unwrap_or_default();
    format!("{} at {} {}{via}{until}", given.name, given.org_name, reach_words(given.propagate))
}

async fn list(visitor: Visitor, Path(org): Path<String>, Query(query): Query<Fields>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    people_page(&visitor, &org, StatusCode::OK, Says::default(), query).await
}

async fn people_page(visitor: &Visitor, org: &Org, status: StatusCode, says: Says, entry: Fields) -> Answer {
    let cx = &visitor.0.cx;
    let question =
        PeopleQuestion { search: entry.get("q").to_owned(), after: entry.get("after").parse().ok(), limit: PAGE + 1 };
    let mut found = people::list(cx, org.id, &question).await?;
    let count = people::count(cx, org.id, &question).await?;
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    let invited = invitations::list(cx, org.id).await?;
    let invites = may(cx, Action::UserInvite, org.id).await;
    let groups = groups_of(cx, org.id).await;
    let sentences = if invites { givable(cx, org.id).await } else { Vec::new() };
    let names = sentences.iter().map(|givable| (givable.policy, givable.name.clone())).collect();
    let base = format!("/o/{}/people", org.id);
    let searched = format!("{base}?q={}", query_value(&question.search));
    let next = found.last().filter(|_| more).map(|person| format!("{searched}&after={}", person.user.id));
    let page = PeoplePage {
        page: Page::at(visitor, org, Menu::People, "People").await,
        tabs: tabs(cx, org.id, PEOPLE_TABS, "people").await,
        says,
        people: found.iter().map(|person| person_row(person, org.id, &groups)).collect(),
        count,
        unattached_href: unattached_href(cx, org).await,
        search: question.search,
        search_href: base.clone(),
        first_href: if question.after.is_some() { searched } else { String::new() },
        next_href: next.unwrap_or_default(),
        invitations: invited.iter().map(|invitation| invitation_row(invitation, &names, invites)).collect(),
        invites,
        invite_href: format!("{base}/invite"),
        policies: policy_choices(&sentences, entry.get("policy")),
        sentences,
        reaches: reaches(entry.get("reach")),
        email: entry.get("email").to_owned(),
        empty: Empty::nothing_yet("Nobody belongs here. The form below invites the first person.", "", ""),
    };
    show_with(status, &page)
}

async fn unattached_href(cx: &Cx, org: &Org) -> String {
    let is_somebody = org.parent.is_none() && !unattached::list(cx).await.unwrap_or_default().is_empty();
    if is_somebody { format!("/o/{}/unattached", org.id) } else { String::new() }
}

/// Names of the groups of `org` that each user is in.
async fn groups_of(cx: &Cx, org: OrgId) -> BTreeMap<UserId, Vec<String>> {
    let mut found: BTreeMap<UserId, Vec<String>> = BTreeMap::new();
    if may(cx, Action::GroupRead, org).await {
        for detail in groups::list(cx, org).await.unwrap_or_default() {
            for (user, ..) in &detail.members {
                found.entry(*user).or_default().push(detail.group.name.clone());
            }
        }
    }
    found
}

fn person_row(person: &Person, org: OrgId, groups: &BTreeMap<UserId, Vec<String>>) -> PersonRow {
    let user = &person.user;
    let member = |(_, name, state): &(OrgId, String, String)| match state.as_str() {
        "active" => name.clone(),
        state => format!("{name} ({state})"),
    };
    PersonRow {
        name: user.display_name.clone(),
        href: format!("/o/{org}/people/{}", user.id),
        email: if user.kind == "service" { user.description.clone() } else { user.email.clone() },
        kind: kind_words(&user.kind),
        state: user.state.clone(),
        active: user.state == "active",
        members: person.memberships.iter().map(member).collect(),
        given: person.given.iter().map(given_words).collect(),
        groups: groups.get(&user.id).cloned().unwrap_or_default(),
    }
}

fn invitation_row(invitation: &Invitation, names: &BTreeMap<PolicyRef, String>, cancels: bool) -> InvitationRow {
    let href = format!("/o/{}/people/invitations/{}/cancel", invitation.org, invitation.id);
    InvitationRow {
        email: invitation.email.clone(),
        policy: policy_words(invitation.policy, names),
        reach: reach_words(invitation.propagate),
        made: instant(invitation.created_us),
        ends: instant(invitation.expires_us),
        cancel_href: if cancels { href } else { String::new() },
    }
}

fn policy_words(policy: PolicyRef, names: &BTreeMap<PolicyRef, String>) -> String {
    match policy {
        PolicyRef::Builtin(builtin) => builtin.words().to_owned(),
        PolicyRef::Custom(id) => names.get(&policy).cloned().unwrap_or_else(|| id.to_string()),
    }
}

/// The receipt of an invitation: the one time that its link is shown.
#[derive(Template)]
#[template(path = "console/invited.html")]
struct InvitedPage {
    page: Page,
    email: String,
    role: String,
    link: String,
    ends: String,
    back_href: String,
}

async fn invite(
    State(web): State<Web>,
    visitor: Visitor,
    Path(org): Path<String>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    let (invitation, secret) = match send(&visitor, org.id, &fields).await {
        Ok(sent) => sent,
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            return people_page(&visitor, &org, status, says, fields).await;
        }
    };
    let names = givable(&visitor.0.cx, org.id).await.into_iter().map(|found| (found.policy, found.name)).collect();
    show(&InvitedPage {
        page: Page::at(&visitor, &org, Menu::People, "Invitation").await,
        role: policy_words(invitation.policy, &names),
        email: invitation.email,
        link: format!("{}/join?secret={secret}", own_url(&web, &headers)),
        ends: org.zone.time_of(invitation.expires_us),
        back_href: format!("/o/{}/people", org.id),
    })
}

async fn send(visitor: &Visitor, org: OrgId, fields: &Fields) -> Result<(Invitation, String), Failure> {
    let policy = giving::parse_policy(fields.get("policy"))?;
    invitations::invite(&visitor.0.cx, org, fields.get("email"), policy, reach_of(fields, policy)?).await
}

async fn cancel(
    visitor: Visitor,
    Path((org, invitation)): Path<(String, String)>,
    Form(fields): Form<Fields>,
) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    let invitation: InvitationId = parse(&invitation, "invitation")?;
    match invitations::cancel(&visitor.0.cx, org.id, invitation).await {
        Ok(()) => go(&format!("/o/{}/people", org.id)),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            people_page(&visitor, &org, status, says, Fields::default()).await
        }
    }
}
