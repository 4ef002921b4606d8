//! Identity of an organisation: its provider, its domains, and who waits to be let in.

use super::frame::{Answer, NavItem, Page, Says, go, instant, mendable, org_of, parse, show_with};
use super::nav::{Menu, TREE_TABS, tabs};
use super::sso::redirect_uri;
use crate::Web;
use crate::auth::Visitor;
use access::Action;
use app::idps::{self, NewIdp};
use app::rows::{Idp, IdpSettings, Org};
use app::{Failure, domains};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use base::GroupId;
use serde::Deserialize;
use std::collections::BTreeMap;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/o/{org}/identity", get(identity).post(set))
        .route("/o/{org}/identity/delete", post(delete))
        .route("/o/{org}/identity/domains", post(claim))
        .route("/o/{org}/identity/domains/{domain}/verify", post(verify))
        .route("/o/{org}/identity/domains/{domain}/release", post(release))
        .route("/o/{org}/identity/people/{user}/let-in", post(let_in))
}

struct DomainRow {
    domain: String,
    record: String,
    challenge: String,
    verified: String,
    href: String,
}

struct WaitingRow {
    name: String,
    said: String,
    href: String,
}

/// The form of a provider, as it is or as it was typed.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    csrf: String,
    /// `save` or `test`.
    act: String,
    name: String,
    issuer: String,
    client_id: String,
    client_secret: String,
    groups_claim: String,
    group_map: String,
    default_groups: String,
    mfa_contexts: String,
    authoritative: String,
    trusted_for_mfa: String,
    enforced: String,
    active: String,
}

#[derive(Template)]
#[template(path = "console/identity.html")]
struct IdentityPage {
    page: Page,
    says: Says,
    tabs: Vec<NavItem>,
    href: String,
    entry: Entry,
    /// The organisation has a provider of its own.
    has_own: bool,
    /// Name of the one above that serves it; empty if there is none.
    inherited: String,
    redirect_uri: String,
    domains: Vec<DomainRow>,
    waiting: Vec<WaitingRow>,
    may_write: bool,
}

async fn identity(State(web): State<Web>, visitor: Visitor, Path(org): Path<String>, headers: HeaderMap) -> Answer {
    let org = org_of(&visitor, &org).await?;
    identity_page(&web, &visitor, &org, &headers, (StatusCode::OK, Says::default(), None)).await
}

fn on(flag: bool) -> String {
    if flag { "on".to_owned() } else { String::new() }
}

fn list(groups: &[GroupId]) -> String {
    groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn entry_of(idp: &Idp) -> Entry {
    let settings = &idp.settings;
    let lines: Vec<String> =
        settings.group_map.iter().map(|(value, groups)| format!("{value} = {}", list(groups))).collect();
    Entry {
        name: idp.name.clone(),
        issuer: idp.issuer.clone(),
        client_id: idp.client_id.clone(),
        groups_claim: settings.groups_claim.clone(),
        group_map: lines.join("\n"),
        default_groups: list(&settings.default_groups),
        mfa_contexts: settings.mfa_contexts.join(" "),
        authoritative: on(settings.authoritative),
        trusted_for_mfa: on(settings.trusted_for_mfa),
        enforced: on(settings.enforced),
        active: on(idp.state == "active"),
        ..Entry::default()
    }
}

async fn identity_page(
    web: &Web,
    visitor: &Visitor,
    org: &Org,
    headers: &HeaderMap,
    (status, says, typed): (StatusCode, Says, Option<Entry>),
) -> Answer {
    let cx = &visitor.0.cx;
    let own = idps::get(cx, org.id).await?;
    let fresh = Entry { active: on(true), authoritative: on(true), ..Entry::default() };
    let href = format!("/o/{}/identity", org.id);
    let mut entry = typed.unwrap_or_else(|| own.as_ref().map_or(fresh, entry_of));
    entry.client_secret.clear();
    let claims = domains::list(cx, org.id).await?;
    let waiting = idps::pending(cx, org.id).await.unwrap_or_default();
    let page = IdentityPage {
        page: Page::at(visitor, org, Menu::Tree, "Identity").await,
        says,
        tabs: tabs(cx, org.id, TREE_TABS, "identity").await,
        entry,
        has_own: own.is_some(),
        inherited: idps::inherited(cx, org.id).await?.unwrap_or_default(),
        redirect_uri: redirect_uri(web, headers),
        domains: claims
            .into_iter()
            .map(|claim| DomainRow {
                record: domains::record_name(&claim.domain),
                challenge: claim.challenge,
                verified: claim.verified_us.map(instant).unwrap_or_default(),
                href: format!("{href}/domains/{}", claim.domain),
                domain: claim.domain,
            })
            .collect(),
        waiting: waiting
            .into_iter()
            .map(|user| WaitingRow {
                name: user.display_name,
                said: user.description,
                href: format!("{href}/people/{}/let-in", user.id),
            })
            .collect(),
        href,
        may_write: cx.may(Action::IdpWrite, org.id).await,
    };
    show_with(status, &page)
}

fn groups(field: &str, text: &str) -> Result<Vec<GroupId>, Failure> {
    let read = |word: &str| word.parse().map_err(|_| Failure::invalid(field, word, "is not the id of a group"));
    text.split_whitespace().map(read).collect()
}

impl Entry {
    fn read(&self) -> Result<NewIdp, Failure> {
        let mut group_map = BTreeMap::new();
        for line in self.group_map.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let wrong = || Failure::invalid("group_map", line, "is not of the form value = group");
            let (value, ids) = line.rsplit_once('=').ok_or_else(wrong)?;
            group_map.insert(value.trim().to_owned(), groups("group_map", ids)?);
        }
        let settings = IdpSettings {
            groups_claim: self.groups_claim.trim().to_owned(),
            group_map,
            default_groups: groups("default_groups", &self.default_groups)?,
            authoritative: !self.authoritative.is_empty(),
            trusted_for_mfa: !self.trusted_for_mfa.is_empty(),
            mfa_contexts: self.mfa_contexts.split_whitespace().map(str::to_owned).collect(),
            enforced: !self.enforced.is_empty(),
        };
        Ok(NewIdp {
            name: self.name.clone(),
            issuer: self.issuer.trim().to_owned(),
            client_id: self.client_id.trim().to_owned(),
            client_secret: Some(self.client_secret.clone()).filter(|secret| !secret.is_empty()),
            settings,
            active: !self.active.is_empty(),
        })
    }
}

async fn set(
    State(web): State<Web>,
    visitor: Visitor,
    Path(org): Path<String>,
    headers: HeaderMap,
    Form(entry): Form<Entry>,
) -> Answer {
    visitor.check_csrf(&entry.csrf)?;
    let org = org_of(&visitor, &org).await?;
    let cx = &visitor.0.cx;
    let done = if entry.act == "test" {
        let tested = idps::test(cx, org.id, entry.issuer.trim()).await;
        tested.map(|found| format!("The provider answers. People are sent to {}.", found.authorization_endpoint))
    } else {
        match entry.read() {
            Ok(new) => idps::put(cx, org.id, new).await.map(|_| "The provider is saved.".to_owned()),
            Err(failure) => Err(failure),
        }
    };
    let (status, says) = match done {
        Ok(text) => (StatusCode::OK, Says::good(text)),
        Err(failure) => mendable(failure)?,
    };
    identity_page(&web, &visitor, &org, &headers, (status, says, Some(entry))).await
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PlainForm {
    csrf: String,
    domain: String,
}

/// Back to the page, or the page with what went wrong.
async fn done(web: &Web, visitor: &Visitor, org: &Org, headers: &HeaderMap, result: Result<(), Failure>) -> Answer {
    match result {
        Ok(()) => go(&format!("/o/{}/identity", org.id)),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            identity_page(web, visitor, org, headers, (status, says, None)).await
        }
    }
}

async fn delete(
    State(web): State<Web>,
    visitor: Visitor,
    Path(org): Path<String>,
    headers: HeaderMap,
    Form(form): Form<PlainForm>,
) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let org = org_of(&visitor, &org).await?;
    let result = idps::delete(&visitor.0.cx, org.id).await;
    done(&web, &visitor, &org, &headers, result).await
}

async fn claim(
    State(web): State<Web>,
    visitor: Visitor,
    Path(org): Path<String>,
    headers: HeaderMap,
    Form(form): Form<PlainForm>,
) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let org = org_of(&visitor, &org).await?;
    let result = domains::claim(&visitor.0.cx, org.id, &form.domain).await.map(drop);
    done(&web, &visitor, &org, &headers, result).await
}

async fn verify(
    State(web): State<Web>,
    visitor: Visitor,
    Path((org, domain)): Path<(String, String)>,
    headers: HeaderMap,
    Form(form): Form<PlainForm>,
) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let org = org_of(&visitor, &org).await?;
    let result = domains::verify(&visitor.0.cx, org.id, &domain).await.map(drop);
    done(&web, &visitor, &org, &headers, result).await
}

async fn release(
    State(web): State<Web>,
    visitor: Visitor,
    Path((org, domain)): Path<(String, String)>,
    headers: HeaderMap,
    Form(form): Form<PlainForm>,
) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let org = org_of(&visitor, &org).await?;
    let result = domains::release(&visitor.0.cx, org.id, &domain).await;
    done(&web, &visitor, &org, &headers, result).await
}

async fn let_in(
    State(web): State<Web>,
    visitor: Visitor,
    Path((org, user)): Path<(String, String)>,
    headers: HeaderMap,
    Form(form): Form<PlainForm>,
) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let org = org_of(&visitor, &org).await?;
    let result = idps::let_in(&visitor.0.cx, org.id, parse(&user, "user")?).await;
    done(&web, &visitor, &org, &headers, result).await
}
