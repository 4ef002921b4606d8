//! My API tokens: each with my rights, narrowed to a place and to actions if I wish. And the receipt that
//! shows a new token once, for services too.

use super::fields::{Fields, items};
use super::frame::{Answer, Choice, NavItem, Page, Says, go, instant, mendable, own_url, parse, show, show_with};
use super::nav::own_tabs;
use crate::Web;
use crate::auth::Visitor;
use app::rows::Token;
use app::tokens::{self, NewToken};
use app::{Cx, Failure, orgs};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use base::{OrgId, TokenId};
use std::collections::BTreeMap;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/me/tokens", get(list).post(create)).route("/me/tokens/{token}/revoke", post(revoke))
}

/// A token as lists show it.
pub(super) struct TokenRow {
    pub(super) name: String,
    pub(super) prefix: String,
    pub(super) owner: String,
    pub(super) kind: String,
    pub(super) scope: String,
    pub(super) actions: String,
    pub(super) used: String,
    pub(super) ends: String,
    /// `live`, `revoked`, `expired`.
    pub(super) state: &'static str,
    pub(super) reason: String,
    /// Where it is revoked; empty when it is over, or not the visitor's to revoke.
    pub(super) revoke_href: String,
}

/// The row of a token. The caller adds owner and where it is revoked.
pub(super) fn token_row(token: &Token, places: &BTreeMap<OrgId, String>, now_us: i64) -> TokenRow {
    let state = match token.revoked_us {
        Some(_) => "revoked",
        None if token.expires_us <= now_us => "expired",
        None => "live",
    };
    let place = |org: OrgId| places.get(&org).cloned().unwrap_or_else(|| org.to_string());
    TokenRow {
        name: token.name.clone(),
        prefix: token.prefix.clone(),
        owner: String::new(),
        kind: token.kind.clone(),
        scope: token.scope_org.map_or_else(|| "everywhere".to_owned(), place),
        actions: if token.actions == ["*"] { "everything".to_owned() } else { token.actions.join(", ") },
        used: token.last_used_us.map_or_else(|| "never".to_owned(), instant),
        ends: instant(token.expires_us),
        state,
        reason: token.revoke_reason.clone(),
        revoke_href: String::new(),
    }
}

#[derive(Template)]
#[template(path = "console/me_tokens.html")]
struct TokensPage {
    page: Page,
    tabs: Vec<NavItem>,
    says: Says,
    rows: Vec<TokenRow>,
    places: Vec<Choice>,
    entry: Fields,
}

async fn list(visitor: Visitor) -> Answer {
    list_page(&visitor, StatusCode::OK, Says::default(), Fields::default()).await
}

async fn list_page(visitor: &Visitor, status: StatusCode, says: Says, entry: Fields) -> Answer {
    let cx = &visitor.0.cx;
    let mine = orgs::mine(cx).await?;
    let names: BTreeMap<OrgId, String> = mine.iter().map(|mine| (mine.org.id, mine.org.name.clone())).collect();
    let everywhere = Choice::new("", "everywhere I may act", entry.get("scope"));
    let places = mine
        .iter()
        .map(|mine| Choice::new(mine.org.id.to_string(), format!("{} and below", mine.org.name), entry.get("scope")));
    let row = |token: &Token| {
        let row = token_row(token, &names, cx.now_us());
        let href = format!("/me/tokens/{}/revoke", token.id);
        TokenRow { revoke_href: if row.state == "live" { href } else { String::new() }, ..row }
    };
    let page = TokensPage {
        page: Page::own(visitor, "My API tokens").await?,
        tabs: own_tabs("/me/tokens"),
        says,
        rows: tokens::mine(cx).await?.iter().map(row).collect(),
        places: [everywhere].into_iter().chain(places).collect(),
        entry,
    };
    show_with(status, &page)
}

/// The receipt of a token: the one time that it is shown.
#[derive(Template)]
#[template(path = "console/token_receipt.html")]
struct Receipt {
    page: Page,
    name: String,
    secret: String,
    ends: String,
    url: String,
    back_href: String,
}

/// Shows a new token.
pub(super) fn receipt(page: Page, (token, secret): (Token, String), url: String, back_href: &str) -> Answer {
    let ends = instant(token.expires_us);
    show(&Receipt { page, name: token.name, secret, ends, url, back_href: back_href.to_owned() })
}

/// What a form says of a new token.
pub(super) fn new_token(fields: &Fields) -> Result<NewToken, Failure> {
    let days = fields.get("days");
    let wrong = |_| Failure::invalid("days", days, "must be 1 to 365");
    let scope = match fields.get("scope") {
        "" => None,
        text => Some(text.parse().map_err(|_| Failure::invalid("scope", text, "is not the id of an organisation"))?),
    };
    Ok(NewToken {
        name: fields.get("name").to_owned(),
        days: days.trim().parse().map_err(wrong)?,
        scope_org: scope,
        actions: items(fields.get("actions")),
    })
}

async fn create(State(web): State<Web>, visitor: Visitor, headers: HeaderMap, Form(fields): Form<Fields>) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    match make(&visitor.0.cx, &fields).await {
        Ok(made) => receipt(Page::own(&visitor, "API token").await?, made, own_url(&web, &headers), "/me/tokens"),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            list_page(&visitor, status, says, fields).await
        }
    }
}

async fn make(cx: &Cx, fields: &Fields) -> Result<(Token, String), Failure> {
    tokens::create(cx, new_token(fields)?).await
}

async fn revoke(visitor: Visitor, Path(token): Path<String>, Form(fields): Form<Fields>) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let token: TokenId = parse(&token, "token")?;
    tokens::revoke_own(&visitor.0.cx, token).await?;
    go("/me/tokens")
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::UserId;

    #[test]
    fn tokens_say_how_they_stand() {
        let check = |expires_us: i64, revoked_us: Option<i64>, want: &str| {
            let token = Token {
                id: TokenId(1),
                user: UserId(2),
                secret_hash: String::new(),
                name: "ci".to_owned(),
                created_us: 0,
                kind: "personal".to_owned(),
                scope_org: None,
                actions: vec!["*".to_owned()],
                prefix: String::new(),
                proved_us: None,
                last_used_us: None,
                revoke_reason: String::new(),
                created_by: String::new(),
                expires_us,
                revoked_us,
            };
            let row = token_row(&token, &BTreeMap::new(), 100);
            assert_eq!((row.state, row.scope.as_str(), row.actions.as_str()), (want, "everywhere", "everything"));
        };
        check(200, None, "live");
        check(100, None, "expired");
        check(200, Some(50), "revoked");
    }
}
