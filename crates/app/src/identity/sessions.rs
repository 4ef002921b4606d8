//! Sessions of the console: what a cookie stands for. A half session waits for the second factor, five minutes and five
//! tries long; a limited one is good for setting one up and nothing else.

use crate::authority::{App, Change, Cx, Door, Origin, Preview, actor_of};
use crate::failure::{Failure, Kind};
use crate::secrets::realm_of;
pub use crate::throttle::Client;
use crate::throttle::Try;
use crate::{provider_rules, secrets, security};
use access::tree::MfaPolicy;
use access::{Action, Context};
use base::{RealmId, SessionId, UserId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::attempts::{self, Attempt};
use store::factors as stored_factors;
use store::sessions::{self, Session};
use store::users::{self, User};

const IDLE_US: i64 = 30 * 60_000_000;

const ABSOLUTE_US: i64 = 12 * 3_600_000_000;

/// The time of last use is written at most once a minute.
const TOUCH_US: i64 = 60_000_000;

/// A half session lives so long.
const HALF_US: i64 = 5 * 60_000_000;

/// Codes that may be tried with one half session.
const HALF_TRIES_MAX: u32 = 5;

/// What a session is limited to when nothing but setting up a second factor is allowed.
pub(crate) const ENROL: &str = "enrol";

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

/// Begins a session for somebody who has proved who he is. Its secret is new each time.
pub(crate) async fn begin_session(
    app: &Arc<App>,
    realm: RealmId,
    user: User,
    client: &Client,
    (limited_to, proof): (&str, &str),
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
        limited_to: limited_to.to_owned(),
        proof: proof.to_owned(),
    };
    let mut tx = Door::at(app, realm).read().await?;
    let cx = cx_of(app, &mut tx, realm, &user, client, &session).await?;
    drop(tx);
    let mut tx = cx.record_sign_in(user.home_org).await?;
    sessions::insert(&mut tx, &session).await?;
    let target = user.id.to_string();
    let is_new = security::succeeded(&mut tx, &user, client).await?;
    let mut detail = serde_json::json!({ "proof": proof });
    if is_new {
        detail["new_address"] = true.into();
    }
    tx.note(user.home_org, "session.begin", &target, detail).await?;
    if users::is_break_glass(&mut tx, user.id).await? {
        let detail = serde_json::json!({ "alarm": true, "proof": proof });
        tx.note(realm.root(), "break_glass.use", &target, detail).await?;
        tracing::warn!(user = target, "an account for emergencies was used");
    }
    tx.commit().await?;
    Ok((secret, SignedIn { cx, user, csrf: session.csrf, limited_to: session.limited_to }))
}

/// What a half session remembers.
#[derive(Serialize, Deserialize)]
struct HalfPayload {
    user: UserId,
    tries: u32,
}

pub(crate) async fn begin_half(app: &Arc<App>, realm: RealmId, user: &User) -> Result<String, Failure> {
    let secret = fresh_secret(app, realm);
    let attempt = Attempt {
        secret_hash: secrets::hash(&secret),
        kind: "half".to_owned(),
        payload_json: serde_json::to_string(&HalfPayload { user: user.id, tries: 0 })?,
        expires_us: app.now_us() + HALF_US,
    };
    let mut tx = Door::at(app, realm).keep(user.home_org).await?;
    attempts::insert(&mut tx, &attempt).await?;
    tx.commit().await?;
    Ok(secret)
}

fn half_over() -> Failure {
    Failure::new(Kind::Unauthenticated, "this sign-in took too long or had too many tries; begin again")
}

async fn read_half(app: &Arc<App>, tx: &mut store::Tx, secret: &str) -> Result<(HalfPayload, User), Failure> {
    let found = attempts::get(tx, "half", &secrets::hash(secret), app.now_us()).await?.ok_or_else(half_over)?;
    let payload: HalfPayload = serde_json::from_str(&found.payload_json)?;
    let user = users::get(tx, payload.user).await?;
    if user.state != "active" || payload.tries >= HALF_TRIES_MAX {
        return Err(half_over());
    }
    Ok((payload, user))
}

/// Whose half session this is.
///
/// # Errors
/// [`Kind::Unauthenticated`] when it is over.
pub async fn half_user(app: &Arc<App>, secret: &str) -> Result<(RealmId, User), Failure> {
    let realm = realm_of(secret).ok_or_else(half_over)?;
    let mut tx = Door::at(app, realm).read().await?;
    Ok((realm, read_half(app, &mut tx, secret).await?.1))
}

/// Takes one of the tries of a half session.
pub(crate) async fn take_half(app: &Arc<App>, secret: &str) -> Result<(RealmId, User), Failure> {
    let (realm, user) = half_user(app, secret).await?;
    let mut tx = Door::at(app, realm).keep(user.home_org).await?;
    let (payload, user) = read_half(app, &mut tx, secret).await?;
    let next = HalfPayload { tries: payload.tries + 1, ..payload };
    attempts::update(&mut tx, &secrets::hash(secret), &serde_json::to_string(&next)?).await?;
    tx.commit().await?;
    Ok((realm, user))
}

/// Ends a half session.
pub(crate) async fn forget_half(app: &Arc<App>, secret: &str) -> Result<(), Failure> {
    let Some(realm) = realm_of(secret) else { return Ok(()) };
    let mut tx = Door::at(app, realm).keep(realm.root()).await?;
    attempts::delete(&mut tx, &secrets::hash(secret)).await?;
    Ok(tx.commit().await?)
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
    let (actor, preview) = (actor_of(app, tx, user.id).await?, Preview::default());
    Ok(Cx { app: app.clone(), actor, realm, context, origin, preview })
}

/// Who holds this cookie. Rights are those of this moment: what was taken away is gone with the next click.
///
/// # Errors
/// [`Kind::Unauthenticated`].
pub async fn by_session(app: &Arc<App>, secret: &str, client: &Client) -> Result<SignedIn, Failure> {
    let ended = || Failure::new(Kind::Unauthenticated, "your session has ended; sign in again");
    let realm = realm_of(secret).ok_or_else(ended)?;
    let mut tx = Door::at(app, realm).read().await?;
    let session = sessions::get(&mut tx, &secrets::hash(secret)).await?.ok_or_else(ended)?;
    let now_us = app.now_us();
    let idle = now_us - session.seen_us;
    if now_us >= session.expires_us || idle >= IDLE_US {
        return Err(ended());
    }
    let user = users::get(&mut tx, session.user).await?;
    let cx = cx_of(app, &mut tx, realm, &user, client, &session).await?;
    provider_rules::check_works(&mut tx, &user).await?;
    provider_rules::check_still_covered(&mut tx, &user, &session.proof).await?;
    let mut limited_to = session.limited_to;
    if limited_to.is_empty() && session.proof != "sso_mfa" {
        let standing = stored_factors::standing(&mut tx, user.id).await?;
        if standing.policy == MfaPolicy::Required && !standing.has_factor {
            limited_to = ENROL.to_owned(); // The rule became stricter while he was signed in.
        }
    }
    drop(tx);
    if idle >= TOUCH_US {
        let mut tx = Door::at(app, realm).keep(user.home_org).await?;
        sessions::touch(&mut tx, &session.secret_hash, now_us).await?;
        tx.commit().await?;
    }
    Ok(SignedIn { cx, user, csrf: session.csrf, limited_to })
}

/// What a user holds at this moment: for programs that act for him in the same process.
///
/// # Errors
/// [`Kind::NotFound`].
pub async fn actor_now(app: &Arc<App>, realm: RealmId, user: base::UserId) -> Result<Arc<access::Actor>, Failure> {
    let mut tx = Door::at(app, realm).read().await?;
    actor_of(app, &mut tx, user).await
}

/// What a proof of somebody who is signed in is counted for: nothing that strangers do delays it.
pub(crate) fn session_try(signed_in: &SignedIn) -> Try {
    Try::Session(signed_in.cx.origin.session.unwrap_or(SessionId(signed_in.user.id.0)))
}

/// Marks a session as freshly proved, under a new secret.
pub(crate) async fn renew(signed_in: &SignedIn, secret: &str, proof: &str) -> Result<String, Failure> {
    let mut tx = signed_in.cx.record_sign_in(signed_in.user.home_org).await?;
    let fresh = renew_in(&mut tx, signed_in, secret, (&signed_in.limited_to, proof)).await?;
    tx.commit().await?;
    Ok(fresh)
}

/// The work of [`renew`] in a transaction that does more.
pub(crate) async fn renew_in(
    tx: &mut Change,
    signed_in: &SignedIn,
    secret: &str,
    (limited_to, proof): (&str, &str),
) -> Result<String, Failure> {
    let cx = &signed_in.cx;
    let fresh = fresh_secret(&cx.app, cx.realm);
    let hashes = (secrets::hash(secret), secrets::hash(&fresh));
    if sessions::prove(tx, &hashes.0, &hashes.1, cx.now_us(), (limited_to, proof)).await? == 0 {
        return Err(Failure::new(Kind::Unauthenticated, "your session has ended; sign in again"));
    }
    let target = signed_in.user.id.to_string();
    let detail = serde_json::json!({ "proof": proof });
    tx.note(signed_in.user.home_org, "session.prove", &target, detail).await?;
    Ok(fresh)
}

/// One's own live sessions, the newest first.
///
/// # Errors
/// [`Failure`].
pub async fn my_sessions(cx: &Cx) -> Result<Vec<Session>, Failure> {
    let mut tx = cx.own(Action::SelfRead).await?;
    Ok(sessions::of_user(&mut tx, cx.user(), cx.now_us()).await?)
}

/// Ends one of one's own sessions.
///
/// # Errors
/// [`Kind::NotFound`].
pub async fn end_session(cx: &Cx, session: SessionId) -> Result<(), Failure> {
    let user = cx.user();
    let mut tx = cx.change_own(Action::SelfUpdate).await?;
    if sessions::delete_named(&mut tx, user, session).await? == 0 {
        return Err(Failure::not_found("session"));
    }
    let home = users::get(&mut tx, user).await?.home_org;
    tx.done(home, "session.end", &session.to_string(), serde_json::json!({})).await
}

/// Ends a session.
///
/// # Errors
/// [`Failure`].
pub async fn sign_out(app: &Arc<App>, secret: &str) -> Result<(), Failure> {
    let Some(realm) = realm_of(secret) else { return Ok(()) };
    let mut tx = Door::at(app, realm).keep(realm.root()).await?;
    sessions::delete(&mut tx, &secrets::hash(secret)).await?;
    Ok(tx.commit().await?)
}
