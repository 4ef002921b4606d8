//! Signing in to the console and proving oneself to the API.

use crate::cx::{App, Cx, Origin, actor_of};
use crate::failure::{Failure, Kind};
use crate::people::realm_of;
use crate::{audit, secrets};
use access::{Context, decide_job};
use base::{RealmId, SessionId};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use store::across;
use store::sessions::{self, Session};
use store::users::{self, User};

const IDLE_US: i64 = 30 * 60_000_000;
const ABSOLUTE_US: i64 = 12 * 3_600_000_000;
/// The time of last use is written at most once a minute.
const TOUCH_US: i64 = 60_000_000;
/// Ten wrong passwords for one address in a quarter of an hour, then it waits.
const FAILURES_MAX: u32 = 10;
/// The same for one client, behind which many people may sit.
const FAILURES_OF_IP_MAX: u32 = 50;
const FAILURES_US: i64 = 15 * 60_000_000;
/// Addresses that are remembered at once.
const ADDRESSES_MAX: usize = 10_000;

/// Wrong passwords by address: since when, how many.
#[derive(Default)]
pub(crate) struct WrongPasswords(Mutex<BTreeMap<String, (i64, u32)>>);

/// The client of a request, as far as it is known.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// Its address.
    pub ip: Option<IpAddr>,
    /// What it says it is.
    pub agent: String,
}

/// Who is signed in, for pages.
#[derive(Clone)]
pub struct SignedIn {
    /// The context.
    pub cx: Cx,
    /// The person.
    pub user: User,
    /// The token that every form carries; empty for API tokens.
    pub csrf: String,
    /// `enrol` when nothing but setting up a second factor is allowed; else empty.
    pub limited_to: String,
}

fn wrong() -> Failure {
    Failure::new(Kind::Unauthenticated, "address or password is wrong")
}

impl WrongPasswords {
    fn check(&self, key: &str, failures_max: u32, now_us: i64) -> Result<(), Failure> {
        let mut failures = self.0.lock().map_err(|_| wrong())?;
        failures.retain(|_, (since, _)| *since + FAILURES_US > now_us);
        match failures.get(key) {
            Some((_, count)) if *count >= failures_max => {
                Err(Failure::new(Kind::TooMany, "too many wrong passwords; wait a quarter of an hour"))
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
pub async fn sign_in(
    app: &Arc<App>,
    email: &str,
    password: &str,
    client: &Client,
) -> Result<(String, SignedIn), Failure> {
    let (realm, user) = check_password(app, email, password, client).await?;
    begin_session(app, realm, user, client).await
}

/// Whose password this is. Tries are counted for the address and for the client.
pub(crate) async fn check_password(
    app: &Arc<App>,
    email: &str,
    password: &str,
    client: &Client,
) -> Result<(RealmId, User), Failure> {
    let key = users::email_key(email);
    let from = client.ip.filter(|ip| !ip.is_loopback()).map(|ip| format!("ip {ip}"));
    app.wrong_passwords.check(&key, FAILURES_MAX, app.now_us())?;
    if let Some(from) = &from {
        app.wrong_passwords.check(from, FAILURES_OF_IP_MAX, app.now_us())?;
    }
    let mut candidates = across::users_by_email(&app.store, email).await?;
    candidates.retain(|(_, user)| user.state == "active" && user.kind == "human");
    if candidates.is_empty() {
        // The same work as for a known address, so that time tells nothing.
        app.passwords.verify(password, "").await?;
    }
    for (realm, user) in candidates {
        if app.passwords.verify(password, &user.password_hash).await? {
            return Ok((realm, user));
        }
    }
    app.wrong_passwords.note(&key, app.now_us());
    if let Some(from) = &from {
        app.wrong_passwords.note(from, app.now_us());
    }
    Err(wrong())
}

/// Begins a session for somebody who has proved who he is. Its secret is new each time.
pub(crate) async fn begin_session(
    app: &Arc<App>,
    realm: RealmId,
    user: User,
    client: &Client,
) -> Result<(String, SignedIn), Failure> {
    let secret = fresh_secret(app, realm);
    let now_us = app.now_us();
    let session = Session {
        secret_hash: secrets::hash(&secret),
        user: user.id,
        csrf: secrets::random_text(app.world.as_ref(), 24),
        created_us: now_us,
        seen_us: now_us,
        expires_us: now_us + ABSOLUTE_US,
        id: SessionId(app.fresh()),
        proved_us: now_us,
        ip: client.ip.map(|ip| ip.to_string()).unwrap_or_default(),
        agent: client.agent.chars().take(200).collect(),
        limited_to: String::new(),
    };
    let mut tx = app.store.write(&decide_job(realm, user.home_org)).await?;
    sessions::insert(&mut tx, &session).await?;
    let cx = cx_of(app, &mut tx, realm, &user, client, &session).await?;
    audit::note(&cx, &mut tx, user.home_org, "session.begin", &user.id.to_string(), serde_json::json!({})).await?;
    tx.commit().await?;
    Ok((secret, SignedIn { cx, user, csrf: session.csrf, limited_to: session.limited_to }))
}

fn fresh_secret(app: &App, realm: RealmId) -> String {
    format!("{realm}.{}", secrets::random_text(app.world.as_ref(), 32))
}

async fn cx_of(
    app: &Arc<App>,
    tx: &mut store::Tx,
    realm: RealmId,
    user: &User,
    client: &Client,
    session: &Session,
) -> Result<Cx, Failure> {
    if user.state != "active" {
        return Err(Failure::new(Kind::Unauthenticated, "this account is suspended"));
    }
    let context = Context { now_us: app.now_us(), ip: client.ip, proved_us: Some(session.proved_us), token: None };
    let origin = Origin { agent: client.agent.clone(), session: Some(session.id), token: None };
    Ok(Cx { app: app.clone(), actor: Some(actor_of(app, tx, user.id).await?), realm, context, origin })
}

/// Who holds this cookie. Rights are those of this moment: what was taken away is gone with the next click.
///
/// # Errors
/// [`Kind::Unauthenticated`].
pub async fn by_session(app: &Arc<App>, secret: &str, client: &Client) -> Result<SignedIn, Failure> {
    let ended = || Failure::new(Kind::Unauthenticated, "your session has ended; sign in again");
    let realm = realm_of(secret).ok_or_else(ended)?;
    let mut tx = app.store.read(&decide_job(realm, realm.root())).await?;
    let session = sessions::get(&mut tx, &secrets::hash(secret)).await?.ok_or_else(ended)?;
    let now_us = app.now_us();
    let idle = now_us - session.seen_us;
    if now_us >= session.expires_us || idle >= IDLE_US {
        return Err(ended());
    }
    let user = users::get(&mut tx, session.user).await?;
    let cx = cx_of(app, &mut tx, realm, &user, client, &session).await?;
    drop(tx);
    if idle >= TOUCH_US {
        let mut tx = app.store.write(&decide_job(realm, user.home_org)).await?;
        sessions::touch(&mut tx, &session.secret_hash, now_us).await?;
        tx.commit().await?;
    }
    Ok(SignedIn { cx, user, csrf: session.csrf, limited_to: session.limited_to })
}

/// What a user holds at this moment: for programs that act for him in the same process.
///
/// # Errors
/// [`Kind::NotFound`].
pub async fn actor_now(app: &App, realm: RealmId, user: base::UserId) -> Result<Arc<access::Actor>, Failure> {
    let mut tx = app.store.read(&decide_job(realm, realm.root())).await?;
    actor_of(app, &mut tx, user).await
}

/// Proves once more who one is, by password. The session goes on under a new secret, which is the result.
///
/// # Errors
/// [`Kind::Invalid`] for a wrong password; [`Kind::TooMany`].
pub async fn prove(app: &Arc<App>, secret: &str, password: &str, client: &Client) -> Result<String, Failure> {
    let signed_in = by_session(app, secret, client).await?;
    let key = users::email_key(&signed_in.user.email);
    app.wrong_passwords.check(&key, FAILURES_MAX, app.now_us())?;
    if !app.passwords.verify(password, &signed_in.user.password_hash).await? {
        app.wrong_passwords.note(&key, app.now_us());
        return Err(Failure::unreadable("password", "is wrong"));
    }
    renew(app, &signed_in, secret, &signed_in.limited_to).await
}

/// Marks a session as freshly proved, under a new secret.
pub(crate) async fn renew(
    app: &Arc<App>,
    signed_in: &SignedIn,
    secret: &str,
    limited_to: &str,
) -> Result<String, Failure> {
    let cx = &signed_in.cx;
    let fresh = fresh_secret(app, cx.realm);
    let mut tx = app.store.write(&decide_job(cx.realm, signed_in.user.home_org)).await?;
    sessions::prove(&mut tx, &secrets::hash(secret), &secrets::hash(&fresh), app.now_us(), limited_to).await?;
    let target = signed_in.user.id.to_string();
    audit::note(cx, &mut tx, signed_in.user.home_org, "session.prove", &target, serde_json::json!({})).await?;
    tx.commit().await?;
    Ok(fresh)
}

/// Sets a new password for oneself. All other sessions end; tokens too, if asked.
///
/// # Errors
/// [`Failure`] naming the field at fault.
pub async fn change_password(
    app: &Arc<App>,
    secret: &str,
    (old, new): (&str, &str),
    revoke_tokens: bool,
    client: &Client,
) -> Result<String, Failure> {
    let fresh = prove(app, secret, old, client).await?;
    crate::passwords::check_new(new)?;
    let signed_in = by_session(app, &fresh, client).await?;
    let password_hash = app.passwords.hash(app.world.as_ref(), new).await?;
    let cx = &signed_in.cx;
    let mut tx = app.store.write(&decide_job(cx.realm, signed_in.user.home_org)).await?;
    users::set_password(&mut tx, signed_in.user.id, &password_hash).await?;
    for other in sessions::of_user(&mut tx, signed_in.user.id, app.now_us()).await? {
        if other.secret_hash != secrets::hash(&fresh) {
            sessions::delete(&mut tx, &other.secret_hash).await?;
        }
    }
    if revoke_tokens {
        store::tokens::revoke_of(&mut tx, signed_in.user.id, app.now_us(), "password changed").await?;
    }
    let detail = serde_json::json!({ "tokens_revoked": revoke_tokens });
    audit::note(cx, &mut tx, signed_in.user.home_org, "user.change_password", &signed_in.user.id.to_string(), detail)
        .await?;
    tx.commit().await?;
    Ok(fresh)
}

/// One's own live sessions, the newest first.
///
/// # Errors
/// [`Failure`].
pub async fn my_sessions(cx: &Cx) -> Result<Vec<Session>, Failure> {
    let mut tx = cx.app.store.read(&cx.own()).await?;
    Ok(sessions::of_user(&mut tx, cx.user()?, cx.now_us()).await?)
}

/// Ends one of one's own sessions.
///
/// # Errors
/// [`Kind::NotFound`].
pub async fn end_session(cx: &Cx, session: SessionId) -> Result<(), Failure> {
    let user = cx.user()?;
    let mut tx = cx.app.store.write(&cx.own()).await?;
    if sessions::delete_named(&mut tx, user, session).await? == 0 {
        return Err(Failure::not_found("session"));
    }
    let home = users::get(&mut tx, user).await?.home_org;
    audit::note(cx, &mut tx, home, "session.end", &session.to_string(), serde_json::json!({})).await?;
    Ok(tx.commit().await?)
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
