//! Signing in with the organisation's identity provider: the address, the way there, the way back.

use super::frame::{Answer, Page, Says, own_url, show_with};
use super::sign_in::{cookie, go_on, own_page, refused, short_cookie};
use crate::Web;
use crate::auth::{From, Visitor, cookie as cookie_of, session_secret, short_cookie_name};
use app::sessions::by_session;
use app::sso::{self, Finished, Started};
use askama::Template;
use axum::Router;
use axum::extract::{Query, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use serde::Deserialize;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/sign-in/organisation", get(organisation))
        .route("/sign-in/start", get(start))
        .route("/sign-in/callback", get(callback))
        .route("/prove/provider", get(prove))
}

/// Where the provider sends the browser back.
pub(super) fn redirect_uri(web: &Web, headers: &HeaderMap) -> String {
    format!("{}/sign-in/callback", own_url(web, headers))
}

#[derive(Template)]
#[template(path = "console/organisation.html")]
struct OrganisationPage {
    page: Page,
    says: Says,
    email: String,
    /// Name of the provider that was found; empty before.
    provider: String,
    /// The way to it.
    start_href: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    email: String,
    next: String,
}

/// Asks for the address and offers the provider that its domain leads to. The way there is a link: a form may
/// lead to this site only.
async fn organisation(State(web): State<Web>, Query(asked): Query<Asked>) -> Answer {
    let mut page = OrganisationPage {
        page: Page::bare("Sign in with your organisation"),
        says: Says::default(),
        email: asked.email,
        provider: String::new(),
        start_href: String::new(),
    };
    if page.email.is_empty() {
        return show_with(StatusCode::OK, &page);
    }
    match sso::route(&web.app, &page.email).await? {
        Some(route) => {
            page.provider = route.name;
            page.start_href = format!("/sign-in/start?email={}", escaped(&page.email));
            show_with(StatusCode::OK, &page)
        }
        None => {
            page.says = Says::bad("No organisation has set up sign-in for this domain. Use your password.");
            show_with(StatusCode::NOT_FOUND, &page)
        }
    }
}

/// A text as a value of a query.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn leave(web: &Web, started: &Started) -> Answer {
    let mut response = Redirect::to(&started.url).into_response();
    response.headers_mut().append(header::SET_COOKIE, short_cookie(web, "oidc", &started.secret, 600)?);
    Ok(response)
}

async fn start(State(web): State<Web>, headers: HeaderMap, Query(asked): Query<Asked>) -> Answer {
    let Some(route) = sso::route(&web.app, &asked.email).await? else {
        return Ok(Redirect::to("/sign-in/organisation").into_response());
    };
    match sso::begin(&web.app, &route, &asked.email, &redirect_uri(&web, &headers)).await {
        Ok(started) => leave(&web, &started),
        Err(failure) => refused(&web, &headers, failure, asked.email),
    }
}

async fn prove(State(web): State<Web>, visitor: Visitor, headers: HeaderMap, Query(asked): Query<Asked>) -> Answer {
    let next = own_page(&asked.next);
    let started = sso::begin_proof(&visitor.0, &redirect_uri(&web, &headers), &next).await?;
    leave(&web, &started)
}

async fn callback(State(web): State<Web>, From(client): From, headers: HeaderMap, RawQuery(query): RawQuery) -> Answer {
    let kept = cookie_of(&headers, &short_cookie_name(web.https, "oidc")).unwrap_or_default();
    let session = session_secret(&headers, web.https).unwrap_or_default();
    let signed_in = by_session(&web.app, &session, &client).await.ok();
    let mine = signed_in.as_ref().map(|signed_in| (signed_in, session.as_str()));
    match sso::finish(&web.app, &kept, &query.unwrap_or_default(), &client, mine).await {
        Ok(Finished::SignIn(begun)) => go_on(&web, &headers, begun),
        Ok(Finished::Proved(fresh, next)) => {
            let mut response = Redirect::to(&own_page(&next)).into_response();
            response.headers_mut().append(header::SET_COOKIE, cookie(&web, &fresh, "")?);
            Ok(response)
        }
        Err(failure) => refused(&web, &headers, failure, String::new()),
    }
}
