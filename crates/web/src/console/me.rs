//! My page: what I was given, my keys, my buckets, my usage of this month.

use super::figures::{CUT, FigureRow, HEADS, Sums, question};
use super::frame::{Answer, Choice, Empty, NavItem, Page, Says, mendable, parse, show_with};
use super::keys::{Example, KeyRow, examples, key_row, receipt};
use super::nav::own_tabs;
use crate::Web;
use crate::auth::Visitor;
use crate::problem::PageFailure;
use app::orgs::Mine;
use app::rows::{AccessKey, Org};
use app::s3_session::{self, Bucket};
use app::{Cx, keys, orgs};
use askama::Template;
use axum::Router;
use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use base::OrgId;
use serde::Deserialize;
use std::collections::BTreeMap;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/me", get(me)).route("/me/keys", post(create_key))
}

struct RoleRow {
    role: String,
    org: String,
}

struct BucketRow {
    name: String,
    org: String,
    places: Vec<String>,
}

/// What was typed into one of the forms.
#[derive(Default)]
struct Entry {
    key_org: String,
    key_name: String,
}

#[derive(Template)]
#[template(path = "console/me.html")]
struct MePage {
    page: Page,
    tabs: Vec<NavItem>,
    says: Says,
    name: String,
    email: String,
    roles: Vec<RoleRow>,
    /// Said to somebody without any role.
    empty: Empty,
    keys: Vec<KeyRow>,
    back: &'static str,
    orgs: Vec<Choice>,
    buckets: Vec<BucketRow>,
    bucket_faults: Vec<String>,
    basis: Vec<String>,
    caption: &'static str,
    first: &'static str,
    heads: [&'static str; 6],
    rows: Vec<FigureRow>,
    total: Vec<String>,
    cut: &'static str,
    s3_url: String,
    examples: Vec<Example>,
    entry: Entry,
}

async fn me(State(web): State<Web>, visitor: Visitor) -> Answer {
    me_page(&web, &visitor, StatusCode::OK, Says::default(), Entry::default()).await
}

async fn me_page(web: &Web, visitor: &Visitor, status: StatusCode, says: Says, entry: Entry) -> Answer {
    let cx = &visitor.0.cx;
    let mine = orgs::mine(cx).await?;
    let keys = keys::mine(cx).await?;
    let names = names(cx, &mine, &keys).await;
    let users = BTreeMap::from([(visitor.0.user.id.to_string(), visitor.0.user.display_name.clone())]);
    let (rows, basis) = my_usage(cx, &mine).await?;
    let (buckets, bucket_faults) = my_buckets(cx, &mine).await;
    let choices: Vec<Choice> =
        mine.iter().map(|mine| Choice::new(mine.org.id.to_string(), &mine.org.name, &entry.key_org)).collect();
    let page = MePage {
        page: Page::own(visitor, "My page").await?,
        tabs: own_tabs("/me"),
        says,
        name: visitor.0.user.display_name.clone(),
        email: visitor.0.user.email.clone(),
        roles: mine.iter().flat_map(role_rows).collect(),
        empty: Empty::no_right(
            "You have no role at any organisation now. An admin who knows you can invite you again.",
        ),
        keys: keys.iter().map(|key| key_row(key, &users, &names, &base::Zone::utc())).collect(),
        back: "me",
        orgs: choices,
        buckets,
        bucket_faults,
        basis,
        caption: "My usage of this month",
        first: "Charged to",
        heads: HEADS,
        rows,
        total: Vec::new(), // Organisations may lie one below the other: their rows do not add up.
        cut: CUT,
        s3_url: web.s3_url.clone(),
        examples: examples(&web.s3_url, "YOUR_KEY_ID", "YOUR_SECRET"),
        entry,
    };
    show_with(status, &page)
}

fn role_rows(mine: &Mine) -> Vec<RoleRow> {
    mine.policies.iter().map(|(_, name)| RoleRow { role: name.clone(), org: mine.org.name.clone() }).collect()
}

/// Names of the organisations that the page mentions.
async fn names(cx: &Cx, mine: &[Mine], keys: &[AccessKey]) -> BTreeMap<OrgId, String> {
    let mut names: BTreeMap<OrgId, String> = mine.iter().map(|mine| (mine.org.id, mine.org.name.clone())).collect();
    for key in keys {
        if names.contains_key(&key.org) {
            continue;
        }
        let name = orgs::get(cx, key.org).await.map_or_else(|_| key.org.to_string(), |org| org.name);
        names.insert(key.org, name);
    }
    names
}

/// A row for each organisation at which the visitor used something this month.
async fn my_usage(cx: &Cx, mine: &[Mine]) -> Result<(Vec<FigureRow>, Vec<String>), PageFailure> {
    let mut rows = Vec::new();
    let mut basis = Vec::new();
    for Mine { org, .. } in mine {
        let mut asked = question("");
        asked.user = Some(cx.user());
        asked.by.dimensions = true;
        let usage = match app::usage::ask(cx, org.id, asked).await {
            // A suspended organisation shows nothing; one's own page is there all the same.
            Err(failure) if failure.kind == app::Kind::Forbidden => continue,
            usage => usage?,
        };
        if basis.is_empty() {
            basis = super::figures::basis(&usage, "only what I used, at each organisation and below");
        }
        let mut sums = Sums::default();
        usage.rows.iter().for_each(|row| sums.add(row));
        if !sums.is_empty() {
            let cells = sums.cells(usage.period.seconds());
            rows.push(FigureRow { name: org.name.clone(), href: String::new(), cells });
        }
    }
    Ok((rows, basis))
}

/// What the visitor sees through the gateway; one organisation that fails does not take the others along.
async fn my_buckets(cx: &Cx, mine: &[Mine]) -> (Vec<BucketRow>, Vec<String>) {
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for Mine { org, .. } in mine {
        match s3_session::my_buckets(cx, org.id).await {
            Ok(buckets) => rows.extend(buckets.iter().map(|bucket| bucket_row(org, bucket))),
            Err(failure) => faults.push(format!("Buckets at {}: {}", org.name, failure.text)),
        }
    }
    (rows, faults)
}

fn bucket_row(org: &Org, bucket: &Bucket) -> BucketRow {
    let place = |folder: &str, writable: bool| {
        let folder = if folder.is_empty() { "whole bucket" } else { folder };
        format!("{folder}, {}", if writable { "read and write" } else { "read only" })
    };
    BucketRow {
        name: bucket.name.clone(),
        org: org.name.clone(),
        places: bucket.places.iter().map(|found| place(&found.folder, found.writable)).collect(),
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct KeyForm {
    csrf: String,
    org: String,
    name: String,
}

async fn create_key(State(web): State<Web>, visitor: Visitor, Form(form): Form<KeyForm>) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let org: OrgId = parse(&form.org, "organisation")?;
    let cx = &visitor.0.cx;
    match keys::create(cx, org, cx.user(), &form.name).await {
        Ok((key, secret)) => {
            let names = names(cx, &orgs::mine(cx).await?, std::slice::from_ref(&key)).await;
            let org_name = names.get(&org).cloned().unwrap_or_else(|| org.to_string());
            let page = Page::own(&visitor, "Access key").await?;
            receipt(&web, page, &key, &secret, &org_name, "/me".to_owned())
        }
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            let entry = Entry { key_org: form.org, key_name: form.name };
            me_page(&web, &visitor, status, says, entry).await
        }
    }
}
