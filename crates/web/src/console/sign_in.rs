//! Signing in and out, the start page, and joining by an invitation.

use super::frame::{Answer, Page, Says, go, mendable, own_url, show, show_with};
use super::nav::first_page;
use super::people::reach_words;
use crate::auth::{From, Visitor, cookie as cookie_of, cookie_name, session_secret, short_cookie_name};
use crate::problem::{PageFailure, status_of};
use crate::{WantsScript, Web};
use app::factors::{Ceremony, PasskeyAnswer};
use app::invitations::{self, Offer};
use app::sign_in::{Begun, Proof, Ways};
use app::{Failure, Kind};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};
use serde::Deserialize;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/", get(start))
        .route("/sign-in", get(sign_in_form).post(sign_in))
        .route("/sign-out", post(sign_out))
        .route("/prove", get(prove_form).post(prove))
        .route("/join", get(join_form).post(join))
        .route("/join/decline", post(decline))
}

/// To the first page that the visitor may see.
async fn start(visitor: Visitor) -> Answer {
    go(&first_page(&visitor).await?)
}

/// Longer addresses are not kept.
const NEXT_MAX: usize = 2_000;

#[derive(Template)]
#[template(path = "console/sign_in.html")]
struct SignInPage {
    page: Page,
    says: Says,
    email: String,
    /// What the browser is asked for a passkey with; empty where there are none.
    options: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SignInQuery {
    joined: String,
    reset: String,
}

async fn sign_in_form(State(web): State<Web>, headers: HeaderMap, Query(query): Query<SignInQuery>) -> Answer {
    let joined = "You have joined. Sign in with your address and your password.";
    let says = match (query.joined.is_empty(), query.reset.is_empty()) {
        (false, _) => Says::good(joined),
        (_, false) => Says::good("The password is set. Sign in with it."),
        _ => Says::default(),
    };
    sign_in_page(&web, &headers, StatusCode::OK, says, String::new())
}

/// The sign-in page. The challenge for a passkey goes along in a cookie.
pub(super) fn sign_in_page(web: &Web, headers: &HeaderMap, status: StatusCode, says: Says, email: String) -> Answer {
    // A console at a bare address has no passkeys: then the page offers none.
    let ceremony = app::factors::ask_anybody(&web.app, &own_url(web, headers)).unwrap_or_default();
    let page = SignInPage { page: Page::bare("Sign in"), says, email, options: ceremony.options };
    let mut response = show_with(status, &page)?;
    if !ceremony.state.is_empty() {
        let value = short_cookie(web, "passkey", &ceremony.state, 300)?;
        response.headers_mut().append(header::SET_COOKIE, value);
        response.extensions_mut().insert(WantsScript);
    }
    Ok(response)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SignInForm {
    email: String,
    password: String,
}

async fn sign_in(
    State(web): State<Web>,
    From(client): From,
    headers: HeaderMap,
    Form(form): Form<SignInForm>,
) -> Answer {
    match app::sign_in::begin(&web.app, &form.email, &form.password, &client).await {
        Ok(begun) => go_on(&web, &headers, begun),
        Err(failure) => refused(&web, &headers, failure, form.email),
    }
}

/// A refused sign-in is said on the sign-in page.
pub(super) fn refused(web: &Web, headers: &HeaderMap, failure: Failure, email: String) -> Answer {
    if matches!(failure.kind, Kind::Internal | Kind::Busy) {
        return Err(PageFailure(failure));
    }
    let mut response = sign_in_page(web, headers, status_of(failure.kind), Says::bad(failure.text), email)?;
    if let Some(wait_s) = failure.wait_s {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait_s));
    }
    Ok(response)
}

/// After a first proof: into the console, or to the question for a second factor.
pub(super) fn go_on(web: &Web, headers: &HeaderMap, begun: Begun) -> Answer {
    match begun {
        Begun::Whole(secret, _) => welcome(web, headers, &secret),
        Begun::Half(half) => {
            let mut response = Redirect::to("/sign-in/second").into_response();
            response.headers_mut().append(header::SET_COOKIE, short_cookie(web, "half", &half, 300)?);
            Ok(response)
        }
    }
}

/// Keeps where somebody wanted to go, however they sign in: by password, passkey, second factor or organisation.
pub(crate) fn next_cookie(web: &Web, encoded: &str) -> Option<HeaderValue> {
    if encoded.len() > NEXT_MAX {
        return None;
    }
    short_cookie(web, "next", encoded, 900).ok()
}

/// Into the console with a new session, to the page that was wanted; what led to it is forgotten.
pub(super) fn welcome(web: &Web, headers: &HeaderMap, secret: &str) -> Answer {
    let next = cookie_of(headers, &short_cookie_name(web.https, "next")).unwrap_or_default();
    let next = percent_encoding::percent_decode_str(&next).decode_utf8_lossy();
    let mut response = Redirect::to(&own_page(&next)).into_response();
    let headers = response.headers_mut();
    headers.append(header::SET_COOKIE, cookie(web, secret, "")?);
    for what in ["half", "passkey", "oidc", "next"] {
        headers.append(header::SET_COOKIE, short_cookie(web, what, "", 0)?);
    }
    Ok(response)
}

pub(super) fn cookie(web: &Web, value: &str, more: &str) -> Result<HeaderValue, PageFailure> {
    named_cookie(web, cookie_name(web.https), value, more)
}

/// A cookie for a few minutes.
pub(super) fn short_cookie(web: &Web, what: &str, value: &str, seconds: u32) -> Result<HeaderValue, PageFailure> {
    named_cookie(web, &short_cookie_name(web.https, what), value, &format!("; Max-Age={seconds}"))
}

fn named_cookie(web: &Web, name: &str, value: &str, more: &str) -> Result<HeaderValue, PageFailure> {
    let secure = if web.https { "; Secure" } else { "" };
    let text = format!("{name}={value}; HttpOnly; SameSite=Lax; Path=/{secure}{more}");
    let broken = |_| PageFailure(Failure::new(Kind::Internal, "the session could not be written into a cookie"));
    HeaderValue::from_str(&text).map_err(broken)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SignOutForm {
    csrf: String,
}

async fn sign_out(
    State(web): State<Web>,
    visitor: Visitor,
    headers: HeaderMap,
    Form(form): Form<SignOutForm>,
) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    if let Some(secret) = session_secret(&headers, web.https) {
        app::sessions::sign_out(&web.app, &secret).await?;
    }
    let mut response = Redirect::to("/sign-in").into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie(&web, "", "; Max-Age=0")?);
    Ok(response)
}

/// Where somebody proves once more who he is, before an act that wants it.
#[derive(Template)]
#[template(path = "console/prove.html")]
struct ProvePage {
    page: Page,
    says: Says,
    next: String,
    ways: Ways,
    passkey: Ceremony,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ProveForm {
    csrf: String,
    next: String,
    password: String,
    code: String,
    state: String,
    answer: String,
}

/// Only a page of this site is gone to afterwards.
pub(super) fn own_page(next: &str) -> String {
    let odd = |c: char| c.is_control() || c == '\\' || c == ':';
    let plain = next.starts_with('/') && !next.starts_with("//") && !next.contains(odd);
    if plain { next.to_owned() } else { "/".to_owned() }
}

async fn prove_form(
    State(web): State<Web>,
    visitor: Visitor,
    headers: HeaderMap,
    Query(form): Query<ProveForm>,
) -> Answer {
    prove_page(&web, &visitor, &headers, StatusCode::OK, (Says::default(), &form.next)).await
}

async fn prove_page(
    web: &Web,
    visitor: &Visitor,
    headers: &HeaderMap,
    status: StatusCode,
    (says, next): (Says, &str),
) -> Answer {
    let ways = app::sign_in::ways(&visitor.0.cx).await?;
    let passkey = match ways.passkey {
        true => app::factors::ask_prove(&visitor.0, &own_url(web, headers)).await.unwrap_or_default(),
        false => Ceremony::default(),
    };
    let page = Page::own(visitor, "Prove who you are").await?;
    let mut response = show_with(status, &ProvePage { page, says, next: own_page(next), ways, passkey })?;
    response.extensions_mut().insert(WantsScript);
    Ok(response)
}

async fn prove(
    State(web): State<Web>,
    visitor: Visitor,
    From(client): From,
    headers: HeaderMap,
    Form(form): Form<ProveForm>,
) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let secret = session_secret(&headers, web.https).unwrap_or_default();
    let console_url = own_url(&web, &headers);
    let answer = PasskeyAnswer { console_url: &console_url, state: &form.state, answer: &form.answer };
    let proof = match (form.answer.is_empty(), form.code.is_empty()) {
        (false, _) => Proof::Passkey(&answer),
        (_, false) => Proof::Code(&form.code),
        _ => Proof::Password(&form.password),
    };
    match app::sign_in::prove(&web.app, &secret, proof, &client).await {
        Ok(fresh) => {
            let mut response = Redirect::to(&own_page(&form.next)).into_response();
            response.headers_mut().insert(header::SET_COOKIE, cookie(&web, &fresh, "")?);
            Ok(response)
        }
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            prove_page(&web, &visitor, &headers, status, (says, &form.next)).await
        }
    }
}

#[derive(Template)]
#[template(path = "console/join.html")]
struct JoinPage {
    page: Page,
    says: Says,
    secret: String,
    name: String,
    offer: Offer,
    reach: &'static str,
    ends: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct JoinForm {
    secret: String,
    name: String,
    password: String,
}

async fn join_form(State(web): State<Web>, Query(form): Query<JoinForm>) -> Answer {
    join_page(&web, StatusCode::OK, Says::default(), form).await
}

async fn join_page(web: &Web, status: StatusCode, says: Says, form: JoinForm) -> Answer {
    if form.secret.is_empty() {
        let text = "this link has no invitation in it; open the whole link that you were sent";
        return Err(PageFailure(Failure::new(Kind::Gone, text)));
    }
    let offer = invitations::offer(&web.app, &form.secret).await?;
    let page = JoinPage {
        page: Page::bare("Join"),
        says,
        secret: form.secret,
        name: form.name,
        reach: reach_words(offer.propagate),
        ends: offer.zone.time_of(offer.expires_us),
        offer,
    };
    show_with(status, &page)
}

async fn join(State(web): State<Web>, From(client): From, Form(form): Form<JoinForm>) -> Answer {
    let joiner = invitations::Joiner { email: None, name: &form.name, password: &form.password, client };
    match invitations::accept(&web.app, &form.secret, joiner).await {
        Ok(_) => go("/sign-in?joined=1"),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            join_page(&web, status, says, form).await
        }
    }
}

#[derive(Template)]
#[template(path = "console/declined.html")]
struct DeclinedPage {
    page: Page,
    org: String,
}

async fn decline(State(web): State<Web>, Form(form): Form<JoinForm>) -> Answer {
    let offer = invitations::offer(&web.app, &form.secret).await?;
    invitations::decline(&web.app, &form.secret).await?;
    show(&DeclinedPage { page: Page::bare("Declined"), org: offer.org })
}
