//! The organisation tree: children, settings, products, what is shown of costs.

use crate::authority::Cx;
use crate::failure::{Failure, Kind};
use access::tree::{self, MfaPolicy, is_slug};
use access::{Action, Cost, Costs, PolicyRef, Product, Products};
use base::text::deceiver;
use base::{Currency, OrgId, Zone};
use billing::InvoiceKind;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use store::orgs::{self, Child, ChildrenAsked, Org, OrgSettings};
use store::{Tx, products};

/// Children of one page at most.
const PAGE_MAX: i64 = 1_000;

/// Names: 1 to 128 characters, no control characters, none of `+ = @`.
pub(crate) fn check_name(field: &str, name: &str) -> Result<(), Failure> {
    tree::check_name(name).map_err(|reason| Failure::invalid(field, name, reason))
}

/// What a new child starts with. What is left out comes from the parent.
#[derive(Debug, Clone, Default)]
pub struct NewOrg {
    /// Its name, unique among its siblings.
    pub name: String,
    /// `reseller`, `customer`, `department` or `project`.
    pub kind: String,
    /// Its short name, unique among its siblings; made from the name if left out.
    pub slug: Option<String>,
    /// Address lines as printed on its papers.
    pub address: Vec<String>,
    /// Its money; the parent's if left out.
    pub currency: Option<Currency>,
    /// Its calendar; the parent's if left out.
    pub zone: Option<Zone>,
    /// Its products; the parent's defaults for new children if left out.
    pub products: Option<Vec<Product>>,
    /// The cost that its pages show first; the parent's default for new children if left out.
    pub cost_default: Option<Cost>,
}

fn invoice_kind(kind: &str) -> Result<InvoiceKind, Failure> {
    match kind {
        "reseller" | "customer" => Ok(InvoiceKind::Invoice),
        "department" | "project" => Ok(InvoiceKind::Statement),
        other => Err(Failure::invalid("kind", other, "is not one of reseller, customer, department, project")),
    }
}

fn check_address(address: &[String]) -> Result<(), Failure> {
    let is_long = |line: &str| line.chars().count() > 120;
    let is_odd = |line: &str| line.chars().any(char::is_control) || deceiver(line).is_some();
    let long_line = address.iter().find(|line| is_long(line) || is_odd(line));
    match long_line.or(address.get(8)) {
        Some(line) => Err(Failure::invalid("address", line, "must be at most 8 lines of 120 printable characters")),
        None => Ok(()),
    }
}

fn check_slug(slug: &str) -> Result<(), Failure> {
    let reason = "must be 2 to 63 of a-z, 0-9 and -, not beginning with -";
    if is_slug(slug) { Ok(()) } else { Err(Failure::invalid("slug", slug, reason)) }
}

/// Says which of two unique things was taken.
fn taken(error: store::StoreError, org: &Org) -> Failure {
    match error {
        store::StoreError::Conflict(text) if text.contains("slug") => {
            Failure::conflict(format!("slug: {:?} is taken by a sibling", org.slug)).coded("slug_taken")
        }
        store::StoreError::Conflict(_) => {
            Failure::conflict(format!("name: {:?} is taken by a sibling, or looks like its name", org.name))
                .coded("name_taken")
        }
        other => other.into(),
    }
}

/// Creates a child of `parent` with its products and its cost default, in one step. Customers and resellers
/// get invoices, departments and projects statements.
///
/// # Errors
/// [`Failure`] naming the field at fault.
pub async fn create_child(cx: &Cx, parent: OrgId, new: NewOrg) -> Result<Org, Failure> {
    check_name("name", &new.name)?;
    check_address(&new.address)?;
    let paper = invoice_kind(&new.kind)?;
    if let Some(slug) = &new.slug {
        check_slug(slug)?;
    }
    let mut tx = cx.change(Action::OrgCreateChild, parent).await?;
    let above = orgs::get(&mut tx, parent).await?;
    tree::check_child(&orgs::path(&mut tx, parent).await?)?;
    if !orgs::has_room(&mut tx, parent, tree::CHILDREN_MAX).await? {
        return Err(Failure::conflict("this organisation has 10,000 children, the most there can be"));
    }
    let given = given_products(&mut tx, parent, new.products).await?;
    let mut org = Org {
        address: new.address,
        invoice_kind: paper,
        created_us: cx.now_us(),
        settings: OrgSettings {
            cost_default: new.cost_default.unwrap_or(above.settings.child_cost_default),
            mfa_policy: above.settings.mfa_policy,
            token_days_max: above.settings.token_days_max,
            ..OrgSettings::default()
        },
        ..Org::new(
            OrgId(cx.app.fresh()),
            Some(parent),
            &new.kind,
            &new.name,
            new.currency.unwrap_or(above.currency),
            new.zone.unwrap_or(above.zone),
        )
    };
    org.slug = free_slug(&mut tx, parent, &org, new.slug).await?;
    orgs::insert(&mut tx, &org).await.map_err(|error| taken(error, &org))?;
    for product in Product::ALL {
        products::set(&mut tx, org.id, product, given.has(product)).await?;
    }
    products::set_defaults(&mut tx, org.id, given).await?;
    let detail = serde_json::json!({ "name": org.name, "kind": org.kind, "products": codes(given) });
    tx.done(org.id, "org.create", &org.id.to_string(), detail).await?;
    Ok(org)
}

/// The slug that was asked for, or one made from the name that no sibling has.
async fn free_slug(tx: &mut Tx, parent: OrgId, org: &Org, asked: Option<String>) -> Result<String, Failure> {
    let wanted = asked.clone().unwrap_or_else(|| org.slug.clone());
    let (name_taken, mut slug_taken) = orgs::sibling_has(tx, parent, &org.name, &wanted).await?;
    if name_taken {
        return Err(Failure::conflict(format!("name: {:?} is taken by a sibling, or looks like its name", org.name))
            .coded("name_taken"));
    }
    if asked.is_some() && slug_taken {
        return Err(Failure::conflict(format!("slug: {wanted:?} is taken by a sibling")).coded("slug_taken"));
    }
    let mut slug = wanted.clone();
    let mut turn = 2;
    while slug_taken {
        slug = format!("{}-{turn}", &wanted[..wanted.len().min(57)]);
        turn += 1;
        (_, slug_taken) = orgs::sibling_has(tx, parent, &org.name, &slug).await?;
    }
    Ok(slug)
}

async fn given_products(tx: &mut Tx, parent: OrgId, asked: Option<Vec<Product>>) -> Result<Products, Failure> {
    let Some(asked) = asked else { return Ok(products::defaults(tx, parent).await?) };
    let own = orgs::place(tx, parent).await?.products;
    match asked.iter().find(|product| !own.has(**product)) {
        Some(product) => Err(Failure::invalid("products", product.code(), "is not enabled for the parent")),
        None => Ok(asked.into_iter().collect()),
    }
}

fn codes(products: Products) -> Vec<&'static str> {
    Product::ALL.into_iter().filter(|product| products.has(*product)).map(Product::code).collect()
}

/// One organisation.
///
/// # Errors
/// [`Failure`].
pub async fn get(cx: &Cx, org: OrgId) -> Result<Org, Failure> {
    let mut tx = cx.read(Action::OrgRead, org).await?;
    Ok(orgs::get(&mut tx, org).await?)
}

/// `org` and what the caller sees of everything below it, parents first.
///
/// # Errors
/// [`Failure`].
pub async fn subtree(cx: &Cx, org: OrgId) -> Result<Vec<Org>, Failure> {
    let (grant, span) = cx.span(Action::OrgRead, org).await?;
    let mut tx = cx.read_with(&grant).await?;
    let mut found = orgs::subtree(&mut tx, org).await?;
    found.retain(|org| span.has(org.id));
    Ok(found)
}

/// The parent of `org`, if the actor may see it: what a list marks with a star.
///
/// # Errors
/// [`Failure`].
pub async fn visible_parent(cx: &Cx, org: &Org) -> Result<Option<Org>, Failure> {
    match org.parent {
        Some(parent) if cx.may(Action::OrgRead, parent).await => get(cx, parent).await.map(Some),
        _ => Ok(None),
    }
}

/// The organisations above `org` that the actor may see, root first: the way back up.
///
/// # Errors
/// [`Failure`].
pub async fn visible_path(cx: &Cx, org: OrgId) -> Result<Vec<Org>, Failure> {
    let mut found = Vec::new();
    for above in cx.place(org).await?.path.iter().copied().filter(|above| *above != org) {
        if cx.may(Action::OrgRead, above).await {
            found.push(get(cx, above).await?);
        }
    }
    Ok(found)
}

/// The level of `org`, the root being 1.
///
/// # Errors
/// [`Failure`].
pub async fn depth(cx: &Cx, org: OrgId) -> Result<usize, Failure> {
    cx.allow(Action::OrgRead, org).await?;
    Ok(cx.place(org).await?.path.len())
}

/// Direct children by name: one page of those that are asked for.
///
/// # Errors
/// [`Failure`].
pub async fn children(cx: &Cx, org: OrgId, asked: ChildrenAsked<'_>) -> Result<Vec<Child>, Failure> {
    let mut tx = cx.read(Action::OrgListChildren, org).await?;
    let asked = ChildrenAsked { limit: asked.limit.clamp(1, PAGE_MAX), ..asked };
    Ok(orgs::children_page(&mut tx, org, asked, cx.now_us()).await?)
}

/// Ids and names of `org` and everything below it.
///
/// # Errors
/// [`Failure`].
pub async fn names(cx: &Cx, org: OrgId) -> Result<BTreeMap<OrgId, String>, Failure> {
    let (grant, span) = cx.span(Action::OrgRead, org).await?;
    let mut tx = cx.read_with(&grant).await?;
    Ok(orgs::names_below(&mut tx, org).await?.into_iter().filter(|(org, _)| span.has(*org)).collect())
}

/// Names of those of some organisations that lie at or below `org`, as far as the actor may read them: for a page of a wide
/// tree, which shows few.
///
/// # Errors
/// [`Failure`].
pub async fn names_among(
    cx: &Cx,
    org: OrgId,
    wanted: impl IntoIterator<Item = OrgId>,
) -> Result<BTreeMap<OrgId, String>, Failure> {
    let (grant, span) = cx.span(Action::OrgRead, org).await?;
    let mut tx = cx.read_with(&grant).await?;
    let mut found = BTreeMap::new();
    for wanted in wanted.into_iter().collect::<BTreeSet<_>>().into_iter().filter(|wanted| span.has(*wanted)) {
        if let Some(name) = orgs::name_below(&mut tx, org, wanted).await? {
            found.insert(wanted, name);
        }
    }
    Ok(found)
}

/// An organisation at which the actor has something, with what that is.
#[derive(Debug, Clone)]
pub struct Mine {
    /// The organisation.
    pub org: Org,
    /// The policies that he was given there, [`access::Builtin::Member`] included.
    pub policies: Vec<(PolicyRef, String)>,
}

/// The organisations at which the actor has something, highest first: where his console begins. Names only.
///
/// # Errors
/// [`Failure`].
pub async fn mine(cx: &Cx) -> Result<Vec<Mine>, Failure> {
    let mut tx = cx.own(Action::SelfRead).await?;
    let mut found: Vec<(usize, Mine)> = Vec::new();
    let scope = cx.context.token.as_ref().map(|token| token.org);
    for binding in cx.actor.bindings().iter().filter(|binding| binding.is_current(cx.now_us())) {
        let path = orgs::path(&mut tx, binding.scope).await?;
        // A token shows what lies in its own reach, and no other organisation of its owner.
        if scope.is_some_and(|scope| !path.contains(&scope)) {
            continue;
        }
        let policy = (binding.policy.reference, binding.policy.name.clone());
        if let Some((_, mine)) = found.iter_mut().find(|(_, mine)| mine.org.id == binding.scope) {
            mine.policies.push(policy);
            continue;
        }
        let org = orgs::get(&mut tx, binding.scope).await?;
        if org.state != tree::OrgState::Deleted {
            found.push((path.len(), Mine { org, policies: vec![policy] }));
        }
    }
    found.sort_by_key(|(depth, mine)| (*depth, mine.org.id));
    Ok(found.into_iter().map(|(_, mine)| mine).collect())
}

/// Ids of all organisations at which the actor may do `action`, in order, from `after` on.
///
/// # Errors
/// [`Failure`].
pub async fn reached(cx: &Cx, action: Action, after: &str, limit: i64) -> Result<Vec<OrgId>, Failure> {
    let reach = access::reach(&cx.actor, action, &cx.now());
    let mut tx = cx.own(Action::SelfRead).await?;
    Ok(orgs::reached(&mut tx, &reach, after, limit.clamp(1, 100_000)).await?)
}

/// The organisations at which the actor may do `action` and that they may read, parents first.
///
/// # Errors
/// [`Failure`].
pub async fn reached_rows(cx: &Cx, action: Action) -> Result<Vec<Org>, Failure> {
    let mut tx = cx.own(Action::SelfRead).await?;
    let mut found = orgs::subtree(&mut tx, cx.realm.root()).await?;
    for action in BTreeSet::from([action, Action::OrgRead]) {
        let reach = access::reach(&cx.actor, action, &cx.now());
        let reached: BTreeSet<OrgId> = orgs::reached(&mut tx, &reach, "", 100_000).await?.into_iter().collect();
        found.retain(|org| reached.contains(&org.id));
    }
    Ok(found)
}

/// The organisations that the actor marked, as far as they may read them, by name.
///
/// # Errors
/// [`Failure`].
pub async fn favourites(cx: &Cx) -> Result<Vec<Org>, Failure> {
    let mut tx = cx.own(Action::SelfRead).await?;
    let marked = store::favourites::of_user(&mut tx, cx.user()).await?;
    drop(tx);
    let mut found = Vec::new();
    for org in marked {
        if cx.may(Action::OrgRead, org).await {
            found.push(get(cx, org).await?);
        }
    }
    Ok(found)
}

/// Favourites of one person at most.
const FAVOURITES_MAX: usize = 100;

/// Marks an organisation that the actor may read, or takes the mark away.
///
/// # Errors
/// [`Kind::Conflict`] when there are too many.
pub async fn set_favourite(cx: &Cx, org: OrgId, on: bool) -> Result<(), Failure> {
    if on {
        cx.allow(Action::OrgRead, org).await?;
    }
    let mut tx = cx.keep_own().await?;
    if on {
        if store::favourites::of_user(&mut tx, cx.user()).await?.len() >= FAVOURITES_MAX {
            return Err(Failure::conflict("you have 100 favourites, the most there can be"));
        }
        store::favourites::insert(&mut tx, cx.user(), org).await?;
    } else {
        store::favourites::delete(&mut tx, cx.user(), org).await?;
    }
    Ok(tx.commit().await?)
}

/// A change of an organisation's own settings. What is left out stays.
#[derive(Debug, Clone, Default)]
pub struct OrgChange {
    /// Name.
    pub name: Option<String>,
    /// Address lines.
    pub address: Option<Vec<String>>,
    /// The cost that its pages show first.
    pub cost_default: Option<Cost>,
    /// The same for new children.
    pub child_cost_default: Option<Cost>,
    /// Whether its people need a second factor.
    pub mfa_policy: Option<MfaPolicy>,
    /// Days that a token may live at most.
    pub token_days_max: Option<i64>,
    /// Products of new children.
    pub child_products: Option<Vec<Product>>,
}

/// Changes an organisation's settings.
///
/// # Errors
/// [`Failure`] naming the field at fault.
pub async fn update(cx: &Cx, org: OrgId, change: OrgChange) -> Result<Org, Failure> {
    let mut tx = cx.change(Action::OrgUpdate, org).await?;
    let before = orgs::get(&mut tx, org).await?;
    let mut after = before.clone();
    if let Some(name) = change.name {
        check_name("name", &name)?;
        after.name = name.trim().to_owned();
    }
    if let Some(address) = change.address {
        check_address(&address)?;
        after.address = address;
    }
    let shown = cx.place(org).await?.costs;
    check_shown("cost_default", change.cost_default, before.settings.cost_default, shown)?;
    let below = shown.for_children();
    check_shown("child_cost_default", change.child_cost_default, before.settings.child_cost_default, below)?;
    let settings = &mut after.settings;
    settings.cost_default = change.cost_default.unwrap_or(settings.cost_default);
    settings.child_cost_default = change.child_cost_default.unwrap_or(settings.child_cost_default);
    settings.mfa_policy = change.mfa_policy.unwrap_or(settings.mfa_policy);
    settings.token_days_max = change.token_days_max.unwrap_or(settings.token_days_max);
    check_against_parent(&mut tx, &after).await?;
    orgs::rename(&mut tx, org, &after.name, &after.address).await.map_err(|error| taken(error, &after))?;
    orgs::set_settings(&mut tx, org, &after.settings).await?;
    if let Some(wanted) = change.child_products {
        let given = given_products(&mut tx, org, Some(wanted)).await?;
        products::set_defaults(&mut tx, org, given).await?;
    }
    let detail = serde_json::json!({ "before": view(&before), "after": view(&after) });
    tx.done(org, "org.update", &org.to_string(), detail).await?;
    Ok(after)
}

/// A cost that is shown first must be shown at all. What was set before may stay: the organisation above may have
/// narrowed it since.
fn check_shown(field: &str, wanted: Option<Cost>, before: Cost, shown: Costs) -> Result<(), Failure> {
    let Some(cost) = wanted.filter(|cost| *cost != before && !shown.has(*cost)) else { return Ok(()) };
    let reason = format!("is not shown here; shown are {}: the organisation above decides that", shown.codes());
    Err(Failure::invalid(field, cost.code(), reason))
}

fn view(org: &Org) -> serde_json::Value {
    serde_json::json!({ "name": org.name, "address": org.address, "settings": org.settings })
}

/// A child may only be stricter than its parent.
async fn check_against_parent(tx: &mut Tx, org: &Org) -> Result<(), Failure> {
    let settings = &org.settings;
    if !(1..=365).contains(&settings.token_days_max) {
        return Err(Failure::invalid("token_days_max", &settings.token_days_max.to_string(), "must be 1 to 365"));
    }
    let Some(parent) = org.parent else { return Ok(()) };
    let above = orgs::get(tx, parent).await?.settings;
    if settings.mfa_policy < above.mfa_policy {
        let reason = format!("is weaker than the parent's {}", above.mfa_policy.code());
        return Err(Failure::invalid("mfa_policy", settings.mfa_policy.code(), reason));
    }
    if settings.token_days_max > above.token_days_max {
        let reason = format!("is more than the parent's {}", above.token_days_max);
        return Err(Failure::invalid("token_days_max", &settings.token_days_max.to_string(), reason));
    }
    Ok(())
}

/// Says which costs the people of `child` may be shown. Only from above: nobody widens his own view, and a
/// child is never shown more than its parent, but always what it is itself charged if that is allowed.
///
/// # Errors
/// [`Failure`] naming the field at fault.
pub async fn set_visible_costs(cx: &Cx, child: OrgId, costs: Costs) -> Result<Org, Failure> {
    let (parent, grant) = from_above(cx, child, Action::OrgSetVisibility).await?;
    if let Some(parent) = parent {
        let limit = cx.place(parent).await?.costs.for_children();
        if let Some(cost) = costs.beyond(limit) {
            return Err(Failure::invalid("visible_costs", cost.code(), "is not shown to the parent either"));
        }
    }
    let mut tx = cx.change_with(&grant).await?;
    let mut found = orgs::get(&mut tx, child).await?;
    let detail = serde_json::json!({ "before": found.settings.visible_costs, "after": costs });
    found.settings.visible_costs = costs;
    orgs::set_settings(&mut tx, child, &found.settings).await?;
    tx.done(child, "org.set_visibility", &child.to_string(), detail).await?;
    Ok(found)
}

/// The organisation that decides on `org` from above, and its grant: the right is needed at the parent. The
/// root has no parent and decides on itself. Who may not know `org` learns nothing; a child's own admin knows
/// that there is a parent, but not what it is: he is told that he may not.
pub(crate) async fn from_above(cx: &Cx, org: OrgId, action: Action) -> Result<(Option<OrgId>, access::Grant), Failure> {
    cx.allow(Action::OrgRead, org).await?;
    let Some(parent) = cx.place(org).await?.parent() else { return Ok((None, cx.allow(action, org).await?)) };
    match cx.allow(action, parent).await {
        Err(failure) if failure.kind == Kind::NotFound => {
            Err(Failure::new(Kind::Forbidden, "this is decided by the organisation above"))
        }
        decided => Ok((Some(parent), decided?)),
    }
}

/// A product at an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ProductState {
    /// Which.
    pub product: Product,
    /// Whether it was granted to the organisation itself.
    pub granted: bool,
    /// Whether every organisation above has it too.
    pub effective: bool,
    /// Whether new children get it.
    pub for_children: bool,
}

/// Products of `org`.
///
/// # Errors
/// [`Failure`].
pub async fn products(cx: &Cx, org: OrgId) -> Result<Vec<ProductState>, Failure> {
    let mut tx = cx.read(Action::ProductRead, org).await?;
    let (own, defaults) = (products::own(&mut tx, org).await?, products::defaults(&mut tx, org).await?);
    let effective = orgs::place(&mut tx, org).await?.products;
    let state = |product| ProductState {
        product,
        granted: own.has(product),
        effective: effective.has(product),
        for_children: defaults.has(product),
    };
    Ok(Product::ALL.into_iter().map(state).collect())
}

/// What stops when a product is withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withholding {
    /// Organisations that are told they do not have it: the one that was asked for, and all below it.
    pub organisations: usize,
    /// Live S3 access keys that are refused.
    pub keys: usize,
}

/// What withholding a product from `org` would stop, for whoever may withhold it.
///
/// # Errors
/// As [`set_product`].
pub async fn withholding(cx: &Cx, org: OrgId, product: Product) -> Result<Withholding, Failure> {
    let (_, grant) = from_above(cx, org, Action::ProductWrite).await?;
    let mut tx = cx.read_with(&grant).await?;
    let organisations = orgs::names_below(&mut tx, org).await?.len();
    let keys = match product {
        Product::S3 => store::keys::below(&mut tx, org).await?.iter().filter(|key| key.revoked_us.is_none()).count(),
        _ => 0,
    };
    Ok(Withholding { organisations, keys })
}

/// Grants or withholds a product. What lies below keeps its own setting and has it again when it is granted
/// again. Decided from above; at the root by the root itself.
///
/// # Errors
/// [`Failure`].
pub async fn set_product(cx: &Cx, org: OrgId, product: Product, granted: bool) -> Result<(), Failure> {
    let (parent, grant) = from_above(cx, org, Action::ProductWrite).await?;
    let mut tx = cx.change_with(&grant).await?;
    if let Some(parent) = parent.filter(|_| granted)
        && !orgs::place(&mut tx, parent).await?.products.has(product)
    {
        return Err(Failure::invalid("product", product.code(), "is not enabled for the parent"));
    }
    products::set(&mut tx, org, product, granted).await?;
    let detail = serde_json::json!({ "product": product, "granted": granted });
    tx.done(org, "product.set", &org.to_string(), detail).await?;
    Ok(())
}
