//! Signing in to the console and proving oneself to the API.
//!
//! A password alone is enough only for somebody without a second factor. Who has one gets a half session
//! first: a row of `attempt` with five minutes and five tries, from which a code or a passkey makes a session.
//! Who needs a factor and has none gets a session in which nothing but setting one up is possible.

use crate::authority::{App, Cx, Door};
use crate::failure::{Failure, Kind};
use crate::passwords::Lane;
use crate::sessions::{
    Client, ENROL, SignedIn, begin_half, begin_session, by_session, forget_half, renew, renew_in, session_try,
    take_half,
};
use crate::throttle::Try;
use crate::{factors, provider_rules, secrets, security};
use access::Action;
use access::tree::MfaPolicy;
use base::RealmId;
use std::sync::Arc;
use store::sessions;
use store::sign_in_trouble::Kind as Trouble;
use store::users::{self, User};
use store::{across, factors as stored_factors};

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
    provider_rules::check_password_allowed(app, realm, &user).await?;
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
    provider_rules::check_password_allowed(app, realm, &user).await?;
    begin_session(app, realm, user, client, ("", "passkey")).await
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
        signed_in.cx.check_fresh()?;
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
