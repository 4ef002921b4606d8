//! My sessions, which I may end, and my password.

use super::fields::Fields;
use super::frame::{Answer, NavItem, Page, Says, go, instant, mendable, parse, show_with};
use super::nav::own_tabs;
use super::sign_in::cookie;
use crate::Web;
use crate::auth::{From, Visitor, session_secret};
use app::Failure;
use app::rows::Session;
use app::sessions::Client;
use app::{sessions, sign_in};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect};
use axum::routing::{get, post};
use base::SessionId;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/me/sessions", get(list))
        .route("/me/sessions/{session}/end", post(end))
        .route("/me/password", get(password).post(change))
}

struct SessionRow {
    agent: String,
    ip: String,
    began: String,
    seen: String,
    proof: &'static str,
    is_this: bool,
    end_href: String,
}

#[derive(Template)]
#[template(path = "console/me_sessions.html")]
struct SessionsPage {
    page: Page,
    tabs: Vec<NavItem>,
    says: Says,
    rows: Vec<SessionRow>,
}

async fn list(visitor: Visitor, Query(query): Query<Fields>) -> Answer {
    let this = visitor.0.cx.origin.session;
    let done = if query.get("done") == "ended" { Says::good("The session is ended.") } else { Says::default() };
    let sessions = sessions::my_sessions(&visitor.0.cx).await?;
    let page = SessionsPage {
        page: Page::own(&visitor, "My sessions").await?,
        tabs: own_tabs("/me/sessions"),
        says: done,
        rows: sessions.iter().map(|session| row(session, this)).collect(),
    };
    show_with(StatusCode::OK, &page)
}

fn row(session: &Session, this: Option<SessionId>) -> SessionRow {
    SessionRow {
        agent: if session.agent.is_empty() { "unknown client".to_owned() } else { session.agent.clone() },
        ip: session.ip.clone(),
        began: instant(session.created_us),
        seen: instant(session.seen_us),
        proof: match session.proof.as_str() {
            "password" => "password",
            "code" => "code of an app",
            "recovery_code" => "recovery code",
            "passkey" => "passkey",
            "sso" | "sso_mfa" => "identity provider",
            _ => "not said",
        },
        is_this: Some(session.id) == this,
        end_href: format!("/me/sessions/{}/end", session.id),
    }
}

async fn end(visitor: Visitor, Path(session): Path<String>, Form(fields): Form<Fields>) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let session: SessionId = parse(&session, "session")?;
    sessions::end_session(&visitor.0.cx, session).await?;
    go("/me/sessions?done=ended")
}

#[derive(Template)]
#[template(path = "console/me_password.html")]
struct PasswordPage {
    page: Page,
    tabs: Vec<NavItem>,
    says: Says,
    email: String,
}

async fn password(visitor: Visitor, Query(query): Query<Fields>) -> Answer {
    let changed = "The password is changed. All other sessions are ended.";
    let says = if query.get("done") == "changed" { Says::good(changed) } else { Says::default() };
    password_page(&visitor, StatusCode::OK, says).await
}

async fn password_page(visitor: &Visitor, status: StatusCode, says: Says) -> Answer {
    let page = Page::own(visitor, "My password").await?;
    let email = visitor.0.user.email.clone();
    show_with(status, &PasswordPage { page, tabs: own_tabs("/me/password"), says, email })
}

async fn change(
    State(web): State<Web>,
    visitor: Visitor,
    From(client): From,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let secret = session_secret(&headers, web.https).unwrap_or_default();
    match set(&web, &secret, &fields, &client).await {
        Ok(fresh) => {
            let mut response = Redirect::to("/me/password?done=changed").into_response();
            response.headers_mut().insert(header::SET_COOKIE, cookie(&web, &fresh, "")?);
            Ok(response)
        }
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            password_page(&visitor, status, says).await
        }
    }
}

async fn set(web: &Web, secret: &str, fields: &Fields, client: &Client) -> Result<String, Failure> {
    let (old, new) = (fields.get("old"), fields.get("new"));
    if new != fields.get("again") {
        return Err(Failure::unreadable("again", "is not the same as the new password"));
    }
    sign_in::change_password(&web.app, secret, (old, new), fields.has("revoke_tokens"), client).await
}
