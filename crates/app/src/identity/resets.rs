//! A way back in for somebody who lost his password or his second factors: a link, made by whoever runs him or
//! by the operator at the machine. It is good once and for a day, and for nothing else than setting a password.

use crate::authority::{App, Cx, Door, Operator, actor_of};
use crate::failure::{Failure, Kind};
use crate::giving::{check_could_give, now_of};
use crate::people::allow_everywhere;
use crate::provider_rules::is_for_emergencies;
use crate::secrets::realm_of;

use crate::{passwords, secrets};
use access::{Action, Ask, Context, decide};
use base::{OrgId, RealmId, UserId, World};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::attempts::{self, Attempt};
use store::users::{self, User};
use store::{Tx, across, factors, memberships, recovery, sessions};

/// A link lives for a day.
const RESET_US: i64 = 86_400_000_000;
const KIND: &str = "reset";

/// What a link is for.
#[derive(Serialize, Deserialize)]
struct Payload {
    user: UserId,
    /// Who made it; nobody when it was the operator.
    maker: Option<UserId>,
    /// Hash of the password that it replaces: a password that was changed meanwhile ends the link.
    before: String,
}

/// A link that was made. Its secret is shown once.
#[derive(Debug, Clone)]
pub struct ResetLink {
    /// For whom.
    pub user: UserId,
    /// His address.
    pub email: String,
    /// The secret of the link: `/reset?secret=...`.
    pub secret: String,
    /// When it ends.
    pub expires_us: i64,
}

fn check_resettable(account: &User) -> Result<(), Failure> {
    if account.kind == "human" && account.state == "active" && !account.email.is_empty() {
        return Ok(());
    }
    let text = "only people with an address, whose account is active, can be given a way back in";
    Err(Failure::conflict(text))
}

/// Makes a link for somebody else. The maker needs the right at every organisation that the person belongs to, and
/// must be able to give all that the person has: whoever sets a password can act as that person.
///
/// # Errors
/// [`Kind::StepUp`] without a fresh proof; [`Kind::Conflict`] for oneself, for accounts that are not active, and
/// for accounts for emergencies, which only the operator brings back.
pub async fn begin(cx: &Cx, user: UserId) -> Result<ResetLink, Failure> {
    if cx.user() == user {
        return Err(Failure::conflict(
            "change your own password on its page; for lost second factors ask another admin",
        ));
    }
    let grant = allow_everywhere(cx, Action::UserUpdate, user).await?;
    cx.check_fresh()?;
    let mut tx = cx.change_with(&grant).await?;
    let account = users::get(&mut tx, user).await?;
    check_resettable(&account)?;
    check_could_give(&mut tx, user, &cx.actor, cx.now_us()).await?;
    if is_for_emergencies(&mut tx, cx.realm.root(), user, cx.now_us()).await? {
        return Err(Failure::conflict("an account for emergencies is brought back by the operator only"));
    }
    let link = insert(&mut tx, cx.app.world.as_ref(), &account, Some(cx.user())).await?;
    let detail = serde_json::json!({ "expires": base::period::format_instant(link.expires_us) });
    tx.done(account.home_org, "user.reset_link", &user.to_string(), detail).await?;
    Ok(link)
}

async fn insert(tx: &mut Tx, world: &dyn World, account: &User, maker: Option<UserId>) -> Result<ResetLink, Failure> {
    let secret = format!("{}.{}", tx.realm(), secrets::random_text(world, 32));
    let payload = Payload { user: account.id, maker, before: secrets::hash(&account.password_hash) };
    let expires_us = world.now_us() + RESET_US;
    let attempt = Attempt {
        secret_hash: secrets::hash(&secret),
        kind: KIND.to_owned(),
        payload_json: serde_json::to_string(&payload)?,
        expires_us,
    };
    attempts::insert(tx, &attempt).await?;
    Ok(ResetLink { user: account.id, email: account.email.clone(), secret, expires_us })
}

/// Makes a link at the machine itself, for whoever has this address: also for the last admin of a tree and for
/// accounts for emergencies. Trees do not know each other: if several have the address, `home` says which person
/// is meant, by the organisation that he belongs to. Runs beside a server on the same store.
///
/// # Errors
/// [`Kind::NotFound`] when nobody has the address; [`Kind::Conflict`] with the organisations when several have.
pub async fn begin_by_operator(operator: &Operator, email: &str, home: Option<OrgId>) -> Result<ResetLink, Failure> {
    let mut found = across::users_by_email(operator.store(), email).await?;
    found.retain(|(_, account)| home.is_none_or(|home| account.home_org == home));
    let (realm, account) = match found.as_slice() {
        [] => return Err(Failure::new(Kind::NotFound, format!("address: nobody has {email:?}"))),
        [one] => one.clone(),
        several => {
            let homes: Vec<String> = several.iter().map(|(_, account)| account.home_org.to_string()).collect();
            let text = format!("address: {email:?} is of people at {}; say which with --org", homes.join(" and "));
            return Err(Failure::conflict(text));
        }
    };
    check_resettable(&account)?;
    let mut tx = operator.change(realm, account.home_org).await?;
    let link = insert(&mut tx, operator.world(), &account, None).await?;
    let detail = serde_json::json!({ "expires": base::period::format_instant(link.expires_us) });
    tx.done(account.home_org, "user.reset_link", &account.id.to_string(), detail).await?;
    Ok(link)
}

fn gone() -> Failure {
    Failure::new(
        Kind::Gone,
        "this link was used, was overtaken by another one, or is older than a day; ask for a new one",
    )
}

/// What a link is for, if it still holds: the person, and who made it.
async fn holding(app: &Arc<App>, tx: &mut Tx, secret: &str) -> Result<(User, Payload), Failure> {
    let attempt = attempts::get(tx, KIND, &secrets::hash(secret), app.now_us()).await?.ok_or_else(gone)?;
    let payload: Payload = serde_json::from_str(&attempt.payload_json)?;
    let account = users::get(tx, payload.user).await.map_err(|_| gone())?;
    if check_resettable(&account).is_err() || secrets::hash(&account.password_hash) != payload.before {
        return Err(gone());
    }
    Ok((account, payload))
}

/// The address that a link is for.
///
/// # Errors
/// [`Kind::Gone`].
pub async fn look(app: &Arc<App>, secret: &str) -> Result<String, Failure> {
    Ok(owner(app, secret).await?.email)
}

async fn owner(app: &Arc<App>, secret: &str) -> Result<User, Failure> {
    let realm = realm_of(secret).ok_or_else(gone)?;
    let mut tx = Door::at(app, realm).read().await?;
    Ok(holding(app, &mut tx, secret).await?.0)
}

/// Sets the password that a link is for. Second factors and recovery codes are gone then, and what providers call
/// the person; all sessions end, tokens stay. What the maker may no longer do is refused.
///
/// # Errors
/// [`Kind::Gone`] for a link that does not hold any more; [`Failure`] naming the password's fault.
pub async fn finish(app: &Arc<App>, secret: &str, password: &str) -> Result<RealmId, Failure> {
    let whose = owner(app, secret).await?; // No hashing for strangers.
    passwords::check_new(password, &[&whose.display_name, &whose.email])?;
    let password_hash = app.passwords.hash(app.world.as_ref(), password).await?;
    let realm = realm_of(secret).ok_or_else(gone)?;
    let mut tx = Door::at(app, realm).change(realm.root()).await?;
    let (account, payload) = holding(app, &mut tx, secret).await?;
    if let Some(maker) = payload.maker {
        check_maker(app, &mut tx, account.id, maker).await.map_err(|_| gone())?;
    }
    if attempts::delete(&mut tx, &secrets::hash(secret)).await? == 0 {
        return Err(gone());
    }
    users::set_password(&mut tx, account.id, &password_hash).await?;
    let lost = factors::delete_of(&mut tx, account.id).await?;
    recovery::delete(&mut tx, account.id).await?;
    // A provider that calls him by another subject now may say once more who he is.
    store::idps::forget_identities(&mut tx, account.id).await?;
    sessions::delete_of(&mut tx, account.id).await?;
    let detail = serde_json::json!({ "maker": payload.maker, "second_factors_removed": lost });
    tx.done(account.home_org, "user.reset", &account.id.to_string(), detail).await?;
    Ok(realm)
}

/// Whether the maker could make the link once more.
async fn check_maker(app: &App, tx: &mut Tx, user: UserId, maker: UserId) -> Result<(), Failure> {
    if is_for_emergencies(tx, tx.realm().root(), user, app.now_us()).await? {
        return Err(gone()); // Marked since: only the operator brings him back.
    }
    let maker = actor_of(app, tx, maker).await?;
    let now = Context { proved_us: Some(app.now_us()), ..now_of(app.now_us()) };
    for membership in memberships::of_user(tx, user).await? {
        let place = store::orgs::place(tx, membership.org).await?;
        decide(&maker, &Ask::of(Action::UserUpdate), &place, &now)?;
    }
    check_could_give(tx, user, &maker, app.now_us()).await
}
