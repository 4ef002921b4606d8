//! The life of an organisation: moving, suspending, deleting, restoring.

use crate::authority::lockout::keeps_admin;
use crate::authority::{Change, Cx, SystemCx};
use crate::failure::{Failure, Kind};
use crate::orgs::from_above;
use access::tree::{self, AdminMode, GatewayRule, OrgState};
use access::{Action, Grant, Product};
use base::{OrgId, Period};
use serde::Serialize;
use store::orgs::{self, Org};
use store::{Tx, agreements};

/// A deleted organisation can be restored for thirty days.
const RESTORE_US: i64 = 30 * 86_400_000_000;

/// What a move would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MovePreview {
    /// Organisations that move.
    pub organisations: usize,
    /// Depth of the moved organisation afterwards, the root being 1.
    pub depth: usize,
    /// People who reach it now through the organisations above it, and will not.
    pub lose_access: Vec<String>,
    /// People who will reach it through its new parents.
    pub gain_access: Vec<String>,
    /// Products that it has now and will not have.
    pub products_lost: Vec<Product>,
    /// Whether it has prices with its present parent, which end: the new parent must agree prices, or the
    /// edge passes on what the parent is charged.
    pub prices_end: bool,
}

/// Says what moving `org` under `parent` would change.
///
/// # Errors
/// [`Failure`] when it cannot be moved there.
pub async fn preview_move(cx: &Cx, org: OrgId, parent: OrgId) -> Result<MovePreview, Failure> {
    check_rights(cx, org, parent, true).await?;
    let mut tx = cx.look_around().await?;
    preview(cx, &mut tx, org, parent).await
}

async fn check_rights(cx: &Cx, org: OrgId, parent: OrgId, looks_only: bool) -> Result<Grant, Failure> {
    if looks_only {
        // A preview changes nothing: no fresh proof is asked for.
        for (action, place) in [(Action::OrgMove, org), (Action::OrgCreateChild, parent)] {
            if !cx.may(action, place).await {
                return cx.allow(action, place).await;
            }
        }
        return cx.allow(Action::OrgRead, org).await;
    }
    let grant = cx.allow(Action::OrgMove, org).await?;
    cx.allow(Action::OrgCreateChild, parent).await?;
    Ok(grant)
}

async fn check_target(tx: &mut Tx, org: OrgId, parent: OrgId, root: OrgId) -> Result<(), Failure> {
    let target = orgs::place(tx, parent).await?;
    tree::check_move(org, root, orgs::height(tx, org).await?, &target.path)?;
    if target.suspended_from.is_some() {
        return Err(Failure::invalid("parent", &parent.to_string(), "is suspended"));
    }
    Ok(())
}

async fn preview(cx: &Cx, tx: &mut Tx, org: OrgId, parent: OrgId) -> Result<MovePreview, Failure> {
    check_target(tx, org, parent, cx.realm.root()).await?;
    let (now, then) = (orgs::place(tx, org).await?, orgs::place(tx, parent).await?);
    let moved = orgs::subtree(tx, org).await?;
    let old_above: Vec<OrgId> = now.path.iter().copied().filter(|above| *above != org).collect();
    let left: Vec<OrgId> = old_above.iter().copied().filter(|above| !then.path.contains(above)).collect();
    let joined: Vec<OrgId> = then.path.iter().copied().filter(|above| !old_above.contains(above)).collect();
    let lost = |product: &Product| now.products.has(*product) && !then.products.has(*product);
    Ok(MovePreview {
        organisations: moved.len(),
        depth: then.path.len() + 1,
        lose_access: reaching(tx, &left).await?,
        gain_access: reaching(tx, &joined).await?,
        products_lost: Product::ALL.into_iter().filter(lost).collect(),
        prices_end: !agreements::history(tx, org).await?.is_empty(),
    })
}

/// Names of the people who reach below one of these organisations.
async fn reaching(tx: &mut Tx, places: &[OrgId]) -> Result<Vec<String>, Failure> {
    let mut names = std::collections::BTreeSet::new();
    for place in places {
        for held in store::bindings::at_org(tx, *place).await? {
            if held.propagate != access::Propagate::Subtree {
                continue;
            }
            match held.holder {
                store::bindings::Holder::User(user) => {
                    names.insert(store::users::get(tx, user).await?.display_name);
                }
                store::bindings::Holder::Group(group) => {
                    names.insert(format!("group {}", store::groups::get(tx, group).await?.name));
                }
            }
        }
    }
    Ok(names.into_iter().collect())
}

/// Hangs `org` with everything below it under `parent`. Rights change at once, bills with the next month:
/// the running one is still the old parent's. What was agreed with it ends with the month.
///
/// # Errors
/// [`Failure`]; nothing has changed then.
pub async fn move_org(cx: &Cx, org: OrgId, parent: OrgId) -> Result<MovePreview, Failure> {
    let grant = check_rights(cx, org, parent, false).await?;
    let mut tx = cx.change_with(&grant).await?;
    let changes = preview(cx, &mut tx, org, parent).await?;
    let before = orgs::path(&mut tx, org).await?;
    let zone = orgs::get(&mut tx, org).await?.zone;
    let next_month_us = Period::month_of(cx.now_us(), &zone)?.end_us;
    match orgs::move_under(&mut tx, org, parent, next_month_us).await {
        Err(store::StoreError::Conflict(_)) => {
            return Err(Failure::conflict("name: a child of the new parent has this name or slug").coded("name_taken"));
        }
        other => other?,
    }
    // Those below read that they were moved; between whom and whose rights changed is for those above.
    let old_parent = before.iter().rev().nth(1).copied();
    for place in old_parent.into_iter().chain([parent]) {
        let detail = serde_json::json!({ "from": old_parent, "to": parent, "changes": changes });
        tx.note(place, "org.move_child", &org.to_string(), detail).await?;
    }
    let detail = serde_json::json!({ "organisations": changes.organisations, "billed_from_us": next_month_us });
    tx.done(org, "org.move", &org.to_string(), detail).await?;
    Ok(changes)
}

/// The right to end or resume `org`, held above it. The root is the operator's.
async fn decider(cx: &Cx, org: OrgId, action: Action) -> Result<Grant, Failure> {
    match from_above(cx, org, action).await? {
        (None, _) => Err(Failure::new(Kind::Forbidden, "the root is in the hands of the operator")),
        (_, grant) => Ok(grant),
    }
}

/// Suspends `org` and with it everything below: its people can look and pay, usage goes on being counted
/// and billed, and the S3 gateway does what `gateway` says.
///
/// # Errors
/// [`Failure`].
pub async fn suspend(cx: &Cx, org: OrgId, gateway: GatewayRule) -> Result<Org, Failure> {
    let grant = decider(cx, org, Action::OrgSuspend).await?;
    let mut tx = cx.change_with(&grant).await?;
    let mut found = orgs::get(&mut tx, org).await?;
    expect(&found, OrgState::Active)?;
    found.settings.gateway_when_suspended = gateway;
    orgs::set_settings(&mut tx, org, &found.settings).await?;
    settle(tx, found, "org.suspend", OrgState::Suspended, None).await
}

/// Ends a suspension.
///
/// # Errors
/// [`Failure`].
pub async fn resume(cx: &Cx, org: OrgId) -> Result<Org, Failure> {
    let grant = decider(cx, org, Action::OrgSuspend).await?;
    let mut tx = cx.change_with(&grant).await?;
    let found = orgs::get(&mut tx, org).await?;
    expect(&found, OrgState::Suspended)?;
    settle(tx, found, "org.resume", OrgState::Active, None).await
}

fn expect(org: &Org, state: OrgState) -> Result<(), Failure> {
    if org.state == state {
        return Ok(());
    }
    Err(Failure::conflict(format!("the organisation is {}, not {}", org.state.code(), state.code())))
}

async fn settle(
    mut tx: Change,
    org: Org,
    action: &str,
    state: OrgState,
    delete_after_us: Option<i64>,
) -> Result<Org, Failure> {
    orgs::set_state(&mut tx, org.id, state, delete_after_us).await?;
    let detail = serde_json::json!({ "before": org.state, "after": state });
    tx.done(org.id, action, &org.id.to_string(), detail).await?;
    Ok(Org { state, delete_after_us, ..org })
}

/// How an organisation is to be deleted.
#[derive(Debug, Clone, Default)]
pub struct Deletion {
    /// Its name, typed once more.
    pub confirm: String,
    /// Also everything below it; only from above.
    pub cascade: bool,
    /// Whether usage that no paper holds yet may be left unbilled.
    pub without_final_invoice: bool,
}

/// Marks `org` for deletion: for thirty days it can be restored and its name stays taken.
///
/// # Errors
/// [`Kind::Conflict`] with `has_children`, `open_invoice` or `unbilled_usage`.
pub async fn delete(cx: &Cx, org: OrgId, how: &Deletion) -> Result<Org, Failure> {
    cx.allow(Action::OrgDelete, org).await?;
    let grant = decider(cx, org, Action::OrgDelete).await?;
    let unbilled = crate::bills::has_unbilled_usage(cx, &grant, org).await?;
    let mut tx = cx.change_with(&grant).await?;
    let found = orgs::get(&mut tx, org).await?;
    if how.confirm.trim() != found.name {
        return Err(Failure::invalid("confirm", &how.confirm, format!("is not the name {:?}", found.name)));
    }
    if found.state == OrgState::PendingDeletion {
        return Err(Failure::conflict("the organisation is to be deleted already"));
    }
    if !how.cascade && orgs::count_below(&mut tx, org).await? > 0 {
        return Err(Failure::conflict("has_children: delete or move what lies below first").coded("has_children"));
    }
    if orgs::open_invoices(&mut tx, org).await? > 0 {
        return Err(Failure::conflict("open_invoice: an invoice is not paid yet").coded("open_invoice"));
    }
    if unbilled && !how.without_final_invoice {
        let text = "unbilled_usage: close the month first, or say that the rest is not billed";
        return Err(Failure::conflict(text).coded("unbilled_usage"));
    }
    let until = cx.now_us() + RESTORE_US;
    settle(tx, found, "org.delete", OrgState::PendingDeletion, Some(until)).await
}

/// Takes a deletion back.
///
/// # Errors
/// [`Kind::Gone`] when the thirty days are over.
pub async fn restore(cx: &Cx, org: OrgId) -> Result<Org, Failure> {
    let gone = || Failure::new(Kind::Gone, "the time to restore this organisation is over");
    let mut tx = cx.look_around().await?;
    if orgs::get(&mut tx, org).await?.state == OrgState::Deleted {
        drop(tx);
        return Err(if cx.may(Action::OrgDelete, cx.realm.root()).await {
            gone()
        } else {
            Failure::not_found("organisation")
        });
    }
    drop(tx);
    let grant = decider(cx, org, Action::OrgDelete).await?;
    let mut tx = cx.change_with(&grant).await?;
    let found = orgs::get(&mut tx, org).await?;
    expect(&found, OrgState::PendingDeletion)?;
    if found.delete_after_us.is_some_and(|until| until <= cx.now_us()) {
        return Err(gone());
    }
    if found.settings.admin_mode == AdminMode::Own && !keeps_admin(&mut tx, org, cx.now_us()).await? {
        // Its admins went while it was to be deleted: those above run it until one is named again.
        let settings = orgs::OrgSettings { admin_mode: AdminMode::Inherited, ..found.settings.clone() };
        orgs::set_settings(&mut tx, org, &settings).await?;
        let detail = serde_json::json!({ "before": AdminMode::Own, "after": AdminMode::Inherited });
        tx.note(org, "org.set_admin_mode", &org.to_string(), detail).await?;
    }
    settle(tx, found, "org.restore", OrgState::Active, None).await
}

/// Buries what can no longer be restored, with everything below it. Papers, ledger and log stay.
///
/// # Errors
/// [`Failure`].
pub(crate) async fn bury_due(cx: &SystemCx) -> Result<(), Failure> {
    let mut tx = cx.read().await?;
    let due = orgs::due_for_burial(&mut tx, cx.now_us()).await?;
    drop(tx);
    for top in due {
        let mut tx = cx.change(cx.realm().root()).await?;
        for org in orgs::subtree(&mut tx, top).await? {
            tx.note(org.id, "org.bury", &org.id.to_string(), serde_json::json!({ "name": org.name })).await?;
            crate::people::clear_org(&mut tx, org.id).await?;
            orgs::bury(&mut tx, org.id).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

/// Says who runs `org`. From own admins back to inherited ones only from above; the root is always its own.
///
/// # Errors
/// [`Failure`].
pub async fn set_admin_mode(cx: &Cx, org: OrgId, mode: AdminMode) -> Result<Org, Failure> {
    let grant = decider(cx, org, Action::PolicyBind).await?;
    let mut tx = cx.change_with(&grant).await?;
    let mut found = orgs::get(&mut tx, org).await?;
    let detail = serde_json::json!({ "before": found.settings.admin_mode, "after": mode });
    found.settings.admin_mode = mode;
    orgs::set_settings(&mut tx, org, &found.settings).await?;
    tx.done(org, "org.set_admin_mode", &org.to_string(), detail).await?;
    Ok(found)
}
