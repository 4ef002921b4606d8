//! Virtual S3 access keys.

use crate::cx::Cx;
use crate::failure::Failure;
use crate::{audit, secrets};
use access::Action;
use base::{OrgId, UserId};
use store::keys::{self, AccessKey};
use store::users;

/// Keys that one user may hold at once.
const LIVE_MAX: usize = 20;

/// Makes a key for `user`, charged to `org`. The secret is shown once.
///
/// # Errors
/// [`Failure`]; the user must have a role at `org` or above it.
pub async fn create(cx: &Cx, org: OrgId, user: UserId, name: &str) -> Result<(AccessKey, String), Failure> {
    crate::orgs::check_name("name", name)?;
    let own = cx.actor.as_ref().is_some_and(|actor| actor.user() == user);
    let grant = cx.allow(if own { Action::S3OwnKeys } else { Action::S3ManageKeys }, org).await?;
    let place = cx.place(org).await?;
    let mut random = [0_u8; 12];
    cx.app.world.fill_random(&mut random);
    let key_id = format!("MH{}", hex::encode_upper(&random[..9]));
    let secret = secrets::random_text(cx.app.world.as_ref(), 30);
    let mut tx = cx.app.store.write(&grant).await?;
    users::get(&mut tx, user).await?;
    let holder = crate::cx::actor_of(&cx.app, &mut tx, user).await?;
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
    audit::note(cx, &mut tx, org, "key.create", &key.key_id, serde_json::json!({ "user": user })).await?;
    tx.commit().await?;
    Ok((key, secret))
}

/// Keys charged to `org` and below.
///
/// # Errors
/// [`Failure`].
pub async fn list(cx: &Cx, org: OrgId) -> Result<Vec<AccessKey>, Failure> {
    let grant = cx.allow(Action::S3ManageKeys, org).await?;
    let mut tx = cx.app.store.read(&grant).await?;
    Ok(keys::below(&mut tx, org).await?)
}

/// One's own keys.
///
/// # Errors
/// [`Failure`].
pub async fn mine(cx: &Cx) -> Result<Vec<AccessKey>, Failure> {
    let mut tx = cx.app.store.read(&cx.own()).await?;
    Ok(keys::of_user(&mut tx, cx.user()?).await?)
}

/// Revokes a key at once.
///
/// # Errors
/// [`Failure`].
pub async fn revoke(cx: &Cx, key_id: &str) -> Result<(), Failure> {
    let mut tx = cx.app.store.read(&cx.own()).await?;
    let key = keys::get(&mut tx, key_id).await?;
    drop(tx);
    let own = cx.actor.as_ref().is_some_and(|actor| actor.user() == key.user);
    let grant = cx.allow(if own { Action::S3OwnKeys } else { Action::S3ManageKeys }, key.org).await;
    // A key elsewhere is as unknown as one that never was.
    let grant = grant.map_err(|_| Failure::not_found("access key"))?;
    let mut tx = cx.app.store.write(&grant).await?;
    if keys::revoke(&mut tx, key_id, cx.now_us()).await? == 0 {
        return Err(Failure::conflict("the key was revoked before"));
    }
    audit::note(cx, &mut tx, key.org, "key.revoke", key_id, serde_json::json!({})).await?;
    tx.commit().await?;
    cx.app.caches.clear();
    cx.app.s3.forget(key_id);
    Ok(())
}
