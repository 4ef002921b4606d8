//! Linked S3 accounts: link, test, sweep. A secret goes in and never comes out.

use super::frame::{
    Answer, Choice, Empty, Menu, NavItem, Page, STORAGE_TABS, Says, choices, go, mendable, org_of, parse, show_with,
    tabs,
};
use crate::auth::Visitor;
use crate::problem::PageFailure;
use crate::{Web, units};
use app::rows::{Account, Drift, Org};
use app::sources::{self, NewAccount};
use app::{Cx, Failure, orgs};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path};
use axum::http::StatusCode;
use axum::routing::{get, post};
use base::{AccountId, OrgId};
use serde::Deserialize;
use std::collections::BTreeMap;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/o/{org}/sources", get(list).post(link))
        .route("/o/{org}/sources/{account}/test", post(test))
        .route("/o/{org}/sources/{account}/sweep", post(sweep))
}

const STYLES: [(&str, &str); 2] = [("path", "path: host/bucket"), ("virtual_host", "virtual host: bucket.host")];

struct AccountRow {
    name: String,
    org: String,
    endpoint: String,
    region: String,
    style: String,
    access_key: String,
    linked: String,
    test_href: String,
    sweep_href: String,
}

#[derive(Template)]
#[template(path = "console/sources.html")]
struct SourcesPage {
    page: Page,
    tabs: Vec<NavItem>,
    says: Says,
    /// What an account answered when it was tested.
    buckets: Vec<String>,
    accounts: Vec<AccountRow>,
    empty: Empty,
    link_href: String,
    styles: Vec<Choice>,
    entry: AccountForm,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct AccountForm {
    csrf: String,
    action: String,
    name: String,
    endpoint: String,
    region: String,
    style: String,
    access_key: String,
    /// Never written into a page.
    secret_key: String,
}

/// What an act left to say.
#[derive(Default)]
struct Outcome {
    status: StatusCode,
    says: Says,
    buckets: Vec<String>,
}

impl Outcome {
    fn tested(buckets: Vec<String>) -> Self {
        let text = format!("The account answered. It shows {} buckets.", buckets.len());
        Self { status: StatusCode::OK, says: Says::good(text), buckets }
    }

    fn failed(failure: Failure) -> Result<Self, PageFailure> {
        let (status, says) = mendable(failure)?;
        Ok(Self { status, says, buckets: Vec::new() })
    }
}

async fn list(visitor: Visitor, Path(org): Path<String>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    sources_page(&visitor, &org, Outcome::default(), AccountForm::default()).await
}

async fn sources_page(visitor: &Visitor, org: &Org, outcome: Outcome, entry: AccountForm) -> Answer {
    let cx = &visitor.0.cx;
    let accounts = sources::list(cx, org.id).await?;
    let names = orgs::names(cx, org.id).await?;
    let page = SourcesPage {
        page: Page::at(visitor, org, Menu::Sources, "S3 accounts").await,
        tabs: tabs(cx, org.id, STORAGE_TABS, "sources").await,
        says: outcome.says,
        buckets: outcome.buckets,
        accounts: accounts.iter().map(|account| account_row(account, org, &names)).collect(),
        empty: Empty::nothing_yet("No S3 account is linked. The form below tests one before it is linked.", "", ""),
        link_href: format!("/o/{}/sources", org.id),
        styles: choices(&STYLES, &entry.style),
        entry,
    };
    show_with(outcome.status, &page)
}

fn account_row(account: &Account, org: &Org, names: &BTreeMap<OrgId, String>) -> AccountRow {
    AccountRow {
        name: account.name.clone(),
        org: names.get(&account.org).cloned().unwrap_or_else(|| account.org.to_string()),
        endpoint: account.endpoint.clone(),
        region: account.region.clone(),
        style: account.style.clone(),
        access_key: account.access_key.clone(),
        linked: org.zone.time_of(account.created_us),
        test_href: format!("/o/{}/sources/{}/test", org.id, account.id),
        sweep_href: format!("/o/{}/sources/{}/sweep", org.id, account.id),
    }
}

async fn link(visitor: Visitor, Path(org): Path<String>, Form(form): Form<AccountForm>) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let org = org_of(&visitor, &org).await?;
    let cx = &visitor.0.cx;
    let new = new_account(&form);
    let outcome = if form.action == "link" {
        match sources::link(cx, org.id, new).await {
            Ok(_) => return go(&format!("/o/{}/sources", org.id)),
            Err(failure) => Outcome::failed(failure)?,
        }
    } else {
        match sources::test(cx, org.id, &new).await {
            Ok(buckets) => Outcome::tested(buckets),
            Err(failure) => Outcome::failed(failure)?,
        }
    };
    sources_page(&visitor, &org, outcome, form).await
}

fn new_account(form: &AccountForm) -> NewAccount {
    NewAccount {
        name: form.name.clone(),
        endpoint: form.endpoint.trim().to_owned(),
        region: form.region.trim().to_owned(),
        style: form.style.clone(),
        access_key: form.access_key.trim().to_owned(),
        secret_key: form.secret_key.trim().to_owned(),
    }
}

/// Accounts that a row of the name space of `org` can point to: its own ones, and those of the
/// organisations at which the visitor has a role.
pub(super) async fn linkable(cx: &Cx, org: OrgId) -> Result<Vec<Account>, PageFailure> {
    let mut found = sources::list(cx, org).await?;
    for app::orgs::Mine { org: place, .. } in orgs::mine(cx).await? {
        // Where he has no right to the accounts, there are none to offer.
        let more = sources::list(cx, place.id).await.unwrap_or_default();
        found.extend(more);
    }
    found.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    found.dedup_by_key(|account| account.id);
    Ok(found)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ActForm {
    csrf: String,
}

async fn test(visitor: Visitor, Path((org, account)): Path<(String, String)>, Form(form): Form<ActForm>) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let org = org_of(&visitor, &org).await?;
    let account: AccountId = parse(&account, "S3 account")?;
    let outcome = match sources::test_linked(&visitor.0.cx, account).await {
        Ok(buckets) => Outcome::tested(buckets),
        Err(failure) => Outcome::failed(failure)?,
    };
    sources_page(&visitor, &org, outcome, AccountForm::default()).await
}

/// Answers with the page itself: the difference found is said once, and sweeping again books nothing twice.
async fn sweep(visitor: Visitor, Path((org, account)): Path<(String, String)>, Form(form): Form<ActForm>) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let org = org_of(&visitor, &org).await?;
    let account: AccountId = parse(&account, "S3 account")?;
    let outcome = match app::sweep::sweep(&visitor.0.cx, account).await {
        Ok(drift) => Outcome { status: StatusCode::OK, says: Says::good(drift_words(&drift)), buckets: Vec::new() },
        Err(failure) => Outcome::failed(failure)?,
    };
    sources_page(&visitor, &org, outcome, AccountForm::default()).await
}

fn drift_words(drift: &Drift) -> String {
    let mut said = format!(
        "Compared {} objects: {} were missing in the index, {} were gone, {} had another size, {} another storage class \
         or owner. Booked a difference of {} bytes.",
        drift.compared,
        drift.added,
        drift.removed,
        drift.resized,
        drift.moved,
        units::grouped(&drift.bytes.to_string())
    );
    for text in drift.unlisted.iter().chain(&drift.examples) {
        said.push_str(&format!(" {text}."));
    }
    said
}
