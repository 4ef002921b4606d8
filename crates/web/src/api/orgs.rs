//! The organisation tree.

use super::bodies::NewOrg;
use super::idempotent::Change;
use super::models::{List, Org};
use super::request::{Answer, Asked, ListAsked, Refused, id, page, parsed, products_of, word};
use crate::auth::Caller;
use access::Cost;
use app::orgs;
use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;

/// Lists the organisations at which the caller has a role, highest first.
#[utoipa::path(get, path = "/v1/orgs", params(ListAsked), responses((status = 200, body = List<Org>)))]
pub(super) async fn list_my_orgs(Caller(me): Caller, Asked(asked): Asked<ListAsked>) -> Answer<List<Org>> {
    let rows = orgs::mine(&me.cx).await?.into_iter().map(Org::of_mine).collect();
    Ok(Json(page(rows, &asked, |org| org.id.clone())?))
}

/// Gives an organisation.
#[utoipa::path(get, path = "/v1/orgs/{org}", responses((status = 200, body = Org)))]
pub(super) async fn get_org(Caller(me): Caller, Path(org): Path<String>) -> Answer<Org> {
    let found = orgs::get(&me.cx, id(&org, "organisation")?).await?;
    Ok(Json(Org::from(found)))
}

/// Lists an organisation and everything below it, parents first.
#[utoipa::path(get, path = "/v1/orgs/{org}/tree", params(ListAsked), responses((status = 200, body = List<Org>)))]
pub(super) async fn get_tree(
    Caller(me): Caller,
    Path(org): Path<String>,
    Asked(asked): Asked<ListAsked>,
) -> Answer<List<Org>> {
    let rows = orgs::subtree(&me.cx, id(&org, "organisation")?).await?.into_iter().map(Org::from).collect();
    Ok(Json(page(rows, &asked, |org| org.id.clone())?))
}

/// Creates an organisation below another one.
#[utoipa::path(
    post,
    path = "/v1/orgs/{org}/children",
    request_body = NewOrg,
    responses((status = 201, body = Org))
)]
pub(super) async fn create_child(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let parent = id(&org, "organisation")?;
    let body: NewOrg = change.json()?;
    let new = orgs::NewOrg {
        name: body.name,
        kind: body.kind,
        address: body.address,
        currency: body.currency.map(|text| parsed("currency", &text)).transpose()?,
        zone: body.zone.map(|text| parsed("zone", &text)).transpose()?,
        slug: body.slug,
        products: body.products.map(|words| products_of("products", &words)).transpose()?,
        cost_default: body.cost_default.map(|text| word("cost_default", &text, Cost::from_code)).transpose()?,
    };
    let work = async { Ok(Org::from(orgs::create_child(change.cx(), parent, new).await?)) };
    change.once(StatusCode::CREATED, work).await
}
