//! People who belong to no organisation any more, for those who see the whole tree.

use super::confirm::Confirm;
use super::fields::Fields;
use super::frame::{Answer, Empty, Menu, Page, Says, go, mendable, org_of, parse, show, show_with};
use super::listing::Listing;
use crate::Web;
use crate::auth::Visitor;
use crate::problem::PageFailure;
use app::rows::{Org, User};
use app::{Failure, unattached};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query};
use axum::http::StatusCode;
use axum::routing::{get, post};
use base::UserId;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/o/{org}/unattached", get(list)).route("/o/{org}/unattached/{user}/{act}", post(act))
}

struct PersonRow {
    id: String,
    name: String,
    email: String,
    /// `shut` when nothing opens the account again.
    state: String,
    is_shut: bool,
}

#[derive(Template)]
#[template(path = "console/unattached.html")]
struct UnattachedPage {
    page: Page,
    says: Says,
    base: String,
    back_href: String,
    rows: Vec<PersonRow>,
    listing: Listing,
    empty: Empty,
}

async fn list(visitor: Visitor, Path(org): Path<String>, Query(query): Query<Fields>) -> Answer {
    let org = highest(&visitor, &org).await?;
    list_page(&visitor, &org, StatusCode::OK, Says::default(), &query).await
}

/// Whoever belongs nowhere is a matter of the highest organisation.
async fn highest(visitor: &Visitor, org: &str) -> Result<Org, PageFailure> {
    let org = org_of(visitor, org).await?;
    if org.parent.is_some() {
        return Err(PageFailure(Failure::not_found("page")));
    }
    Ok(org)
}

async fn list_page(visitor: &Visitor, org: &Org, status: StatusCode, says: Says, query: &Fields) -> Answer {
    let mut found = unattached::list(&visitor.0.cx).await?;
    let base = format!("/o/{}/unattached", org.id);
    let text = |user: &User| format!("{} {} {}", user.display_name, user.email, user.id);
    let listing = Listing::cut(&mut found, query, &base, text);
    let page = UnattachedPage {
        page: Page::at(visitor, org, Menu::People, "People without an organisation").await,
        says,
        base,
        back_href: format!("/o/{}/people", org.id),
        rows: found.iter().map(row).collect(),
        listing,
        empty: Empty::nothing_yet("Everybody belongs to an organisation.", "", ""),
    };
    show_with(status, &page)
}

fn row(user: &User) -> PersonRow {
    let is_shut = user.state == "deprovisioned";
    PersonRow {
        id: user.id.to_string(),
        name: user.display_name.clone(),
        email: user.email.clone(),
        state: if is_shut { "shut".to_owned() } else { user.state.clone() },
        is_shut,
    }
}

async fn act(
    visitor: Visitor,
    Path((org, user, act)): Path<(String, String, String)>,
    Form(fields): Form<Fields>,
) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = highest(&visitor, &org).await?;
    let user: UserId = parse(&user, "user")?;
    let cx = &visitor.0.cx;
    let result = match act.as_str() {
        "add" => unattached::add(cx, user).await,
        "erase" if fields.get("sure") == "yes" => unattached::erase(cx, user).await,
        "erase" => return confirm_erasing(&visitor, &org, user).await,
        _ => Err(Failure::not_found("page")),
    };
    match result {
        Ok(()) if act == "add" => go(&format!("/o/{}/people/{user}", org.id)),
        Ok(()) => go(&format!("/o/{}/unattached", org.id)),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            list_page(&visitor, &org, status, says, &Fields::default()).await
        }
    }
}

async fn confirm_erasing(visitor: &Visitor, org: &Org, user: UserId) -> Answer {
    let found = unattached::list(&visitor.0.cx).await?.into_iter().find(|found| found.id == user);
    let found = found.ok_or_else(|| PageFailure(Failure::not_found("user")))?;
    let base = format!("/o/{}/unattached", org.id);
    show(&Confirm {
        page: Page::at(visitor, org, Menu::People, "Erase a person").await,
        heading: format!("Erase {}?", found.display_name),
        consequences: vec![
            format!("The account of {} is shut for good, with its tokens and keys.", found.email),
            "Name, address, provider identities and invitations are gone at once.".to_owned(),
            "What they did, and what they used, stays on record under an id without a name.".to_owned(),
        ],
        action: format!("{base}/{user}/erase"),
        fields: Vec::new(),
        button: "Erase".to_owned(),
        back_href: base,
    })
}
