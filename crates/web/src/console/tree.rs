//! The organisation tree below an organisation.

use super::fields::Fields;
use super::frame::{Answer, Menu, NavItem, Page, TREE_TABS, may, org_of, path_words, show, state_words, tabs};
use super::listing::Listing;
use crate::Web;
use crate::auth::Visitor;
use access::Action;
use app::orgs;
use app::rows::Org;
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query};
use axum::routing::get;
use base::OrgId;
use billing::InvoiceKind;
use std::collections::BTreeMap;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/o/{org}/tree", get(tree))
}

struct OrgRow {
    org: OrgId,
    href: String,
    id: String,
    name: String,
    slug: String,
    /// Where it lies, in a list that is no tree.
    path: String,
    /// Levels below the page's organisation; the style sheet indents by it.
    depth: usize,
    kind: String,
    papers: &'static str,
    currency: String,
    zone: String,
    state: &'static str,
    active: bool,
}

#[derive(Template)]
#[template(path = "console/tree.html")]
struct TreePage {
    page: Page,
    tabs: Vec<NavItem>,
    rows: Vec<OrgRow>,
    listing: Listing,
    count: usize,
    /// Where a child is made; empty when the visitor may not.
    create_href: String,
}

async fn tree(visitor: Visitor, Path(org): Path<String>, Query(query): Query<Fields>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    let cx = &visitor.0.cx;
    let found = orgs::subtree(cx, org.id).await?;
    let creates = may(cx, Action::OrgCreateChild, org.id).await;
    let mut rows = rows(org.id, &found);
    let text = |row: &OrgRow| format!("{} {} {} {}", row.name, row.slug, row.kind, row.id);
    let listing = Listing::cut(&mut rows, &query, &format!("/o/{}/tree", org.id), text);
    if !listing.search.is_empty() {
        // Out of their tree: where they lie says the path.
        let names: BTreeMap<OrgId, &Org> = found.iter().map(|org| (org.id, org)).collect();
        for row in &mut rows {
            row.depth = 0;
            row.path = path_words(&names, row.org);
        }
    }
    show(&TreePage {
        page: Page::at(&visitor, &org, Menu::Tree, "Organisations").await,
        tabs: tabs(cx, org.id, TREE_TABS, "tree").await,
        rows,
        listing,
        count: found.len(),
        create_href: if creates { format!("/o/{}/children/new", org.id) } else { String::new() },
    })
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
        org: org.id,
        href: format!("/o/{}/overview", org.id),
        id: org.id.to_string(),
        name: org.name.clone(),
        slug: org.slug.clone(),
        path: String::new(),
        depth,
        kind: org.kind.clone(),
        papers: match (org.parent, org.invoice_kind) {
            (None, _) => "none",
            (_, InvoiceKind::Invoice) => "invoices",
            (_, InvoiceKind::Statement) => "statements",
        },
        currency: org.currency.to_string(),
        zone: org.zone.name().to_owned(),
        state: state_words(org.state),
        active: org.state == access::tree::OrgState::Active,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{Currency, Zone};

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
