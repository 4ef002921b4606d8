//! People who belong to no organisation any more. Whoever sees the whole tree, and the operator, finds them: to add them
//! again, or to erase what names them.

use crate::authority::{Change, Cx, Operator, Span};
use crate::failure::{Failure, Kind};
use crate::people::{add_member, allow_everywhere, deprovision_in, shut};
use access::{Action, Builtin, PolicyRef};
use base::{RealmId, UserId};
use store::users::{self, User};
use store::{Tx, across, idps, invitations, memberships, sign_in_trouble};

/// People without an organisation, by address, shut accounts that still have a name among them.
///
/// # Errors
/// [`Kind::Forbidden`] for whoever does not see the whole tree: nobody else can say that they are not somebody else's.
pub async fn list(cx: &Cx) -> Result<Vec<User>, Failure> {
    let (grant, span) = cx.span(Action::UserRead, cx.realm.root()).await?;
    if span != Span::Below {
        return Err(Failure::new(
            Kind::Forbidden,
            "you need user:read at the highest organisation and everything below it",
        ));
    }
    let mut tx = cx.read_with(&grant).await?;
    Ok(users::unattached(&mut tx).await?)
}

/// Makes somebody who belongs to no organisation a member of the highest one.
///
/// # Errors
/// [`Kind::NotFound`] for whoever belongs to one, or is not there.
pub async fn add(cx: &Cx, user: UserId) -> Result<(), Failure> {
    if !list(cx).await?.iter().any(|found| found.id == user) {
        return Err(Failure::not_found("user"));
    }
    add_member(cx, cx.realm.root(), user, PolicyRef::Builtin(Builtin::Member)).await
}

/// Shuts an account for good, unless it is, and replaces what names the person at once: name, address, identities of
/// providers, invitations, where they signed in from. What they did stays in the audit log under their id.
///
/// # Errors
/// [`Kind::Conflict`] for the last admin of an organisation, and for whoever is erased already.
pub async fn erase(cx: &Cx, user: UserId) -> Result<(), Failure> {
    let mut tx = cx.change_with(&allow_everywhere(cx, Action::UserRemove, user).await?).await?;
    let account = users::get(&mut tx, user).await?;
    check_named(&account)?;
    if account.state != "deprovisioned" {
        deprovision_in(cx, &mut tx, user).await?;
    }
    erase_in(&mut tx, &account).await?;
    tx.done(account.home_org, "user.erase", &user.to_string(), serde_json::json!({})).await
}

fn check_named(account: &User) -> Result<(), Failure> {
    if account.kind != "human" {
        return Err(Failure::conflict("this is a program: shut it instead"));
    }
    if account.is_erased() {
        return Err(Failure::conflict("this person is erased already"));
    }
    Ok(())
}

/// The account must be shut.
async fn erase_in(tx: &mut Tx, account: &User) -> Result<(), Failure> {
    idps::forget_identities(tx, account.id).await?;
    sign_in_trouble::delete_of(tx, account.id).await?;
    invitations::delete_to(tx, &account.email).await?;
    users::pseudonymise(tx, account.id).await?;
    Ok(())
}

/// As [`list`], of every tree, for the operator.
///
/// # Errors
/// [`Failure`].
pub async fn list_by_operator(operator: &Operator) -> Result<Vec<(RealmId, User)>, Failure> {
    let mut found = Vec::new();
    for (realm, _) in across::realms(operator.store()).await? {
        let mut tx = operator.read(realm).await?;
        found.extend(users::unattached(&mut tx).await?.into_iter().map(|user| (realm, user)));
    }
    Ok(found)
}

/// As [`erase`], by the operator, of somebody who belongs to no organisation.
///
/// # Errors
/// [`Kind::NotFound`] when nobody without an organisation has the id.
pub async fn erase_by_operator(operator: &Operator, user: UserId) -> Result<User, Failure> {
    let found = list_by_operator(operator).await?.into_iter().find(|(_, account)| account.id == user);
    let text = format!("user: nobody without an organisation has the id {user}");
    let (realm, account) = found.ok_or_else(|| Failure::new(Kind::NotFound, text))?;
    let mut tx: Change = operator.change(realm, account.home_org).await?;
    if !memberships::of_user(&mut tx, user).await?.is_empty() {
        return Err(Failure::conflict("this person belongs to an organisation again"));
    }
    shut(&mut tx, user).await?;
    erase_in(&mut tx, &account).await?;
    tx.done(account.home_org, "user.erase", &user.to_string(), serde_json::json!({})).await?;
    Ok(account)
}
