//! One person at an organisation: what he was given there, and every act on him.

use super::fields::{Fields, day, items};
use super::frame::{
    Answer, Choice, Menu, NavItem, PEOPLE_TABS, Page, Says, go, may, mendable, org_of, parse, show_with, tabs,
};
use super::people::{givable, given_words, kind_words, policy_choices, reach_of, reaches};
use crate::Web;
use crate::auth::Visitor;
use crate::problem::PageFailure;
use access::Action;
use app::bindings::NewBinding;
use app::giving::Givable;
use app::people::{self, Given, Person};
use app::rows::{Holder, Org};
use app::{Cx, Failure, bindings, giving, keys, tokens};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query};
use axum::http::StatusCode;
use axum::routing::{get, post};
use base::{BindingId, OrgId, UserId};

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/o/{org}/people/{user}", get(person))
        .route("/o/{org}/people/{user}/policies", post(bind))
        .route("/o/{org}/people/{user}/policies/{binding}/take", post(unbind))
        .route("/o/{org}/people/{user}/{act}", post(act))
}

struct GivenRow {
    words: String,
    name: String,
    /// Where it is taken away; empty when it is not given here, or not the visitor's to take.
    take_href: String,
}

/// Which acts the visitor gets.
#[derive(Default)]
struct Rights {
    bind: bool,
    suspend: bool,
    remove: bool,
    reset: bool,
}

#[derive(Template)]
#[template(path = "console/person.html")]
struct PersonPage {
    page: Page,
    tabs: Vec<NavItem>,
    says: Says,
    base: String,
    name: String,
    facts: Vec<(&'static str, String)>,
    state: String,
    rights: Rights,
    /// State of his membership here; empty when he is none here.
    member_state: String,
    /// Where he is a member: name, his page there, state.
    members: Vec<(String, String, String)>,
    given: Vec<GivenRow>,
    policies: Vec<Choice>,
    sentences: Vec<Givable>,
    reaches: Vec<Choice>,
    entry: Fields,
    /// What dies with the membership, in words.
    dies: Vec<String>,
}

/// What was done just now.
const DONE: [(&str, &str); 6] = [
    ("given", "The policy is given."),
    ("taken", "The policy is taken away."),
    ("suspend", "The membership is suspended: it gives nothing here until it is resumed."),
    ("resume", "The membership is active again."),
    ("suspend-account", "The account is suspended. Sessions ended; tokens and keys rest."),
    ("resume-account", "The account is active again."),
];

async fn person(visitor: Visitor, Path((org, user)): Path<(String, String)>, Query(query): Query<Fields>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    let user: UserId = parse(&user, "user")?;
    let done = DONE.iter().find(|(word, _)| *word == query.get("done")).map(|(_, text)| *text);
    person_page(&visitor, &org, user, StatusCode::OK, done.map(Says::good).unwrap_or_default(), Fields::default()).await
}

async fn find(cx: &Cx, org: OrgId, user: UserId) -> Result<Person, PageFailure> {
    Ok(people::one(cx, org, user).await?)
}

async fn person_page(
    visitor: &Visitor,
    org: &Org,
    user: UserId,
    status: StatusCode,
    says: Says,
    entry: Fields,
) -> Answer {
    let cx = &visitor.0.cx;
    let found = find(cx, org.id, user).await?;
    let rights = Rights {
        bind: may(cx, Action::PolicyBind, org.id).await,
        suspend: may(cx, Action::UserSuspend, org.id).await,
        remove: may(cx, Action::UserRemove, org.id).await,
        // A service has no password, and one's own is changed on its own page.
        reset: found.user.kind == "human"
            && found.user.id != visitor.0.user.id
            && may(cx, Action::UserUpdate, org.id).await,
    };
    let base = format!("/o/{}/people/{user}", org.id);
    let here = found.memberships.iter().find(|(place, ..)| *place == org.id);
    let sentences = if rights.bind { givable(cx, org.id).await } else { Vec::new() };
    let page = PersonPage {
        page: Page::at(visitor, org, Menu::People, &found.user.display_name).await,
        tabs: tabs(cx, org.id, PEOPLE_TABS, "people").await,
        says,
        name: found.user.display_name.clone(),
        facts: facts(&found),
        state: found.user.state.clone(),
        member_state: here.map(|(_, _, state)| state.clone()).unwrap_or_default(),
        members: found
            .memberships
            .iter()
            .map(|(place, name, state)| (name.clone(), format!("/o/{place}/people/{user}"), state.clone()))
            .collect(),
        given: found.given.iter().map(|given| given_row(given, org.id, &base, rights.bind)).collect(),
        policies: policy_choices(&sentences, entry.get("policy")),
        sentences,
        reaches: reaches(entry.get("reach")),
        dies: if rights.remove { dies(cx, org.id, user).await } else { Vec::new() },
        rights,
        base,
        entry,
    };
    show_with(status, &page)
}

fn facts(person: &Person) -> Vec<(&'static str, String)> {
    let user = &person.user;
    vec![
        ("Kind", kind_words(&user.kind).to_owned()),
        ("Address", user.email.clone()),
        ("Purpose", user.description.clone()),
        ("Id", user.id.to_string()),
    ]
}

fn given_row(given: &Given, org: OrgId, base: &str, binds: bool) -> GivenRow {
    let is_own = given.org == org && given.via.is_none() && binds;
    GivenRow {
        words: given_words(given),
        name: given.name.clone(),
        take_href: if is_own { format!("{base}/policies/{}/take", given.id) } else { String::new() },
    }
}

/// The live tokens and keys at `org` and below that end when the person is removed, unless something that he
/// still has keeps them.
async fn dies(cx: &Cx, org: OrgId, user: UserId) -> Vec<String> {
    let mut found = Vec::new();
    let now_us = cx.now_us();
    if may(cx, Action::TokenRead, org).await {
        let tokens = tokens::list(cx, org).await.unwrap_or_default();
        let live = tokens.into_iter().filter(|token| {
            token.user == user && token.kind == "personal" && token.revoked_us.is_none() && token.expires_us > now_us
        });
        found.extend(live.map(|token| format!("token {} ({}…)", token.name, token.prefix)));
    }
    if may(cx, Action::S3ManageKeys, org).await {
        let keys = keys::list(cx, org).await.unwrap_or_default();
        let live = keys.into_iter().filter(|key| key.user == user && key.revoked_us.is_none());
        found.extend(live.map(|key| format!("S3 key {} ({})", key.key_id, key.name)));
    }
    found
}

/// The person with what was wrong, if it can be mended there.
pub(super) async fn refused(visitor: &Visitor, org: &Org, user: UserId, failure: Failure) -> Answer {
    let (status, says) = mendable(failure)?;
    person_page(visitor, org, user, status, says, Fields::default()).await
}

/// Back to the person after an act; what can be mended is said there.
async fn after(
    visitor: &Visitor,
    (org, user): (&Org, UserId),
    done: &str,
    result: Result<(), Failure>,
    entry: Fields,
) -> Answer {
    match result {
        Ok(()) => go(&format!("/o/{}/people/{user}?done={done}", org.id)),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            person_page(visitor, org, user, status, says, entry).await
        }
    }
}

async fn bind(visitor: Visitor, Path((org, user)): Path<(String, String)>, Form(fields): Form<Fields>) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    let user: UserId = parse(&user, "user")?;
    let result = give(&visitor.0.cx, &org, Holder::User(user), &fields).await;
    after(&visitor, (&org, user), "given", result, fields).await
}

/// Gives the policy of a form; groups use it too.
pub(super) async fn give(cx: &Cx, org: &Org, holder: Holder, fields: &Fields) -> Result<(), Failure> {
    let policy = giving::parse_policy(fields.get("policy"))?;
    let until = match fields.get("until").trim() {
        "" => None,
        text => Some(day("until", text, &org.zone)?.end_us),
    };
    let new = NewBinding {
        holder,
        policy,
        propagate: reach_of(fields, policy)?,
        resources: items(fields.get("resources")),
        not_before_us: None,
        not_after_us: until,
    };
    bindings::bind(cx, org.id, new).await.map(|_| ())
}

async fn unbind(
    visitor: Visitor,
    Path((org, user, binding)): Path<(String, String, String)>,
    Form(fields): Form<Fields>,
) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    let user: UserId = parse(&user, "user")?;
    let binding: BindingId = parse(&binding, "binding")?;
    let result = bindings::unbind_of(&visitor.0.cx, org.id, Holder::User(user), binding).await;
    after(&visitor, (&org, user), "taken", result, Fields::default()).await
}

async fn act(
    visitor: Visitor,
    Path((org, user, act)): Path<(String, String, String)>,
    Form(fields): Form<Fields>,
) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    let user: UserId = parse(&user, "user")?;
    let cx = &visitor.0.cx;
    let result = match act.as_str() {
        "suspend" => people::set_membership_suspended(cx, org.id, user, true).await,
        "resume" => people::set_membership_suspended(cx, org.id, user, false).await,
        "suspend-account" => people::set_suspended(cx, user, true).await,
        "resume-account" => people::set_suspended(cx, user, false).await,
        "remove" => people::remove(cx, org.id, user).await,
        "shut" => people::deprovision(cx, user).await,
        _ => Err(Failure::not_found("page")),
    };
    if result.is_ok() && ["remove", "shut"].contains(&act.as_str()) {
        return go(&format!("/o/{}/people", org.id)); // He is not found here any more.
    }
    after(&visitor, (&org, user), &act, result, Fields::default()).await
}
