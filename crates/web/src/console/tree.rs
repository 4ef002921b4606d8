//! The organisation tree below an organisation, and the form for a new child.

use super::frame::{
    Answer, Choice, Menu, NavItem, Page, Says, TREE_TABS, choices, go, may, mendable, org_of, show_with, tabs,
};
use crate::Web;
use crate::auth::Visitor;
use access::Action;
use app::orgs::NewOrg;
use app::rows::Org;
use app::{Failure, orgs};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path};
use axum::http::StatusCode;
use axum::routing::get;
use base::{Currency, OrgId, Zone};
use billing::InvoiceKind;
use serde::Deserialize;
use std::collections::BTreeMap;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/o/{org}/tree", get(tree).post(create))
}

const KINDS: [(&str, &str); 4] = [
    ("department", "department (gets statements)"),
    ("project", "project (gets statements)"),
    ("customer", "customer (gets invoices)"),
    ("reseller", "reseller (gets invoices)"),
];

struct OrgRow {
    href: String,
    id: String,
    name: String,
    /// Levels below the page's organisation; the style sheet indents by it.
    depth: usize,
    kind: String,
    papers: &'static str,
    currency: String,
    zone: String,
}

#[derive(Template)]
#[template(path = "console/tree.html")]
struct TreePage {
    page: Page,
    tabs: Vec<NavItem>,
    says: Says,
    rows: Vec<OrgRow>,
    /// Only who may add children gets the form.
    creates: bool,
    create_href: String,
    kinds: Vec<Choice>,
    entry: ChildForm,
    parent_currency: String,
    parent_zone: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ChildForm {
    csrf: String,
    name: String,
    kind: String,
    currency: String,
    zone: String,
    address: String,
}

async fn tree(visitor: Visitor, Path(org): Path<String>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    tree_page(&visitor, &org, StatusCode::OK, Says::default(), ChildForm::default()).await
}

async fn tree_page(visitor: &Visitor, org: &Org, status: StatusCode, says: Says, entry: ChildForm) -> Answer {
    let cx = &visitor.0.cx;
    let found = orgs::subtree(cx, org.id).await?;
    let page = TreePage {
        page: Page::at(visitor, org, Menu::Tree, "Organisations").await,
        tabs: tabs(cx, org.id, TREE_TABS, "tree").await,
        says,
        rows: rows(org.id, &found),
        creates: may(cx, Action::OrgCreateChild, org.id).await,
        create_href: format!("/o/{}/tree", org.id),
        kinds: choices(&KINDS, &entry.kind),
        entry,
        parent_currency: org.currency.to_string(),
        parent_zone: org.zone.name().to_owned(),
    };
    show_with(status, &page)
}

/// Children under their parents, siblings by name.
fn rows(top: OrgId, found: &[Org]) -> Vec<OrgRow> {
    let mut below: BTreeMap<OrgId, Vec<&Org>> = BTreeMap::new();
    for org in found.iter().filter(|org| org.id != top) {
        below.entry(org.parent.unwrap_or(top)).or_default().push(org);
    }
    for siblings in below.values_mut() {
        siblings.sort_by(|a, b| b.name.cmp(&a.name)); // The last one is taken first.
    }
    let mut open: Vec<(&Org, usize)> = found.iter().filter(|org| org.id == top).map(|org| (org, 0)).collect();
    let mut rows = Vec::new();
    while let Some((org, depth)) = open.pop() {
        rows.push(row(org, depth));
        open.extend(below.remove(&org.id).unwrap_or_default().into_iter().map(|child| (child, depth + 1)));
    }
    rows
}

fn row(org: &Org, depth: usize) -> OrgRow {
    OrgRow {
        href: format!("/o/{}/overview", org.id),
        id: org.id.to_string(),
        name: org.name.clone(),
        depth,
        kind: org.kind.clone(),
        papers: match (org.parent, org.invoice_kind) {
            (None, _) => "none",
            (_, InvoiceKind::Invoice) => "invoices",
            (_, InvoiceKind::Statement) => "statements",
        },
        currency: org.currency.to_string(),
        zone: org.zone.name().to_owned(),
    }
}

async fn create(visitor: Visitor, Path(org): Path<String>, Form(form): Form<ChildForm>) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let org = org_of(&visitor, &org).await?;
    match create_child(&visitor, org.id, &form).await {
        Ok(_) => go(&format!("/o/{}/tree", org.id)),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            tree_page(&visitor, &org, status, says, form).await
        }
    }
}

async fn create_child(visitor: &Visitor, parent: OrgId, form: &ChildForm) -> Result<Org, Failure> {
    let new = NewOrg {
        name: form.name.clone(),
        kind: form.kind.clone(),
        address: form.address.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect(),
        currency: currency(form.currency.trim())?,
        zone: zone(form.zone.trim())?,
        ..NewOrg::default()
    };
    orgs::create_child(&visitor.0.cx, parent, new).await
}

fn currency(text: &str) -> Result<Option<Currency>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse::<Currency>().map(Some).map_err(|error| Failure::unreadable("currency", error))
}

fn zone(text: &str) -> Result<Option<Zone>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse::<Zone>().map(Some).map_err(|error| Failure::unreadable("zone", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_stand_under_their_parents() {
        let org = |id: u128, parent: u128, name: &str| {
            Org::new(OrgId(id), Some(OrgId(parent)), "department", name, Currency::EUR, Zone::utc())
        };
        let found = [org(1, 9, "top"), org(2, 1, "b"), org(3, 1, "a"), org(4, 2, "c")];
        let seen: Vec<_> = rows(OrgId(1), &found).into_iter().map(|row| (row.name, row.depth)).collect();
        let want = [("top", 0), ("a", 1), ("b", 1), ("c", 2)].map(|(name, depth)| (name.to_owned(), depth));
        assert_eq!(seen, want);
    }
}
