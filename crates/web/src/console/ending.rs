//! Suspending, resuming, deleting and restoring an organisation.

use super::fields::Fields;
use super::frame::{Answer, Menu, NavItem, Page, Says, TREE_TABS, go, may, mendable, org_of, show_with, tabs};
use super::settings::after;
use crate::Web;
use crate::auth::Visitor;
use crate::problem::PageFailure;
use access::Action;
use access::tree::GatewayRule;
use app::org_life::{self, Deletion};
use app::rows::Org;
use app::{Failure, Kind, orgs};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path};
use axum::http::StatusCode;
use axum::routing::{get, post};

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/o/{org}/suspend", post(suspend))
        .route("/o/{org}/resume", post(resume))
        .route("/o/{org}/delete", get(form).post(delete))
        .route("/o/{org}/restore", post(restore))
}

async fn suspend(visitor: Visitor, Path(org): Path<String>, Form(fields): Form<Fields>) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    let result = match fields.word("gateway", GatewayRule::from_code) {
        Ok(rule) => org_life::suspend(&visitor.0.cx, org.id, rule).await.map(|_| ()),
        Err(failure) => Err(failure),
    };
    after(&visitor, &org, "suspended", result).await
}

async fn resume(visitor: Visitor, Path(org): Path<String>, Form(fields): Form<Fields>) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    let result = org_life::resume(&visitor.0.cx, org.id).await.map(|_| ());
    after(&visitor, &org, "resumed", result).await
}

async fn restore(visitor: Visitor, Path(org): Path<String>, Form(fields): Form<Fields>) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    let result = org_life::restore(&visitor.0.cx, org.id).await.map(|_| ());
    after(&visitor, &org, "restored", result).await
}

#[derive(Template)]
#[template(path = "console/delete.html")]
struct DeletePage {
    page: Page,
    tabs: Vec<NavItem>,
    says: Says,
    base: String,
    below: usize,
    entry: Fields,
}

async fn form(visitor: Visitor, Path(org): Path<String>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    if !may(&visitor.0.cx, Action::OrgDelete, org.id).await {
        return Err(PageFailure(Failure::new(
            Kind::Forbidden,
            "Your roles here do not allow this: delete the organisation.",
        )));
    }
    delete_page(&visitor, &org, StatusCode::OK, Says::default(), Fields::default()).await
}

async fn delete_page(visitor: &Visitor, org: &Org, status: StatusCode, says: Says, entry: Fields) -> Answer {
    let cx = &visitor.0.cx;
    let page = DeletePage {
        page: Page::at(visitor, org, Menu::Tree, "Delete").await,
        tabs: tabs(cx, org.id, TREE_TABS, "settings").await,
        says,
        base: format!("/o/{}", org.id),
        below: orgs::subtree(cx, org.id).await?.len().saturating_sub(1),
        entry,
    };
    show_with(status, &page)
}

async fn delete(visitor: Visitor, Path(org): Path<String>, Form(fields): Form<Fields>) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    let how = Deletion {
        confirm: fields.get("confirm").to_owned(),
        cascade: fields.has("cascade"),
        without_final_invoice: fields.has("without_final_invoice"),
    };
    match org_life::delete(&visitor.0.cx, org.id, &how).await {
        Ok(_) => go(&format!("/o/{}/settings?done=deleted", org.id)),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            delete_page(&visitor, &org, status, says, fields).await
        }
    }
}
