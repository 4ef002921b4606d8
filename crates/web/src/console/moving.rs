//! Moving an organisation: choose the new parent, see what changes, confirm.

use super::fields::{Fields, query_value};
use super::frame::{Answer, Menu, NavItem, Page, Says, TREE_TABS, go, may, mendable, org_of, parse, show_with, tabs};
use super::org_field::{self, OrgSuggestion};
use crate::Web;
use crate::auth::Visitor;
use crate::problem::PageFailure;
use access::Action;
use app::org_life::{self, MovePreview};
use app::rows::Org;
use app::{Cx, Failure, Kind, orgs};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query};
use axum::http::StatusCode;
use axum::routing::get;
use base::OrgId;
use std::collections::BTreeSet;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/o/{org}/move", get(choose).post(confirm))
}

#[derive(Template)]
#[template(path = "console/move.html")]
struct MovePage {
    page: Page,
    tabs: Vec<NavItem>,
    says: Says,
    base: String,
    parents: Vec<OrgSuggestion>,
    /// What was named.
    named: String,
    /// The chosen parent: name and id; both empty before one was chosen.
    chosen: (String, String),
    preview: Option<Preview>,
}

/// What would change, in words.
struct Preview {
    facts: Vec<(&'static str, String)>,
    lose: Vec<String>,
    gain: Vec<String>,
}

async fn choose(visitor: Visitor, Path(org): Path<String>, Query(query): Query<Fields>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    if org.parent.is_none() || !may(&visitor.0.cx, Action::OrgMove, org.id).await {
        return Err(PageFailure(Failure::new(Kind::Forbidden, "you need org:move here to move this organisation")));
    }
    move_page(&visitor, &org, StatusCode::OK, Says::default(), query.get("parent").trim()).await
}

async fn move_page(visitor: &Visitor, org: &Org, status: StatusCode, says: Says, named: &str) -> Answer {
    let cx = &visitor.0.cx;
    let parents = offered(cx, org).await?;
    let (mut status, mut says, mut chosen, mut found) = (status, says, (String::new(), String::new()), None);
    if !named.is_empty() {
        match look(cx, org.id, &parents, named).await {
            Ok((parent, preview)) => {
                chosen = (parent.name.clone(), parent.id.to_string());
                found = Some(in_words(&preview, &parent));
            }
            Err(failure) if says.bad.is_empty() => (status, says) = mendable(failure)?,
            Err(_) => {}
        }
    }
    let page = MovePage {
        page: Page::at(visitor, org, Menu::Tree, "Move").await,
        tabs: tabs(cx, org.id, TREE_TABS, "settings").await,
        says,
        base: format!("/o/{}", org.id),
        parents: org_field::suggestions(&parents),
        named: named.to_owned(),
        chosen,
        preview: found,
    };
    show_with(status, &page)
}

async fn look(cx: &Cx, org: OrgId, offered: &[Org], named: &str) -> Result<(Org, MovePreview), Failure> {
    let parent = org_field::org(offered, "parent", named)?;
    let preview = org_life::preview_move(cx, org, parent).await?;
    Ok((orgs::get(cx, parent).await?, preview))
}

/// Where a child may be made, as far as it may be read, without the organisation itself, what lies below it and its present
/// parent. Any other one is named by its id.
async fn offered(cx: &Cx, org: &Org) -> Result<Vec<Org>, PageFailure> {
    let below: BTreeSet<OrgId> = orgs::subtree(cx, org.id).await?.into_iter().map(|org| org.id).collect();
    let mut found = orgs::reached_rows(cx, Action::OrgCreateChild).await?;
    found.retain(|offered| Some(offered.id) != org.parent && !below.contains(&offered.id));
    found.sort_by_key(|org| org.name.to_lowercase());
    Ok(found)
}

fn in_words(preview: &MovePreview, parent: &Org) -> Preview {
    let lost: Vec<&str> = preview.products_lost.iter().map(|product| product.words()).collect();
    let prices = match preview.prices_end {
        true => {
            "The prices agreed with the present parent end with the month. Until the new parent agrees prices, \
                 what it is charged is passed on."
        }
        false => "None are agreed; what the new parent is charged is passed on.",
    };
    Preview {
        facts: vec![
            ("New parent", parent.name.clone()),
            ("Organisations that move", preview.organisations.to_string()),
            ("Level afterwards", format!("{} of 16", preview.depth)),
            ("Products lost", if lost.is_empty() { "none".to_owned() } else { lost.join(", ") }),
            ("Prices", prices.to_owned()),
            ("Rights", "change at once".to_owned()),
            ("Bills", "follow with the next month; the running one is still the present parent's".to_owned()),
        ],
        lose: preview.lose_access.clone(),
        gain: preview.gain_access.clone(),
    }
}

async fn confirm(visitor: Visitor, Path(org): Path<String>, Form(fields): Form<Fields>) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    let parent: OrgId = parse(fields.get("parent"), "organisation")?;
    match org_life::move_org(&visitor.0.cx, org.id, parent).await {
        Ok(_) if may(&visitor.0.cx, Action::OrgRead, org.id).await => go(&format!("/o/{}/settings?done=moved", org.id)),
        Ok(_) => go("/"),
        // After the proof he is back at what he was about to confirm.
        Err(failure) if failure.kind == Kind::StepUp => {
            let next = format!("/o/{}/move?parent={parent}", org.id);
            go(&format!("/prove?next={}", query_value(&next)))
        }
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            move_page(&visitor, &org, status, says, fields.get("parent")).await
        }
    }
}
