//! The overview of an organisation: what its month looks like, who used it, the newest papers.

use super::earnings::{Earnings, earnings};
use super::figures::{
    CUT, DayGroup, FigureRow, HEADS, Scale, Sums, basis, greatest, nothing, question, scope_words, stacked_days,
};
use super::frame::{Answer, Choice, Empty, Menu, Page, may, months, org_names, org_of, show};
use super::papers::{PaperRow, paper_row};
use crate::auth::Visitor;
use crate::problem::PageFailure;
use crate::{Web, units};
use access::Action;
use app::rows::{Listed, Org};
use app::usage::{Scope, Usage};
use app::{bills, orgs};
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query};
use axum::routing::get;
use base::{OrgId, Period};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Papers that the overview lists.
const PAPERS_MAX: usize = 6;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/o/{org}/overview", get(overview))
}

pub(super) struct Card {
    pub(super) label: String,
    pub(super) figure: String,
    pub(super) hint: String,
    /// Empty when there is nowhere to go.
    pub(super) href: String,
}

#[derive(Template)]
#[template(path = "console/overview.html")]
struct OverviewPage {
    page: Page,
    basis: Vec<String>,
    months: Vec<Choice>,
    /// What is earned, by customer; nothing for those who may not see it.
    earned: Earnings,
    cards: Vec<Card>,
    bytes_chart: String,
    requests_chart: String,
    caption: &'static str,
    first: &'static str,
    heads: [&'static str; 6],
    rows: Vec<FigureRow>,
    total: Vec<String>,
    cut: &'static str,
    papers: Vec<PaperRow>,
    papers_href: String,
    empty: Empty,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct OverviewQuery {
    month: String,
}

async fn overview(visitor: Visitor, Path(org): Path<String>, Query(query): Query<OverviewQuery>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    let cx = &visitor.0.cx;
    let tree = orgs::subtree(cx, org.id).await?;
    let mut asked = question(&query.month);
    asked.by.org = true;
    asked.by.dimensions = true;
    asked.daily = true;
    let usage = app::usage::ask(cx, org.id, asked).await?;
    let sees_papers = may(cx, Action::InvoiceRead, org.id).await;
    let papers = if sees_papers { bills::list(cx, org.id).await? } else { Vec::new() };
    let keys_href =
        if may(cx, Action::S3ManageKeys, org.id).await { format!("/o/{}/keys", org.id) } else { String::new() };
    let page = Page::at(&visitor, &org, Menu::Overview, "Overview").await;
    let names = org_names(&tree);
    let view = View::new(&org, &tree, &usage)?;
    show(&OverviewPage {
        page,
        basis: basis(&usage, &scope_words(&usage, &org.name)),
        months: months(cx.now_us(), &usage.zone, &usage.period_name)?,
        earned: earnings(cx, &org, &usage.period_name).await?,
        cards: cards(&org, &view.total, &usage, &papers),
        bytes_chart: view.chart(&usage, "Bytes out by day and department", |sums| sums.bytes_out, Scale::bytes),
        requests_chart: view.chart(&usage, "Requests by day and department", Sums::requests, |_| Scale::requests()),
        caption: "Usage by department",
        first: "Department",
        heads: HEADS,
        rows: view.rows(&usage),
        total: view.total.cells(usage.period.seconds()),
        cut: CUT,
        papers: papers.iter().take(PAPERS_MAX).map(|listed| paper_row(listed, &names, &org.zone)).collect(),
        papers_href: if sees_papers { format!("/o/{}/papers", org.id) } else { String::new() },
        empty: nothing(&usage, &org.name, keys_href),
    })
}

/// The usage of a month by child and day.
struct View {
    org: OrgId,
    days: Vec<Period>,
    groups: BTreeMap<OrgId, Group>,
    total: Sums,
}

struct Group {
    name: String,
    by_day: BTreeMap<i64, Sums>,
}

impl Group {
    fn sum(&self) -> Sums {
        self.by_day.values().fold(Sums::default(), |mut sum, day| {
            sum.merge(day);
            sum
        })
    }
}

impl View {
    fn new(org: &Org, tree: &[Org], usage: &Usage) -> Result<Self, PageFailure> {
        let child_of = children(org.id, tree);
        let mut names = org_names(tree);
        names.insert(org.id, format!("{} itself", org.name));
        let mut days = usage.period.days(&usage.zone)?;
        days.retain(|day| day.start_us < usage.through_us);
        let mut view = Self { org: org.id, days, groups: BTreeMap::new(), total: Sums::default() };
        for row in &usage.rows {
            let child = row.org.and_then(|user_org| child_of.get(&user_org).copied()).unwrap_or(org.id);
            let name = || names.get(&child).cloned().unwrap_or_else(|| child.to_string());
            let group = view.groups.entry(child).or_insert_with(|| Group { name: name(), by_day: BTreeMap::new() });
            group.by_day.entry(row.bucket_us).or_default().add(row);
            view.total.add(row);
        }
        Ok(view)
    }

    fn rows(&self, usage: &Usage) -> Vec<FigureRow> {
        let mut rows: Vec<FigureRow> = Vec::new();
        for (child, group) in &self.groups {
            let href = if *child == self.org {
                String::new()
            } else {
                format!("/o/{child}/overview?month={}", usage.period_name)
            };
            rows.push(FigureRow { name: group.name.clone(), href, cells: group.sum().cells(usage.period.seconds()) });
        }
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        rows
    }

    fn chart(&self, usage: &Usage, title: &str, pick: impl Fn(&Sums) -> i128, scale: impl Fn(i128) -> Scale) -> String {
        let day_group = |group: &Group| DayGroup {
            name: group.name.clone(),
            by_day: group.by_day.iter().map(|(day, sums)| (*day, pick(sums))).collect(),
        };
        let groups: Vec<DayGroup> = self.groups.values().map(day_group).collect();
        stacked_days(title, &scale(greatest(&groups)), &self.days, &usage.zone, groups)
    }
}

/// For each organisation of the tree, the direct child of `org` that it belongs to; `org` for itself.
fn children(org: OrgId, tree: &[Org]) -> BTreeMap<OrgId, OrgId> {
    let mut child_of: BTreeMap<OrgId, OrgId> = BTreeMap::new();
    for member in tree {
        let child = match member.parent {
            _ if member.id == org => org,
            Some(parent) if parent != org => child_of.get(&parent).copied().unwrap_or(org),
            _ => member.id,
        };
        child_of.insert(member.id, child);
    }
    child_of
}

fn cards(org: &Org, total: &Sums, usage: &Usage, papers: &[Listed]) -> Vec<Card> {
    let explorer = |meter: &str| format!("/o/{}/usage?month={}&by=org&meter={meter}", org.id, usage.period_name);
    let seconds = usage.period.seconds();
    let requests = format!(
        "{} A, {} B, {} not billed",
        units::whole(total.class_a),
        units::whole(total.class_b),
        units::whole(total.not_billed)
    );
    let mut cards: Vec<Card> = Vec::new();
    let own = papers.iter().find(|listed| listed.payer == org.id && listed.period_name == usage.period_name);
    if let Some(own) = own {
        cards.push(Card {
            label: format!("To pay for {}", own.period_name),
            figure: units::money(own.total_minor, own.currency),
            hint: format!("{}, {}, net", own.kind, own.state),
            href: format!("/papers/{}", own.id),
        });
    }
    if usage.scope != Scope::Below && total.is_empty() {
        return cards; // A zero of one person, or of a part, would be read as a zero of all.
    }
    let gib_months = format!("{} GiB-months", units::gib_months(total.storage, seconds));
    let hint = "stored bytes by time, so far".to_owned();
    cards.push(Card { label: "Storage".to_owned(), figure: gib_months, hint, href: explorer("s3.storage") });
    cards.push(Card {
        label: "Requests".to_owned(),
        figure: units::whole(total.requests()),
        hint: requests,
        href: explorer("s3.requests"),
    });
    for (label, sum, meter) in
        [("Bytes in", total.bytes_in, "s3.bytes_in"), ("Bytes out", total.bytes_out, "s3.bytes_out")]
    {
        let hint = format!("exactly {} bytes", units::whole(sum));
        cards.push(Card { label: label.to_owned(), figure: units::bytes(sum), hint, href: explorer(meter) });
    }
    cards
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{Currency, Zone};

    fn org(id: u128, parent: Option<u128>) -> Org {
        let name = format!("org {id}");
        Org::new(OrgId(id), parent.map(OrgId), "department", &name, Currency::EUR, Zone::utc())
    }

    #[test]
    fn usage_goes_to_the_direct_child() {
        let tree = [org(2, Some(1)), org(3, Some(2)), org(4, Some(3)), org(5, Some(2))];
        let found = children(OrgId(2), &tree);
        let want = [(2, 2), (3, 3), (4, 3), (5, 5)].map(|(id, child)| (OrgId(id), OrgId(child)));
        assert_eq!(found, want.into());
    }
}
