//! Making and changing a policy: as a form or as JSON, two views of one document.

use super::fields::Fields;
use super::frame::{
    Answer, Choice, Menu, NavItem, PEOPLE_TABS, Page, Says, choices, go, may, mendable, org_of, parse, show_with, tabs,
};
use super::policy_form::{StatementEntry, StatementRow, document, entries, entries_of, json, read_json};
use crate::Web;
use crate::auth::Visitor;
use access::policy::Document;
use access::{Action, Level};
use app::policies::{self, PolicyChange};
use app::rows::{Org, StoredPolicy};
use app::{Cx, Failure};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query};
use axum::http::StatusCode;
use axum::routing::get;
use base::PolicyId;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/o/{org}/policies/new", get(new).post(change_new))
        .route("/o/{org}/policies/{policy}", get(old).post(change_old))
}

const LEVELS: [(&str, &str); 2] =
    [("org", "everything in an organisation"), ("resource", "named resources: the binding says which")];

/// What is being written, in either view.
struct Draft {
    name: String,
    level: String,
    version: i64,
    as_json: bool,
    statements: Vec<StatementEntry>,
    json: String,
}

impl Draft {
    fn empty() -> Self {
        let statements = vec![StatementEntry::default()];
        Self { name: String::new(), level: String::new(), version: 0, as_json: false, statements, json: String::new() }
    }

    fn of(policy: &StoredPolicy, as_json: bool) -> Self {
        Self {
            name: policy.name.clone(),
            level: policy.level.code().to_owned(),
            version: policy.version,
            as_json,
            statements: entries_of(&policy.document),
            json: json(&policy.document),
        }
    }

    fn sent(fields: &Fields) -> Self {
        Self {
            name: fields.get("name").to_owned(),
            level: fields.get("level").to_owned(),
            version: fields.get("version").parse().unwrap_or_default(),
            as_json: fields.get("view") == "json",
            statements: entries(fields),
            json: fields.get("document").to_owned(),
        }
    }

    /// The document that the view at hand says.
    fn document(&self) -> Result<Document, Failure> {
        if self.as_json { read_json(&self.json) } else { Ok(document(&self.statements)) }
    }

    /// Turns to the other view of the same document.
    fn turn(&mut self) -> Result<(), Failure> {
        let document = self.document()?;
        self.as_json = !self.as_json;
        (self.json, self.statements) = (json(&document), entries_of(&document));
        Ok(())
    }
}

#[derive(Template)]
#[template(path = "console/policy.html")]
struct PolicyPage {
    page: Page,
    tabs: Vec<NavItem>,
    says: Says,
    title: String,
    href: String,
    /// Whether it is the visitor's to change; else it is shown as JSON.
    writes: bool,
    is_new: bool,
    name: String,
    levels: Vec<Choice>,
    level: &'static str,
    version: i64,
    as_json: bool,
    json: String,
    statements: Vec<StatementRow>,
    /// Every action that there is, with its words.
    actions: Vec<(&'static str, &'static str)>,
}

/// Which policy a page is about: none yet, or one that exists.
struct Subject {
    policy: Option<StoredPolicy>,
    writes: bool,
}

async fn new(visitor: Visitor, Path(org): Path<String>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    // Whoever must prove who he is does so before he writes, not after.
    visitor.0.cx.allow(Action::PolicyWrite, org.id).await?;
    let subject = Subject { policy: None, writes: true };
    policy_page(&visitor, &org, &subject, StatusCode::OK, (Says::default(), ""), Draft::empty()).await
}

async fn old(visitor: Visitor, Path((org, policy)): Path<(String, String)>, Query(query): Query<Fields>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    let (subject, stored) = subject(&visitor.0.cx, &org, &policy).await?;
    if subject.writes {
        visitor.0.cx.allow(Action::PolicyWrite, org.id).await?;
    }
    let says = if query.get("done") == "saved" { Says::good("The policy is saved.") } else { Says::default() };
    let draft = Draft::of(&stored, query.get("view") == "json");
    policy_page(&visitor, &org, &subject, StatusCode::OK, (says, ""), draft).await
}

async fn subject(cx: &Cx, org: &Org, policy: &str) -> Result<(Subject, StoredPolicy), crate::problem::PageFailure> {
    let id: PolicyId = parse(policy, "policy")?;
    let stored = policies::get(cx, org.id, id).await?;
    let writes = stored.org == org.id && may(cx, Action::PolicyWrite, org.id).await;
    Ok((Subject { policy: Some(stored.clone()), writes }, stored))
}

async fn policy_page(
    visitor: &Visitor,
    org: &Org,
    subject: &Subject,
    status: StatusCode,
    (says, fault): (Says, &str),
    draft: Draft,
) -> Answer {
    let faulty = |at: usize| fault.starts_with(&format!("/statements/{at}/"));
    let (title, path) = match &subject.policy {
        Some(policy) => (policy.name.clone(), policy.id.to_string()),
        None => ("New policy".to_owned(), "new".to_owned()),
    };
    let rows = draft.statements.iter().enumerate().map(|(at, entry)| entry.row(faulty(at)));
    let page = PolicyPage {
        page: Page::at(visitor, org, Menu::People, &title).await,
        tabs: tabs(&visitor.0.cx, org.id, PEOPLE_TABS, "policies").await,
        says,
        title,
        href: format!("/o/{}/policies/{path}", org.id),
        writes: subject.writes,
        is_new: subject.policy.is_none(),
        levels: choices(&LEVELS, &draft.level),
        level: LEVELS.iter().find(|(word, _)| *word == draft.level).map_or("", |(_, words)| *words),
        statements: rows.collect(),
        name: draft.name,
        version: draft.version,
        as_json: draft.as_json,
        json: draft.json,
        actions: Action::ALL.iter().map(|action| (action.code(), action.words())).collect(),
    };
    show_with(status, &page)
}

async fn change_new(visitor: Visitor, Path(org): Path<String>, Form(fields): Form<Fields>) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    change(&visitor, &org, &Subject { policy: None, writes: true }, &fields).await
}

async fn change_old(
    visitor: Visitor,
    Path((org, policy)): Path<(String, String)>,
    Form(fields): Form<Fields>,
) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    let (subject, _) = subject(&visitor.0.cx, &org, &policy).await?;
    change(&visitor, &org, &subject, &fields).await
}

/// One of the buttons: another statement, one less, the other view, or save.
async fn change(visitor: &Visitor, org: &Org, subject: &Subject, fields: &Fields) -> Answer {
    let mut draft = Draft::sent(fields);
    if fields.has("more") {
        draft.statements.push(StatementEntry::default());
    } else if let Ok(at) = fields.get("drop").parse::<usize>()
        && at < draft.statements.len()
    {
        draft.statements.remove(at);
    } else if fields.has("turn") {
        if let Err(failure) = draft.turn() {
            return refused(visitor, org, subject, failure, draft).await;
        }
    } else {
        return match save(&visitor.0.cx, org, subject, &draft).await {
            Ok(saved) => go(&format!("/o/{}/policies/{}?done=saved&view={}", org.id, saved.id, view_of(&draft))),
            Err(failure) => refused(visitor, org, subject, failure, draft).await,
        };
    }
    policy_page(visitor, org, subject, StatusCode::OK, (Says::default(), ""), draft).await
}

fn view_of(draft: &Draft) -> &'static str {
    if draft.as_json { "json" } else { "form" }
}

async fn refused(visitor: &Visitor, org: &Org, subject: &Subject, failure: Failure, draft: Draft) -> Answer {
    let field = failure.field.clone();
    let (status, says) = mendable(failure)?;
    policy_page(visitor, org, subject, status, (says, &field), draft).await
}

async fn save(cx: &Cx, org: &Org, subject: &Subject, draft: &Draft) -> Result<StoredPolicy, Failure> {
    let document = draft.document()?;
    match &subject.policy {
        Some(policy) => {
            let change = PolicyChange {
                version: draft.version,
                name: Some(draft.name.clone()),
                level: None,
                document: Some(document),
            };
            policies::update(cx, org.id, policy.id, change).await
        }
        None => {
            let unknown = || Failure::invalid("level", &draft.level, "is not one of org, resource");
            let level = Level::from_code(&draft.level).ok_or_else(unknown)?;
            policies::create(cx, org.id, &draft.name, level, document).await
        }
    }
}
