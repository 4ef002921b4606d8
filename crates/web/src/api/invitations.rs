//! Invitations from the side of whoever holds the link: look, accept, decline. The secret is the right to all of it.

use super::bodies::{Acceptance, HeldInvitation};
use super::idempotent::read_body;
use super::models::{Joined, Offer};
use super::request::{Answer, Refused, read_json};
use crate::Web;
use crate::auth::From;
use app::invitations;
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;

/// A secret, a name and a password are short.
const BYTES_MAX: usize = 16 << 10;

/// Shows what an invitation offers: organisation, who invited, role, address.
#[utoipa::path(
    post,
    path = "/v1/invitations/show",
    request_body = HeldInvitation,
    responses((status = 200, body = Offer)),
    security(())
)]
pub(super) async fn show_invitation(State(web): State<Web>, body: Body) -> Answer<Offer> {
    let held: HeldInvitation = read_json(&read_body(body, BYTES_MAX).await?)?;
    Ok(Json(invitations::offer(&web.app, &held.secret).await?.into()))
}

/// Accepts an invitation.
///
/// Somebody new gives a name and chooses a password; somebody who has an account in this tree gives its password.
#[utoipa::path(
    post,
    path = "/v1/invitations/accept",
    request_body = Acceptance,
    responses((status = 201, body = Joined)),
    security(())
)]
pub(super) async fn accept_invitation(
    State(web): State<Web>,
    From(client): From,
    body: Body,
) -> Result<(StatusCode, Json<Joined>), Refused> {
    let asked: Acceptance = read_json(&read_body(body, BYTES_MAX).await?)?;
    let joiner = invitations::Joiner { email: None, name: &asked.name, password: &asked.password, client };
    let (realm, user) = invitations::accept(&web.app, &asked.secret, joiner).await?;
    Ok((StatusCode::CREATED, Json(Joined { realm: realm.to_string(), user: user.to_string() })))
}

/// Declines an invitation.
#[utoipa::path(
    post,
    path = "/v1/invitations/decline",
    request_body = HeldInvitation,
    responses((status = 204)),
    security(())
)]
pub(super) async fn decline_invitation(State(web): State<Web>, body: Body) -> Result<StatusCode, Refused> {
    let held: HeldInvitation = read_json(&read_body(body, BYTES_MAX).await?)?;
    invitations::decline(&web.app, &held.secret).await?;
    Ok(StatusCode::NO_CONTENT)
}
