//! My second factors: the list, an authenticator app, passkeys, recovery codes.

use super::frame::{Answer, Page, Says, go, instant, mendable, own_url, parse, show, show_with};
use super::sign_in::cookie;
use crate::auth::{Visitor, session_secret};
use crate::{WantsScript, Web};
use access::tree::MfaPolicy;
use app::factors::{self, Added, Ceremony, PasskeyAnswer, TotpSetUp};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{get, post};
use base::FactorId;
use serde::Deserialize;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/me/factors", get(list))
        .route("/me/factors/totp", post(begin_totp))
        .route("/me/factors/totp/confirm", post(confirm_totp))
        .route("/me/factors/passkey", get(passkey_form).post(add_passkey))
        .route("/me/factors/codes", post(new_codes))
        .route("/me/factors/{factor}/remove", post(remove))
}

struct FactorRow {
    name: String,
    kind: &'static str,
    made: String,
    used: String,
    remove_href: String,
}

#[derive(Template)]
#[template(path = "console/factors.html")]
struct FactorsPage {
    page: Page,
    says: Says,
    factors: Vec<FactorRow>,
    codes_left: usize,
    /// Second factors are switched off.
    off: bool,
    /// One is required.
    required: bool,
    /// Nothing else is possible now.
    enrolling: bool,
}

async fn list(visitor: Visitor) -> Answer {
    factors_page(&visitor, StatusCode::OK, Says::default()).await
}

async fn factors_page(visitor: &Visitor, status: StatusCode, says: Says) -> Answer {
    let mine = factors::mine(&visitor.0.cx).await?;
    let page = FactorsPage {
        page: Page::own(visitor, "Second factors").await?,
        says,
        factors: mine.factors.iter().map(factor_row).collect(),
        codes_left: mine.codes_left,
        off: mine.policy == MfaPolicy::Off,
        required: mine.policy == MfaPolicy::Required,
        enrolling: !visitor.0.limited_to.is_empty(),
    };
    show_with(status, &page)
}

fn factor_row(factor: &app::rows::Factor) -> FactorRow {
    FactorRow {
        name: factor.name.clone(),
        kind: if factor.kind == "totp" { "Authenticator app" } else { "Passkey" },
        made: instant(factor.created_us),
        used: factor.last_used_us.map_or_else(|| "never".to_owned(), instant),
        remove_href: format!("/me/factors/{}/remove", factor.id),
    }
}

#[derive(Template)]
#[template(path = "console/totp.html")]
struct TotpPage {
    page: Page,
    says: Says,
    waiting: TotpSetUp,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NameForm {
    csrf: String,
    name: String,
}

async fn begin_totp(visitor: Visitor, Form(form): Form<NameForm>) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    match factors::begin_totp(&visitor.0.cx, &form.name).await {
        Ok(waiting) => totp_page(&visitor, StatusCode::OK, Says::default(), waiting).await,
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            factors_page(&visitor, status, says).await
        }
    }
}

async fn totp_page(visitor: &Visitor, status: StatusCode, says: Says, waiting: TotpSetUp) -> Answer {
    show_with(status, &TotpPage { page: Page::own(visitor, "Authenticator app").await?, says, waiting })
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ConfirmForm {
    csrf: String,
    factor: String,
    code: String,
}

async fn confirm_totp(
    State(web): State<Web>,
    visitor: Visitor,
    headers: HeaderMap,
    Form(form): Form<ConfirmForm>,
) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let factor: FactorId = parse(&form.factor, "authenticator app")?;
    let secret = session_secret(&headers, web.https).unwrap_or_default();
    match factors::confirm_totp(&visitor.0, &secret, factor, &form.code).await {
        Ok(added) => receipt(&web, &visitor, added).await,
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            let waiting = factors::waiting_totp(&visitor.0.cx, factor).await?;
            totp_page(&visitor, status, says, waiting).await
        }
    }
}

/// The one time that recovery codes are shown.
#[derive(Template)]
#[template(path = "console/codes.html")]
struct CodesPage {
    page: Page,
    codes: Vec<String>,
}

/// After a factor was added: its recovery codes if it is the first, else the list. The session has a new secret.
async fn receipt(web: &Web, visitor: &Visitor, added: Added) -> Answer {
    let mut response = if added.codes.is_empty() {
        go("/me/factors")?
    } else {
        show(&CodesPage { page: Page::own(visitor, "Recovery codes").await?, codes: added.codes })?
    };
    response.headers_mut().append(header::SET_COOKIE, cookie(web, &added.secret, "")?);
    Ok(response)
}

#[derive(Template)]
#[template(path = "console/passkey.html")]
struct PasskeyPage {
    page: Page,
    says: Says,
    passkey: Ceremony,
}

async fn passkey_form(State(web): State<Web>, visitor: Visitor, headers: HeaderMap) -> Answer {
    match passkey_page(&web, &visitor, &headers, StatusCode::OK, Says::default()).await {
        Ok(response) => Ok(response),
        Err(failure) => {
            let (status, says) = mendable(failure.0)?;
            factors_page(&visitor, status, says).await
        }
    }
}

async fn passkey_page(web: &Web, visitor: &Visitor, headers: &HeaderMap, status: StatusCode, says: Says) -> Answer {
    let passkey = factors::begin_passkey(&visitor.0, &own_url(web, headers)).await?;
    let mut response = show_with(status, &PasskeyPage { page: Page::own(visitor, "Passkey").await?, says, passkey })?;
    response.extensions_mut().insert(WantsScript);
    Ok(response)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PasskeyForm {
    csrf: String,
    name: String,
    state: String,
    answer: String,
}

async fn add_passkey(
    State(web): State<Web>,
    visitor: Visitor,
    headers: HeaderMap,
    Form(form): Form<PasskeyForm>,
) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let (secret, console_url) = (session_secret(&headers, web.https).unwrap_or_default(), own_url(&web, &headers));
    let answer = PasskeyAnswer { console_url: &console_url, state: &form.state, answer: &form.answer };
    match factors::add_passkey(&visitor.0, &secret, &form.name, &answer).await {
        Ok(added) => receipt(&web, &visitor, added).await,
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            passkey_page(&web, &visitor, &headers, status, says).await
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PlainForm {
    csrf: String,
}

async fn new_codes(visitor: Visitor, Form(form): Form<PlainForm>) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    match factors::new_codes(&visitor.0.cx).await {
        Ok(codes) => show(&CodesPage { page: Page::own(&visitor, "Recovery codes").await?, codes }),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            factors_page(&visitor, status, says).await
        }
    }
}

async fn remove(visitor: Visitor, Path(factor): Path<String>, Form(form): Form<PlainForm>) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    match factors::remove(&visitor.0.cx, parse(&factor, "factor")?).await {
        Ok(()) => go("/me/factors"),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            factors_page(&visitor, status, says).await
        }
    }
}
