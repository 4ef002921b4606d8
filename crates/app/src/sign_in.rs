//! Signing in to the console and proving oneself to the API.

use crate::cx::{App, Cx};
use crate::failure::{Failure, Kind};
use crate::people::{actor_of, realm_of};
use crate::{audit, secrets};
use access::decide_job;
use base::{RealmId, TokenId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use store::sessions::{self, Session};
use store::tokens::{self, Token};
use store::users::{self, User};
use store::{Tx, across};

const IDLE_US: i64 = 30 * 60_000_000;
const ABSOLUTE_US: i64 = 12 * 3_600_000_000;
/// The time of last use is written at most once a minute.
const TOUCH_US: i64 = 60_000_000;
/// Ten wrong passwords for one address in a quarter of an hour, then it waits.
const FAILURES_MAX: u32 = 10;
const FAILURES_US: i64 = 15 * 60_000_000;
/// Addresses that are remembered at once.
const ADDRESSES_MAX: usize = 10_000;

/// Wrong passwords by address: since when, how many.
#[derive(Default)]
pub(crate) struct WrongPasswords(Mutex<BTreeMap<String, (i64, u32)>>);

/// Who is signed in, for pages.
#[derive(Clone)]
pub struct SignedIn {
    /// The context.
    pub cx: Cx,
    /// The person.
    pub user: User,
    /// The token that every form carries; empty for API tokens.
    pub csrf: String,
}

fn wrong() -> Failure {
    Failure::new(Kind::Unauthenticated, "address or password is wrong")
}

impl WrongPasswords {
    fn check(&self, key: &str, now_us: i64) -> Result<(), Failure> {
        let mut failures = self.0.lock().map_err(|_| wrong())?;
        failures.retain(|_, (since, _)| *since + FAILURES_US > now_us);
        match failures.get(key) {
            Some((_, count)) if *count >= FAILURES_MAX => {
                Err(Failure::new(Kind::TooMany, "too many wrong passwords for this address; wait a quarter of an hour"))
            }
            _ => Ok(()),
        }
    }

    fn note(&self, key: &str, now_us: i64) {
        if let Ok(mut failures) = self.0.lock()
            && (failures.len() < ADDRESSES_MAX || failures.contains_key(key))
        {
            failures.entry(key.to_owned()).or_insert((now_us, 0)).1 += 1;
        }
    }
}

/// Checks address and password and begins a session. The result is the cookie's secret.
///
/// # Errors
/// [`Kind::Unauthenticated`], the same for unknown people and wrong passwords; [`Kind::TooMany`].
pub async fn sign_in(app: &Arc<App>, email: &str, password: &str) -> Result<(String, SignedIn), Failure> {
    let key = users::email_key(email);
    app.wrong_passwords.check(&key, app.now_us())?;
    let mut candidates = across::users_by_email(&app.store, email).await?;
    candidates.retain(|(_, user)| user.state == "active");
    if candidates.is_empty() {
        // The same work as for a known address, so that time tells nothing.
        app.passwords.verify(password, "").await?;
    }
    for (realm, user) in candidates {
        if app.passwords.verify(password, &user.password_hash).await? {
            return begin_session(app, realm, user).await;
        }
    }
    app.wrong_passwords.note(&key, app.now_us());
    Err(wrong())
}

async fn begin_session(app: &Arc<App>, realm: RealmId, user: User) -> Result<(String, SignedIn), Failure> {
    let secret = format!("{realm}.{}", secrets::random_text(app.world.as_ref(), 32));
    let now_us = app.now_us();
    let session = Session {
        secret_hash: secrets::hash(&secret),
        user: user.id,
        csrf: secrets::random_text(app.world.as_ref(), 24),
        created_us: now_us,
        seen_us: now_us,
        expires_us: now_us + ABSOLUTE_US,
    };
    let mut tx = app.store.write(&decide_job(realm, user.home_org)).await?;
    sessions::insert(&mut tx, &session).await?;
    let cx = Cx { app: app.clone(), actor: Some(actor_of(&mut tx, realm, user.id).await?), realm };
    audit::note(&cx, &mut tx, user.home_org, "session.begin", &user.id.to_string(), serde_json::json!({})).await?;
    tx.commit().await?;
    Ok((secret, SignedIn { cx, user, csrf: session.csrf }))
}

/// Who holds this cookie. Roles are read anew each time: a role taken away is gone with the next click.
///
/// # Errors
/// [`Kind::Unauthenticated`].
pub async fn by_session(app: &Arc<App>, secret: &str) -> Result<SignedIn, Failure> {
    let ended = || Failure::new(Kind::Unauthenticated, "your session has ended; sign in again");
    let realm = realm_of(secret).ok_or_else(ended)?;
    let mut tx = app.store.read(&decide_job(realm, realm.root())).await?;
    let session = sessions::get(&mut tx, &secrets::hash(secret)).await?.ok_or_else(ended)?;
    let now_us = app.now_us();
    let idle = now_us - session.seen_us;
    if now_us >= session.expires_us || idle >= IDLE_US {
        return Err(ended());
    }
    let signed_in = signed_in(app, &mut tx, realm, session.user, session.csrf.clone()).await?;
    drop(tx);
    if idle >= TOUCH_US {
        let mut tx = app.store.write(&decide_job(realm, signed_in.user.home_org)).await?;
        sessions::touch(&mut tx, &session.secret_hash, now_us).await?;
        tx.commit().await?;
    }
    Ok(signed_in)
}

async fn signed_in(
    app: &Arc<App>,
    tx: &mut Tx,
    realm: RealmId,
    user: base::UserId,
    csrf: String,
) -> Result<SignedIn, Failure> {
    let user = users::get(tx, user).await?;
    if user.state != "active" {
        return Err(Failure::new(Kind::Unauthenticated, "this account is suspended"));
    }
    let actor = actor_of(tx, realm, user.id).await?;
    Ok(SignedIn { cx: Cx { app: app.clone(), actor: Some(actor), realm }, user, csrf })
}

/// Ends a session.
///
/// # Errors
/// [`Failure`].
pub async fn sign_out(app: &Arc<App>, secret: &str) -> Result<(), Failure> {
    let Some(realm) = realm_of(secret) else { return Ok(()) };
    let mut tx = app.store.write(&decide_job(realm, realm.root())).await?;
    sessions::delete(&mut tx, &secrets::hash(secret)).await?;
    Ok(tx.commit().await?)
}

/// Makes an API token with the rights of its owner. Its text is shown once.
///
/// # Errors
/// [`Failure`] naming the field at fault.
pub async fn create_token(cx: &Cx, name: &str, days: i64) -> Result<(Token, String), Failure> {
    crate::orgs::check_name("name", name)?;
    if !(1..=365).contains(&days) {
        return Err(Failure::invalid("days", &days.to_string(), "must be 1 to 365"));
    }
    let user = cx.user()?;
    let secret = format!("{}.mh_{}", cx.realm, secrets::random_text(cx.app.world.as_ref(), 32));
    let token = Token {
        id: TokenId(cx.app.fresh()),
        user,
        secret_hash: secrets::hash(&secret),
        name: name.trim().to_owned(),
        created_us: cx.now_us(),
        expires_us: cx.now_us() + days * 86_400_000_000,
        revoked_us: None,
    };
    let mut tx = cx.app.store.write(&cx.own()).await?;
    tokens::insert(&mut tx, &token).await?;
    let home = users::get(&mut tx, user).await?.home_org;
    audit::note(cx, &mut tx, home, "token.create", &token.id.to_string(), serde_json::json!({ "name": token.name }))
        .await?;
    tx.commit().await?;
    Ok((token, secret))
}

/// One's own tokens.
///
/// # Errors
/// [`Failure`].
pub async fn tokens(cx: &Cx) -> Result<Vec<Token>, Failure> {
    let mut tx = cx.app.store.read(&cx.own()).await?;
    Ok(tokens::of_user(&mut tx, cx.user()?).await?)
}

/// Revokes one of one's own tokens.
///
/// # Errors
/// [`Kind::NotFound`].
pub async fn revoke_token(cx: &Cx, token: TokenId) -> Result<(), Failure> {
    let mut tx = cx.app.store.write(&cx.own()).await?;
    if tokens::revoke(&mut tx, cx.user()?, token, cx.now_us()).await? == 0 {
        return Err(Failure::not_found("token"));
    }
    Ok(tx.commit().await?)
}

/// Who holds this API token.
///
/// # Errors
/// [`Kind::Unauthenticated`].
pub async fn by_token(app: &Arc<App>, secret: &str) -> Result<SignedIn, Failure> {
    let bad = || Failure::new(Kind::Unauthenticated, "the token is unknown, revoked or expired");
    let realm = realm_of(secret).ok_or_else(bad)?;
    let mut tx = app.store.read(&decide_job(realm, realm.root())).await?;
    let token = tokens::by_secret(&mut tx, &secrets::hash(secret)).await?.ok_or_else(bad)?;
    if token.revoked_us.is_some() || token.expires_us <= app.now_us() {
        return Err(bad());
    }
    signed_in(app, &mut tx, realm, token.user, String::new()).await
}
