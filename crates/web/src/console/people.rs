//! People of an organisation: who has which role, who was invited, and the link that is shown once.

use super::frame::{
    Answer, Choice, Empty, Menu, Page, Says, go, instant, mendable, org_of, own_url, parse, show, show_with,
};
use crate::Web;
use crate::auth::Visitor;
use access::PolicyRef;
use app::people::{self, Given, Person};
use app::rows::{Invitation, Org};
use app::{Cx, Failure};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use base::{OrgId, UserId};
use serde::Deserialize;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/o/{org}/people", get(list))
        .route("/o/{org}/people/invite", post(invite))
        .route("/o/{org}/people/{user}/remove", post(remove))
}

struct PersonRow {
    name: String,
    email: String,
    state: String,
    active: bool,
    roles: Vec<String>,
    /// Where his roles at this very organisation are taken away; empty when he has none here.
    remove_href: String,
}

struct InvitationRow {
    email: String,
    role: String,
    made: String,
    ends: String,
}

#[derive(Template)]
#[template(path = "console/people.html")]
struct PeoplePage {
    page: Page,
    says: Says,
    people: Vec<PersonRow>,
    invitations: Vec<InvitationRow>,
    invite_href: String,
    roles: Vec<Choice>,
    email: String,
    empty: Empty,
}

async fn list(visitor: Visitor, Path(org): Path<String>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    people_page(&visitor, &org, StatusCode::OK, Says::default(), InviteForm::default()).await
}

async fn people_page(visitor: &Visitor, org: &Org, status: StatusCode, says: Says, entry: InviteForm) -> Answer {
    let cx = &visitor.0.cx;
    let found = people::list(cx, org.id).await?;
    let invited = people::invitations(cx, org.id).await?;
    let page = PeoplePage {
        page: Page::at(visitor, org, Menu::People, "People").await,
        says,
        people: found.iter().map(|person| person_row(person, org.id)).collect(),
        invitations: invited.iter().map(invitation_row).collect(),
        invite_href: format!("/o/{}/people/invite", org.id),
        roles: roles(cx, org.id, &entry.role).await,
        email: entry.email,
        empty: Empty::nothing_yet("Nobody has a role here. The form below invites the first person.", "", ""),
    };
    show_with(status, &page)
}

fn person_row(person: &Person, org: OrgId) -> PersonRow {
    let is_member_here = person.memberships.iter().any(|(place, ..)| *place == org);
    let member = |(_, name, _): &(OrgId, String, String)| format!("member of {name}");
    let words = |given: &Given| format!("{} at {}", given.name, given.org_name);
    let roles = person.memberships.iter().map(member).chain(person.given.iter().map(words)).collect();
    PersonRow {
        name: person.user.display_name.clone(),
        email: person.user.email.clone(),
        state: person.user.state.clone(),
        active: person.user.state == "active",
        roles,
        remove_href: if is_member_here { format!("/o/{org}/people/{}/remove", person.user.id) } else { String::new() },
    }
}

fn invitation_row(invitation: &Invitation) -> InvitationRow {
    InvitationRow {
        email: invitation.email.clone(),
        role: policy_words(invitation),
        made: instant(invitation.created_us),
        ends: instant(invitation.expires_us),
    }
}

/// Name of the policy that an invitation gives.
fn policy_words(invitation: &Invitation) -> String {
    match invitation.policy {
        PolicyRef::Builtin(builtin) => builtin.words().to_owned(),
        PolicyRef::Custom(id) => id.to_string(),
    }
}

/// The policies that the visitor may give; the weakest one first, so that nobody makes an admin by a slip.
async fn roles(cx: &Cx, org: OrgId, chosen: &str) -> Vec<Choice> {
    let found = people::givable(cx, org).await.unwrap_or_default();
    found.iter().rev().map(|givable| Choice::new(givable.policy.to_string(), &givable.name, chosen)).collect()
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct InviteForm {
    csrf: String,
    email: String,
    role: String,
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
    Form(form): Form<InviteForm>,
) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let org = org_of(&visitor, &org).await?;
    let (invitation, secret) = match send(&visitor, org.id, &form).await {
        Ok(sent) => sent,
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            return people_page(&visitor, &org, status, says, form).await;
        }
    };
    show(&InvitedPage {
        page: Page::at(&visitor, &org, Menu::People, "Invitation").await,
        role: policy_words(&invitation),
        email: invitation.email,
        link: format!("{}/join?secret={secret}", own_url(&web, &headers)),
        ends: instant(invitation.expires_us),
        back_href: format!("/o/{}/people", org.id),
    })
}

async fn send(visitor: &Visitor, org: OrgId, form: &InviteForm) -> Result<(Invitation, String), Failure> {
    let policy = people::parse_policy(&form.role)?;
    people::invite(&visitor.0.cx, org, &form.email, policy, people::usual_reach(policy)).await
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RemoveForm {
    csrf: String,
}

async fn remove(visitor: Visitor, Path((org, user)): Path<(String, String)>, Form(form): Form<RemoveForm>) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let org = org_of(&visitor, &org).await?;
    let user: UserId = parse(&user, "user")?;
    match people::remove(&visitor.0.cx, org.id, user).await {
        Ok(()) => go(&format!("/o/{}/people", org.id)),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            people_page(&visitor, &org, status, says, InviteForm::default()).await
        }
    }
}
