//! People of an organisation and their S3 access keys.

use super::bodies::{NewInvitation, NewKey};
use super::idempotent::Change;
use super::models::{Invitation, Key, List, User};
use super::request::{Answer, Asked, ListAsked, Refused, cut, id, page, page_limit, parsed, word};
use crate::auth::Caller;
use access::Propagate;
use app::rows::PeopleQuestion;
use app::{giving, invitations, keys, people, unattached};
use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use base::{InvitationId, OrgId, UserId};
use serde::Deserialize;
use utoipa::IntoParams;

/// Which people.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct UsersAsked {
    /// Part of a name or an address, in any case.
    q: Option<String>,
    /// At most so many; 50 if left out.
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists the people and services at an organisation and below, by address.
#[utoipa::path(get, path = "/v1/orgs/{org}/users", params(UsersAsked), responses((status = 200, body = List<User>)))]
pub(super) async fn list_users(
    Caller(me): Caller,
    Path(org): Path<String>,
    Asked(asked): Asked<UsersAsked>,
) -> Answer<List<User>> {
    let limit = page_limit(asked.limit);
    let question = PeopleQuestion {
        search: asked.q.unwrap_or_default(),
        after: asked.cursor.map(|text| parsed("cursor", &text)).transpose()?,
        limit: limit + 1,
    };
    let rows = people::list(&me.cx, id(&org, "organisation")?, &question).await?.into_iter().map(User::from).collect();
    Ok(Json(cut(rows, limit, |user| user.id.clone())))
}

/// Invites somebody to an organisation. The secret of the link is shown once.
#[utoipa::path(
    post,
    path = "/v1/orgs/{org}/invitations",
    request_body = NewInvitation,
    responses((status = 201, body = Invitation))
)]
pub(super) async fn invite(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org: OrgId = id(&org, "organisation")?;
    let body: NewInvitation = change.json()?;
    let policy = giving::parse_policy(&body.policy)?;
    let propagate = match &body.propagate {
        Some(text) => word("propagate", text, Propagate::from_code)?,
        None => giving::usual_reach(policy),
    };
    let work = async {
        let (row, secret) = invitations::invite(change.cx(), org, &body.email, policy, propagate).await?;
        Ok(Invitation { secret: Some(secret), ..Invitation::from(row) })
    };
    change.once(StatusCode::CREATED, work).await
}

/// Lists the invitations to an organisation that wait.
#[utoipa::path(
    get,
    path = "/v1/orgs/{org}/invitations",
    params(ListAsked),
    responses((status = 200, body = List<Invitation>))
)]
pub(super) async fn list_invitations(
    Caller(me): Caller,
    Path(org): Path<String>,
    Asked(asked): Asked<ListAsked>,
) -> Answer<List<Invitation>> {
    let rows = invitations::list(&me.cx, id(&org, "organisation")?).await?;
    let rows = rows.into_iter().map(Invitation::from).collect();
    Ok(Json(page(rows, &asked, |invitation| invitation.id.clone())?))
}

/// Withdraws an invitation.
#[utoipa::path(delete, path = "/v1/orgs/{org}/invitations/{invitation}", responses((status = 204)))]
pub(super) async fn cancel_invitation(
    Path((org, invitation)): Path<(String, String)>,
    change: Change,
) -> Result<Response, Refused> {
    let org: OrgId = id(&org, "organisation")?;
    let invitation: InvitationId = id(&invitation, "invitation")?;
    let work = async { Ok(invitations::cancel(change.cx(), org, invitation).await?) };
    change.once(StatusCode::NO_CONTENT, work).await
}

/// Takes a person's roles at an organisation away. His sessions, tokens and keys there end.
#[utoipa::path(delete, path = "/v1/orgs/{org}/users/{user}", responses((status = 204)))]
pub(super) async fn remove_user(
    Path((org, user)): Path<(String, String)>,
    change: Change,
) -> Result<Response, Refused> {
    let org: OrgId = id(&org, "organisation")?;
    let user: UserId = id(&user, "user")?;
    let work = async { Ok(people::remove(change.cx(), org, user).await?) };
    change.once(StatusCode::NO_CONTENT, work).await
}

/// Lists the S3 access keys charged to an organisation and below, newest first.
#[utoipa::path(get, path = "/v1/orgs/{org}/keys", params(ListAsked), responses((status = 200, body = List<Key>)))]
pub(super) async fn list_keys(
    Caller(me): Caller,
    Path(org): Path<String>,
    Asked(asked): Asked<ListAsked>,
) -> Answer<List<Key>> {
    let rows = keys::list(&me.cx, id(&org, "organisation")?).await?.into_iter().map(Key::from).collect();
    Ok(Json(page(rows, &asked, |key| key.key_id.clone())?))
}

/// Makes an S3 access key that is charged to an organisation. The secret is shown once.
#[utoipa::path(
    post,
    path = "/v1/orgs/{org}/keys",
    request_body = NewKey,
    responses((status = 201, body = Key))
)]
pub(super) async fn create_key(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org: OrgId = id(&org, "organisation")?;
    let body: NewKey = change.json()?;
    let user: UserId = match &body.user {
        Some(text) => parsed("user", text)?,
        None => change.cx().user(),
    };
    let work = async {
        let (row, secret) = keys::create(change.cx(), org, user, &body.name).await?;
        Ok(Key { secret: Some(secret), ..Key::from(row) })
    };
    change.once(StatusCode::CREATED, work).await
}

/// Revokes an S3 access key at once.
#[utoipa::path(delete, path = "/v1/keys/{key_id}", responses((status = 204)))]
pub(super) async fn revoke_key(Path(key_id): Path<String>, change: Change) -> Result<Response, Refused> {
    let work = async { Ok(keys::revoke(change.cx(), &key_id).await?) };
    change.once(StatusCode::NO_CONTENT, work).await
}

/// Lists people who belong to no organisation any more, by address.
#[utoipa::path(get, path = "/v1/unattached-users", params(ListAsked), responses((status = 200, body = List<User>)))]
pub(super) async fn list_unattached(Caller(me): Caller, Asked(asked): Asked<ListAsked>) -> Answer<List<User>> {
    let rows = unattached::list(&me.cx).await?.into_iter().map(alone).collect();
    Ok(Json(page(rows, &asked, |user| user.id.clone())?))
}

/// Shuts an account for good, and replaces what names the person at once.
#[utoipa::path(post, path = "/v1/users/{user}/erase", responses((status = 204)))]
pub(super) async fn erase_user(Path(user): Path<String>, change: Change) -> Result<Response, Refused> {
    let user: UserId = id(&user, "user")?;
    change.once(StatusCode::NO_CONTENT, async { Ok(unattached::erase(change.cx(), user).await?) }).await
}

fn alone(user: app::rows::User) -> User {
    people::Person { user, memberships: Vec::new(), given: Vec::new() }.into()
}
