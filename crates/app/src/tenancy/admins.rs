//! What makes an organisation run itself, and what time does to its admins. That a change leaves nobody locked out is
//! checked where it is committed (`authority::lockout`).

use crate::authority::lockout::keeps_admin;
use crate::authority::{Change, SystemCx};
use crate::failure::Failure;
use access::PolicyRef;
use access::tree::AdminMode;
use base::OrgId;
use store::bindings;
use store::{Tx, orgs};

const DAY_US: i64 = 86_400_000_000;
/// A last admin's binding that ends within this time is held.
const HOLD_US: i64 = 10 * 60_000_000;

/// The first admin of its own makes an organisation run itself.
pub(crate) async fn note_first(tx: &mut Change, org: OrgId) -> Result<(), Failure> {
    let mut found = orgs::get(tx, org).await?;
    let now_us = tx.now_us();
    if found.settings.admin_mode == AdminMode::Inherited && keeps_admin(tx, org, now_us).await? {
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
pub(crate) async fn watch_endings(cx: &SystemCx) -> Result<(), Failure> {
    let now_us = cx.now_us();
    let mut tx = cx.read().await?;
    let ending = bindings::ending_before(&mut tx, now_us + 30 * DAY_US).await?;
    drop(tx);
    for held in ending {
        let ends_us = held.not_after_us.unwrap_or(i64::MAX);
        let mut tx = cx.change(cx.realm().root()).await?;
        if ends_us <= now_us + HOLD_US
            && held.policy == PolicyRef::ADMIN
            && is_last(&mut tx, held.scope, ends_us).await?
        {
            bindings::set_end(&mut tx, &held, None).await?;
            let detail = serde_json::json!({ "holder": held.holder, "would_have_ended_us": ends_us });
            tx.note(held.scope, "last_admin_expiry_held", &held.id.to_string(), detail).await?;
        } else if ends_us <= now_us {
            bindings::delete(&mut tx, &held).await?;
            let detail = serde_json::json!({ "holder": held.holder, "policy": held.policy });
            tx.note(held.scope, "binding.expire", &held.id.to_string(), detail).await?;
        } else if held.policy == PolicyRef::ADMIN {
            let days = (ends_us - now_us + DAY_US - 1) / DAY_US;
            if let Some(step) = [1, 7, 30].into_iter().find(|step| days <= *step) {
                warn(&mut tx, &held, step).await?;
            }
        }
        if tx.is_noted() {
            tx.commit().await?; // Else nothing is due: a new epoch would make everybody forget for nothing.
        }
    }
    Ok(())
}

async fn is_last(tx: &mut Tx, org: OrgId, ends_us: i64) -> Result<bool, Failure> {
    let own = orgs::get(tx, org).await?.settings.admin_mode == AdminMode::Own;
    Ok(own && !keeps_admin(tx, org, ends_us).await?)
}

/// Writes a warning once for each step.
async fn warn(tx: &mut Change, held: &bindings::Held, step: i64) -> Result<(), Failure> {
    let target = format!("{}/{step}", held.id);
    let filter = store::audit::AuditFilter {
        action: "admin_expiry_soon".to_owned(),
        target: target.clone(),
        ..Default::default()
    };
    if !store::audit::below(tx, held.scope, i64::MAX, &filter, 1).await?.is_empty() {
        return Ok(());
    }
    let detail = serde_json::json!({ "holder": held.holder, "days": step });
    tx.note(held.scope, "admin_expiry_soon", &target, detail).await
}
