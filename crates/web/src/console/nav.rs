//! The side menu and the rows of tabs: which pages there are, and what one must be allowed to find them.

use super::frame::NavItem;
use crate::auth::Visitor;
use crate::problem::PageFailure;
use access::{Action, Ask, Product};
use app::Cx;
use app::rows::Org;
use base::OrgId;

/// The entries of the side menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Menu {
    Overview,
    Usage,
    Papers,
    Prices,
    Tree,
    People,
    Keys,
    Sources,
    Me,
    /// A page that no entry leads to.
    Nowhere,
}

/// A page: last part of its path, label, the action without which it is absent, the product it is part of.
pub(super) struct Tab(&'static str, &'static str, Action, Option<Product>);

/// The pages of usage.
pub(super) const USAGE_TABS: &[Tab] =
    &[Tab("usage", "Usage", Action::UsageRead, None), Tab("costs", "Costs", Action::CostRead, None)];

/// The organisation pages.
pub(super) const TREE_TABS: &[Tab] = &[
    Tab("tree", "Organisations", Action::OrgRead, None),
    Tab("children", "Children", Action::OrgListChildren, None),
    Tab("settings", "Settings", Action::OrgRead, None),
    Tab("identity", "Sign-in", Action::IdpRead, None),
    Tab("audit", "Audit log", Action::AuditRead, None),
];

/// The pages of people and their rights.
pub(super) const PEOPLE_TABS: &[Tab] = &[
    Tab("people", "People", Action::UserRead, None),
    Tab("groups", "Groups", Action::GroupRead, None),
    Tab("policies", "Policies", Action::PolicyRead, None),
    Tab("access", "Who can do what", Action::PolicyRead, None),
    Tab("tokens", "Tokens and services", Action::TokenRead, None),
];

/// The storage pages.
pub(super) const STORAGE_TABS: &[Tab] = &[
    Tab("sources", "S3 accounts", Action::SourceRead, Some(Product::S3)),
    Tab("buckets", "Buckets", Action::SourceRead, Some(Product::S3)),
    Tab("cloud", "Cloud connections", Action::SourceRead, None),
    Tab("quarantine", "Quarantine", Action::SourceRead, None),
];

/// Entry, label, its pages: it leads to the first one that the visitor may see.
const MENU: [(Menu, &str, &[Tab]); 8] = [
    (Menu::Overview, "Overview", &[Tab("overview", "Overview", Action::UsageRead, None)]),
    (Menu::Usage, "Usage and costs", USAGE_TABS),
    (Menu::Papers, "Statements and invoices", &[Tab("papers", "Papers", Action::InvoiceRead, None)]),
    (Menu::Prices, "Prices", &[Tab("prices", "Prices", Action::RuleRead, None)]),
    (Menu::Tree, "Organisations", TREE_TABS),
    (Menu::People, "People and rights", PEOPLE_TABS),
    (Menu::Keys, "Access keys", &[Tab("keys", "Access keys", Action::S3ManageKeys, None)]),
    (Menu::Sources, "Storage and clouds", STORAGE_TABS),
];

async fn sees(cx: &Cx, tab: &Tab, org: OrgId) -> bool {
    cx.may_ask(Ask { action: tab.2, resource: "", product: tab.3 }, org).await
}

/// The side menu: what the visitor may see at `org`, and his own page.
pub(super) async fn nav(visitor: &Visitor, org: Option<&Org>, current: Menu) -> Vec<NavItem> {
    let mut items = Vec::new();
    // Every page of an organisation shows its name: who may not read that sees none of them.
    let readable = match org {
        Some(org) if visitor.0.cx.may(Action::OrgRead, org.id).await => Some(org),
        _ => None,
    };
    if let Some(org) = readable {
        for (menu, label, pages) in MENU {
            if menu == Menu::Prices && org.parent.is_none() {
                continue; // The root has no seller.
            }
            for tab in pages {
                if sees(&visitor.0.cx, tab, org.id).await {
                    let href = format!("/o/{}/{}", org.id, tab.0);
                    items.push(NavItem { href, label, current: menu == current });
                    break;
                }
            }
        }
    }
    items.push(NavItem { href: "/me".to_owned(), label: "My page", current: current == Menu::Me });
    items
}

/// The first page that the visitor may see: of the organisations where they have something, the highest first; else their
/// own page, which nobody is refused.
pub(super) async fn first_page(visitor: &Visitor) -> Result<String, PageFailure> {
    for mine in app::orgs::mine(&visitor.0.cx).await? {
        let pages = nav(visitor, Some(&mine.org), Menu::Nowhere).await;
        if let Some(first) = pages.into_iter().find(|page| page.href != "/me") {
            return Ok(first.href);
        }
    }
    Ok("/me".to_owned())
}

/// The row of tabs above pages that share a menu entry.
pub(super) async fn tabs(cx: &Cx, org: OrgId, list: &[Tab], current: &str) -> Vec<NavItem> {
    let mut items = Vec::new();
    for tab in list {
        if sees(cx, tab, org).await {
            items.push(NavItem { href: format!("/o/{org}/{}", tab.0), label: tab.1, current: tab.0 == current });
        }
    }
    items
}

/// The row of tabs of one's own pages.
pub(super) fn own_tabs(current: &str) -> Vec<NavItem> {
    let pages = [
        ("/me", "My page"),
        ("/me/tokens", "API tokens"),
        ("/me/sessions", "Sessions"),
        ("/me/security", "Security"),
        ("/me/password", "Password"),
    ];
    let item = |(href, label): (&str, &'static str)| NavItem { current: href == current, href: href.to_owned(), label };
    let factors = NavItem { href: "/me/factors".to_owned(), label: "Second factors", current: false };
    pages.map(item).into_iter().chain([factors]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_menu_has_eight_entries_at_most() {
        assert!(MENU.len() <= 8);
    }
}
