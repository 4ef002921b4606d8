//! The usage explorer: one month of one organisation, grouped as asked, with the table under the chart.
//! The address holds the whole view.

use super::figures::{
    CUT, FigureRow, HEADS, Scale, Sums, basis, dimension, nothing, plain, question, ranked, scope_words,
};
use super::frame::{
    Answer, Choice, Empty, Menu, NavItem, Page, USAGE_TABS, choices, may, months, name_of, org_names, org_of, show,
    tabs, user_names,
};
use crate::Web;
use crate::auth::Visitor;
use crate::problem::PageFailure;
use access::Action;
use app::rows::{Org, RolledUp};
use app::usage::{Scope, Usage};
use app::{events, orgs};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query};
use axum::routing::get;
use metering::Meter;
use metering::meter::S3_REQUESTS;
use serde::Deserialize;
use std::collections::BTreeMap;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/o/{org}/usage", get(explorer))
}

/// What rows can be grouped by.
const GROUPS: [(&str, &str); 4] = [("org", "department"), ("user", "person"), ("bucket", "bucket"), ("day", "day")];

#[derive(Template)]
#[template(path = "console/usage.html")]
struct UsagePage {
    page: Page,
    tabs: Vec<NavItem>,
    basis: Vec<String>,
    months: Vec<Choice>,
    groups: Vec<Choice>,
    meters: Vec<Choice>,
    chart_title: String,
    chart: String,
    caption: String,
    first: &'static str,
    heads: Vec<String>,
    rows: Vec<FigureRow>,
    total: Vec<String>,
    cut: &'static str,
    quarantine_href: String,
    empty: Empty,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct UsageQuery {
    month: String,
    by: String,
    meter: String,
}

async fn explorer(visitor: Visitor, Path(org): Path<String>, Query(query): Query<UsageQuery>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    let cx = &visitor.0.cx;
    let by = GROUPS.iter().find(|(word, _)| *word == query.by).copied().unwrap_or(GROUPS[0]);
    let meters = events::meters(cx).await?;
    let wanted = if query.meter.is_empty() { S3_REQUESTS } else { query.meter.as_str() };
    let meter = meters.iter().find(|meter| meter.code == wanted).cloned();
    let is_own = meter.as_ref().is_some_and(|meter| !meter.code.starts_with("s3."));
    let mut asked = question(&query.month);
    asked.meter = is_own.then(|| wanted.to_owned());
    asked.by.org = by.0 == "org";
    asked.by.user = by.0 == "user";
    asked.by.dimensions = true;
    asked.daily = by.0 == "day";
    let usage = app::usage::ask(cx, org.id, asked).await?;
    let namer = Namer::new(&visitor, &org, by.0).await?;
    let page = Page::at(&visitor, &org, Menu::Usage, "Usage").await;
    let keys_href = href_if(&visitor, Action::S3ManageKeys, &org, "keys").await;
    let quarantine_href = href_if(&visitor, Action::SourceRead, &org, "quarantine").await;

    let groups = if meter.is_some() { grouped(&usage, &namer) } else { Vec::new() };
    let empty = match &meter {
        Some(_) if is_own && usage.scope == Scope::Below => Empty::nothing_yet(
            format!("No event of meter {wanted} belongs to {}. Events are sent to the API.", usage.period_name),
            "",
            "",
        ),
        Some(_) => nothing(&usage, &org.name, keys_href),
        None => Empty::nothing_matches(&format!("meter {wanted:?}"), format!("/o/{}/usage", org.id)),
    };
    let table = Table::new(&usage, meter.as_ref(), &groups, by.1);
    show(&UsagePage {
        page,
        tabs: tabs(cx, org.id, USAGE_TABS, "usage").await,
        basis: basis(&usage, &scope_words(&usage, &org.name)),
        months: months(cx.now_us(), &usage.zone, &usage.period_name)?,
        groups: choices(&GROUPS, by.0),
        meters: meters.iter().map(|meter| Choice::new(&meter.code, &meter.code, wanted)).collect(),
        chart_title: table.title,
        chart: table.chart,
        caption: format!("Usage by {}", by.1),
        first: by.1,
        heads: table.heads,
        rows: table.rows,
        total: table.total,
        cut: if is_own { "" } else { CUT },
        quarantine_href,
        empty,
    })
}

async fn href_if(visitor: &Visitor, action: Action, org: &Org, path: &str) -> String {
    if may(&visitor.0.cx, action, org.id).await { format!("/o/{}/{path}", org.id) } else { String::new() }
}

/// Knows what a group is called.
struct Namer {
    by: &'static str,
    names: BTreeMap<String, String>,
}

impl Namer {
    async fn new(visitor: &Visitor, org: &Org, by: &'static str) -> Result<Self, PageFailure> {
        let names = match by {
            "user" => user_names(visitor, org.id).await,
            "org" => {
                let tree = orgs::subtree(&visitor.0.cx, org.id).await?;
                org_names(&tree).into_iter().map(|(id, name)| (id.to_string(), name)).collect()
            }
            _ => BTreeMap::new(),
        };
        Ok(Self { by, names })
    }

    /// The id that rows are put together by.
    fn key(&self, row: &RolledUp, usage: &Usage) -> String {
        match self.by {
            "org" => row.org.map(|org| org.to_string()).unwrap_or_default(),
            "user" => row.user.map(|user| user.to_string()).unwrap_or_default(),
            "bucket" => dimension(row, "bucket"),
            _ => usage.zone.date_of(row.bucket_us),
        }
    }

    fn name(&self, key: &str) -> String {
        match (self.by, key) {
            ("user", "") => "(no person)".to_owned(),
            ("bucket", "") => "(no bucket)".to_owned(),
            _ => name_of(&self.names, key),
        }
    }

    fn href(&self, key: &str, usage: &Usage) -> String {
        if self.by != "org" || key.is_empty() {
            return String::new();
        }
        format!("/o/{key}/usage?month={}&by=user", usage.period_name)
    }
}

struct Group {
    name: String,
    href: String,
    sums: Sums,
}

/// The groups in the order of their keys: days by date.
fn grouped(usage: &Usage, namer: &Namer) -> Vec<Group> {
    let mut sums: BTreeMap<String, Sums> = BTreeMap::new();
    for row in &usage.rows {
        sums.entry(namer.key(row, usage)).or_default().add(row);
    }
    let group = |(key, sums): (String, Sums)| Group { name: namer.name(&key), href: namer.href(&key, usage), sums };
    let mut groups: Vec<Group> = sums.into_iter().map(group).collect();
    groups.retain(|group| !group.sums.is_empty());
    groups
}

struct Table {
    title: String,
    chart: String,
    heads: Vec<String>,
    rows: Vec<FigureRow>,
    total: Vec<String>,
}

impl Table {
    fn new(usage: &Usage, meter: Option<&Meter>, groups: &[Group], by: &str) -> Self {
        let Some(meter) = meter.filter(|_| !groups.is_empty()) else {
            return Self {
                title: String::new(),
                chart: String::new(),
                heads: Vec::new(),
                rows: Vec::new(),
                total: Vec::new(),
            };
        };
        let is_own = !meter.code.starts_with("s3.");
        let seconds = usage.period.seconds();
        let cells = |sums: &Sums| if is_own { vec![plain(sums.other)] } else { sums.cells(seconds) };
        let mut order: Vec<&Group> = groups.iter().collect();
        if by != "day" {
            order.sort_by_key(|group| std::cmp::Reverse(group.sums.of_meter(&meter.code)));
        }
        let values: Vec<(String, i128)> =
            order.iter().map(|group| (group.name.clone(), group.sums.of_meter(&meter.code))).collect();
        let greatest = values.iter().map(|(_, value)| *value).max().unwrap_or(0);
        let title = format!("{} by {by}", meter.code);
        let mut total = Sums::default();
        groups.iter().for_each(|group| total.merge(&group.sums));
        let row = |group: &&Group| FigureRow {
            name: group.name.clone(),
            href: group.href.clone(),
            cells: cells(&group.sums),
        };
        Self {
            chart: ranked(&title, &Scale::of(meter, greatest, seconds), &values),
            title,
            heads: if is_own { vec![format!("Quantity, {}", meter.unit)] } else { HEADS.map(str::to_owned).to_vec() },
            rows: order.iter().map(row).collect(),
            total: cells(&total),
        }
    }
}
