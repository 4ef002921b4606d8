//! What each command of organisations, products and cloud accounts asks, and what it shows.

use super::args::{Format, LinkVerb, OrgSetArgs, OrgVerb, ProductVerb};
use super::http::{Call, encode};
use super::output::Column;
use super::session::Session;
use crate::Exit;
use bytes::Bytes;
use http::Method;
use serde_json::{Map, Value, json};

const ORGS: [Column; 9] = [
    ("ID", "/id"),
    ("NAME", "/name"),
    ("KIND", "/kind"),
    ("STATE", "/state"),
    ("PAPER", "/paper"),
    ("CURRENCY", "/currency"),
    ("ZONE", "/zone"),
    ("RESTORABLE UNTIL", "/delete_after_at"),
    ("POLICIES", "/policies"),
];
const CHILDREN: [Column; 7] = [
    ("ID", "/id"),
    ("NAME", "/name"),
    ("KIND", "/kind"),
    ("STATE", "/state"),
    ("ACCOUNTS", "/accounts"),
    ("USERS", "/users"),
    ("CHILDREN", "/children"),
];
const SETTINGS: [Column; 10] = [
    ("ID", "/id"),
    ("NAME", "/name"),
    ("STATE", "/state"),
    ("ADDRESS", "/address"),
    ("COST", "/cost_default"),
    ("CHILD COST", "/child_cost_default"),
    ("VISIBLE COSTS", "/visible_costs"),
    ("SECOND FACTOR", "/mfa_policy"),
    ("TOKEN DAYS", "/token_days_max"),
    ("ADMINS", "/admin_mode"),
];
const MOVED: [Column; 6] = [
    ("ORGANISATIONS", "/organisations"),
    ("DEPTH", "/depth"),
    ("LOSE ACCESS", "/lose_access"),
    ("GAIN ACCESS", "/gain_access"),
    ("PRODUCTS LOST", "/products_lost"),
    ("PRICES END", "/prices_end"),
];
const PRODUCTS: [Column; 4] =
    [("PRODUCT", "/product"), ("GRANTED", "/granted"), ("EFFECTIVE", "/effective"), ("FOR CHILDREN", "/for_children")];
const LINKS: [Column; 7] = [
    ("ID", "/id"),
    ("PROVIDER", "/provider"),
    ("ACCOUNT", "/external_account"),
    ("NAME", "/name"),
    ("ORG", "/org"),
    ("FROM", "/from_at"),
    ("TO", "/to_at"),
];

/// `org`.
pub(super) async fn org(session: Session, verb: OrgVerb) -> Result<u8, Exit> {
    match verb {
        OrgVerb::List => session.list("/v1/orgs", &[], &ORGS).await,
        OrgVerb::Get => {
            let found = session.ask(&format!("/v1/orgs/{}", session.org().await?)).await?;
            session.show(&found, &ORGS)
        }
        OrgVerb::Tree => {
            let mut answer = session.rows(&format!("/v1/orgs/{}/tree", session.org().await?), &[]).await?;
            if session.format == Format::Table {
                as_tree(&mut answer);
            }
            session.show(&answer, &ORGS)
        }
        OrgVerb::Children => session.list(&format!("/v1/orgs/{}/children", session.org().await?), &[], &CHILDREN).await,
        OrgVerb::Create { name, kind, address, currency, zone, slug, product, cost_default } => {
            let path = format!("/v1/orgs/{}/children", session.org().await?);
            let body = json!({
                "name": name, "kind": kind, "address": address, "currency": currency, "zone": zone, "slug": slug,
                "products": if product.is_empty() { Value::Null } else { product.into() },
                "cost_default": cost_default,
            });
            session.change(Call::post(path, &body), &ORGS).await
        }
        OrgVerb::Set(args) => set(session, args).await,
        OrgVerb::Move { to, dry_run, confirm } => {
            let path = format!("/v1/orgs/{}/move", session.named_org()?);
            if dry_run {
                let preview = session.ask(&format!("{path}?parent={}", encode(&to))).await?;
                return session.show(&preview, &MOVED);
            }
            check_name(&session, &confirm.unwrap_or_default()).await?;
            session.change(Call::post(path, &json!({ "parent": to })), &MOVED).await
        }
        OrgVerb::Suspend { gateway, confirm } => {
            check_name(&session, &confirm).await?;
            let path = format!("/v1/orgs/{}/suspend", session.named_org()?);
            session.change(Call::post(path, &json!({ "gateway": gateway })), &ORGS).await
        }
        OrgVerb::Resume => {
            session.change(Call::post(format!("/v1/orgs/{}/resume", session.named_org()?), &Value::Null), &ORGS).await
        }
        OrgVerb::Delete { cascade, without_final_invoice, confirm } => {
            let body = json!({
                "confirm": confirm, "cascade": cascade, "without_final_invoice": without_final_invoice,
            });
            let path = format!("/v1/orgs/{}", session.named_org()?);
            let call = Call::new(Method::DELETE, path, "application/json", Bytes::from(body.to_string()));
            session.change(call, &ORGS).await
        }
        OrgVerb::Restore => {
            session.change(Call::post(format!("/v1/orgs/{}/restore", session.named_org()?), &Value::Null), &ORGS).await
        }
    }
}

/// A dangerous act names the organisation once more.
async fn check_name(session: &Session, confirm: &str) -> Result<(), Exit> {
    let found = session.ask(&format!("/v1/orgs/{}", session.named_org()?)).await?;
    let name = found["name"].as_str().unwrap_or_default();
    if name == confirm.trim() { Ok(()) } else { Err(Exit::usage(format!("--confirm: is not the name {name:?}"))) }
}

/// Settings, and what is decided from above: up to three changes, one after the other.
async fn set(session: Session, args: OrgSetArgs) -> Result<u8, Exit> {
    let path = format!("/v1/orgs/{}", session.named_org()?);
    let some = |list: Vec<String>| if list.is_empty() { Value::Null } else { list.into() };
    let own: Map<String, Value> = [
        ("name", json!(args.name)),
        ("address", some(args.address)),
        ("cost_default", json!(args.cost_default)),
        ("child_cost_default", json!(args.child_cost_default)),
        ("mfa_policy", json!(args.mfa_policy)),
        ("token_days_max", json!(args.token_days_max)),
        ("child_products", some(args.child_product)),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_null())
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    let mut calls = Vec::new();
    if !own.is_empty() {
        calls.push(Call::patch(path.clone(), &Value::Object(own)));
    }
    if !args.visible_cost.is_empty() {
        calls.push(Call::put(format!("{path}/visible-costs"), &json!({ "visible_costs": args.visible_cost })));
    }
    if let Some(mode) = args.admin_mode {
        calls.push(Call::put(format!("{path}/admin-mode"), &json!({ "admin_mode": mode })));
    }
    let (mut answer, count) = (Value::Null, calls.len());
    for (done, call) in calls.into_iter().enumerate() {
        answer = session.send(call).await.map_err(|exit| partly(exit, done, count))?.json()?;
    }
    session.show(&answer, &SETTINGS)
}

/// 7: some of several changes were made.
fn partly(exit: Exit, done: usize, count: usize) -> Exit {
    if done == 0 {
        return exit;
    }
    Exit { code: 7, text: format!("{done} of {count} changes were made, then: {}", exit.text) }
}

/// `product`.
pub(super) async fn product(session: Session, verb: ProductVerb) -> Result<u8, Exit> {
    match verb {
        ProductVerb::List => {
            let found = session.ask(&format!("/v1/orgs/{}/products", session.org().await?)).await?;
            session.show(&found, &PRODUCTS)
        }
        ProductVerb::Set { product, state, sure } => {
            if state == "off" && !session.goes_on(sure, &withheld(&session, &product).await?)? {
                return Ok(0);
            }
            let path = format!("/v1/orgs/{}/products/{}", session.named_org()?, encode(&product));
            let call = Call::put(path, &json!({ "granted": state == "on" }));
            session.quietly(call, &format!("{product} is {state}.")).await
        }
    }
}

/// What stops when a product is withheld.
async fn withheld(session: &Session, product: &str) -> Result<Vec<String>, Exit> {
    let org = session.named_org()?;
    let tree = session.all_rows(&format!("/v1/orgs/{org}/tree")).await?;
    let rows = tree["data"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    let name = rows.first().and_then(|row| row["name"].as_str()).unwrap_or_default();
    let mut said = vec![format!(
        "{name} loses {product} at once, and so do the {} organisations below it.",
        rows.len().saturating_sub(1)
    )];
    if product == "s3" {
        let keys = session.all_rows(&format!("/v1/orgs/{org}/keys")).await?;
        let live = keys["data"].as_array().into_iter().flatten().filter(|key| key["revoked_at"].is_null()).count();
        said.push(format!("{live} access keys stop working until it is granted again."));
    }
    said.push("Data are kept, and what is stored goes on being billed.".to_owned());
    Ok(said)
}

/// `link`.
pub(super) async fn link(session: Session, verb: LinkVerb) -> Result<u8, Exit> {
    match verb {
        LinkVerb::List => {
            let found = session.ask(&format!("/v1/orgs/{}/cloud-links", session.org().await?)).await?;
            session.show(&found, &LINKS)
        }
        LinkVerb::Add { provider, account, name, from } => {
            let body = json!({ "provider": provider, "external_account": account, "name": name, "from": from });
            let path = format!("/v1/orgs/{}/cloud-links", session.org().await?);
            session.change(Call::post(path, &body), &LINKS).await
        }
        LinkVerb::HandOver { link, to, month } => {
            let path = format!("/v1/cloud-links/{}/hand-over", encode(&link));
            session.change(Call::post(path, &json!({ "org": to, "month": month })), &LINKS).await
        }
        LinkVerb::End { link } => {
            let call = Call::delete(format!("/v1/cloud-links/{}", encode(&link)));
            session.quietly(call, "The connection has ended; its history stays.").await
        }
    }
}

/// Puts children below their parents and moves their names to the right.
fn as_tree(answer: &mut Value) {
    let Some(rows) = answer.get_mut("data").and_then(Value::as_array_mut) else { return };
    let mut depths: Vec<(String, usize)> = Vec::new();
    for mut row in std::mem::take(rows) {
        let parent = row["parent"].as_str().and_then(|parent| depths.iter().position(|(id, _)| id == parent));
        let depth = parent.map_or(0, |at| depths[at].1 + 1);
        // After the parent and everything that hangs below it already.
        let place = parent.map_or(depths.len(), |at| {
            let below = depths[at + 1..].iter().take_while(|(_, other)| *other >= depth).count();
            at + 1 + below
        });
        let id = row["id"].as_str().unwrap_or_default().to_owned();
        let name = format!("{}{}", "  ".repeat(depth), row["name"].as_str().unwrap_or_default());
        if let Some(fields) = row.as_object_mut() {
            fields.insert("name".to_owned(), Value::from(name));
        }
        depths.insert(place, (id, depth));
        rows.insert(place, row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_has_children_below_their_parents() {
        let row = |id: &str, parent: Option<&str>| json!({ "id": id, "parent": parent, "name": id });
        let rows = [("a", None), ("b", Some("a")), ("c", Some("a")), ("d", Some("b")), ("e", Some("c"))];
        let mut answer = json!({ "data": rows.map(|(id, parent)| row(id, parent)) });
        as_tree(&mut answer);
        let names: Vec<&str> =
            answer["data"].as_array().unwrap().iter().filter_map(|row| row["name"].as_str()).collect();
        assert_eq!(names, ["a", "  b", "    d", "  c", "    e"]);
    }
}
