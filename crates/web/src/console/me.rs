//! My page: my roles, my keys, my tokens, my buckets, my usage of this month.

use super::figures::{CUT, FigureRow, HEADS, Sums, question};
use super::frame::{Answer, Choice, Empty, Page, Says, go, instant, mendable, own_url, parse, show, show_with};
use super::keys::{Example, KeyRow, examples, key_row, receipt};
use crate::Web;
use crate::auth::Visitor;
use crate::problem::PageFailure;
use app::orgs::Mine;
use app::rows::{AccessKey, Org, Token};
use app::s3_session::{self, Bucket};
use app::tokens::{self, NewToken};
use app::{Cx, Failure, keys, orgs};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use base::{OrgId, TokenId};
use serde::Deserialize;
use std::collections::BTreeMap;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/me", get(me))
        .route("/me/keys", post(create_key))
        .route("/me/tokens", post(create_token))
        .route("/me/tokens/{token}/revoke", post(revoke_token))
}

struct RoleRow {
    role: String,
    org: String,
}

struct TokenRow {
    name: String,
    made: String,
    ends: String,
    /// `live`, `revoked`, `expired`.
    state: &'static str,
    live: bool,
    revoke_href: String,
}

struct BucketRow {
    name: String,
    org: String,
    places: Vec<String>,
}

/// What was typed into one of the forms.
#[derive(Default)]
struct Entry {
    key_org: String,
    key_name: String,
    token_name: String,
    token_days: String,
}

#[derive(Template)]
#[template(path = "console/me.html")]
struct MePage {
    page: Page,
    says: Says,
    name: String,
    email: String,
    roles: Vec<RoleRow>,
    /// Said to somebody without any role.
    empty: Empty,
    keys: Vec<KeyRow>,
    back: &'static str,
    orgs: Vec<Choice>,
    tokens: Vec<TokenRow>,
    buckets: Vec<BucketRow>,
    bucket_faults: Vec<String>,
    basis: Vec<String>,
    caption: &'static str,
    first: &'static str,
    heads: [&'static str; 6],
    rows: Vec<FigureRow>,
    total: Vec<String>,
    cut: &'static str,
    s3_url: String,
    examples: Vec<Example>,
    entry: Entry,
}

async fn me(State(web): State<Web>, visitor: Visitor) -> Answer {
    let entry = Entry { token_days: "90".to_owned(), ..Entry::default() };
    me_page(&web, &visitor, StatusCode::OK, Says::default(), entry).await
}

async fn me_page(web: &Web, visitor: &Visitor, status: StatusCode, says: Says, entry: Entry) -> Answer {
    let cx = &visitor.0.cx;
    let mine = orgs::mine(cx).await?;
    let keys = keys::mine(cx).await?;
    let tokens = tokens::mine(cx).await?;
    let names = names(cx, &mine, &keys).await;
    let users = BTreeMap::from([(visitor.0.user.id.to_string(), visitor.0.user.display_name.clone())]);
    let (rows, basis) = my_usage(cx, &mine).await?;
    let (buckets, bucket_faults) = my_buckets(cx, &mine).await;
    let choices: Vec<Choice> =
        mine.iter().map(|mine| Choice::new(mine.org.id.to_string(), &mine.org.name, &entry.key_org)).collect();
    let page = MePage {
        page: Page::own(visitor, "My page").await?,
        says,
        name: visitor.0.user.display_name.clone(),
        email: visitor.0.user.email.clone(),
        roles: mine.iter().flat_map(role_rows).collect(),
        empty: Empty::no_right(
            "You have no role at any organisation now. An admin who knows you can invite you again.",
        ),
        keys: keys.iter().map(|key| key_row(key, &users, &names)).collect(),
        back: "me",
        orgs: choices,
        tokens: tokens.iter().map(|token| token_row(token, cx.now_us())).collect(),
        buckets,
        bucket_faults,
        basis,
        caption: "My usage of this month",
        first: "Charged to",
        heads: HEADS,
        rows,
        total: Vec::new(), // Organisations may lie one below the other: their rows do not add up.
        cut: CUT,
        s3_url: web.s3_url.clone(),
        examples: examples(&web.s3_url, "YOUR_KEY_ID", "YOUR_SECRET"),
        entry,
    };
    show_with(status, &page)
}

fn role_rows(mine: &Mine) -> Vec<RoleRow> {
    mine.policies.iter().map(|(_, name)| RoleRow { role: name.clone(), org: mine.org.name.clone() }).collect()
}

/// Names of the organisations that the page mentions.
async fn names(cx: &Cx, mine: &[Mine], keys: &[AccessKey]) -> BTreeMap<OrgId, String> {
    let mut names: BTreeMap<OrgId, String> = mine.iter().map(|mine| (mine.org.id, mine.org.name.clone())).collect();
    for key in keys {
        if names.contains_key(&key.org) {
            continue;
        }
        let name = orgs::get(cx, key.org).await.map_or_else(|_| key.org.to_string(), |org| org.name);
        names.insert(key.org, name);
    }
    names
}

fn token_row(token: &Token, now_us: i64) -> TokenRow {
    let state = match token.revoked_us {
        Some(_) => "revoked",
        None if token.expires_us <= now_us => "expired",
        None => "live",
    };
    TokenRow {
        name: token.name.clone(),
        made: instant(token.created_us),
        ends: instant(token.expires_us),
        state,
        live: state == "live",
        revoke_href: format!("/me/tokens/{}/revoke", token.id),
    }
}

/// A row for each organisation at which the visitor used something this month.
async fn my_usage(cx: &Cx, mine: &[Mine]) -> Result<(Vec<FigureRow>, Vec<String>), PageFailure> {
    let mut rows = Vec::new();
    let mut basis = Vec::new();
    for Mine { org, .. } in mine {
        let mut asked = question("");
        asked.user = Some(cx.user()?);
        asked.by.dimensions = true;
        let usage = app::usage::ask(cx, org.id, asked).await?;
        if basis.is_empty() {
            basis = super::figures::basis(&usage, "only what I used, at each organisation and below");
        }
        let mut sums = Sums::default();
        usage.rows.iter().for_each(|row| sums.add(row));
        if !sums.is_empty() {
            let cells = sums.cells(usage.period.seconds());
            rows.push(FigureRow { name: org.name.clone(), href: String::new(), cells });
        }
    }
    Ok((rows, basis))
}

/// What the visitor sees through the gateway; one organisation that fails does not take the others along.
async fn my_buckets(cx: &Cx, mine: &[Mine]) -> (Vec<BucketRow>, Vec<String>) {
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for Mine { org, .. } in mine {
        match s3_session::my_buckets(cx, org.id).await {
            Ok(buckets) => rows.extend(buckets.iter().map(|bucket| bucket_row(org, bucket))),
            Err(failure) => faults.push(format!("Buckets at {}: {}", org.name, failure.text)),
        }
    }
    (rows, faults)
}

fn bucket_row(org: &Org, bucket: &Bucket) -> BucketRow {
    let place = |folder: &str, writable: bool| {
        let folder = if folder.is_empty() { "whole bucket" } else { folder };
        format!("{folder}, {}", if writable { "read and write" } else { "read only" })
    };
    BucketRow {
        name: bucket.name.clone(),
        org: org.name.clone(),
        places: bucket.places.iter().map(|found| place(&found.folder, found.writable)).collect(),
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct KeyForm {
    csrf: String,
    org: String,
    name: String,
}

async fn create_key(State(web): State<Web>, visitor: Visitor, Form(form): Form<KeyForm>) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let org: OrgId = parse(&form.org, "organisation")?;
    let cx = &visitor.0.cx;
    match keys::create(cx, org, cx.user()?, &form.name).await {
        Ok((key, secret)) => {
            let names = names(cx, &orgs::mine(cx).await?, std::slice::from_ref(&key)).await;
            let org_name = names.get(&org).cloned().unwrap_or_else(|| org.to_string());
            let page = Page::own(&visitor, "Access key").await?;
            receipt(&web, page, &key, &secret, &org_name, "/me".to_owned())
        }
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            let entry =
                Entry { key_org: form.org, key_name: form.name, token_days: "90".to_owned(), ..Entry::default() };
            me_page(&web, &visitor, status, says, entry).await
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TokenForm {
    csrf: String,
    name: String,
    days: String,
}

/// The receipt of a token: the one time that it is shown.
#[derive(Template)]
#[template(path = "console/token_receipt.html")]
struct TokenPage {
    page: Page,
    name: String,
    secret: String,
    ends: String,
    url: String,
}

async fn create_token(
    State(web): State<Web>,
    visitor: Visitor,
    headers: HeaderMap,
    Form(form): Form<TokenForm>,
) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    match make_token(&visitor.0.cx, &form).await {
        Ok((token, secret)) => show(&TokenPage {
            page: Page::own(&visitor, "API token").await?,
            name: token.name,
            secret,
            ends: instant(token.expires_us),
            url: own_url(&web, &headers),
        }),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            let entry = Entry { token_name: form.name, token_days: form.days, ..Entry::default() };
            me_page(&web, &visitor, status, says, entry).await
        }
    }
}

async fn make_token(cx: &Cx, form: &TokenForm) -> Result<(Token, String), Failure> {
    let wrong = |_| Failure::invalid("days", &form.days, "must be 1 to 365");
    let days = form.days.trim().parse::<i64>().map_err(wrong)?;
    tokens::create(cx, NewToken::whole(&form.name, days)).await
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RevokeForm {
    csrf: String,
}

async fn revoke_token(visitor: Visitor, Path(token): Path<String>, Form(form): Form<RevokeForm>) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let token: TokenId = parse(&token, "token")?;
    tokens::revoke_own(&visitor.0.cx, token).await?;
    go("/me")
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
            assert_eq!(token_row(&token, 100).state, want);
        };
        check(200, None, "live");
        check(100, None, "expired");
        check(200, Some(50), "revoked");
    }
}
