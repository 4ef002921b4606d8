//! Realms: the first one of an installation, and the list that timers visit.

use crate::authority::{App, SystemCx};
use crate::failure::Failure;
use crate::{giving, orgs, passwords, people};
use access::tree::{AdminMode, MfaPolicy};
use access::{Cost, Costs, PolicyRef, Product, Products, Propagate};
use base::{Currency, RealmId, UserId, Zone};
use std::sync::Arc;
use store::bindings::Holder;
use store::orgs::{Org, OrgSettings};
use store::{across, products, users};

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
pub async fn create(app: &Arc<App>, new: NewRealm) -> Result<(RealmId, UserId), Failure> {
    orgs::check_name("name", &new.name)?;
    crate::people::check_email(&new.admin_email)?;
    orgs::check_name("admin_name", &new.admin_name)?;
    passwords::check_new(&new.admin_password, &[&new.admin_name, &new.admin_email, &new.name])?;
    let password_hash = app.passwords.hash(app.world.as_ref(), &new.admin_password).await?;
    let now_us = app.now_us();
    let realm = RealmId(app.fresh());
    let mut tx = SystemCx::of_timer(app, realm).record(realm.root()).await?;
    store::orgs::insert_realm(&mut tx, realm, &new.name, now_us).await?;
    let root = Org {
        created_us: now_us,
        settings: OrgSettings {
            admin_mode: AdminMode::Own,
            visible_costs: Costs::ALL,
            cost_default: Cost::Billed,
            mfa_policy: MfaPolicy::Optional,
            ..OrgSettings::default()
        },
        ..Org::new(realm.root(), None, "provider", &new.name, new.currency, new.zone)
    };
    store::orgs::insert(&mut tx, &root).await?;
    for product in Product::ALL {
        products::set(&mut tx, root.id, product, true).await?;
    }
    products::set_defaults(&mut tx, root.id, Products::ALL).await?;
    let id = UserId(app.fresh());
    let user = users::User::person(id, root.id, &new.admin_email, &new.admin_name, password_hash, now_us);
    users::insert(&mut tx, &user).await?;
    people::join(&mut tx, user.id, root.id, "local").await?;
    giving::give(&mut tx, Holder::User(user.id), PolicyRef::ADMIN, root.id, Propagate::Subtree).await?;
    let detail = serde_json::json!({ "name": root.name, "admin": user.email });
    tx.done(root.id, "realm.create", &realm.to_string(), detail).await?;
    Ok((realm, user.id))
}

/// All realms of the installation, oldest first.
///
/// # Errors
/// [`Failure`].
pub async fn all(app: &App) -> Result<Vec<(RealmId, String)>, Failure> {
    Ok(across::realms(&app.store).await?)
}
