//! Tokens with which directories provision an organisation by SCIM.

use super::idempotent::Change;
use super::models::Token;
use super::request::{Refused, id};
use app::scim;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use base::OrgId;
use serde::Deserialize;
use utoipa::ToSchema;

/// A token of a directory.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewScimToken {
    /// Which directory it is for.
    name: String,
    /// Days that it lives: 365 if left out, at most what the organisation allows.
    #[serde(default = "days")]
    days: i64,
}

fn days() -> i64 {
    365
}

/// Makes a token with which a directory provisions an organisation at `/scim/v2`. It is shown once.
#[utoipa::path(
    post,
    path = "/v1/orgs/{org}/scim-tokens",
    request_body = NewScimToken,
    responses((status = 201, body = Token))
)]
pub(super) async fn create_scim_token(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org: OrgId = id(&org, "organisation")?;
    let body: NewScimToken = change.json()?;
    let work = async {
        let (row, secret) = scim::create_token(change.cx(), org, &body.name, body.days).await?;
        Ok(Token { secret: Some(secret), ..Token::from(row) })
    };
    change.once(StatusCode::CREATED, work).await
}
