//! The organisation tree.

use crate::audit;
use crate::cx::Cx;
use crate::failure::Failure;
use access::Action;
use base::{Currency, OrgId, Zone};
use billing::InvoiceKind;
use store::orgs::{self, Org};

/// Levels of a tree, root included.
const DEPTH_MAX: usize = 16;

/// Names: 1 to 128 characters, no control characters, none of `+ = @`.
pub(crate) fn check_name(field: &str, name: &str) -> Result<(), Failure> {
    let length = name.trim().chars().count();
    if !(1..=128).contains(&length) {
        return Err(Failure::invalid(field, name, "must have 1 to 128 characters"));
    }
    if name.chars().any(|c| c.is_control() || "+=@".contains(c)) {
        return Err(Failure::invalid(field, name, "must not contain control characters or any of + = @"));
    }
    Ok(())
}

/// What a new child starts with. What is left out comes from the parent.
#[derive(Debug, Clone)]
pub struct NewOrg {
    /// Its name, unique among its siblings.
    pub name: String,
    /// `reseller`, `customer`, `department` or `project`.
    pub kind: String,
    /// Address lines as printed on its papers.
    pub address: Vec<String>,
    /// Its money; the parent's if left out.
    pub currency: Option<Currency>,
    /// Its calendar; the parent's if left out.
    pub zone: Option<Zone>,
}

/// Creates a child of `parent`. Customers and resellers get invoices, departments and projects statements.
///
/// # Errors
/// [`Failure`] naming the field at fault.
pub async fn create_child(cx: &Cx, parent: OrgId, new: NewOrg) -> Result<Org, Failure> {
    check_name("name", &new.name)?;
    let invoice_kind = match new.kind.as_str() {
        "reseller" | "customer" => InvoiceKind::Invoice,
        "department" | "project" => InvoiceKind::Statement,
        other => {
            return Err(Failure::invalid("kind", other, "is not one of reseller, customer, department, project"));
        }
    };
    let long_line = new.address.iter().find(|line| line.chars().count() > 120);
    if let Some(line) = long_line.or(new.address.get(8)) {
        return Err(Failure::invalid("address", line, "must be at most 8 lines of 120 characters"));
    }
    let grant = cx.allow(Action::ManageOrg, parent).await?;
    let mut tx = cx.app.store.write(&grant).await?;
    let above = orgs::get(&mut tx, parent).await?;
    if orgs::place(&mut tx, parent).await?.path.len() >= DEPTH_MAX {
        return Err(Failure::invalid("parent", &parent.to_string(), "is at the last level: a tree has 16"));
    }
    let org = Org {
        id: OrgId(cx.app.fresh()),
        parent: Some(parent),
        kind: new.kind,
        name: new.name.trim().to_owned(),
        address: new.address,
        currency: new.currency.unwrap_or(above.currency),
        zone: new.zone.unwrap_or(above.zone),
        invoice_kind,
        created_us: cx.now_us(),
    };
    match orgs::insert(&mut tx, &org).await {
        Err(store::StoreError::Conflict(_)) => {
            return Err(Failure::conflict(format!("name: {:?} is taken by a sibling", org.name)));
        }
        other => other?,
    }
    let detail = serde_json::json!({ "name": org.name, "kind": org.kind });
    audit::note(cx, &mut tx, parent, "org.create", &org.id.to_string(), detail).await?;
    tx.commit().await?;
    Ok(org)
}

/// One organisation with the names on the way down to it.
///
/// # Errors
/// [`Failure`].
pub async fn get(cx: &Cx, org: OrgId) -> Result<Org, Failure> {
    let grant = cx.allow(Action::ReadOrg, org).await?;
    let mut tx = cx.app.store.read(&grant).await?;
    Ok(orgs::get(&mut tx, org).await?)
}

/// `org` and everything below it, parents first.
///
/// # Errors
/// [`Failure`].
pub async fn subtree(cx: &Cx, org: OrgId) -> Result<Vec<Org>, Failure> {
    let grant = cx.allow(Action::ReadOrg, org).await?;
    let mut tx = cx.app.store.read(&grant).await?;
    Ok(orgs::subtree(&mut tx, org).await?)
}

/// The organisations at which the actor has a role, highest first: where his console begins. Names only.
///
/// # Errors
/// [`Failure`].
pub async fn mine(cx: &Cx) -> Result<Vec<(Org, Vec<access::Role>)>, Failure> {
    let Some(actor) = &cx.actor else { return Ok(Vec::new()) };
    let mut tx = cx.app.store.read(&cx.own()).await?;
    let mut found: Vec<(usize, Org, Vec<access::Role>)> = Vec::new();
    for binding in &actor.bindings {
        if let Some((.., roles)) = found.iter_mut().find(|(_, org, _)| org.id == binding.scope) {
            roles.push(binding.role);
            continue;
        }
        let depth = orgs::place(&mut tx, binding.scope).await?.path.len();
        found.push((depth, orgs::get(&mut tx, binding.scope).await?, vec![binding.role]));
    }
    found.sort_by_key(|(depth, org, _)| (*depth, org.id));
    Ok(found.into_iter().map(|(_, org, roles)| (org, roles)).collect())
}
