//! Who asks: the console's cookie or the API's bearer token.

use crate::ClientAddress;
use crate::Web;
use crate::problem::{PageFailure, Problem};
use app::sessions::{Client, SignedIn};
use app::{Failure, Kind, sessions, tokens};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use std::convert::Infallible;

/// The cookie of a session. `__Host-` binds it to this host and to https; plain http on loopback has to
/// do without.
pub(crate) fn cookie_name(https: bool) -> &'static str {
    if https { "__Host-meterhouse" } else { "meterhouse" }
}

/// The cookie of something that lasts a few minutes: half a sign-in, a passkey's challenge.
pub(crate) fn short_cookie_name(https: bool, what: &str) -> String {
    format!("{}-{what}", cookie_name(https))
}

/// The secret of the session cookie.
pub(crate) fn session_secret(headers: &HeaderMap, https: bool) -> Option<String> {
    cookie(headers, cookie_name(https))
}

/// The value of a cookie.
pub(crate) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'))
        .find_map(|pair| pair.trim().split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()))
}

/// The client of a request: its address, as the socket or a trusted proxy says it, and what it calls itself.
pub(crate) struct From(pub(crate) Client);

pub(crate) fn client(parts: &Parts) -> Client {
    let ip = parts.extensions.get::<ClientAddress>().and_then(|found| found.0);
    let agent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Client { ip, agent: agent.to_owned() }
}

impl<S: Sync> FromRequestParts<S> for From {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(client(parts)))
    }
}

/// Somebody who is signed in to the console. Pages that need him redirect to the sign-in page.
pub(crate) struct Visitor(pub(crate) SignedIn);

impl FromRequestParts<Web> for Visitor {
    type Rejection = PageFailure;
    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, PageFailure> {
        let secret = session_secret(&parts.headers, web.https)
            .ok_or_else(|| PageFailure(Failure::new(Kind::Unauthenticated, "sign in first")))?;
        let mut signed_in = sessions::by_session(&web.app, &secret, &client(parts)).await.map_err(PageFailure)?;
        if let Some(preview) = parts.extensions.get::<app::Preview>() {
            signed_in.cx.preview = preview.clone();
        }
        if signed_in.limited_to.is_empty()
            || parts.uri.path().starts_with("/me/factors")
            || ["/sign-out", "/prove"].contains(&parts.uri.path())
        {
            return Ok(Self(signed_in));
        }
        Err(PageFailure(Failure::new(Kind::Forbidden, "set up a second factor first").coded("mfa_required")))
    }
}

/// Somebody with an API token: `Authorization: Bearer …`.
pub(crate) struct Caller(pub(crate) SignedIn);

impl FromRequestParts<Web> for Caller {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Problem> {
        let missing = || Problem(Failure::new(Kind::Unauthenticated, "send Authorization: Bearer TOKEN"));
        let value =
            parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(missing)?;
        let token = value.strip_prefix("Bearer ").ok_or_else(missing)?;
        let found = tokens::by_token(&web.app, token.trim(), &client(parts)).await.map_err(Problem)?;
        if found.cx.context.token.as_ref().is_some_and(|token| token.kind == "scim") {
            let failure = Failure::new(Kind::Forbidden, "this token is for /scim/v2 only");
            return Err(Problem(failure.coded("token_scope")));
        }
        Ok(Self(found))
    }
}

impl Visitor {
    /// The form was made by a page of this session.
    pub(crate) fn check_csrf(&self, sent: &str) -> Result<(), PageFailure> {
        if self.0.csrf == sent && !sent.is_empty() {
            return Ok(());
        }
        let text = "this form is out of date; go back, reload the page and try again";
        Err(PageFailure(Failure::new(Kind::Forbidden, text)))
    }
}
