//! The form of an organisation's identity provider. Groups are named in it; ids are taken too.

use super::fields::{Fields, lines};
use super::frame::{Answer, Menu, NavItem, Page, Says, TREE_TABS, go, mendable, org_of, show_with, tabs};
use super::sso::redirect_uri;
use crate::Web;
use crate::auth::Visitor;
use access::Action;
use app::idps::{self, NewIdp};
use app::rows::{Idp, IdpSettings, Org};
use app::{Cx, Failure, groups};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use base::{GroupId, OrgId};
use std::collections::BTreeMap;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/o/{org}/identity/provider", get(form).post(set))
        .route("/o/{org}/identity/delete", post(delete))
}

/// Names of groups that the form offers.
const OFFERED_MAX: usize = 50;

/// The groups of an organisation by name. A name with a comma in it cannot be told from two.
struct Names(BTreeMap<String, GroupId>);

impl Names {
    async fn of(cx: &Cx, org: OrgId) -> Self {
        let found = groups::list(cx, org).await.unwrap_or_default().into_iter().map(|found| found.group);
        Self(found.filter(|group| !group.name.contains(',')).map(|group| (group.name, group.id)).collect())
    }

    fn write(&self, wanted: &[GroupId]) -> String {
        let name = |id: &GroupId| self.0.iter().find(|(_, known)| *known == id).map(|(name, _)| name.clone());
        wanted.iter().map(|id| name(id).unwrap_or_else(|| id.to_string())).collect::<Vec<_>>().join(", ")
    }

    fn read(&self, field: &str, text: &str) -> Result<Vec<GroupId>, Failure> {
        let one = |word: &str| {
            let known = self.0.get(word).copied().or_else(|| word.parse().ok());
            known.ok_or_else(|| {
                Failure::invalid(field, word, "is neither a group of this organisation nor an id of one")
            })
        };
        text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(one).collect()
    }
}

/// The form, as it is or as it was typed.
#[derive(Default)]
struct Entry {
    name: String,
    issuer: String,
    client_id: String,
    groups_claim: String,
    group_map: String,
    default_groups: String,
    mfa_contexts: String,
    authoritative: bool,
    trusted_for_mfa: bool,
    enforced: bool,
    vouches_for_domains: bool,
    active: bool,
}

impl Entry {
    fn fresh() -> Self {
        Self { active: true, authoritative: true, ..Self::default() }
    }

    fn of(idp: &Idp, names: &Names) -> Self {
        let settings = &idp.settings;
        let map = settings.group_map.iter().map(|(value, groups)| format!("{value} = {}", names.write(groups)));
        Self {
            name: idp.name.clone(),
            issuer: idp.issuer.clone(),
            client_id: idp.client_id.clone(),
            groups_claim: settings.groups_claim.clone(),
            group_map: map.collect::<Vec<_>>().join("\n"),
            default_groups: names.write(&settings.default_groups),
            mfa_contexts: settings.mfa_contexts.join(" "),
            authoritative: settings.authoritative,
            trusted_for_mfa: settings.trusted_for_mfa,
            enforced: settings.enforced,
            vouches_for_domains: settings.vouches_for_domains,
            active: idp.state == "active",
        }
    }

    fn sent(fields: &Fields) -> Self {
        let text = |name: &str| fields.get(name).to_owned();
        Self {
            name: text("name"),
            issuer: text("issuer"),
            client_id: text("client_id"),
            groups_claim: text("groups_claim"),
            group_map: text("group_map"),
            default_groups: text("default_groups"),
            mfa_contexts: text("mfa_contexts"),
            authoritative: fields.has("authoritative"),
            trusted_for_mfa: fields.has("trusted_for_mfa"),
            enforced: fields.has("enforced"),
            vouches_for_domains: fields.has("vouches_for_domains"),
            active: fields.has("active"),
        }
    }

    fn read(&self, client_secret: &str, names: &Names) -> Result<NewIdp, Failure> {
        let mut group_map = BTreeMap::new();
        for line in lines(&self.group_map) {
            let wrong = || Failure::invalid("group_map", &line, "is not of the form: value = group, group");
            let (value, wanted) = line.rsplit_once('=').ok_or_else(wrong)?;
            group_map.insert(value.trim().to_owned(), names.read("group_map", wanted)?);
        }
        let settings = IdpSettings {
            groups_claim: self.groups_claim.trim().to_owned(),
            group_map,
            default_groups: names.read("default_groups", &self.default_groups)?,
            authoritative: self.authoritative,
            trusted_for_mfa: self.trusted_for_mfa,
            mfa_contexts: self.mfa_contexts.split_whitespace().map(str::to_owned).collect(),
            enforced: self.enforced,
            vouches_for_domains: self.vouches_for_domains,
        };
        Ok(NewIdp {
            name: self.name.clone(),
            issuer: self.issuer.trim().to_owned(),
            client_id: self.client_id.trim().to_owned(),
            client_secret: Some(client_secret.to_owned()).filter(|secret| !secret.is_empty()),
            settings,
            active: self.active,
        })
    }
}

#[derive(Template)]
#[template(path = "console/identity_provider.html")]
struct ProviderPage {
    page: Page,
    says: Says,
    tabs: Vec<NavItem>,
    base: String,
    entry: Entry,
    /// There is one already.
    is_set: bool,
    redirect_uri: String,
    /// Names of groups, for the hint.
    groups: String,
}

async fn form(State(web): State<Web>, visitor: Visitor, Path(org): Path<String>, headers: HeaderMap) -> Answer {
    let org = org_of(&visitor, &org).await?;
    // Whoever must prove who he is does so before he writes, not after.
    visitor.0.cx.allow(Action::IdpWrite, org.id).await?;
    provider_page(&web, &visitor, &org, &headers, (StatusCode::OK, Says::default(), None)).await
}

async fn provider_page(
    web: &Web,
    visitor: &Visitor,
    org: &Org,
    headers: &HeaderMap,
    (status, says, typed): (StatusCode, Says, Option<Entry>),
) -> Answer {
    let cx = &visitor.0.cx;
    let names = Names::of(cx, org.id).await;
    let own = idps::get(cx, org.id).await?;
    let known = || own.as_ref().map_or_else(Entry::fresh, |idp| Entry::of(idp, &names));
    let page = ProviderPage {
        page: Page::at(visitor, org, Menu::Tree, "Identity provider").await,
        says,
        tabs: tabs(cx, org.id, TREE_TABS, "identity").await,
        base: format!("/o/{}/identity", org.id),
        entry: typed.unwrap_or_else(known),
        is_set: own.is_some(),
        redirect_uri: redirect_uri(web, headers),
        groups: names.0.keys().take(OFFERED_MAX).cloned().collect::<Vec<_>>().join(", "),
    };
    show_with(status, &page)
}

async fn set(
    State(web): State<Web>,
    visitor: Visitor,
    Path(org): Path<String>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    let entry = Entry::sent(&fields);
    let is_test = fields.get("act") == "test";
    let done = if is_test {
        let tested = idps::test(&visitor.0.cx, org.id, entry.issuer.trim()).await;
        tested.map(|found| format!("The provider answers. People are sent to {}.", found.authorization_endpoint))
    } else {
        save(&visitor.0.cx, org.id, &entry, fields.get("client_secret")).await.map(|()| String::new())
    };
    let (status, says) = match done {
        Ok(_) if !is_test => return go(&format!("/o/{}/identity?done=saved", org.id)),
        Ok(text) => (StatusCode::OK, Says::good(text)),
        Err(failure) => mendable(failure)?,
    };
    provider_page(&web, &visitor, &org, &headers, (status, says, Some(entry))).await
}

async fn save(cx: &Cx, org: OrgId, entry: &Entry, client_secret: &str) -> Result<(), Failure> {
    let names = Names::of(cx, org).await;
    idps::put(cx, org, entry.read(client_secret, &names)?).await.map(drop)
}

async fn delete(
    State(web): State<Web>,
    visitor: Visitor,
    Path(org): Path<String>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    match idps::delete(&visitor.0.cx, org.id).await {
        Ok(()) => go(&format!("/o/{}/identity?done=deleted", org.id)),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            provider_page(&web, &visitor, &org, &headers, (status, says, None)).await
        }
    }
}
