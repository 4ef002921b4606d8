//! What happened to my account: sign-ins, failed tries, changes of password and factors.

use super::fields::Fields;
use super::frame::{Answer, Empty, NavItem, Page, instant, show};
use super::nav::own_tabs;
use crate::Web;
use crate::auth::Visitor;
use app::rows::{AuditEvent, Trouble};
use app::security;
use askama::Template;
use axum::Router;
use axum::extract::Query;
use axum::routing::get;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/me/security", get(list))
}

struct TroubleRow {
    address: String,
    tries: String,
    first: String,
    last: String,
}

struct EventRow {
    at: String,
    what: &'static str,
    address: String,
    agent: String,
    detail: String,
    is_alarm: bool,
}

#[derive(Template)]
#[template(path = "console/me_security.html")]
struct SecurityPage {
    page: Page,
    tabs: Vec<NavItem>,
    troubles: Vec<TroubleRow>,
    events: Vec<EventRow>,
    empty: Empty,
    /// To older entries; empty on the last page.
    older: String,
}

async fn list(visitor: Visitor, Query(query): Query<Fields>) -> Answer {
    let before = query.get("before").parse().unwrap_or(0);
    let mine = security::mine(&visitor.0.cx, before).await?;
    let older = mine.events.last().filter(|_| mine.events.len() == 100);
    show(&SecurityPage {
        page: Page::own(&visitor, "My security").await?,
        tabs: own_tabs("/me/security"),
        troubles: mine.troubles.iter().map(trouble_row).collect(),
        older: older.map(|event| format!("/me/security?before={}", event.seq)).unwrap_or_default(),
        events: mine.events.iter().map(event_row).collect(),
        empty: Empty::nothing_yet("Nothing was noted about your account.", "", ""),
    })
}

fn trouble_row(found: &Trouble) -> TroubleRow {
    let many = |count: i64, one: &str, more: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {more}")),
    };
    let parts = [
        many(found.passwords, "wrong password", "wrong passwords"),
        many(found.codes, "wrong code", "wrong codes"),
        many(found.delays, "delay", "delays"),
    ];
    TroubleRow {
        address: found.address.clone(),
        tries: parts.into_iter().flatten().collect::<Vec<_>>().join(", "),
        first: instant(found.first_us),
        last: instant(found.last_us),
    }
}

fn words(action: &str) -> &'static str {
    match action {
        "session.begin" => "Signed in",
        "session.end" => "Session ended",
        "sign_in.failed" => "Failed tries",
        "sign_in.delayed" => "Too many tries, delayed",
        "sign_in.after_failures" => "Signed in after failed tries",
        "user.change_password" => "Password changed",
        "user.reset_link" => "Link to set a password made",
        "user.reset" => "Password set by a link",
        "user.suspend" => "Account suspended",
        "user.resume" => "Account opened again",
        "factor.add" => "Second factor added",
        "factor.remove" => "Second factor removed",
        "recovery_code.use" => "Recovery code used",
        "recovery_code.renew" => "Recovery codes renewed",
        "passkey.counter_fell" => "A passkey may have been copied",
        "break_glass.use" => "Emergency sign-in",
        _ => "Other",
    }
}

fn event_row(event: &AuditEvent) -> EventRow {
    let context: serde_json::Value = serde_json::from_str(&event.context_json).unwrap_or_default();
    let detail: serde_json::Value = serde_json::from_str(&event.detail_json).unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let address = if context["ip"].is_string() { text(&context["ip"]) } else { text(&detail["address"]) };
    let is_new = detail["new_address"].as_bool() == Some(true);
    let counted = |name: &str| detail[name].as_i64().unwrap_or(0);
    let failures = counted("passwords") + counted("codes");
    EventRow {
        at: instant(event.at_us),
        what: words(&event.action),
        address,
        agent: text(&context["agent"]),
        detail: match (is_new, failures) {
            (true, _) => "an address not seen in the last 90 days".to_owned(),
            (_, 0) => String::new(),
            (_, 1) => "1 failed try".to_owned(),
            (_, many) => format!("{many} failed tries"),
        },
        is_alarm: is_new || detail["alarm"].as_bool() == Some(true) || event.action == "sign_in.after_failures",
    }
}
