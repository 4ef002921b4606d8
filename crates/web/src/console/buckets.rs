//! The name space: which virtual bucket or folder is where, for whom.

use super::fields::Fields;
use super::frame::{
    Answer, Choice, Empty, Menu, NavItem, Page, STORAGE_TABS, Says, choices, go, mendable, name_of, org_of, parse,
    show_with, tabs, user_names,
};
use super::listing::Listing;
use super::person_field::{Suggestion, person, suggestions};
use super::sources::linkable;
use crate::Web;
use crate::auth::Visitor;
use app::buckets::{self, Former, NewMapping, Shown};
use app::rows::Charge;
use app::rows::{Account, Org};
use app::{Failure, orgs};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query};
use axum::http::StatusCode;
use axum::routing::{get, post};
use base::{AccountId, MappingId, OrgId, Zone};
use serde::Deserialize;
use std::collections::BTreeMap;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/o/{org}/buckets", get(list).post(map))
        .route("/o/{org}/buckets/{mapping}/remove", post(remove))
        .route("/o/{org}/former-buckets/{former}/stop", post(stop))
}

const ACCESS: [(&str, &str); 2] = [("write", "read and write"), ("read", "read only")];

struct MappingRow {
    seen: String,
    who: String,
    org: String,
    account: String,
    real: String,
    access: &'static str,
    remove_href: String,
}

/// A row that was removed.
struct FormerRow {
    seen: String,
    org: String,
    removed: String,
    /// What becomes of the charge, in words.
    charge: &'static str,
    /// Empty when it was stopped.
    stop_href: String,
}

#[derive(Template)]
#[template(path = "console/buckets.html")]
struct BucketsPage {
    page: Page,
    tabs: Vec<NavItem>,
    says: Says,
    rows: Vec<MappingRow>,
    listing: Listing,
    former: Vec<FormerRow>,
    empty: Empty,
    map_href: String,
    suggestions: Vec<Suggestion>,
    /// Empty until an account is linked; then there is no form.
    accounts: Vec<Choice>,
    access: Vec<Choice>,
    entry: MappingForm,
    /// The place is another's, too: a yes is asked for.
    asks_overlap: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct MappingForm {
    csrf: String,
    user: String,
    bucket: String,
    folder: String,
    account: String,
    real_bucket: String,
    prefix: String,
    access: String,
    overlap: String,
}

async fn list(visitor: Visitor, Path(org): Path<String>, Query(query): Query<Fields>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    let said = (StatusCode::OK, Says::default(), false);
    buckets_page(&visitor, &org, said, MappingForm::default(), &query).await
}

async fn buckets_page(
    visitor: &Visitor,
    org: &Org,
    (status, says, asks_overlap): (StatusCode, Says, bool),
    entry: MappingForm,
    query: &Fields,
) -> Answer {
    let cx = &visitor.0.cx;
    let found = buckets::list(cx, org.id).await?;
    let former = buckets::former(cx, org.id).await?;
    let zone = &org.zone;
    let accounts = linkable(cx, org.id).await?;
    let users = user_names(visitor, org.id).await;
    let names = orgs::names(cx, org.id).await?;
    let mut rows: Vec<MappingRow> =
        found.iter().map(|mapping| mapping_row(mapping, &users, &names, &accounts)).collect();
    let text = |row: &MappingRow| format!("{} {} {} {} {}", row.seen, row.who, row.org, row.account, row.real);
    let listing = Listing::cut(&mut rows, query, &format!("/o/{}/buckets", org.id), text);
    let page = BucketsPage {
        page: Page::at(visitor, org, Menu::Sources, "Buckets").await,
        tabs: tabs(cx, org.id, STORAGE_TABS, "buckets").await,
        says,
        rows,
        listing,
        former: former.iter().map(|row| former_row(row, &names, zone)).collect(),
        empty: empty(org, accounts.is_empty()),
        map_href: format!("/o/{}/buckets", org.id),
        suggestions: suggestions(visitor, org.id).await,
        accounts: accounts
            .iter()
            .map(|account| Choice::new(account.id.to_string(), &account.name, &entry.account))
            .collect(),
        access: choices(&ACCESS, &entry.access),
        entry,
        asks_overlap,
    };
    show_with(status, &page)
}

fn empty(org: &Org, no_account: bool) -> Empty {
    if no_account {
        let text = "Buckets are mapped onto linked S3 accounts; link one first.";
        return Empty::nothing_yet(text, format!("/o/{}/sources", org.id), "Link an S3 account");
    }
    Empty::nothing_yet("No bucket is mapped. The form below shows the first one to its users.", "", "")
}

fn mapping_row(
    mapping: &Shown,
    users: &BTreeMap<String, String>,
    names: &BTreeMap<OrgId, String>,
    accounts: &[Account],
) -> MappingRow {
    let hidden = || "kept by the organisation above".to_owned();
    let account = |id: base::AccountId| {
        let known = accounts.iter().find(|account| account.id == id);
        known.map_or_else(|| id.to_string(), |account| account.name.clone())
    };
    MappingRow {
        seen: format!("{}/{}", mapping.virtual_bucket, mapping.folder),
        who: mapping.user.map_or_else(|| "everybody".to_owned(), |user| name_of(users, &user.to_string())),
        org: names.get(&mapping.org).cloned().unwrap_or_else(|| mapping.org.to_string()),
        account: mapping.behind.as_ref().map_or_else(hidden, |behind| account(behind.account)),
        real: mapping
            .behind
            .as_ref()
            .map(|behind| format!("{}/{}", behind.real_bucket, behind.prefix))
            .unwrap_or_default(),
        access: if mapping.access == "write" { "read and write" } else { "read only" },
        // A row is removed where it was made.
        remove_href: format!("/o/{}/buckets/{}/remove", mapping.org, mapping.id),
    }
}

fn former_row(former: &Former, names: &BTreeMap<OrgId, String>, zone: &Zone) -> FormerRow {
    let (row, goes_on) = (&former.row, former.charge == Charge::GoesOn);
    FormerRow {
        seen: format!("{}/{}", row.virtual_bucket, row.folder),
        org: names.get(&row.org).cloned().unwrap_or_else(|| row.org.to_string()),
        removed: zone.time_of(former.removed_us),
        charge: if goes_on { "goes on until it is gone" } else { "stopped" },
        stop_href: if goes_on { format!("/o/{}/former-buckets/{}/stop", row.org, row.id) } else { String::new() },
    }
}

async fn map(visitor: Visitor, Path(org): Path<String>, Form(form): Form<MappingForm>) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let org = org_of(&visitor, &org).await?;
    match add(&visitor, org.id, &form).await {
        Ok(_) => go(&format!("/o/{}/buckets", org.id)),
        Err(failure) => {
            let asks_overlap = failure.code == Some("mapping_overlap");
            let (status, says) = mendable(failure)?;
            buckets_page(&visitor, &org, (status, says, asks_overlap), form, &Fields::default()).await
        }
    }
}

async fn add(visitor: &Visitor, org: OrgId, form: &MappingForm) -> Result<Shown, Failure> {
    let new = NewMapping {
        user: match form.user.trim() {
            "" => None,
            named => Some(person(visitor, org, "user", named).await?),
        },
        virtual_bucket: form.bucket.trim().to_owned(),
        folder: form.folder.clone(),
        account: account(&form.account)?,
        real_bucket: form.real_bucket.trim().to_owned(),
        prefix: form.prefix.clone(),
        access: form.access.clone(),
        overlap: !form.overlap.is_empty(),
    };
    buckets::map(&visitor.0.cx, org, new).await
}

fn account(text: &str) -> Result<AccountId, Failure> {
    text.parse::<AccountId>().map_err(|_| Failure::invalid("account", text, "is not an account of this list"))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RemoveForm {
    csrf: String,
    charge: String,
}

async fn remove(
    visitor: Visitor,
    Path((org, mapping)): Path<(String, String)>,
    Form(form): Form<RemoveForm>,
) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let org: OrgId = parse(&org, "organisation")?;
    let mapping: MappingId = parse(&mapping, "mapping")?;
    let charge = buckets::parse_charge(&form.charge)?;
    buckets::unmap(&visitor.0.cx, org, mapping, charge).await?;
    go(&format!("/o/{org}/buckets"))
}

async fn stop(visitor: Visitor, Path((org, former)): Path<(String, String)>, Form(form): Form<RemoveForm>) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let org: OrgId = parse(&org, "organisation")?;
    let mapping: MappingId = parse(&former, "mapping")?;
    buckets::stop(&visitor.0.cx, org, mapping).await?;
    go(&format!("/o/{org}/buckets"))
}
