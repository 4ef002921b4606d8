//! The last admin: an organisation with own admins always keeps one who can sign in.
//!
//! Every use case that could take the last one away asks here at its end, inside its transaction and under
//! the realm's epoch, so that two of them at once cannot both be right.

use crate::audit;
use crate::cx::Cx;
use crate::failure::Failure;
use crate::idps;
use access::PolicyRef;
use access::admins::keeps_admin;
use access::tree::{AdminMode, OrgState};
use base::{OrgId, UserId};
use store::bindings::{self, Holder};
use store::{Tx, epoch, orgs};

const DAY_US: i64 = 86_400_000_000;
/// A last admin's binding that ends within this time is held.
const HOLD_US: i64 = 10 * 60_000_000;

/// Refuses when `org` would be left without an admin, or the highest one without an account for emergencies that
/// it needs.
pub(crate) async fn check(tx: &mut Tx, org: OrgId, now_us: i64) -> Result<(), Failure> {
    let found = orgs::get(tx, org).await?;
    let in_use = matches!(found.state, OrgState::Active | OrgState::Suspended);
    if found.settings.admin_mode == AdminMode::Inherited || !in_use {
        return Ok(());
    }
    if keeps_admin(&bindings::admins(tx, org).await?, now_us) {
        return if found.parent.is_none() { idps::check_emergency(tx, org, now_us).await } else { Ok(()) };
    }
    let text = format!("last_organization_admin: give somebody else Organization Admin at {:?} first", found.name);
    Err(Failure::conflict(text).coded("last_organization_admin"))
}

/// Refuses when one of the organisations that a user helps to run would be left without an admin.
/// `places` are those that he ran before the change.
pub(crate) async fn check_all(tx: &mut Tx, places: &[OrgId], now_us: i64) -> Result<(), Failure> {
    for org in places {
        check(tx, *org, now_us).await?;
    }
    Ok(())
}

/// Where a user is admin, for [`check_all`] after a change.
pub(crate) async fn places_of(tx: &mut Tx, user: UserId) -> Result<Vec<OrgId>, Failure> {
    Ok(bindings::admin_places_of(tx, user).await?)
}

/// The first admin of its own makes an organisation run itself.
pub(crate) async fn note_first(tx: &mut Tx, org: OrgId, now_us: i64) -> Result<(), Failure> {
    let mut found = orgs::get(tx, org).await?;
    if found.settings.admin_mode == AdminMode::Inherited && keeps_admin(&bindings::admins(tx, org).await?, now_us) {
        found.settings.admin_mode = AdminMode::Own;
        orgs::set_settings(tx, org, &found.settings).await?;
    }
    Ok(())
}

/// Looks at what ends soon: the last admin's binding is held, an ended one is removed, and for the others a
/// warning is written 30, 7 and 1 days before.
///
/// # Errors
/// [`Failure`].
pub(crate) async fn watch_endings(cx: &Cx) -> Result<(), Failure> {
    let now_us = cx.now_us();
    let mut tx = cx.app.store.read(&cx.own()).await?;
    let ending = bindings::ending_before(&mut tx, now_us + 30 * DAY_US).await?;
    drop(tx);
    for held in ending {
        let ends_us = held.not_after_us.unwrap_or(i64::MAX);
        let Holder::User(user) = held.holder else { continue };
        let mut tx = cx.app.store.write(&cx.own()).await?;
        epoch::bump(&mut tx).await?;
        if ends_us <= now_us + HOLD_US
            && held.policy == PolicyRef::ADMIN
            && is_last(&mut tx, held.scope, ends_us).await?
        {
            bindings::set_end(&mut tx, held.id, None).await?;
            let detail = serde_json::json!({ "user": user, "would_have_ended_us": ends_us });
            audit::note(cx, &mut tx, held.scope, "last_admin_expiry_held", &held.id.to_string(), detail).await?;
        } else if ends_us <= now_us {
            bindings::delete(&mut tx, &held).await?;
            let detail = serde_json::json!({ "user": user, "policy": held.policy });
            audit::note(cx, &mut tx, held.scope, "binding.expire", &held.id.to_string(), detail).await?;
        } else if held.policy == PolicyRef::ADMIN {
            let days = (ends_us - now_us + DAY_US - 1) / DAY_US;
            if let Some(step) = [1, 7, 30].into_iter().find(|step| days <= *step) {
                warn(cx, &mut tx, &held, user, step).await?;
            }
        }
        tx.commit().await?;
    }
    Ok(())
}

async fn is_last(tx: &mut Tx, org: OrgId, ends_us: i64) -> Result<bool, Failure> {
    let own = orgs::get(tx, org).await?.settings.admin_mode == AdminMode::Own;
    Ok(own && !keeps_admin(&bindings::admins(tx, org).await?, ends_us))
}

/// Writes a warning once for each step.
async fn warn(cx: &Cx, tx: &mut Tx, held: &bindings::Held, user: UserId, step: i64) -> Result<(), Failure> {
    let target = format!("{}/{step}", held.id);
    let filter = store::audit::AuditFilter {
        action: "admin_expiry_soon".to_owned(),
        target: target.clone(),
        ..Default::default()
    };
    if !store::audit::below(tx, held.scope, i64::MAX, &filter, 1).await?.is_empty() {
        return Ok(());
    }
    let detail = serde_json::json!({ "user": user, "days": step });
    audit::note(cx, tx, held.scope, "admin_expiry_soon", &target, detail).await
}
