//! A new child in one step: name, kind, products, the cost it sees first, money, calendar, address.

use super::fields::{Fields, boxes, lines};
use super::frame::{
    Answer, Choice, Menu, NavItem, Page, Says, TREE_TABS, choices, go, may, mendable, org_of, show_with, tabs,
};
use super::settings::{COSTS, cost_choices};
use crate::Web;
use crate::auth::Visitor;
use crate::problem::PageFailure;
use access::{Action, Cost, Product};
use app::orgs::{NewOrg, ProductState};
use app::rows::Org;
use app::{Failure, Kind, orgs};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path};
use axum::http::StatusCode;
use axum::routing::get;
use base::OrgId;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/o/{org}/children/new", get(form).post(create))
}

const KINDS: [(&str, &str); 4] = [
    ("department", "department (gets statements)"),
    ("project", "project (gets statements)"),
    ("customer", "customer (gets invoices)"),
    ("reseller", "reseller (gets invoices)"),
];

#[derive(Template)]
#[template(path = "console/child_new.html")]
struct NewPage {
    page: Page,
    tabs: Vec<NavItem>,
    says: Says,
    href: String,
    entry: Fields,
    kinds: Vec<Choice>,
    /// What the parent has; empty when the visitor may not see products.
    products: Vec<Choice>,
    costs: Vec<Choice>,
    parent_currency: String,
    parent_zone: String,
}

async fn form(visitor: Visitor, Path(org): Path<String>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    if !may(&visitor.0.cx, Action::OrgCreateChild, org.id).await {
        return Err(PageFailure(Failure::new(
            Kind::Forbidden,
            "you need org:create_child here to create an organisation",
        )));
    }
    form_page(&visitor, &org, StatusCode::OK, Says::default(), Fields::default()).await
}

async fn form_page(visitor: &Visitor, org: &Org, status: StatusCode, says: Says, entry: Fields) -> Answer {
    let cx = &visitor.0.cx;
    let states = orgs::products(cx, org.id).await.unwrap_or_default();
    let own: Vec<ProductState> = states.into_iter().filter(|state| state.effective).collect();
    let is_first = !entry.has("csrf");
    let ticked = |state: ProductState| match is_first {
        true => state.for_children,
        false => entry.all("products").any(|word| word == state.product.code()),
    };
    let cost = Cost::from_code(entry.get("cost_default")).unwrap_or(org.settings.child_cost_default);
    let page = NewPage {
        page: Page::at(visitor, org, Menu::Tree, "New organisation").await,
        tabs: tabs(cx, org.id, TREE_TABS, "children").await,
        says,
        href: format!("/o/{}/children/new", org.id),
        kinds: choices(&KINDS, entry.get("kind")),
        products: boxes(&own, |state| (state.product.code(), state.product.words()), ticked),
        costs: cost_choices(COSTS, cost),
        parent_currency: org.currency.to_string(),
        parent_zone: org.zone.name().to_owned(),
        entry,
    };
    show_with(status, &page)
}

async fn create(visitor: Visitor, Path(org): Path<String>, Form(fields): Form<Fields>) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    match create_child(&visitor, org.id, &fields).await {
        Ok(child) if may(&visitor.0.cx, Action::OrgRead, child.id).await => {
            go(&format!("/o/{}/settings?done=created", child.id))
        }
        Ok(_) => go(&format!("/o/{}/children", org.id)),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            form_page(&visitor, &org, status, says, fields).await
        }
    }
}

async fn create_child(visitor: &Visitor, parent: OrgId, fields: &Fields) -> Result<Org, Failure> {
    let products = match fields.has("with_products") {
        true => Some(fields.words("products", Product::from_code)?),
        false => None, // The form did not show them.
    };
    let new = NewOrg {
        name: fields.get("name").to_owned(),
        kind: fields.get("kind").to_owned(),
        slug: text_of(fields.get("slug")),
        address: lines(fields.get("address")),
        currency: optional("currency", fields.get("currency"))?,
        zone: optional("zone", fields.get("zone"))?,
        products,
        cost_default: Some(fields.word("cost_default", Cost::from_code)?),
    };
    orgs::create_child(&visitor.0.cx, parent, new).await
}

fn text_of(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Reads a field that may be left empty.
fn optional<T: std::str::FromStr<Err: std::fmt::Display>>(field: &str, text: &str) -> Result<Option<T>, Failure> {
    match text_of(text) {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|error| Failure::unreadable(field, error)),
    }
}
