//! Which account a directory's user is: an old one, a new one, or one that waits for its person.
//!
//! A directory speaks for the addresses of the domains that its organisation has proved to own, and knows
//! who belongs to its organisation or below. For any other address it gets an account that waits: without
//! address, so that it takes nobody's place and nobody can sign in with it. It becomes somebody's when he
//! accepts an invitation of the organisation to that address. Whether the address was known elsewhere in the
//! tree makes no difference to any answer.

use super::{Refused, taken};
use crate::authority::Change;
use crate::failure::Failure;
use crate::{admins, giving, people};
use base::{OrgId, UserId};
use store::idps::Idp;
use store::invitations::Invitation;
use store::scim::{self, UserRow};
use store::users::{self, User};
use store::{Tx, actors, bindings, domains, factors, groups, idps, memberships};

/// What stands behind a new user of a directory.
pub(super) enum Account {
    /// Somebody who is there.
    Known(User),
    /// Nobody yet; with the address, if the organisation may speak for it.
    New(Option<String>),
}

/// Whether the organisation has proved that the domain of an address is its own.
pub(super) async fn claims(tx: &mut Tx, org: OrgId, email: &str) -> Result<bool, Failure> {
    let Some((_, domain)) = email.rsplit_once('@') else { return Ok(false) };
    let claim = domains::get(tx, &base::text::domain_key(domain)).await?;
    Ok(claim.is_some_and(|claim| claim.org == org && claim.verified_us.is_some()))
}

/// Whether a user belongs to `org` or below it, and whether he belongs nowhere else.
async fn belongs(tx: &mut Tx, org: OrgId, user: UserId) -> Result<(bool, bool), Failure> {
    let (mut inside, mut outside) = (false, false);
    for membership in memberships::of_user(tx, user).await? {
        let is_below = store::orgs::path(tx, membership.org).await?.contains(&org);
        inside |= is_below;
        outside |= !is_below;
    }
    Ok((inside, !outside))
}

/// Whether an account belongs to `org` and what lies below it alone: then it is the directory's to change.
pub(super) async fn is_managed(tx: &mut Tx, org: OrgId, user: UserId) -> Result<bool, Failure> {
    Ok(belongs(tx, org, user).await?.1)
}

/// Finds the account for an address.
pub(super) async fn find(tx: &mut Tx, org: OrgId, email: Option<&str>) -> Result<Account, Refused> {
    let Some(email) = email else { return Ok(Account::New(None)) };
    let claimed = claims(tx, org, email).await?;
    let Some(user) = users::by_email(tx, email).await? else {
        return Ok(Account::New(claimed.then(|| email.to_owned())));
    };
    if user.state == "deprovisioned" {
        return if claimed { Err(taken("emails", email)) } else { Ok(Account::New(None)) };
    }
    if claimed || belongs(tx, org, user.id).await?.0 {
        return Ok(Account::Known(user));
    }
    Ok(Account::New(None))
}

/// The account that a directory of `org` made for this address and that its person has not taken over yet: it
/// has no other address, and nobody can sign in with it in any way.
pub(crate) async fn waiting(tx: &mut Tx, org: OrgId, email: &str) -> Result<Option<UserRow>, Failure> {
    let Some(row) = scim::user_by_email(tx, org, email).await? else { return Ok(None) };
    let account = users::get(tx, row.account).await?;
    let is_same = account.email.is_empty() || users::email_key(&account.email) == row.email_key;
    let is_waiting = is_same
        && account.password_hash.is_empty()
        && idps::of_user(tx, row.account).await?.is_empty()
        && factors::of_user(tx, row.account).await?.is_empty()
        && is_managed(tx, org, row.account).await?;
    Ok(is_waiting.then_some(row))
}

/// The accounts that wait for somebody with this address in all directories of organisations that a provider
/// serves, with the organisations of these directories.
pub(crate) async fn waiting_for(tx: &mut Tx, idp: &Idp, email: &str) -> Result<Vec<(OrgId, UserRow)>, Failure> {
    let mut found = Vec::new();
    for org in scim::knowing(tx, email).await? {
        if idps::serving(tx, org).await?.is_some_and(|serving| serving.id == idp.id)
            && let Some(row) = waiting(tx, org, email).await?
        {
            found.push((org, row));
        }
    }
    Ok(found)
}

/// Whoever lets somebody into a waiting account must be able to give all that the directory gave it.
async fn check_inviter(tx: &mut Change, row: &UserRow, invitation: &Invitation) -> Result<(), Failure> {
    if !row.suspended.is_empty() {
        return Err(Failure::conflict("the directory of this organisation has switched this person off"));
    }
    if invitation.invited_by == UserId(0) {
        return Ok(());
    }
    let (inviter, now_us) = (actors::load(tx, invitation.invited_by).await?, tx.now_us());
    giving::check_could_give(tx, row.account, &inviter, now_us).await
}

/// Gives a waiting account to the person who accepted an invitation: from now on it is his.
pub(crate) async fn take_over(
    tx: &mut Change,
    row: &UserRow,
    invitation: &Invitation,
    password_hash: &str,
) -> Result<UserId, Failure> {
    check_inviter(tx, row, invitation).await?;
    users::set_email(tx, row.account, &invitation.email).await?;
    users::set_password(tx, row.account, password_hash).await?;
    Ok(row.account)
}

/// Puts the account that somebody has in the place of the one that waited for him. The id that the directory
/// knows stays.
pub(crate) async fn merge(tx: &mut Change, row: UserRow, user: UserId, invitation: &Invitation) -> Result<(), Failure> {
    check_inviter(tx, &row, invitation).await?;
    put_in_place(tx, invitation.org, row, user).await
}

/// The same without an invitation, for who came in another way.
pub(crate) async fn put_in_place(tx: &mut Change, org: OrgId, row: UserRow, user: UserId) -> Result<(), Failure> {
    let waited = row.account;
    if scim::user_of(tx, org, user).await?.is_some() {
        return Ok(()); // The directory knows him by another address.
    }
    for (group, source) in groups::of_user(tx, waited).await? {
        groups::remove_member(tx, group.id, waited).await?;
        groups::add_member(tx, group.id, user, &source).await?;
        for held in bindings::of_group(tx, group.id).await? {
            admins::note_first(tx, held.scope).await?;
        }
    }
    memberships::delete(tx, waited, org).await?;
    scim::put_user(tx, org, &UserRow { account: user, ..row }).await?;
    let detail = serde_json::json!({ "account": user });
    tx.note(org, "scim.link", &waited.to_string(), detail).await?;
    people::shut(tx, waited).await
}
