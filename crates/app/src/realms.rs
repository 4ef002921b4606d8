//! Realms: the first one of an installation, and the list that timers visit.

use crate::cx::{App, Cx};
use crate::failure::Failure;
use crate::{audit, orgs, passwords};
use access::{Binding, Role, decide_job};
use base::{BindingId, Currency, RealmId, UserId, Zone};
use billing::InvoiceKind;
use std::sync::Arc;
use store::{across, bindings, users};

/// What a new realm starts with.
#[derive(Debug, Clone)]
pub struct NewRealm {
    /// Name of the provider: the root organisation.
    pub name: String,
    /// Its money.
    pub currency: Currency,
    /// Its calendar.
    pub zone: Zone,
    /// Address of the first admin.
    pub admin_email: String,
    /// His name.
    pub admin_name: String,
    /// His password.
    pub admin_password: String,
}

/// Makes a realm with its root organisation and first admin, or nothing.
///
/// # Errors
/// [`Failure`] naming the field at fault.
pub async fn create(app: &Arc<App>, new: NewRealm) -> Result<(Cx, UserId), Failure> {
    orgs::check_name("name", &new.name)?;
    crate::people::check_email(&new.admin_email)?;
    orgs::check_name("admin_name", &new.admin_name)?;
    passwords::check_new(&new.admin_password)?;
    let password_hash = app.passwords.hash(app.world.as_ref(), &new.admin_password).await?;
    let now_us = app.now_us();
    let realm = RealmId(app.fresh());
    let cx = Cx::system(app.clone(), realm);
    let mut tx = app.store.write(&decide_job(realm, realm.root())).await?;
    store::orgs::insert_realm(&mut tx, realm, &new.name, now_us).await?;
    let root = store::orgs::Org {
        id: realm.root(),
        parent: None,
        kind: "provider".to_owned(),
        name: new.name.trim().to_owned(),
        address: Vec::new(),
        currency: new.currency,
        zone: new.zone,
        invoice_kind: InvoiceKind::Invoice,
        created_us: now_us,
    };
    store::orgs::insert(&mut tx, &root).await?;
    let user = users::User {
        id: UserId(app.fresh()),
        home_org: root.id,
        email: new.admin_email,
        display_name: new.admin_name,
        password_hash,
        state: "active".to_owned(),
        created_us: now_us,
    };
    users::insert(&mut tx, &user).await?;
    let binding = Binding { role: Role::Admin, scope: root.id };
    let held = bindings::Held { id: BindingId(app.fresh()), user: user.id, binding };
    bindings::insert(&mut tx, &held, now_us).await?;
    let detail = serde_json::json!({ "name": root.name, "admin": user.email });
    audit::note(&cx, &mut tx, root.id, "realm.create", &realm.to_string(), detail).await?;
    tx.commit().await?;
    Ok((cx, user.id))
}

/// All realms of the installation, oldest first.
///
/// # Errors
/// [`Failure`].
pub async fn all(app: &App) -> Result<Vec<(RealmId, String)>, Failure> {
    Ok(across::realms(&app.store).await?)
}
