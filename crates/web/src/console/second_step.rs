//! The second step of a sign-in: a code or a passkey after the password; and the sign-in by passkey alone.

use super::frame::{Answer, Page, Says, mendable, own_url, show_with};
use super::sign_in::{refused, welcome};
use crate::auth::{From, cookie, short_cookie_name};
use crate::{WantsScript, Web};
use app::Kind;
use app::factors::{self, Ceremony, PasskeyAnswer};
use app::sign_in;
use askama::Template;
use axum::Router;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use serde::Deserialize;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/sign-in/second", get(second_form).post(second)).route("/sign-in/passkey", post(passkey))
}

#[derive(Template)]
#[template(path = "console/second_step.html")]
struct SecondPage {
    page: Page,
    says: Says,
    passkey: Ceremony,
}

async fn second_form(State(web): State<Web>, headers: HeaderMap) -> Answer {
    second_page(&web, &headers, StatusCode::OK, Says::default()).await
}

fn half_of(web: &Web, headers: &HeaderMap) -> String {
    cookie(headers, &short_cookie_name(web.https, "half")).unwrap_or_default()
}

async fn second_page(web: &Web, headers: &HeaderMap, status: StatusCode, says: Says) -> Answer {
    let half = half_of(web, headers);
    let passkey = match factors::ask_half(&web.app, &half, &own_url(web, headers)).await {
        Ok(ceremony) => ceremony,
        Err(failure) if failure.kind == Kind::Unauthenticated => {
            return refused(web, headers, failure, String::new());
        }
        // Without passkeys, or at an address that can have none, the code is the way.
        Err(_) => Ceremony::default(),
    };
    let mut response = show_with(status, &SecondPage { page: Page::bare("Second step"), says, passkey })?;
    response.extensions_mut().insert(WantsScript);
    Ok(response)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SecondForm {
    code: String,
    state: String,
    answer: String,
}

async fn second(
    State(web): State<Web>,
    From(client): From,
    headers: HeaderMap,
    Form(form): Form<SecondForm>,
) -> Answer {
    let half = half_of(&web, &headers);
    let done = if form.answer.is_empty() {
        sign_in::finish_with_code(&web.app, &half, &form.code, &client).await
    } else {
        let console_url = own_url(&web, &headers);
        let answer = PasskeyAnswer { console_url: &console_url, state: &form.state, answer: &form.answer };
        sign_in::finish_with_passkey(&web.app, &half, &answer, &client).await
    };
    match done {
        Ok((secret, _)) => welcome(&web, &headers, &secret),
        Err(failure) if failure.kind == Kind::Unauthenticated => refused(&web, &headers, failure, String::new()),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            second_page(&web, &headers, status, says).await
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PasskeyForm {
    answer: String,
}

async fn passkey(
    State(web): State<Web>,
    From(client): From,
    headers: HeaderMap,
    Form(form): Form<PasskeyForm>,
) -> Answer {
    let state = cookie(&headers, &short_cookie_name(web.https, "passkey")).unwrap_or_default();
    let console_url = own_url(&web, &headers);
    let answer = PasskeyAnswer { console_url: &console_url, state: &state, answer: &form.answer };
    match sign_in::sign_in_by_passkey(&web.app, &answer, &client).await {
        Ok((secret, _)) => welcome(&web, &headers, &secret),
        Err(failure) => refused(&web, &headers, failure, String::new()),
    }
}
