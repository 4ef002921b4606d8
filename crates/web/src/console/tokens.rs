//! Services of an organisation and their tokens, and every token that works there.

use super::fields::Fields;
use super::frame::{
    Answer, Choice, Menu, NavItem, PEOPLE_TABS, Page, Says, go, may, mendable, org_of, own_url, parse, show_with, tabs,
    user_names,
};
use super::listing::Listing;
use super::me_tokens::{TokenRow, new_token, receipt, token_row};
use crate::Web;
use crate::auth::Visitor;
use access::Action;
use app::rows::{Org, Token, User};
use app::{Cx, Failure, orgs, people, tokens};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use base::{OrgId, TokenId, UserId};

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/o/{org}/tokens", get(list).post(create))
        .route("/o/{org}/tokens/services", post(create_service))
        .route("/o/{org}/tokens/{token}/revoke", post(revoke))
}

struct ServiceRow {
    name: String,
    href: String,
    description: String,
    state: String,
    active: bool,
}

#[derive(Template)]
#[template(path = "console/tokens.html")]
struct TokensPage {
    page: Page,
    tabs: Vec<NavItem>,
    says: Says,
    services: Vec<ServiceRow>,
    rows: Vec<TokenRow>,
    listing: Listing,
    /// Whether the visitor may make services and their tokens.
    creates: bool,
    base: String,
    /// Services of this very organisation, for the form.
    owners_here: Vec<Choice>,
    service_name: String,
    description: String,
    entry: Fields,
}

async fn list(visitor: Visitor, Path(org): Path<String>, Query(query): Query<Fields>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    list_page(&visitor, &org, StatusCode::OK, Says::default(), query).await
}

async fn list_page(visitor: &Visitor, org: &Org, status: StatusCode, says: Says, entry: Fields) -> Answer {
    let cx = &visitor.0.cx;
    let found = tokens::list(cx, org.id).await?;
    let places = orgs::names(cx, org.id).await?;
    let owners = user_names(visitor, org.id).await;
    let services = services(cx, org.id).await;
    let revokes = may(cx, Action::TokenRevoke, org.id).await;
    let row = |token: &Token| {
        let row = token_row(token, &places, cx.now_us());
        let href = format!("/o/{}/tokens/{}/revoke", org.id, token.id);
        TokenRow {
            // The name of somebody who belongs above, or nowhere any more, is not told here.
            owner: owners
                .get(&token.user.to_string())
                .cloned()
                .unwrap_or_else(|| "not of this organisation".to_owned()),
            revoke_href: if revokes && row.state == "live" { href } else { String::new() },
            ..row
        }
    };
    let is_service = entry.has("description");
    let base = format!("/o/{}/tokens", org.id);
    let mut rows: Vec<TokenRow> = found.iter().map(row).collect();
    let text = |row: &TokenRow| format!("{} {} {} {}", row.name, row.prefix, row.owner, row.scope);
    let listing = Listing::cut(&mut rows, &entry, &base, text);
    let has_search = |service: &&User| {
        let search = listing.search.to_lowercase();
        service.display_name.to_lowercase().contains(&search) || service.description.to_lowercase().contains(&search)
    };
    let page = TokensPage {
        page: Page::at(visitor, org, Menu::People, "Tokens and services").await,
        tabs: tabs(cx, org.id, PEOPLE_TABS, "tokens").await,
        says,
        rows,
        owners_here: services
            .iter()
            .filter(|service| service.home_org == org.id)
            .map(|service| Choice::new(service.id.to_string(), &service.display_name, entry.get("service")))
            .collect(),
        services: services.iter().filter(has_search).map(|person| service_row(org.id, person)).collect(),
        listing,
        creates: may(cx, Action::TokenCreateProgrammatic, org.id).await,
        base,
        service_name: if is_service { entry.get("name").to_owned() } else { String::new() },
        description: entry.get("description").to_owned(),
        entry: if is_service { Fields::default() } else { entry },
    };
    show_with(status, &page)
}

/// Services at `org` and below; none where the visitor may not see people.
async fn services(cx: &Cx, org: OrgId) -> Vec<User> {
    if may(cx, Action::UserRead, org).await { people::services(cx, org).await.unwrap_or_default() } else { Vec::new() }
}

fn service_row(org: OrgId, service: &User) -> ServiceRow {
    ServiceRow {
        name: service.display_name.clone(),
        href: format!("/o/{org}/people/{}", service.id),
        description: service.description.clone(),
        state: service.state.clone(),
        active: service.state == "active",
    }
}

async fn create_service(visitor: Visitor, Path(org): Path<String>, Form(fields): Form<Fields>) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    let (name, description) = (fields.get("name"), fields.get("description").trim());
    match tokens::create_service(&visitor.0.cx, org.id, name, description).await {
        // It can do nothing yet: what it is given is given on its own page.
        Ok(service) if may(&visitor.0.cx, Action::UserRead, org.id).await => {
            go(&format!("/o/{}/people/{}", org.id, service.id))
        }
        Ok(_) => go(&format!("/o/{}/tokens", org.id)),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            list_page(&visitor, &org, status, says, fields).await
        }
    }
}

async fn create(
    State(web): State<Web>,
    visitor: Visitor,
    Path(org): Path<String>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    match make(&visitor.0.cx, org.id, &fields).await {
        Ok(made) => {
            let page = Page::at(&visitor, &org, Menu::People, "API token").await;
            receipt(page, made, own_url(&web, &headers), &format!("/o/{}/tokens", org.id))
        }
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            list_page(&visitor, &org, status, says, fields).await
        }
    }
}

async fn make(cx: &Cx, org: OrgId, fields: &Fields) -> Result<(Token, String), Failure> {
    let service: UserId = parse(fields.get("service"), "service").map_err(|failure| failure.0)?;
    tokens::create_programmatic(cx, org, service, new_token(fields)?).await
}

async fn revoke(visitor: Visitor, Path((org, token)): Path<(String, String)>, Form(fields): Form<Fields>) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    let token: TokenId = parse(&token, "token")?;
    tokens::revoke(&visitor.0.cx, org.id, token).await?;
    go(&format!("/o/{}/tokens", org.id))
}
