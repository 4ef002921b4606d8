//! The settings of an organisation: what its own admins decide, and what is decided from above.

use super::confirm::{Confirm, counted};
use super::fields::{Fields, boxes, lines};
use super::frame::{
    Answer, Choice, Menu, NavItem, Page, Says, TREE_TABS, choices, go, may, mendable, org_of, show_with, state_words,
    tabs,
};
use crate::Web;
use crate::auth::Visitor;
use access::tree::{AdminMode, MfaPolicy, OrgState};
use access::{Action, Cost, Costs, Product};
use app::orgs::{OrgChange, ProductState, Withholding};
use app::rows::Org;
use app::{Failure, costs, org_life, orgs};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query};
use axum::http::StatusCode;
use axum::routing::{get, post};
use base::OrgId;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/o/{org}/settings", get(settings).post(change))
        .route("/o/{org}/settings/admins", post(set_admins))
        .route("/o/{org}/settings/costs", post(set_costs))
        .route("/o/{org}/settings/products", post(set_product))
}

/// Kinds of cost in the words of people.
pub(super) const COSTS: &[(Cost, &str)] = &[
    (Cost::List, "list cost"),
    (Cost::Contracted, "contracted cost"),
    (Cost::Billed, "billed cost"),
    (Cost::Effective, "effective cost"),
    (Cost::Charged, "charged cost"),
];

const MFA: [(&str, &str); 3] =
    [("off", "off: not offered"), ("optional", "optional: offered"), ("required", "required: nobody works without")];

const ADMINS: [(&str, &str); 2] = [
    ("own", "own admins: at least one always remains"),
    ("inherited", "the admins above it: it may have none of its own"),
];

/// What was done just now, said on the page that follows.
const DONE: [(&str, &str); 8] = [
    ("created", "The organisation is created."),
    ("saved", "The settings are saved."),
    ("moved", "The organisation has moved. Rights changed at once; bills follow with the next month."),
    ("suspended", "The organisation is suspended, and with it everything below."),
    ("resumed", "The suspension is over."),
    ("deleted", "The organisation is marked for deletion. It can be restored for thirty days."),
    ("restored", "The organisation is restored."),
    ("product", "The product is set."),
];

pub(super) fn cost_words(cost: Cost) -> &'static str {
    COSTS.iter().find(|(known, _)| *known == cost).map_or("", |(_, words)| *words)
}

/// The kinds of cost as entries of a select.
pub(super) fn cost_choices(list: &[(Cost, &str)], chosen: Cost) -> Vec<Choice> {
    list.iter().map(|(cost, words)| Choice::new(cost.code(), *words, chosen.code())).collect()
}

struct ProductRow {
    code: &'static str,
    name: &'static str,
    granted: bool,
    effective: bool,
    reason: &'static str,
    /// Whether a new child gets it.
    for_children: bool,
}

/// Which forms the visitor gets.
#[derive(Default)]
struct Rights {
    update: bool,
    admins: bool,
    costs: bool,
    products: bool,
    suspend: bool,
    moves: bool,
    delete: bool,
}

#[derive(Template)]
#[template(path = "console/settings.html")]
struct SettingsPage {
    page: Page,
    tabs: Vec<NavItem>,
    says: Says,
    base: String,
    facts: Vec<(&'static str, String)>,
    rights: Rights,
    state: &'static str,
    active: bool,
    /// Until when a deletion can be taken back.
    restore_until: String,
    name: String,
    address: String,
    cost_default: Vec<Choice>,
    child_cost_default: Vec<Choice>,
    child_products: Vec<Choice>,
    mfa: Vec<Choice>,
    token_days: String,
    admins: Vec<Choice>,
    admin_words: &'static str,
    visible: Vec<Choice>,
    visible_words: String,
    products: Vec<ProductRow>,
}

async fn settings(visitor: Visitor, Path(org): Path<String>, Query(query): Query<Fields>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    let done = DONE.iter().find(|(word, _)| *word == query.get("done")).map(|(_, text)| *text);
    let says = done.map(Says::good).unwrap_or_default();
    settings_page(&visitor, &org, StatusCode::OK, says, &Fields::default()).await
}

async fn rights(visitor: &Visitor, org: &Org) -> Rights {
    let cx = &visitor.0.cx;
    let above = org.parent.unwrap_or(org.id);
    let is_child = org.parent.is_some();
    Rights {
        update: may(cx, Action::OrgUpdate, org.id).await,
        admins: is_child && may(cx, Action::PolicyBind, above).await,
        costs: may(cx, Action::OrgSetVisibility, above).await,
        products: may(cx, Action::ProductWrite, above).await,
        suspend: is_child && may(cx, Action::OrgSuspend, above).await,
        moves: is_child && may(cx, Action::OrgMove, org.id).await,
        delete: is_child && may(cx, Action::OrgDelete, org.id).await && may(cx, Action::OrgDelete, above).await,
    }
}

/// The page; `entry` is what was typed into the form of what is decided here.
async fn settings_page(visitor: &Visitor, org: &Org, status: StatusCode, says: Says, entry: &Fields) -> Answer {
    let cx = &visitor.0.cx;
    let states = orgs::products(cx, org.id).await.unwrap_or_default();
    let own: Vec<ProductState> = states.iter().copied().filter(|state| state.effective).collect();
    let set = &org.settings;
    let typed = |name: &str, stored: &str| {
        if entry.has(name) { entry.get(name).to_owned() } else { stored.to_owned() }
    };
    let cost = |name: &str, stored: Cost| Cost::from_code(entry.get(name)).unwrap_or(stored);
    let ticked = |state: ProductState| match entry.has("with_products") {
        true => entry.all("child_products").any(|word| word == state.product.code()),
        false => state.for_children,
    };
    let costs: Vec<Cost> = COSTS.iter().map(|(cost, _)| *cost).collect();
    let page = SettingsPage {
        page: Page::at(visitor, org, Menu::Tree, "Settings").await,
        tabs: tabs(cx, org.id, TREE_TABS, "settings").await,
        says,
        base: format!("/o/{}", org.id),
        facts: facts(org, orgs::depth(cx, org.id).await?),
        rights: rights(visitor, org).await,
        state: state_words(org.state),
        active: org.state == OrgState::Active,
        restore_until: org.delete_after_us.map(|at_us| org.zone.time_of(at_us)).unwrap_or_default(),
        name: typed("name", &org.name),
        address: typed("address", &org.address.join("\n")),
        cost_default: cost_choices(COSTS, cost("cost_default", set.cost_default)),
        child_cost_default: cost_choices(COSTS, cost("child_cost_default", set.child_cost_default)),
        child_products: boxes(&own, |state| (state.product.code(), state.product.words()), ticked),
        mfa: choices(&MFA, &typed("mfa_policy", set.mfa_policy.code())),
        token_days: typed("token_days", &set.token_days_max.to_string()),
        admins: choices(&ADMINS, set.admin_mode.code()),
        admin_words: ADMINS.iter().find(|(word, _)| *word == set.admin_mode.code()).map_or("", |(_, words)| *words),
        visible: boxes(&costs, |cost| (cost.code(), cost_words(cost)), |cost| set.visible_costs.has(cost)),
        visible_words: costs_in_words(costs::visible(cx, org.id).await?),
        products: states.iter().map(product_row).collect(),
    };
    show_with(status, &page)
}

fn costs_in_words(costs: Costs) -> String {
    let words: Vec<&str> = costs.iter().map(cost_words).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

fn facts(org: &Org, depth: usize) -> Vec<(&'static str, String)> {
    let set = &org.settings;
    let mfa = MFA.iter().find(|(word, _)| *word == set.mfa_policy.code()).map_or("", |(_, words)| *words);
    vec![
        ("Kind", org.kind.clone()),
        ("Short name", org.slug.clone()),
        ("Id", org.id.to_string()),
        ("Level", format!("{depth} of 16")),
        ("Currency and calendar", format!("{}, {}", org.currency, org.zone.name())),
        ("Address", org.address.join(", ")),
        ("Cost shown first", cost_words(set.cost_default).to_owned()),
        ("Second factor", mfa.to_owned()),
        ("Tokens live", format!("{} days at most", set.token_days_max)),
    ]
}

fn product_row(state: &ProductState) -> ProductRow {
    ProductRow {
        code: state.product.code(),
        name: state.product.words(),
        granted: state.granted,
        effective: state.effective,
        reason: match (state.granted, state.effective) {
            (true, true) => "granted here and everywhere above",
            (true, false) => "granted here, but an organisation above does not have it",
            (false, _) => "not granted here",
        },
        for_children: state.for_children,
    }
}

/// Back to the settings after an act; what went wrong and can be mended is said there.
pub(super) async fn after(visitor: &Visitor, org: &Org, done: &str, result: Result<(), Failure>) -> Answer {
    match result {
        Ok(()) => go(&format!("/o/{}/settings?done={done}", org.id)),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            settings_page(visitor, org, status, says, &Fields::default()).await
        }
    }
}

async fn change(visitor: Visitor, Path(org): Path<String>, Form(fields): Form<Fields>) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    match save(&visitor, org.id, &fields).await {
        Ok(()) => go(&format!("/o/{}/settings?done=saved", org.id)),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            settings_page(&visitor, &org, status, says, &fields).await
        }
    }
}

async fn save(visitor: &Visitor, org: OrgId, fields: &Fields) -> Result<(), Failure> {
    let days = fields.get("token_days");
    let wrong_days = |_| Failure::invalid("token_days_max", days, "must be 1 to 365");
    let change = OrgChange {
        name: Some(fields.get("name").to_owned()),
        address: Some(lines(fields.get("address"))),
        cost_default: Some(fields.word("cost_default", Cost::from_code)?),
        child_cost_default: Some(fields.word("child_cost_default", Cost::from_code)?),
        mfa_policy: Some(fields.word("mfa_policy", MfaPolicy::from_code)?),
        token_days_max: Some(days.trim().parse().map_err(wrong_days)?),
        child_products: match fields.has("with_products") {
            true => Some(fields.words("child_products", Product::from_code)?),
            false => None,
        },
    };
    orgs::update(&visitor.0.cx, org, change).await.map(|_| ())
}

async fn set_admins(visitor: Visitor, Path(org): Path<String>, Form(fields): Form<Fields>) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    let result = match fields.word("admin_mode", AdminMode::from_code) {
        Ok(mode) => org_life::set_admin_mode(&visitor.0.cx, org.id, mode).await.map(|_| ()),
        Err(failure) => Err(failure),
    };
    after(&visitor, &org, "saved", result).await
}

async fn set_costs(visitor: Visitor, Path(org): Path<String>, Form(fields): Form<Fields>) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    let result = match fields.words("costs", Cost::from_code) {
        Ok(costs) => {
            let costs: Costs = costs.into_iter().collect();
            orgs::set_visible_costs(&visitor.0.cx, org.id, costs).await.map(|_| ())
        }
        Err(failure) => Err(failure),
    };
    after(&visitor, &org, "saved", result).await
}

async fn confirm_withholding(visitor: &Visitor, org: &Org, product: Product, stops: Withholding) -> Answer {
    let mut consequences = vec![match stops.organisations {
        0 | 1 => format!("{} loses {} at once.", org.name, product.words()),
        more => {
            format!("{} and {} below it lose {} at once.", org.name, counted(more - 1, "organisation"), product.words())
        }
    }];
    if product == Product::S3 {
        consequences
            .push(format!("{} of theirs stop working until it is granted again.", counted(stops.keys, "access key")));
    }
    consequences.push("Data are kept, and what is stored goes on being billed.".to_owned());
    show_with(
        StatusCode::OK,
        &Confirm {
            page: Page::at(visitor, org, Menu::Tree, "Withhold a product").await,
            heading: format!("Withhold {} from {}?", product.words(), org.name),
            consequences,
            action: format!("/o/{}/settings/products", org.id),
            fields: vec![("product", product.code().to_owned()), ("granted", "no".to_owned())],
            button: format!("Withhold {}", product.words()),
            back_href: format!("/o/{}/settings", org.id),
        },
    )
}

async fn set_product(visitor: Visitor, Path(org): Path<String>, Form(fields): Form<Fields>) -> Answer {
    visitor.check_csrf(fields.get("csrf"))?;
    let org = org_of(&visitor, &org).await?;
    let result = match fields.word("product", Product::from_code) {
        Ok(product) if fields.get("granted") != "yes" && fields.get("sure") != "yes" => {
            match orgs::withholding(&visitor.0.cx, org.id, product).await {
                Ok(stops) => return confirm_withholding(&visitor, &org, product, stops).await,
                Err(failure) => Err(failure),
            }
        }
        Ok(product) => orgs::set_product(&visitor.0.cx, org.id, product, fields.get("granted") == "yes").await,
        Err(failure) => Err(failure),
    };
    after(&visitor, &org, "product", result).await
}
