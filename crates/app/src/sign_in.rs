//! Signing in to the console and proving oneself to the API.
//!
//! A password alone is enough only for somebody without a second factor. Who has one gets a half session
//! first: a row of `attempt` with five minutes and five tries, from which a code or a passkey makes a session.
//! Who needs a factor and has none gets a session in which nothing but setting one up is possible.

use crate::authority::{App, Change, Cx, Door, Origin, actor_of};
use crate::failure::{Failure, Kind};
use crate::passwords::Lane;
use crate::people::realm_of;
pub use crate::throttle::Client;
use crate::throttle::Try;
use crate::{factors, idps, secrets, security};
use access::tree::MfaPolicy;
use access::{Action, Context};
use base::{RealmId, SessionId, UserId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::attempts::{self, Attempt};
use store::sessions::{self, Session};
use store::sign_in_trouble::Kind as Trouble;
use store::users::{self, User};
use store::{across, factors as stored_factors};

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

fn wrong() -> Failure {
    Failure::new(Kind::Unauthenticated, "address or password is wrong")
}

/// What the first proof led to.
pub enum Begun {
    /// A session; its secret.
    Whole(String, Box<SignedIn>),
    /// A second factor is wanted; the secret of the half session.
    Half(String),
}

/// Checks address and password. Who has a second factor is asked for it next.
///
/// # Errors
/// [`Kind::Unauthenticated`], the same for unknown people and wrong passwords; [`Kind::TooMany`].
pub async fn begin(app: &Arc<App>, email: &str, password: &str, client: &Client) -> Result<Begun, Failure> {
    let (realm, user) = check_password(app, email, password, client).await?;
    idps::check_password_allowed(app, realm, &user).await?;
    first_proof(app, realm, user, ("password", false), client).await
}

/// Begins a session with a password, for somebody without a second factor.
///
/// # Errors
/// As [`begin`]; [`Kind::Unauthenticated`] with the code `mfa_required` when a second factor is wanted.
pub async fn sign_in(
    app: &Arc<App>,
    email: &str,
    password: &str,
    client: &Client,
) -> Result<(String, SignedIn), Failure> {
    sign_in_with(app, (email, password), "", client).await
}

/// Begins a session with a password and, if the person has a second factor, a code: one of an authenticator
/// app or a recovery code.
///
/// # Errors
/// As [`begin`]; [`Kind::Unauthenticated`] with the code `mfa_required` when a code is wanted and none came.
pub async fn sign_in_with(
    app: &Arc<App>,
    (email, password): (&str, &str),
    code: &str,
    client: &Client,
) -> Result<(String, SignedIn), Failure> {
    match begin(app, email, password, client).await? {
        Begun::Whole(secret, signed_in) => Ok((secret, *signed_in)),
        Begun::Half(half) if code.trim().is_empty() => {
            forget_half(app, &half).await?;
            let text = "code: a code of your authenticator app or a recovery code is wanted too";
            Err(Failure::new(Kind::Unauthenticated, text).coded("mfa_required"))
        }
        Begun::Half(half) => {
            let done = finish_with_code(app, &half, code, client).await;
            forget_half(app, &half).await?;
            done.map_err(|failure| match failure.kind {
                Kind::Invalid => Failure::new(Kind::Unauthenticated, failure.text),
                _ => failure,
            })
        }
    }
}

/// Whose password this is. A try is counted before it is looked at.
pub(crate) async fn check_password(
    app: &Arc<App>,
    email: &str,
    password: &str,
    client: &Client,
) -> Result<(RealmId, User), Failure> {
    let mut meant = across::users_by_email(&app.store, email).await?;
    meant.retain(|(_, user)| user.state == "active" && user.kind == "human");
    compare(app, &meant, (email, password), client).await?.ok_or_else(wrong)
}

/// The account among those meant whose password this is. An address that nobody has costs the same work.
pub(crate) async fn compare(
    app: &Arc<App>,
    meant: &[(RealmId, User)],
    (email, password): (&str, &str),
    client: &Client,
) -> Result<Option<(RealmId, User)>, Failure> {
    let is_known = security::is_known(app, meant, client).await?;
    let lane = if is_known { Lane::Known } else { Lane::Strange(client.source()) };
    let pass = security::admit(app, Try::password(email, client, is_known), meant, client).await?;
    match first_fit(app, meant, password, lane).await {
        Ok(Some(found)) => {
            pass.right();
            Ok(Some(found))
        }
        Ok(None) => {
            security::failed(app, meant, client, Trouble::Password).await;
            Ok(None) // It stays counted.
        }
        Err(failure) => {
            pass.unused();
            Err(failure)
        }
    }
}

async fn first_fit(
    app: &Arc<App>,
    meant: &[(RealmId, User)],
    password: &str,
    lane: Lane,
) -> Result<Option<(RealmId, User)>, Failure> {
    if meant.is_empty() {
        // The same work as for a known address, so that time tells nothing.
        app.passwords.verify(lane, password, "").await?;
    }
    for (realm, user) in meant {
        if app.passwords.verify(lane, password, &user.password_hash).await? {
            return Ok(Some((*realm, user.clone())));
        }
    }
    Ok(None)
}

/// Goes on after a first proof: to a session, to the question for a second factor, or to a session in which
/// only a factor can be set up. `is_two` says that the proof counts as two factors.
pub(crate) async fn first_proof(
    app: &Arc<App>,
    realm: RealmId,
    user: User,
    (proof, is_two): (&str, bool),
    client: &Client,
) -> Result<Begun, Failure> {
    let mut tx = Door::at(app, realm).read().await?;
    let standing = stored_factors::standing(&mut tx, user.id).await?;
    drop(tx);
    if standing.has_factor && !is_two {
        return Ok(Begun::Half(begin_half(app, realm, &user).await?));
    }
    let limited = standing.policy == MfaPolicy::Required && !is_two;
    let (secret, signed_in) =
        begin_session(app, realm, user, client, (if limited { ENROL } else { "" }, proof)).await?;
    Ok(Begun::Whole(secret, Box::new(signed_in)))
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

async fn begin_half(app: &Arc<App>, realm: RealmId, user: &User) -> Result<String, Failure> {
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
async fn take_half(app: &Arc<App>, secret: &str) -> Result<(RealmId, User), Failure> {
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

/// Makes a session of a half one, with a code of an authenticator app or a recovery code.
///
/// # Errors
/// [`Kind::Invalid`] for a wrong code, [`Kind::TooMany`], [`Kind::Unauthenticated`] when it is over.
pub async fn finish_with_code(
    app: &Arc<App>,
    half: &str,
    code: &str,
    client: &Client,
) -> Result<(String, SignedIn), Failure> {
    let (realm, user) = take_half(app, half).await?;
    let proof = factors::check_code(app, (realm, &user), code, (Try::code(&user, client), client)).await?;
    forget_half(app, half).await?;
    begin_session(app, realm, user, client, ("", proof)).await
}

/// Makes a session of a half one, with a passkey.
///
/// # Errors
/// As [`finish_with_code`].
pub async fn finish_with_passkey(
    app: &Arc<App>,
    half: &str,
    answer: &factors::PasskeyAnswer<'_>,
    client: &Client,
) -> Result<(String, SignedIn), Failure> {
    let (realm, user) = take_half(app, half).await?;
    let tried = Try::Passkey(client.source());
    factors::check_passkey(app, (realm, &user), &factors::purpose_half(half), answer, tried).await?;
    forget_half(app, half).await?;
    begin_session(app, realm, user, client, ("", "passkey")).await
}

/// Begins a session with nothing but a passkey: the device has checked its owner, which makes it two factors
/// in one.
///
/// # Errors
/// [`Kind::Unauthenticated`] for an unknown passkey or a wrong answer.
pub async fn sign_in_by_passkey(
    app: &Arc<App>,
    answer: &factors::PasskeyAnswer<'_>,
    client: &Client,
) -> Result<(String, SignedIn), Failure> {
    let (realm, user) = factors::owner_of_passkey(app, answer, client).await?;
    idps::check_password_allowed(app, realm, &user).await?;
    begin_session(app, realm, user, client, ("", "passkey")).await
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
    Ok(Cx { app: app.clone(), actor: actor_of(app, tx, user.id).await?, realm, context, origin })
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
    idps::check_works(&mut tx, &user).await?;
    idps::check_still_covered(&mut tx, &user, &session.proof).await?;
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

/// How somebody proves once more who he is.
pub enum Proof<'a> {
    /// By password: for those without a second factor.
    Password(&'a str),
    /// By a code of an authenticator app or a recovery code.
    Code(&'a str),
    /// By a passkey.
    Passkey(&'a factors::PasskeyAnswer<'a>),
}

/// What somebody can prove himself with once more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ways {
    /// His password.
    pub password: bool,
    /// A code.
    pub code: bool,
    /// A passkey.
    pub passkey: bool,
    /// Name of the identity provider where he can sign in afresh; empty if there is none.
    pub provider: String,
}

/// What the signed-in person can prove himself with once more: a second factor if he has one, else his
/// password; a provider that knows him, where that counts as much.
///
/// # Errors
/// [`Failure`].
pub async fn ways(cx: &Cx) -> Result<Ways, Failure> {
    let user = cx.user();
    let mut tx = cx.own(Action::SelfRead).await?;
    let mut factors = stored_factors::of_user(&mut tx, user).await?;
    factors.retain(|factor| factor.confirmed);
    let account = users::get(&mut tx, user).await?;
    let mut known = store::idps::of_user(&mut tx, user).await?;
    known.retain(|idp| idp.state == "active" && (factors.is_empty() || idp.settings.trusted_for_mfa));
    Ok(Ways {
        password: factors.is_empty() && !account.password_hash.is_empty(),
        code: !factors.is_empty(),
        passkey: factors.iter().any(|factor| factor.kind == "passkey"),
        provider: known.into_iter().next().map(|idp| idp.name).unwrap_or_default(),
    })
}

/// Proves once more who one is: with the second factor by whoever has one, else by password. The session goes
/// on under a new secret, which is the result.
///
/// # Errors
/// [`Kind::Invalid`] for a wrong password or code; [`Kind::TooMany`].
pub async fn prove(app: &Arc<App>, secret: &str, proof: Proof<'_>, client: &Client) -> Result<String, Failure> {
    let signed_in = by_session(app, secret, client).await?;
    let (realm, user) = (signed_in.cx.realm, &signed_in.user);
    let word = match proof {
        Proof::Password(password) => {
            if ways(&signed_in.cx).await?.code {
                return Err(Failure::unreadable("code", "your second factor is asked for here, not your password"));
            }
            check_own_password(&signed_in, password, client).await?;
            "password"
        }
        Proof::Code(code) => factors::check_code(app, (realm, user), code, (session_try(&signed_in), client)).await?,
        Proof::Passkey(answer) => {
            let purpose = factors::purpose_session(&signed_in.cx, "prove");
            factors::check_passkey(app, (realm, user), &purpose, answer, session_try(&signed_in)).await?;
            "passkey"
        }
    };
    renew(&signed_in, secret, word).await
}

async fn check_own_password(signed_in: &SignedIn, password: &str, client: &Client) -> Result<(), Failure> {
    let (app, user) = (&signed_in.cx.app, &signed_in.user);
    let pass = app.throttle.admit(session_try(signed_in), app.now_us())?;
    match app.passwords.verify(Lane::Known, password, &user.password_hash).await {
        Ok(true) => {
            pass.right();
            Ok(())
        }
        Ok(false) => {
            security::failed(app, &[(signed_in.cx.realm, user.clone())], client, Trouble::Password).await;
            Err(Failure::unreadable("password", "is wrong"))
        }
        Err(failure) => {
            pass.unused();
            Err(failure)
        }
    }
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

/// Refuses when the last proof is too old.
pub(crate) fn check_fresh(cx: &Cx) -> Result<(), Failure> {
    if cx.now().is_fresh() {
        return Ok(());
    }
    Err(Failure::new(Kind::StepUp, "prove once more who you are to do this"))
}

/// Sets a new password for oneself. All other sessions end; tokens too, if asked. Who has a second factor must
/// have shown it within the last quarter of an hour.
///
/// # Errors
/// [`Failure`] naming the field at fault; [`Kind::StepUp`].
pub async fn change_password(
    app: &Arc<App>,
    secret: &str,
    (old, new): (&str, &str),
    revoke_tokens: bool,
    client: &Client,
) -> Result<String, Failure> {
    let signed_in = by_session(app, secret, client).await?;
    if ways(&signed_in.cx).await?.code {
        check_fresh(&signed_in.cx)?;
    }
    check_own_password(&signed_in, old, client).await?;
    let user = &signed_in.user;
    crate::passwords::check_new(new, &[&user.display_name, &user.email])?;
    let password_hash = app.passwords.hash(app.world.as_ref(), new).await?;
    let cx = &signed_in.cx;
    let mut tx = cx.change_own(Action::SelfUpdate).await?;
    let fresh = renew_in(&mut tx, &signed_in, secret, (&signed_in.limited_to, "password")).await?;
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
    tx.done(signed_in.user.home_org, "user.change_password", &signed_in.user.id.to_string(), detail).await?;
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
