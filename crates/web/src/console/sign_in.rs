//! Signing in and out, the start page, and joining by an invitation.

use super::frame::{Answer, Page, Says, go, home_org, mendable, show, show_with};
use crate::Web;
use crate::auth::{From, Visitor, cookie_name, session_secret};
use crate::problem::{PageFailure, status_of};
use app::{Failure, Kind, people};
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
}

/// To the highest organisation that the visitor runs, or to his own page.
async fn start(visitor: Visitor) -> Answer {
    match home_org(&visitor.0.cx).await? {
        Some(org) => go(&format!("/o/{}/overview", org.id)),
        None => go("/me"),
    }
}

#[derive(Template)]
#[template(path = "console/sign_in.html")]
struct SignInPage {
    page: Page,
    says: Says,
    email: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SignInQuery {
    joined: String,
}

async fn sign_in_form(Query(query): Query<SignInQuery>) -> Answer {
    let joined = "You have joined. Sign in with your address and your password.";
    let says = if query.joined.is_empty() { Says::default() } else { Says::good(joined) };
    show(&SignInPage { page: Page::bare("Sign in"), says, email: String::new() })
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SignInForm {
    email: String,
    password: String,
}

async fn sign_in(State(web): State<Web>, From(client): From, Form(form): Form<SignInForm>) -> Answer {
    match app::sign_in::sign_in(&web.app, &form.email, &form.password, &client).await {
        Ok((secret, _)) => {
            let mut response = Redirect::to("/").into_response();
            response.headers_mut().insert(header::SET_COOKIE, cookie(&web, &secret, "")?);
            Ok(response)
        }
        Err(failure) if matches!(failure.kind, Kind::Unauthenticated | Kind::TooMany) => {
            let status = status_of(failure.kind);
            let says = Says::bad(failure.text);
            show_with(status, &SignInPage { page: Page::bare("Sign in"), says, email: form.email })
        }
        Err(failure) => Err(PageFailure(failure)),
    }
}

fn cookie(web: &Web, value: &str, more: &str) -> Result<HeaderValue, PageFailure> {
    let secure = if web.https { "; Secure" } else { "" };
    let text = format!("{}={value}; HttpOnly; SameSite=Lax; Path=/{secure}{more}", cookie_name(web.https));
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
        app::sign_in::sign_out(&web.app, &secret).await?;
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
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ProveForm {
    csrf: String,
    next: String,
    password: String,
}

/// Only a page of this site is gone to afterwards.
fn own_page(next: &str) -> String {
    let plain = next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\r', '\n', ':']);
    if plain { next.to_owned() } else { "/".to_owned() }
}

async fn prove_form(visitor: Visitor, Query(form): Query<ProveForm>) -> Answer {
    let page = Page::own(&visitor, "Prove who you are").await?;
    show(&ProvePage { page, says: Says::default(), next: own_page(&form.next) })
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
    match app::sign_in::prove(&web.app, &secret, &form.password, &client).await {
        Ok(fresh) => {
            let mut response = Redirect::to(&own_page(&form.next)).into_response();
            response.headers_mut().insert(header::SET_COOKIE, cookie(&web, &fresh, "")?);
            Ok(response)
        }
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            let page = Page::own(&visitor, "Prove who you are").await?;
            show_with(status, &ProvePage { page, says, next: own_page(&form.next) })
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
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct JoinForm {
    secret: String,
    name: String,
    password: String,
}

async fn join_form(Query(form): Query<JoinForm>) -> Answer {
    join_page(StatusCode::OK, Says::default(), form)
}

fn join_page(status: StatusCode, says: Says, form: JoinForm) -> Answer {
    if form.secret.is_empty() {
        let text = "this link has no invitation in it; open the whole link that you were sent";
        return Err(PageFailure(Failure::new(Kind::Gone, text)));
    }
    let page = Page::bare("Join");
    show_with(status, &JoinPage { page, says, secret: form.secret, name: form.name })
}

async fn join(State(web): State<Web>, Form(form): Form<JoinForm>) -> Answer {
    let joiner = people::Joiner { email: None, name: &form.name, password: &form.password };
    match people::accept(&web.app, &form.secret, joiner).await {
        Ok(_) => go("/sign-in?joined=1"),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            join_page(status, says, form)
        }
    }
}
