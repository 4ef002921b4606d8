//! Virtual S3 access keys.

use crate::authority::Cx;
use crate::failure::Failure;
use crate::giving::check_could_give;
use crate::secrets;

use access::{Action, Ask, Grant};
use base::{OrgId, UserId};
use store::Tx;
use store::keys::{self, AccessKey};
use store::users;

/// Keys that one user may hold at once.
const LIVE_MAX: usize = 20;

/// Makes a key for `user`, charged to `org`. The secret is shown once, to whoever makes it: a key for somebody else
/// acts as that person, so it is made only for people of the organisation or below it over whom the maker could give
/// everything that they have, and with a fresh proof of identity.
///
/// # Errors
/// [`crate::Kind::NotFound`] for anybody else, as for an id that never was.
pub async fn create(cx: &Cx, org: OrgId, user: UserId, name: &str) -> Result<(AccessKey, String), Failure> {
    crate::orgs::check_name("name", name)?;
    let own = cx.user() == user;
    let mut tx = cx.change(if own { Action::S3OwnKeys } else { Action::S3ManageKeys }, org).await?;
    if !own {
        check_holder(cx, &mut tx, org, user).await?;
    }
    let place = cx.place(org).await?;
    let mut random = [0_u8; 12];
    cx.app.world.fill_random(&mut random);
    let key_id = format!("MH{}", hex::encode_upper(&random[..9]));
    let secret = secrets::random_text(cx.app.world.as_ref(), 30);
    let holder = crate::authority::actor_of(&cx.app, &mut tx, user).await?;
    if !crate::s3_session::may_use_keys(&holder, &place, cx.now_us()) {
        return Err(Failure::invalid("user", &user.to_string(), "may not use S3 keys at this organisation"));
    }
    let live = keys::of_user(&mut tx, user).await?.iter().filter(|key| key.revoked_us.is_none()).count();
    if live >= LIVE_MAX {
        return Err(Failure::conflict("a user can have 20 live keys; revoke one first"));
    }
    let key = AccessKey {
        secret_sealed: cx.app.vault.seal(cx.app.world.as_ref(), &key_id, &secret),
        key_id,
        org,
        user,
        name: name.trim().to_owned(),
        created_us: cx.now_us(),
        revoked_us: None,
    };
    keys::insert(&mut tx, &key).await?;
    tx.done(org, "key.create", &key.key_id, serde_json::json!({ "user": user })).await?;
    Ok((key, secret))
}

/// Whether the maker may act as somebody else: they belong to `org` or below it, and have nothing that the maker could
/// not give.
async fn check_holder(cx: &Cx, tx: &mut Tx, org: OrgId, user: UserId) -> Result<(), Failure> {
    let unknown = || Failure::not_found("user");
    if !users::is_below(tx, user, org).await? {
        return Err(unknown());
    }
    check_could_give(tx, user, &cx.actor, cx.now_us()).await.map_err(|_| unknown())?;
    cx.check_fresh()
}

/// Keys charged to `org` and below.
///
/// # Errors
/// [`Failure`].
pub async fn list(cx: &Cx, org: OrgId) -> Result<Vec<AccessKey>, Failure> {
    let (grant, span) = cx.span(Action::S3ManageKeys, org).await?;
    let mut tx = cx.read_with(&grant).await?;
    let mut found = keys::below(&mut tx, org).await?;
    found.retain(|row| span.has(row.org));
    Ok(found)
}

/// One's own keys.
///
/// # Errors
/// [`Failure`].
pub async fn mine(cx: &Cx) -> Result<Vec<AccessKey>, Failure> {
    let mut tx = cx.own(Action::SelfRead).await?;
    Ok(keys::of_user(&mut tx, cx.user()).await?)
}

/// A key that the caller may revoke: one's own, or one that they manage.
async fn revocable(cx: &Cx, key_id: &str) -> Result<(Grant, AccessKey), Failure> {
    let mut tx = cx.look_around().await?;
    let own = keys::get(&mut tx, key_id).await.is_ok_and(|key| key.user == cx.user());
    drop(tx);
    if !own {
        return cx.find::<AccessKey>(key_id.to_owned(), Ask::of(Action::S3ManageKeys)).await;
    }
    let mut tx = cx.own(Action::S3OwnKeys).await?;
    Ok((cx.allow_own(Action::S3OwnKeys)?, keys::get(&mut tx, key_id).await?))
}

/// The key that [`revoke`] would end.
///
/// # Errors
/// As [`revoke`].
pub async fn to_revoke(cx: &Cx, key_id: &str) -> Result<AccessKey, Failure> {
    Ok(revocable(cx, key_id).await?.1)
}

/// Revokes a key at once.
///
/// # Errors
/// [`Failure`].
pub async fn revoke(cx: &Cx, key_id: &str) -> Result<(), Failure> {
    let (grant, key) = revocable(cx, key_id).await?;
    let mut tx = cx.change_with(&grant).await?;
    if keys::revoke(&mut tx, key_id, cx.now_us()).await? == 0 {
        return Err(Failure::conflict("the key was revoked before"));
    }
    tx.forget_key(key_id);
    tx.done(key.org, "key.revoke", key_id, serde_json::json!({})).await
}
