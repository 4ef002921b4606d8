//! The way back in: an admin makes a link on a person's page, and whoever opens it sets a new password.

use super::fields::Fields;
use super::frame::{Answer, Menu, Page, Says, go, mendable, org_of, own_url, parse, show, show_with};
use super::person;
use crate::Web;
use crate::auth::Visitor;
use app::resets;
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use base::UserId;
use serde::Deserialize;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/o/{org}/people/{user}/reset", post(make)).route("/reset", get(form).post(set))
}

#[derive(Template)]
#[template(path = "console/reset_made.html")]
struct MadePage {
    page: Page,
    email: String,
    link: String,
    ends: String,
    back_href: String,
}

async fn make(
    State(web): State<Web>,
    visitor: Visitor,
    Path((org, user)): Path<(String, String)>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    let user: UserId = parse(&user, "user")?;
    match resets::begin(&visitor.0.cx, user).await {
        Ok(made) => show(&MadePage {
            page: Page::at(&visitor, &org, Menu::People, "A way back in").await,
            email: made.email,
            link: format!("{}/reset?secret={}", own_url(&web, &headers), made.secret),
            ends: org.zone.time_of(made.expires_us),
            back_href: format!("/o/{}/people/{user}", org.id),
        }),
        Err(failure) => person::refused(&visitor, &org, user, failure).await,
    }
}

#[derive(Template)]
#[template(path = "console/reset.html")]
struct ResetPage {
    page: Page,
    says: Says,
    secret: String,
    email: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ResetForm {
    secret: String,
    password: String,
}

async fn form(State(web): State<Web>, Query(form): Query<ResetForm>) -> Answer {
    reset_page(&web, StatusCode::OK, Says::default(), form).await
}

async fn reset_page(web: &Web, status: StatusCode, says: Says, form: ResetForm) -> Answer {
    let email = resets::look(&web.app, &form.secret).await?;
    show_with(status, &ResetPage { page: Page::bare("A new password"), says, secret: form.secret, email })
}

async fn set(State(web): State<Web>, Form(form): Form<ResetForm>) -> Answer {
    match resets::finish(&web.app, &form.secret, &form.password).await {
        Ok(_) => go("/sign-in?reset=1"),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            reset_page(&web, status, says, form).await
        }
    }
}
