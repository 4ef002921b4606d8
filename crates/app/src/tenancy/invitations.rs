//! Invitations: the way in for people whom nobody can add by hand.

use crate::authority::{App, Cx, Door, actor_of};
use crate::failure::{Failure, Kind};
use crate::giving::{check_giving_now, check_reach, give, name_of, now_of, rights_of};
use crate::people::{check_email, insert, join};
use crate::secrets::realm_of;
use crate::sessions::Client;
use crate::{orgs, passwords, scim, secrets, sign_in};
use access::{Action, Actions, Place, PolicyRef, Propagate};
use base::{InvitationId, OrgId, RealmId, UserId, Zone};
use std::sync::Arc;
use store::Tx;
use store::bindings::Holder;
use store::invitations::{self, Invitation};
use store::users::{self, User};

/// An invitation lives for seven days.
const INVITATION_US: i64 = 7 * 86_400_000_000;

/// Invites somebody to `org`. The secret of the link is shown once. Whether the address belongs to somebody
/// already is not told.
///
/// # Errors
/// [`Failure`] naming the field at fault.
pub async fn invite(
    cx: &Cx,
    org: OrgId,
    email: &str,
    policy: PolicyRef,
    propagate: Propagate,
) -> Result<(Invitation, String), Failure> {
    check_email(email)?;
    let grant = cx.allow(Action::UserInvite, org).await?;
    let secret = format!("{}.{}", cx.realm, secrets::random_text(cx.app.world.as_ref(), 32));
    let invitation = Invitation {
        id: InvitationId(cx.app.fresh()),
        org,
        email: email.trim().to_owned(),
        policy,
        propagate,
        secret_hash: secrets::hash(&secret),
        invited_by: cx.user(),
        state: "pending".to_owned(),
        created_us: cx.now_us(),
        expires_us: cx.now_us() + INVITATION_US,
    };
    let mut tx = cx.change_with(&grant).await?;
    check_giving_now(cx, &mut tx, policy, propagate, org).await?;
    invitations::insert(&mut tx, &invitation).await?;
    let detail = serde_json::json!({ "email": invitation.email, "policy": policy, "propagate": propagate });
    tx.done(org, "user.invite", &invitation.id.to_string(), detail).await?;
    Ok((invitation, secret))
}

/// Withdraws an invitation.
///
/// # Errors
/// [`Kind::Gone`] when it was used or withdrawn before.
pub async fn cancel(cx: &Cx, org: OrgId, invitation: InvitationId) -> Result<(), Failure> {
    let mut tx = cx.change(Action::UserInvite, org).await?;
    let waiting = invitations::pending_at(&mut tx, org).await?;
    if !waiting.iter().any(|found| found.id == invitation) {
        return Err(Failure::not_found("invitation"));
    }
    invitations::settle(&mut tx, invitation, "cancelled").await?;
    tx.done(org, "user.uninvite", &invitation.to_string(), serde_json::json!({})).await
}

fn gone() -> Failure {
    Failure::new(Kind::Gone, "this invitation was used, withdrawn or is too old; ask for a new one")
}

async fn pending(app: &Arc<App>, secret: &str) -> Result<(Door, Invitation), Failure> {
    let realm = realm_of(secret).ok_or_else(gone)?;
    let door = Door::at(app, realm);
    let mut tx = door.read().await?;
    let found = invitations::by_secret(&mut tx, &secrets::hash(secret)).await?.ok_or_else(gone)?;
    if found.state != "pending" || found.expires_us <= app.now_us() {
        return Err(gone());
    }
    Ok((door, found))
}

/// What an invitation offers, to whoever holds its link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Name of the organisation.
    pub org: String,
    /// Its calendar.
    pub zone: Zone,
    /// Name of the person who sent it; empty when it was the operator.
    pub invited_by: String,
    /// To which address.
    pub email: String,
    /// Name of the policy that comes with it.
    pub role: String,
    /// What that policy is for; empty for a custom one.
    pub role_sentence: &'static str,
    /// How far it reaches.
    pub propagate: Propagate,
    /// Until when it can be accepted.
    pub expires_us: i64,
}

/// What an invitation offers.
///
/// # Errors
/// [`Kind::Gone`].
pub async fn offer(app: &Arc<App>, secret: &str) -> Result<Offer, Failure> {
    let (door, found) = pending(app, secret).await?;
    let mut tx = door.read().await?;
    let place = store::orgs::place(&mut tx, found.org).await.map_err(|_| gone())?;
    check_stands(app, &mut tx, &found, &place, door.now_us()).await?;
    let org = store::orgs::get(&mut tx, found.org).await?;
    let invited_by = match found.invited_by {
        UserId(0) => String::new(),
        user => users::get(&mut tx, user).await?.display_name,
    };
    let role_sentence = match found.policy {
        PolicyRef::Builtin(builtin) => builtin.sentence(),
        PolicyRef::Custom(_) => "",
    };
    Ok(Offer {
        org: org.name,
        zone: org.zone,
        invited_by,
        email: found.email,
        role: name_of(&mut tx, found.policy).await?,
        role_sentence,
        propagate: found.propagate,
        expires_us: found.expires_us,
    })
}

/// An invitation stands as long as its maker could give what it gives, and somebody can join.
async fn check_stands(
    app: &Arc<App>,
    tx: &mut Tx,
    found: &Invitation,
    place: &Place,
    now_us: i64,
) -> Result<(), Failure> {
    if place.suspended_from.is_some() {
        return Err(Failure::conflict("the organisation is suspended; nobody can join it now"));
    }
    if found.invited_by == UserId(0) {
        return Ok(());
    }
    let inviter = actor_of(app, tx, found.invited_by).await?;
    let (allows, denies) = rights_of(tx, found.policy, found.org).await?;
    let rights = allows | denies | Actions::of(&[Action::UserInvite]);
    check_reach(&inviter, rights, found.propagate, place, &now_of(now_us)).map_err(|_| {
        let text = "whoever sent this invitation may not give what it offers any more; ask for a new one";
        Failure::new(Kind::Gone, text)
    })
}

/// Declines an invitation.
///
/// # Errors
/// [`Kind::Gone`].
pub async fn decline(app: &Arc<App>, secret: &str) -> Result<(), Failure> {
    let (door, found) = pending(app, secret).await?;
    let mut tx = door.record(found.org).await?;
    if invitations::settle(&mut tx, found.id, "declined").await? == 0 {
        return Err(gone());
    }
    tx.done(found.org, "user.decline", &found.id.to_string(), serde_json::json!({})).await
}

/// Who accepts an invitation.
#[derive(Debug, Clone)]
pub struct Joiner<'a> {
    /// His address, if he says one: another one than the invited is refused.
    pub email: Option<&'a str>,
    /// His name, if he is new.
    pub name: &'a str,
    /// His password: the one he has, or a new one.
    pub password: &'a str,
    /// From where: a password that an account has already is not tried without limit.
    pub client: Client,
}

/// Joins by an invitation. A person who is in the realm already keeps his one account and must give
/// its password; somebody new sets one. What the inviter may no longer give is refused.
///
/// # Errors
/// [`Kind::Gone`] for a used or expired link, else [`Failure`] naming the field at fault.
pub async fn accept(app: &Arc<App>, secret: &str, joiner: Joiner<'_>) -> Result<(RealmId, UserId), Failure> {
    let (door, found) = pending(app, secret).await?;
    let realm = door.realm();
    if joiner.email.is_some_and(|email| users::email_key(email) != users::email_key(&found.email)) {
        return Err(Failure::new(Kind::Forbidden, "this invitation was sent to another address"));
    }
    let mut tx = door.read().await?;
    let known = users::by_email(&mut tx, &found.email).await?;
    let waiting = scim::waiting(&mut tx, found.org, &found.email).await?;
    drop(tx);
    if known.as_ref().is_some_and(|user| user.state == "deprovisioned") {
        return Err(Failure::conflict(
            "the account with this address was shut for good; it can be used again in a month",
        ));
    }
    // An account that a directory made is taken over by who sets its first password.
    let takes_over = waiting.as_ref().is_some_and(|row| known.as_ref().is_none_or(|user| user.id == row.account));
    let password_hash = match known.as_ref().filter(|_| !takes_over) {
        Some(user) => {
            let meant = [(realm, user.clone())];
            let typed = (found.email.as_str(), joiner.password);
            if sign_in::compare(app, &meant, typed, &joiner.client).await?.is_none() {
                return Err(Failure::unreadable("password", "is not the one of your account here"));
            }
            if user.state == "suspended" {
                let text = "your account is suspended; whoever suspended it must resume it first";
                return Err(Failure::new(Kind::Forbidden, text));
            }
            user.password_hash.clone()
        }
        None => {
            orgs::check_name("name", joiner.name)?;
            passwords::check_new(joiner.password, &[joiner.name, &found.email])?;
            app.passwords.hash(app.world.as_ref(), joiner.password).await?
        }
    };
    let mut tx = door.change(found.org).await?;
    let place = store::orgs::place(&mut tx, found.org).await?;
    check_stands(app, &mut tx, &found, &place, door.now_us()).await?;
    if invitations::settle(&mut tx, found.id, "accepted").await? == 0 {
        return Err(gone());
    }
    if scim::waiting(&mut tx, found.org, &found.email).await? != waiting {
        return Err(Failure::new(Kind::Busy, "the directory has just changed this person; try again"));
    }
    let user = match (known, waiting) {
        (_, Some(row)) if takes_over => scim::take_over(&mut tx, &row, &found, &password_hash).await?,
        (Some(user), waiting) => {
            if let Some(row) = waiting {
                scim::merge(&mut tx, row, user.id, &found).await?;
            }
            user.id
        }
        (None, _) => {
            let id = UserId(app.fresh());
            let user = User::person(id, found.org, &found.email, joiner.name, password_hash, door.now_us());
            insert(&mut tx, &user).await?;
            id
        }
    };
    join(&mut tx, user, found.org, "invite").await?;
    give(&mut tx, Holder::User(user), found.policy, found.org, found.propagate).await?;
    let detail = serde_json::json!({ "policy": found.policy });
    tx.done(found.org, "user.join", &user.to_string(), detail).await?;
    Ok((realm, user))
}

/// Invitations to `org` that wait.
///
/// # Errors
/// [`Failure`].
pub async fn list(cx: &Cx, org: OrgId) -> Result<Vec<Invitation>, Failure> {
    let mut tx = cx.read(Action::UserRead, org).await?;
    Ok(invitations::pending_at(&mut tx, org).await?)
}
