//! What a provider of somebody's organisation means for their other ways in: passwords, tokens, sessions that go on.

use crate::authority::lockout::{covers, has_nothing_else};
use crate::authority::{App, Door};
use crate::failure::{Failure, Kind};
use base::{OrgId, RealmId, UserId};
use std::sync::Arc;
use store::idps::{self, Idp};
use store::users::{self, User};
use store::{Tx, bindings};

/// Refuses somebody who can sign in only with providers that are switched off.
pub(crate) async fn check_works(tx: &mut Tx, user: &User) -> Result<(), Failure> {
    if !user.password_hash.is_empty() || user.kind != "human" {
        return Ok(());
    }
    let known = idps::of_user(tx, user.id).await?;
    let works = known.is_empty() || known.iter().any(|idp| idp.state == "active");
    if works || !has_nothing_else(tx, user).await? {
        return Ok(());
    }
    Err(Failure::new(Kind::Unauthenticated, "the identity provider of your organisation is switched off"))
}

/// Refuses a session that only a provider's word began, when its holder has something by now that no provider
/// which knows him serves.
pub(crate) async fn check_still_covered(tx: &mut Tx, user: &User, proof: &str) -> Result<(), Failure> {
    if !proof.starts_with("sso") {
        return Ok(());
    }
    let known = idps::of_user(tx, user.id).await?.into_iter().filter(|idp| idp.state == "active").collect::<Vec<_>>();
    if known.is_empty() {
        return Ok(()); // Whether he has another way in is asked elsewhere.
    }
    for idp in known {
        if covers(tx, &idp, user.id).await? {
            return Ok(());
        }
    }
    Err(Failure::new(
        Kind::Unauthenticated,
        "you were given something that your identity provider does not serve; sign in again",
    ))
}

/// Refuses a password or a passkey where only the organisation's provider may let people in. Accounts for
/// emergencies are let through.
pub(crate) async fn check_password_allowed(app: &Arc<App>, realm: RealmId, user: &User) -> Result<(), Failure> {
    let mut tx = Door::at(app, realm).read().await?;
    let Some(idp) = requiring(&mut tx, user).await? else { return Ok(()) };
    if is_for_emergencies(&mut tx, realm.root(), user.id, app.now_us()).await? {
        return Ok(());
    }
    let serving = idps::serving(&mut tx, user.home_org).await?.filter(|idp| idp.state == "active");
    let idp = serving.unwrap_or(idp); // It is sent to the nearest one.
    if !covers(&mut tx, &idp, user.id).await? {
        return Ok(()); // Which may not let him in: he would have no way left.
    }
    let text =
        format!("your organisation lets people in by {} only: choose \"Sign in with your organisation\"", idp.name);
    Err(Failure::new(Kind::Unauthenticated, text).coded("sso_required"))
}

/// The nearest provider at somebody's home or above it that is required. One nearer by that is not takes nothing
/// away from what is required above; one that may not let him in, since he has something outside of what it
/// serves, does not count.
async fn requiring(tx: &mut Tx, user: &User) -> Result<Option<Idp>, Failure> {
    for place in store::orgs::path(tx, user.home_org).await?.into_iter().rev() {
        let idp = idps::at_org(tx, place).await?;
        if let Some(idp) = idp.filter(|idp| idp.state == "active" && idp.settings.enforced)
            && covers(tx, &idp, user.id).await?
        {
            return Ok(Some(idp));
        }
    }
    Ok(None)
}

/// Whether somebody is marked for emergencies, and still an admin of the highest organisation: the mark alone
/// opens nothing.
pub(crate) async fn is_for_emergencies(tx: &mut Tx, root: OrgId, user: UserId, now_us: i64) -> Result<bool, Failure> {
    let is_marked = users::is_break_glass(tx, user).await?;
    Ok(is_marked && bindings::admins(tx, root).await?.iter().any(|admin| admin.user == user && admin.counts_at(now_us)))
}
