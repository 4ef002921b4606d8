//! The caller himself: tokens, name, keys.

use super::bodies::NewToken;
use super::idempotent::{Change, read_body};
use super::models::{Key, List, Me, Org, Token};
use super::request::{Answer, Asked, ListAsked, Refused, id, page, parsed, read_json};
use crate::Web;
use crate::auth::{Caller, From};
use app::tokens::{self, NewToken as Wanted};
use app::{Cx, Failure, Kind, keys, orgs, sessions, sign_in};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use base::TokenId;

/// Address and password are short.
const SIGN_IN_BYTES_MAX: usize = 16 << 10;

/// Makes a token from an e-mail address and a password.
///
/// A person with a second factor sends a `code` too; without it the answer is 401 with the code `mfa_required`.
/// The token is shown once. Every call makes another one: an Idempotency-Key is not honoured here.
#[utoipa::path(
    post,
    path = "/v1/tokens",
    request_body = NewToken,
    responses((status = 201, body = Token)),
    security(())
)]
pub(super) async fn create_token(
    State(web): State<Web>,
    From(client): From,
    body: Body,
) -> Result<(StatusCode, Json<Token>), Refused> {
    let text = read_body(body, SIGN_IN_BYTES_MAX).await?;
    let asked: NewToken = read_json(&text)?;
    let pair = (asked.email.as_str(), asked.password.as_str());
    let (session, signed_in) = sign_in::sign_in_with(&web.app, pair, &asked.code, &client).await?;
    if !signed_in.limited_to.is_empty() {
        sessions::sign_out(&web.app, &session).await?;
        let text = "your organisation requires a second factor: sign in to the console and set one up";
        return Err(Failure::new(Kind::Forbidden, text).coded("mfa_required").into());
    }
    let made = make_token(&signed_in.cx, asked).await;
    sessions::sign_out(&web.app, &session).await?; // The session was only the proof.
    let (row, secret) = made?;
    Ok((StatusCode::CREATED, Json(Token { secret: Some(secret), ..Token::from(row) })))
}

async fn make_token(cx: &Cx, asked: NewToken) -> Result<(app::rows::Token, String), Failure> {
    let scope_org = asked.scope_org.map(|text| parsed("scope_org", &text)).transpose()?;
    tokens::create(cx, Wanted { name: asked.name, days: asked.days, scope_org, actions: asked.actions }).await
}

/// Lists one's own tokens, newest first.
#[utoipa::path(get, path = "/v1/tokens", params(ListAsked), responses((status = 200, body = List<Token>)))]
pub(super) async fn list_tokens(Caller(me): Caller, Asked(asked): Asked<ListAsked>) -> Answer<List<Token>> {
    let rows = tokens::mine(&me.cx).await?.into_iter().map(Token::from).collect();
    Ok(Json(page(rows, &asked, |token| token.id.clone())?))
}

/// Revokes one of one's own tokens.
#[utoipa::path(delete, path = "/v1/tokens/{token}", responses((status = 204)))]
pub(super) async fn revoke_token(Path(token): Path<String>, change: Change) -> Result<Response, Refused> {
    let token: TokenId = id(&token, "token")?;
    let work = async { Ok(tokens::revoke_own(change.cx(), token).await?) };
    change.once(StatusCode::NO_CONTENT, work).await
}

/// Says who the token belongs to.
#[utoipa::path(get, path = "/v1/me", responses((status = 200, body = Me)))]
pub(super) async fn who_am_i(Caller(me): Caller) -> Answer<Me> {
    let orgs = orgs::mine(&me.cx).await?.into_iter().map(Org::of_mine).collect();
    Ok(Json(Me {
        id: me.user.id.to_string(),
        email: me.user.email,
        name: me.user.display_name,
        realm: me.cx.realm.to_string(),
        home_org: me.user.home_org.to_string(),
        orgs,
    }))
}

/// Lists one's own S3 access keys, newest first.
#[utoipa::path(get, path = "/v1/me/keys", params(ListAsked), responses((status = 200, body = List<Key>)))]
pub(super) async fn list_my_keys(Caller(me): Caller, Asked(asked): Asked<ListAsked>) -> Answer<List<Key>> {
    let rows = keys::mine(&me.cx).await?.into_iter().map(Key::from).collect();
    Ok(Json(page(rows, &asked, |key| key.key_id.clone())?))
}
