//! The frame of every page: who is signed in, where he stands, the side menu; and the small views that
//! many pages share.

use super::nav::nav;
pub(super) use super::nav::{Menu, PEOPLE_TABS, STORAGE_TABS, TREE_TABS, USAGE_TABS, tabs};
use crate::Web;
use crate::auth::Visitor;
use crate::problem::{PageFailure, status_of};
use access::tree::OrgState;
use access::{Action, Builtin, PolicyRef};
use app::orgs::Mine;
use app::rows::Org;
use app::{Cx, Failure, Kind, orgs, people};
use askama::Template;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use base::{OrgId, Period, Zone};
use std::collections::BTreeMap;
use std::str::FromStr;

/// What a handler gives back.
pub(super) type Answer = Result<Response, PageFailure>;

/// A link of a menu or a row of tabs.
pub(super) struct NavItem {
    pub(super) href: String,
    pub(super) label: &'static str,
    pub(super) current: bool,
}

/// An organisation that the header leads to.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) href: String,
    /// Whether it is the parent of the page's organisation: it has a star.
    pub(super) is_parent: bool,
}

impl Place {
    pub(super) fn of(org: &Org) -> Self {
        Self { name: org.name.clone(), href: format!("/o/{}/overview", org.id), is_parent: false }
    }
}

/// Organisations that the switcher in the header offers; the rest is found by its search.
const SWITCH_MAX: usize = 8;

/// The ways to other organisations: the visitor's favourites, and those where they were given something.
#[derive(Default)]
pub(super) struct Switch {
    pub(super) favourites: Vec<Place>,
    pub(super) mine: Vec<Place>,
}

impl Switch {
    async fn of(cx: &Cx, current: Option<OrgId>) -> Self {
        let favourites = orgs::favourites(cx).await.unwrap_or_default();
        let mine = orgs::mine(cx).await.unwrap_or_default().into_iter().map(|mine| mine.org);
        let is_other = |org: &Org| Some(org.id) != current;
        let mine: Vec<Org> =
            mine.filter(|org| is_other(org) && !favourites.iter().any(|known| known.id == org.id)).collect();
        Self {
            favourites: favourites.iter().filter(|org| is_other(org)).take(SWITCH_MAX).map(Place::of).collect(),
            mine: mine.iter().take(SWITCH_MAX).map(Place::of).collect(),
        }
    }
}

/// What `base.html` reads.
pub(super) struct Page {
    pub(super) title: String,
    pub(super) user_name: String,
    pub(super) org_name: String,
    pub(super) org_id: String,
    /// The organisations above it that the visitor may see, root first.
    pub(super) above: Vec<Place>,
    pub(super) switch: Switch,
    pub(super) nav: Vec<NavItem>,
    pub(super) csrf: String,
}

impl Page {
    /// A page about an organisation.
    pub(super) async fn at(visitor: &Visitor, org: &Org, current: Menu, title: &str) -> Self {
        let above = orgs::visible_path(&visitor.0.cx, org.id).await.unwrap_or_default();
        Self {
            title: title.to_owned(),
            user_name: visitor.0.user.display_name.clone(),
            org_name: org.name.clone(),
            org_id: org.id.to_string(),
            above: above
                .iter()
                .map(|above| Place { is_parent: Some(above.id) == org.parent, ..Place::of(above) })
                .collect(),
            switch: Switch::of(&visitor.0.cx, Some(org.id)).await,
            nav: nav(visitor, Some(org), current).await,
            csrf: visitor.0.csrf.clone(),
        }
    }

    /// A page about the visitor himself. Who runs an organisation keeps its menu.
    pub(super) async fn own(visitor: &Visitor, title: &str) -> Result<Self, PageFailure> {
        if let Some(org) = home_org(&visitor.0.cx).await? {
            return Ok(Self::at(visitor, &org, Menu::Me, title).await);
        }
        Ok(Self {
            title: title.to_owned(),
            user_name: visitor.0.user.display_name.clone(),
            org_name: String::new(),
            org_id: String::new(),
            above: Vec::new(),
            switch: Switch::of(&visitor.0.cx, None).await,
            nav: nav(visitor, None, Menu::Me).await,
            csrf: visitor.0.csrf.clone(),
        })
    }

    /// A page for somebody who is not signed in.
    pub(super) fn bare(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            user_name: String::new(),
            org_name: String::new(),
            org_id: String::new(),
            above: Vec::new(),
            switch: Switch::default(),
            nav: Vec::new(),
            csrf: String::new(),
        }
    }
}

/// Whether the visitor may do `action` at `org`. Only for what a page shows; each use case checks again.
pub(super) async fn may(cx: &Cx, action: Action, org: OrgId) -> bool {
    cx.may(action, org).await
}

/// The highest organisation that the visitor runs; `None` for somebody who is only a member.
pub(super) async fn home_org(cx: &Cx) -> Result<Option<Org>, PageFailure> {
    let member = PolicyRef::Builtin(Builtin::Member);
    let runs = |mine: &Mine| mine.policies.iter().any(|(policy, _)| *policy != member);
    Ok(orgs::mine(cx).await?.into_iter().find(runs).map(|mine| mine.org))
}

/// The organisation of a page. A malformed id is as unknown as one that never was.
pub(super) async fn org_of(visitor: &Visitor, text: &str) -> Result<Org, PageFailure> {
    let org: OrgId = parse(text, "organisation")?;
    Ok(orgs::get(&visitor.0.cx, org).await?)
}

/// Reads an id of a path.
pub(super) fn parse<T: FromStr>(text: &str, what: &str) -> Result<T, PageFailure> {
    text.parse().map_err(|_| PageFailure(Failure::not_found(what)))
}

/// A page with status 200.
pub(super) fn show(page: &impl Template) -> Answer {
    show_with(StatusCode::OK, page)
}

/// A page with another status.
pub(super) fn show_with(status: StatusCode, page: &impl Template) -> Answer {
    match page.render() {
        Ok(html) => Ok((status, Html(html)).into_response()),
        Err(error) => Err(PageFailure(Failure::new(Kind::Internal, format!("a page was not rendered: {error}")))),
    }
}

/// To another page after a change (303).
pub(super) fn go(path: &str) -> Answer {
    Ok(Redirect::to(path).into_response())
}

/// A failure that the person can mend is said in the form, with his entry kept, and so is what he may not do;
/// any other is a page.
pub(super) fn mendable(failure: Failure) -> Result<(StatusCode, Says), PageFailure> {
    match failure.kind {
        // Who must set up a second factor first is sent there.
        Kind::Forbidden if failure.code == Some("mfa_required") => Err(PageFailure(failure)),
        Kind::Invalid | Kind::Conflict | Kind::Forbidden | Kind::Upstream | Kind::TooMany => {
            Ok((status_of(failure.kind), Says::bad(in_words(&failure))))
        }
        _ => Err(PageFailure(failure)),
    }
}

/// A failure as a sentence: the code before it is for programs.
fn in_words(failure: &Failure) -> String {
    if let Some(words) = &failure.words {
        return words.to_string();
    }
    let code = failure.code.unwrap_or_default();
    let Some(rest) = failure.text.strip_prefix(code).and_then(|rest| rest.strip_prefix(": ")) else {
        return failure.text.clone();
    };
    let mut letters = rest.chars();
    let rest: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
    match code {
        "last_organization_admin" => {
            format!("Nobody who can sign in would be left to run the organisation. {rest}.")
        }
        _ => format!("{rest}."),
    }
}

/// What a page says about the act before it.
#[derive(Default)]
pub(super) struct Says {
    pub(super) good: String,
    pub(super) bad: String,
}

impl Says {
    pub(super) fn good(text: impl Into<String>) -> Self {
        Self { good: text.into(), bad: String::new() }
    }

    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self { good: String::new(), bad: text.into() }
    }
}

/// Instead of an empty table. Three kinds, never mixed: nothing yet, nothing matches, no right.
pub(super) struct Empty {
    pub(super) title: &'static str,
    pub(super) text: String,
    pub(super) href: String,
    pub(super) label: &'static str,
}

impl Empty {
    /// Teaches, and offers one next step if the visitor may take it.
    pub(super) fn nothing_yet(text: impl Into<String>, href: impl Into<String>, label: &'static str) -> Self {
        Self { title: "Nothing here yet", text: text.into(), href: href.into(), label }
    }

    /// Shows the filter and how to clear it.
    pub(super) fn nothing_matches(filter: &str, clear: impl Into<String>) -> Self {
        let text = format!("No entry matches {filter}.");
        Self { title: "Nothing matches", text, href: clear.into(), label: "Clear the filter" }
    }

    /// Names who can grant.
    pub(super) fn no_right(text: impl Into<String>) -> Self {
        Self { title: "This needs another role", text: text.into(), href: String::new(), label: "" }
    }
}

/// One entry of a select.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) selected: bool,
}

impl Choice {
    pub(super) fn new(value: impl Into<String>, label: impl Into<String>, chosen: &str) -> Self {
        let value = value.into();
        Self { selected: value == chosen, value, label: label.into() }
    }
}

/// The entries of a select from fixed words.
pub(super) fn choices(words: &[(&str, &str)], chosen: &str) -> Vec<Choice> {
    words.iter().map(|(value, label)| Choice::new(*value, *label, chosen)).collect()
}

/// Months that a select offers.
const MONTHS: usize = 13;

/// The last thirteen months, the running one first, and `chosen` if it lies elsewhere.
pub(super) fn months(now_us: i64, zone: &Zone, chosen: &str) -> Result<Vec<Choice>, PageFailure> {
    let mut period = Period::month_of(now_us, zone)?;
    let mut found = Vec::new();
    for _ in 0..MONTHS {
        let name = period.month_name(zone);
        found.push(Choice::new(name.clone(), name, chosen));
        period = period.previous_month(zone)?;
    }
    if !chosen.is_empty() && !found.iter().any(|choice| choice.selected) {
        found.insert(0, Choice::new(chosen, chosen, chosen));
    }
    Ok(found)
}

/// An instant for people where no organisation gives a zone, such as their own page: `2026-10-31 12:00:00 UTC`.
pub(super) fn instant(at_us: i64) -> String {
    Zone::utc().time_of(at_us)
}

/// The state of an organisation, for people.
pub(super) fn state_words(state: OrgState) -> &'static str {
    match state {
        OrgState::Active => "active",
        OrgState::Suspended => "suspended",
        OrgState::PendingDeletion => "to be deleted",
        OrgState::Deleted => "deleted",
    }
}

/// Names of what lies above an organisation, as far as it is among those shown, the highest first.
pub(super) fn path_words(shown: &BTreeMap<OrgId, &Org>, org: OrgId) -> String {
    let above = |org: &&Org| org.parent.and_then(|parent| shown.get(&parent).copied());
    let mut names: Vec<&str> =
        std::iter::successors(shown.get(&org).and_then(above), above).map(|org| org.name.as_str()).collect();
    names.reverse();
    names.join(" / ")
}

/// Names of the organisations of a subtree.
pub(super) fn org_names(tree: &[Org]) -> BTreeMap<OrgId, String> {
    tree.iter().map(|org| (org.id, org.name.clone())).collect()
}

/// Names of the people at `org` and below, by id text; only the visitor's own where he may not see them.
pub(super) async fn user_names(visitor: &Visitor, org: OrgId) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    if may(&visitor.0.cx, Action::UserRead, org).await {
        let found = people::names(&visitor.0.cx, org).await.unwrap_or_default();
        names.extend(found.into_iter().map(|(user, name)| (user.to_string(), name)));
    }
    names.insert(visitor.0.user.id.to_string(), visitor.0.user.display_name.clone());
    names
}

/// The name behind an id, or the id.
pub(super) fn name_of(names: &BTreeMap<String, String>, id: &str) -> String {
    names.get(id).cloned().unwrap_or_else(|| id.to_owned())
}

/// The console's address: as it is configured, or as this visitor reached it.
pub(crate) fn own_url(web: &Web, headers: &HeaderMap) -> String {
    if !web.console_url.is_empty() {
        return web.console_url.clone();
    }
    let scheme = if web.https { "https" } else { "http" };
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    host.map(|host| format!("{scheme}://{host}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_begin_with_the_running_one_and_hold_the_chosen() {
        let now_us = base::period::parse_instant("2026-11-05T00:00:00Z").unwrap();
        let check = |chosen: &str, first: &str, count: usize| {
            let found = months(now_us, &Zone::utc(), chosen).ok().unwrap();
            assert_eq!((found[0].value.as_str(), found.len()), (first, count), "{chosen}");
        };
        check("", "2026-11", 13);
        check("2026-10", "2026-11", 13);
        check("2020-01", "2020-01", 14);
    }

    #[test]
    fn failures_are_sentences() {
        let failure = Failure::conflict("has_children: delete or move what lies below first").coded("has_children");
        assert_eq!(in_words(&failure), "Delete or move what lies below first.");
        assert_eq!(in_words(&Failure::conflict("name: \"x\" is taken")), "name: \"x\" is taken");
    }

    #[test]
    fn instants_read_well() {
        assert_eq!(instant(1_793_448_000_123_456), "2026-10-31 12:00:00 UTC");
    }
}
