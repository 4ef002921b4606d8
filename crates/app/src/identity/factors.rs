//! Second factors: authenticator apps, passkeys, recovery codes. Set up, shown, used, removed.
//!
//! A code is good once: its step is stored in the transaction that checks it. A passkey's challenge is sealed
//! into the page that asks and written down when it is answered, so that an answer is good once too. Wrong
//! codes count against the same limits as wrong passwords.

use crate::authority::{App, Change, Cx, Door};
use crate::failure::{Failure, Kind};
use crate::sessions::{Client, SignedIn, renew_in, session_try};
use crate::throttle::Try;
use crate::{orgs, secrets, security};
use access::Action;
use access::tree::MfaPolicy;
use base::{FactorId, RealmId};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use identity::recovery::{self as recovery_codes, CODE_BYTES, CODES};
use identity::totp::{self, SECRET_BYTES, Secret, TotpError};
use identity::webauthn::{
    Account, AuthenticationAnswer, Expected, Passkey, RelyingParty, WebauthnError, creation_options, request_options,
    verify_registration,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::attempts::{self, Attempt};
use store::factors::{self, Factor, Standing};
use store::sign_in_trouble::Kind as Trouble;
use store::users::{self, User};
use store::{Tx, across, idps, recovery};

/// What authenticator apps and browsers call this program.
const ISSUER: &str = "Meterhouse";
/// A challenge is good for five minutes.
const CHALLENGE_US: i64 = 5 * 60_000_000;
/// Factors of one person at most.
const FACTORS_MAX: usize = 10;
/// What stands for a sign-in with nothing but a passkey.
const PURPOSE_ALONE: &str = "passkey alone";

/// One's own second factors.
#[derive(Debug, Clone)]
pub struct Mine {
    /// The strictest rule of the organisations one belongs to.
    pub policy: MfaPolicy,
    /// Confirmed factors, the oldest first.
    pub factors: Vec<Factor>,
    /// Recovery codes that are left.
    pub codes_left: usize,
}

async fn standing(cx: &Cx) -> Result<Standing, Failure> {
    let mut tx = cx.own(Action::SelfRead).await?;
    Ok(factors::standing(&mut tx, cx.user()).await?)
}

/// One's own second factors.
///
/// # Errors
/// [`Failure`].
pub async fn mine(cx: &Cx) -> Result<Mine, Failure> {
    let user = cx.user();
    let mut tx = cx.own(Action::SelfRead).await?;
    let policy = factors::standing(&mut tx, user).await?.policy;
    let mut found = factors::of_user(&mut tx, user).await?;
    found.retain(|factor| factor.confirmed);
    Ok(Mine { policy, factors: found, codes_left: recovery::unused(&mut tx, user).await?.len() })
}

/// A token of somebody who must have a second factor and has none rests until he has one. A provider that is
/// trusted with the second factor stands for it.
pub(crate) async fn check_token(tx: &mut Tx, user: &User) -> Result<(), Failure> {
    let found = factors::standing(tx, user.id).await?;
    if found.policy < MfaPolicy::Required || found.has_factor {
        return Ok(());
    }
    let known = idps::of_user(tx, user.id).await?;
    if known.iter().any(|idp| idp.state == "active" && idp.settings.trusted_for_mfa) {
        return Ok(());
    }
    let text = "your organisation requires a second factor: sign in to the console and set one up";
    Err(Failure::new(Kind::Forbidden, text).coded("mfa_required"))
}

/// Only a person at the console who has just proved who he is sets up, changes and removes factors.
fn check_console(cx: &Cx) -> Result<(), Failure> {
    if cx.context.token.is_some() {
        return Err(Failure::new(Kind::Forbidden, "second factors are kept in the console, not with a token"));
    }
    cx.check_fresh()
}

/// Whether one more factor may be set up.
async fn check_adding(cx: &Cx, name: &str) -> Result<(), Failure> {
    check_console(cx)?;
    orgs::check_name("name", name)?;
    if standing(cx).await?.policy == MfaPolicy::Off {
        return Err(Failure::new(Kind::Forbidden, "your organisation has switched second factors off"));
    }
    if mine(cx).await?.factors.len() >= FACTORS_MAX {
        return Err(Failure::conflict(format!("you can have {FACTORS_MAX} factors; remove one first")));
    }
    Ok(())
}

/// An authenticator app that waits for its first code.
#[derive(Clone)]
pub struct TotpSetUp {
    /// The factor to confirm.
    pub id: FactorId,
    /// What its owner calls it.
    pub name: String,
    /// The secret, for typing.
    pub secret: String,
    /// The same as a QR code, one `<svg>` element.
    pub qr_svg: String,
}

/// Begins to set up an authenticator app. One that was begun before and never confirmed is forgotten.
///
/// # Errors
/// [`Failure`] naming the field at fault; [`Kind::StepUp`].
pub async fn begin_totp(cx: &Cx, name: &str) -> Result<TotpSetUp, Failure> {
    check_adding(cx, name).await?;
    let user = cx.user();
    let mut random = [0_u8; SECRET_BYTES];
    cx.app.world.fill_random(&mut random);
    let (id, secret) = (FactorId(cx.app.fresh()), Secret::new(random));
    let factor = Factor {
        id,
        user,
        kind: "totp".to_owned(),
        name: name.trim().to_owned(),
        secret_sealed: cx.app.vault.seal(cx.app.world.as_ref(), &id.to_string(), &secret.to_base32()),
        public_json: "{}".to_owned(),
        credential_hash: String::new(),
        confirmed: false,
        counter: 0,
        created_us: cx.now_us(),
        last_used_us: None,
    };
    let mut tx = cx.keep_with(&cx.allow_own(Action::SelfUpdate)?).await?;
    let account = users::get(&mut tx, user).await?;
    factors::delete_unconfirmed(&mut tx, user).await?;
    factors::insert(&mut tx, &factor).await?;
    tx.commit().await?;
    shown(&factor, &secret, &account)
}

fn shown(factor: &Factor, secret: &Secret, account: &User) -> Result<TotpSetUp, Failure> {
    let named = if account.email.is_empty() { &account.display_name } else { &account.email };
    let uri = secret.provisioning_uri(ISSUER, named);
    let text = secret.to_base32();
    let groups: Vec<&str> = text.as_bytes().chunks(4).filter_map(|chunk| std::str::from_utf8(chunk).ok()).collect();
    Ok(TotpSetUp {
        id: factor.id,
        name: factor.name.clone(),
        secret: groups.join(" "),
        qr_svg: identity::qr::svg(&uri, "QR code for your authenticator app")
            .map_err(|error| Failure::unreadable("name", error))?,
    })
}

/// The authenticator app that waits for its first code, once more.
///
/// # Errors
/// [`Kind::NotFound`] when it was confirmed or forgotten.
pub async fn waiting_totp(cx: &Cx, factor: FactorId) -> Result<TotpSetUp, Failure> {
    check_console(cx)?;
    let user = cx.user();
    let mut tx = cx.own(Action::SelfRead).await?;
    let account = users::get(&mut tx, user).await?;
    let found = waiting(&mut tx, &account, factor).await?;
    shown(&found, &secret_of(&cx.app, &found)?, &account)
}

async fn waiting(tx: &mut Tx, user: &User, factor: FactorId) -> Result<Factor, Failure> {
    let mut found = factors::of_user(tx, user.id).await?.into_iter();
    found
        .find(|found| found.id == factor && found.kind == "totp" && !found.confirmed)
        .ok_or_else(|| Failure::not_found("authenticator app"))
}

fn secret_of(app: &App, factor: &Factor) -> Result<Secret, Failure> {
    let text = app.vault.open(&factor.id.to_string(), &factor.secret_sealed)?;
    Secret::from_base32(&text).map_err(|error| Failure::unreadable("secret", error))
}

/// A factor that was set up.
pub struct Added {
    /// The session goes on under this secret.
    pub secret: String,
    /// Recovery codes, with the first factor only. They are shown this once.
    pub codes: Vec<String>,
}

/// Confirms an authenticator app by its first code.
///
/// # Errors
/// [`Kind::Invalid`] for a wrong code; [`Kind::TooMany`].
pub async fn confirm_totp(signed_in: &SignedIn, secret: &str, factor: FactorId, code: &str) -> Result<Added, Failure> {
    let cx = &signed_in.cx;
    check_console(cx)?;
    let pass = cx.app.throttle.admit(session_try(signed_in), cx.now_us())?;
    let fresh_codes = codes_for_first(cx).await?;
    let mut tx = cx.change_own(Action::SelfUpdate).await?;
    let found = waiting(&mut tx, &signed_in.user, factor).await?;
    let step = totp::verify(&secret_of(&cx.app, &found)?, code, cx.now_us(), None).map_err(wrong_code)?;
    pass.right();
    if factors::advance(&mut tx, factor, found.counter, step, cx.now_us()).await? == 0 {
        return Err(Failure::not_found("authenticator app"));
    }
    let added = added(&mut tx, signed_in, secret, &found, fresh_codes).await?;
    tx.commit().await?;
    Ok(added)
}

/// What is the same for every kind of factor: codes with the first one, a whole session under a new secret,
/// and a line in the log.
async fn added(
    tx: &mut Change,
    signed_in: &SignedIn,
    secret: &str,
    factor: &Factor,
    codes: Option<FreshCodes>,
) -> Result<Added, Failure> {
    let user = &signed_in.user;
    let mut shown = Vec::new();
    if let Some(fresh) = codes {
        recovery::replace(tx, user.id, &fresh.hashes).await?;
        shown = fresh.shown;
    }
    let proof = if factor.kind == "totp" { "code" } else { "passkey" };
    let fresh = renew_in(tx, signed_in, secret, ("", proof)).await?;
    let detail = serde_json::json!({ "kind": factor.kind, "name": factor.name, "recovery_codes": shown.len() });
    tx.note(user.home_org, "factor.add", &factor.id.to_string(), detail).await?;
    Ok(Added { secret: fresh, codes: shown })
}

struct FreshCodes {
    shown: Vec<String>,
    hashes: Vec<String>,
}

async fn fresh_codes(app: &App) -> Result<FreshCodes, Failure> {
    let mut random = [[0_u8; CODE_BYTES]; CODES];
    random.iter_mut().for_each(|bytes| app.world.fill_random(bytes));
    let shown = recovery_codes::codes(&random).to_vec();
    let normal = shown.iter().map(|code| code.replace('-', "")).collect();
    Ok(FreshCodes { hashes: app.passwords.hash_set(app.world.as_ref(), normal).await?, shown })
}

async fn codes_for_first(cx: &Cx) -> Result<Option<FreshCodes>, Failure> {
    if standing(cx).await?.has_factor {
        return Ok(None);
    }
    Ok(Some(fresh_codes(&cx.app).await?))
}

/// Makes ten new recovery codes in the place of the old ones. They are shown this once.
///
/// # Errors
/// [`Kind::Conflict`] without a factor; [`Kind::StepUp`].
pub async fn new_codes(cx: &Cx) -> Result<Vec<String>, Failure> {
    check_console(cx)?;
    let user = cx.user();
    if !standing(cx).await?.has_factor {
        return Err(Failure::conflict("set up an authenticator app or a passkey first"));
    }
    let fresh = fresh_codes(&cx.app).await?;
    let mut tx = cx.change_own(Action::SelfUpdate).await?;
    recovery::replace(&mut tx, user, &fresh.hashes).await?;
    let home = users::get(&mut tx, user).await?.home_org;
    tx.done(home, "recovery_code.renew", &user.to_string(), serde_json::json!({})).await?;
    Ok(fresh.shown)
}

/// Removes one of one's own factors. With the last one the recovery codes go too.
///
/// # Errors
/// [`Kind::Conflict`] when a factor is required and it is the last, when it is the only way to sign in, or when
/// the last admin could not sign in any more; [`Kind::StepUp`].
pub async fn remove(cx: &Cx, factor: FactorId) -> Result<(), Failure> {
    check_console(cx)?;
    let user = cx.user();
    let mut tx = cx.change_own(Action::SelfUpdate).await?;
    let policy = factors::standing(&mut tx, user).await?.policy;
    let mut left = factors::of_user(&mut tx, user).await?;
    let removed = left.iter().position(|found| found.id == factor).map(|index| left.remove(index));
    let removed = removed.ok_or_else(|| Failure::not_found("factor"))?;
    factors::delete(&mut tx, user, factor).await?;
    left.retain(|found| found.confirmed);
    let account = users::get(&mut tx, user).await?;
    if removed.confirmed && left.is_empty() {
        if policy == MfaPolicy::Required {
            return Err(Failure::conflict("your organisation requires a second factor; set up another one first")
                .coded("mfa_required"));
        }
        recovery::delete(&mut tx, user).await?;
    }
    let known = idps::of_user(&mut tx, user).await?.iter().any(|idp| idp.state == "active");
    if account.password_hash.is_empty() && !known && !left.iter().any(|found| found.kind == "passkey") {
        return Err(Failure::conflict("this is your only way to sign in"));
    }
    let detail = serde_json::json!({ "kind": removed.kind, "name": removed.name });
    tx.done(account.home_org, "factor.remove", &factor.to_string(), detail).await
}

fn wrong_code(error: TotpError) -> Failure {
    Failure::unreadable("code", error)
}

/// Checks a code of an authenticator app or a recovery code, once, and says which it was. `tried` is what a wrong one
/// is counted for.
pub(crate) async fn check_code(
    app: &Arc<App>,
    (realm, user): (RealmId, &User),
    code: &str,
    (tried, client): (Try, &Client),
) -> Result<&'static str, Failure> {
    let meant = [(realm, user.clone())];
    let pass = security::admit(app, tried, &meant, client).await?;
    let digits = code.chars().filter(|c| !c.is_whitespace() && *c != '-').take(7).count();
    let (checked, proof) = if digits <= 6 {
        (check_totp(app, realm, user, code).await, "code")
    } else {
        (check_recovery(app, realm, user, code).await, "recovery_code")
    };
    match checked {
        Ok(()) => {
            pass.right();
            Ok(proof)
        }
        Err(failure) if failure.kind == Kind::Invalid => {
            security::failed(app, &meant, client, Trouble::Code).await;
            Err(failure) // It stays counted.
        }
        Err(failure) => {
            pass.unused();
            Err(failure)
        }
    }
}

async fn check_totp(app: &Arc<App>, realm: RealmId, user: &User, code: &str) -> Result<(), Failure> {
    let mut tx = Door::at(app, realm).keep(user.home_org).await?;
    let mut worst = TotpError::Wrong;
    for factor in factors::of_user(&mut tx, user.id).await? {
        if factor.kind != "totp" || !factor.confirmed {
            continue;
        }
        match totp::verify(&secret_of(app, &factor)?, code, app.now_us(), Some(factor.counter)) {
            Ok(step) if factors::advance(&mut tx, factor.id, factor.counter, step, app.now_us()).await? == 1 => {
                return Ok(tx.commit().await?);
            }
            Ok(_) => worst = TotpError::Used,
            Err(TotpError::Wrong) => {}
            Err(error) => worst = error,
        }
    }
    Err(wrong_code(worst))
}

async fn check_recovery(app: &Arc<App>, realm: RealmId, user: &User, code: &str) -> Result<(), Failure> {
    let wrong = || Failure::unreadable("code", "this recovery code is wrong or was used already");
    let code = recovery_codes::normalise(code).map_err(|error| Failure::unreadable("code", error))?;
    let mut tx = Door::at(app, realm).read().await?;
    let hashes = recovery::unused(&mut tx, user.id).await?;
    drop(tx);
    let hash = app.passwords.find(&code, &hashes).await?.ok_or_else(wrong)?;
    let mut tx = Door::of(app, realm, user.id).record(user.home_org).await?;
    if recovery::spend(&mut tx, user.id, &hash, app.now_us()).await? == 0 {
        return Err(wrong());
    }
    let detail = serde_json::json!({ "left": hashes.len() - 1 });
    tx.done(user.home_org, "recovery_code.use", &user.id.to_string(), detail).await
}

/// The options of one of the browser's two calls, and what the form must send back with the answer.
#[derive(Debug, Clone, Default)]
pub struct Ceremony {
    /// JSON for the script.
    pub options: String,
    /// The sealed challenge.
    pub state: String,
}

/// What a browser sent.
#[derive(Clone, Copy)]
pub struct PasskeyAnswer<'a> {
    /// Address of the console as the browser knows it.
    pub console_url: &'a str,
    /// The sealed challenge.
    pub state: &'a str,
    /// The script's answer.
    pub answer: &'a str,
}

/// What is stored of a passkey besides its counter.
#[derive(Serialize, Deserialize)]
struct Public {
    id: String,
    key: String,
    handle: String,
    backup_eligible: bool,
    user_verified: bool,
    aaguid: String,
    transports: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct State {
    challenge: String,
    expires_us: i64,
}

fn party(console_url: &str) -> Result<RelyingParty, Failure> {
    RelyingParty::new(console_url, ISSUER).map_err(|error| Failure::unreadable("passkey", error))
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// What a challenge of a session is for.
pub(crate) fn purpose_session(cx: &Cx, what: &str) -> String {
    format!("passkey {what} {}", cx.origin.session.map(|id| id.to_string()).unwrap_or_default())
}

/// What a challenge of a half session is for.
pub(crate) fn purpose_half(half: &str) -> String {
    format!("passkey half {}", secrets::hash(half))
}

fn challenge(app: &App, purpose: &str) -> ([u8; 32], String) {
    let mut random = [0_u8; 32];
    app.world.fill_random(&mut random);
    let state = State { challenge: URL_SAFE_NO_PAD.encode(random), expires_us: app.now_us() + CHALLENGE_US };
    let text = serde_json::to_string(&state).expect("two plain fields are JSON");
    (random, app.vault.seal(app.world.as_ref(), purpose, &text))
}

fn stale() -> Failure {
    Failure::unreadable("passkey", "this page is out of date; load it again")
}

fn open_challenge(app: &App, purpose: &str, state: &str) -> Result<[u8; 32], Failure> {
    let text = app.vault.open(purpose, state).map_err(|_| stale())?;
    let state: State = serde_json::from_str(&text)?;
    let challenge = decode(&state.challenge).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).ok_or_else(stale)?;
    if state.expires_us <= app.now_us() { Err(stale()) } else { Ok(challenge) }
}

/// Writes down that a challenge was answered: it is good once.
async fn spend(app: &App, tx: &mut Tx, challenge: &[u8; 32]) -> Result<(), Failure> {
    let attempt = Attempt {
        secret_hash: secrets::hash(&URL_SAFE_NO_PAD.encode(challenge)),
        kind: "spent".to_owned(),
        payload_json: "{}".to_owned(),
        expires_us: app.now_us() + CHALLENGE_US,
    };
    attempts::insert(tx, &attempt).await.map_err(|error| match error {
        store::StoreError::Conflict(_) => stale(),
        other => other.into(),
    })
}

fn public_of(factor: &Factor) -> Result<Public, Failure> {
    Ok(serde_json::from_str(&factor.public_json)?)
}

fn credential_hash(id: &[u8]) -> String {
    secrets::hash(&URL_SAFE_NO_PAD.encode(id))
}

/// Begins to add a passkey.
///
/// # Errors
/// [`Failure`] when the console's address is unfit for passkeys; [`Kind::StepUp`].
pub async fn begin_passkey(signed_in: &SignedIn, console_url: &str) -> Result<Ceremony, Failure> {
    let (cx, user) = (&signed_in.cx, &signed_in.user);
    check_adding(cx, "passkey").await?;
    let party = party(console_url)?;
    let mut tx = cx.own(Action::SelfRead).await?;
    let (known, mut handle) = known_passkeys(&mut tx, user).await?;
    drop(tx);
    if handle.is_empty() {
        handle = vec![0; 32];
        cx.app.world.fill_random(&mut handle);
    }
    // The handle goes with the challenge, sealed for it: so it comes back unchanged.
    let (challenge, state) = challenge(&cx.app, &purpose_session(cx, "create"));
    let account = Account { handle: &handle, name: &user.email, display_name: &user.display_name };
    let ids = known.iter().map(Vec::as_slice);
    let options = creation_options(&party, &challenge, account, ids, false)
        .map_err(|error| Failure::unreadable("passkey", error))?;
    let state =
        format!("{state}.{}", cx.app.vault.seal(cx.app.world.as_ref(), &state, &URL_SAFE_NO_PAD.encode(handle)));
    Ok(Ceremony { options: options.to_string(), state })
}

/// Credential ids that a person has, and the handle that all of them share.
async fn known_passkeys(tx: &mut Tx, user: &User) -> Result<(Vec<Vec<u8>>, Vec<u8>), Failure> {
    let (mut known, mut handle) = (Vec::new(), Vec::new());
    for factor in factors::of_user(tx, user.id).await? {
        if factor.kind == "passkey" {
            let public = public_of(&factor)?;
            known.extend(decode(&public.id));
            handle = decode(&public.handle).unwrap_or_default();
        }
    }
    Ok((known, handle))
}

/// Adds a passkey by the browser's answer.
///
/// # Errors
/// [`Kind::Invalid`] naming what is wrong with the answer; [`Kind::StepUp`].
pub async fn add_passkey(
    signed_in: &SignedIn,
    secret: &str,
    name: &str,
    answer: &PasskeyAnswer<'_>,
) -> Result<Added, Failure> {
    let (cx, user) = (&signed_in.cx, &signed_in.user);
    check_adding(cx, name).await?;
    let party = party(answer.console_url)?;
    let (state, handle) = answer.state.split_once('.').ok_or_else(stale)?;
    let handle = cx.app.vault.open(state, handle).map_err(|_| stale())?;
    let challenge = open_challenge(&cx.app, &purpose_session(cx, "create"), state)?;
    let expected = Expected { party: &party, challenge: &challenge, verification_required: false };
    let passkey = verify_registration(&expected, answer.answer).map_err(wrong_passkey)?;
    let credential_hash = credential_hash(&passkey.id);
    if !across::passkeys(&cx.app.store, &credential_hash).await?.is_empty() {
        return Err(Failure::conflict("passkey: this one is known already"));
    }
    let fresh_codes = codes_for_first(cx).await?;
    let factor = passkey_factor(cx, user, name, handle, passkey, credential_hash)?;
    let mut tx = cx.change_own(Action::SelfUpdate).await?;
    spend(&cx.app, &mut tx, &challenge).await?;
    factors::insert(&mut tx, &factor).await?;
    let added = added(&mut tx, signed_in, secret, &factor, fresh_codes).await?;
    tx.commit().await?;
    Ok(added)
}

fn passkey_factor(
    cx: &Cx,
    user: &User,
    name: &str,
    handle: String,
    passkey: Passkey,
    credential_hash: String,
) -> Result<Factor, Failure> {
    let public = Public {
        id: URL_SAFE_NO_PAD.encode(&passkey.id),
        key: URL_SAFE_NO_PAD.encode(&passkey.key_cose),
        handle,
        backup_eligible: passkey.backup_eligible,
        user_verified: passkey.user_verified,
        aaguid: hex::encode(passkey.aaguid),
        transports: passkey.transports,
    };
    Ok(Factor {
        id: FactorId(cx.app.fresh()),
        user: user.id,
        kind: "passkey".to_owned(),
        name: name.trim().to_owned(),
        secret_sealed: String::new(),
        public_json: serde_json::to_string(&public)?,
        credential_hash,
        confirmed: true,
        counter: i64::from(passkey.sign_count),
        created_us: cx.now_us(),
        last_used_us: None,
    })
}

fn wrong_passkey(error: WebauthnError) -> Failure {
    Failure::unreadable("passkey", error)
}

/// Asks for one of the passkeys of whoever holds a half session.
///
/// # Errors
/// [`Failure`].
pub async fn ask_half(app: &Arc<App>, half: &str, console_url: &str) -> Result<Ceremony, Failure> {
    let (realm, user) = crate::sessions::half_user(app, half).await?;
    ask(app, realm, &user, &purpose_half(half), console_url).await
}

/// Asks for one of one's own passkeys, to prove oneself once more.
///
/// # Errors
/// [`Failure`].
pub async fn ask_prove(signed_in: &SignedIn, console_url: &str) -> Result<Ceremony, Failure> {
    let cx = &signed_in.cx;
    ask(&cx.app, cx.realm, &signed_in.user, &purpose_session(cx, "prove"), console_url).await
}

async fn ask(
    app: &Arc<App>,
    realm: RealmId,
    user: &User,
    purpose: &str,
    console_url: &str,
) -> Result<Ceremony, Failure> {
    let mut tx = Door::at(app, realm).read().await?;
    let (known, _) = known_passkeys(&mut tx, user).await?;
    if known.is_empty() {
        return Err(Failure::not_found("passkey"));
    }
    let (challenge, state) = challenge(app, purpose);
    let options = request_options(&party(console_url)?, &challenge, known.iter().map(Vec::as_slice), false);
    Ok(Ceremony { options: options.to_string(), state })
}

/// Asks for any passkey of this console, for a sign-in with nothing else. The state belongs into a cookie.
///
/// # Errors
/// [`Failure`] when the console's address is unfit for passkeys.
pub fn ask_anybody(app: &App, console_url: &str) -> Result<Ceremony, Failure> {
    let (challenge, state) = challenge(app, PURPOSE_ALONE);
    let options = request_options(&party(console_url)?, &challenge, std::iter::empty(), true);
    Ok(Ceremony { options: options.to_string(), state })
}

/// Checks the answer of somebody whose account is known.
pub(crate) async fn check_passkey(
    app: &Arc<App>,
    (realm, user): (RealmId, &User),
    purpose: &str,
    answer: &PasskeyAnswer<'_>,
    tried: Try,
) -> Result<(), Failure> {
    let pass = app.throttle.admit(tried, app.now_us())?;
    let challenge = open_challenge(app, purpose, answer.state)?;
    let read = AuthenticationAnswer::read(answer.answer).map_err(|error| Failure::unreadable("passkey", error))?;
    let party = party(answer.console_url)?;
    let expected = Expected { party: &party, challenge: &challenge, verification_required: false };
    verify(app, realm, user, &expected, &read, false).await?;
    pass.right();
    Ok(())
}

async fn verify(
    app: &Arc<App>,
    realm: RealmId,
    user: &User,
    expected: &Expected<'_>,
    answer: &AuthenticationAnswer,
    is_alone: bool,
) -> Result<(), Failure> {
    let hash = credential_hash(answer.credential_id());
    let mut tx = Door::at(app, realm).keep(user.home_org).await?;
    let mut known = factors::of_user(&mut tx, user.id).await?.into_iter();
    let factor = known.find(|factor| factor.confirmed && factor.kind == "passkey" && factor.credential_hash == hash);
    let factor = factor.ok_or_else(|| Failure::unreadable("passkey", "is not one of yours"))?;
    spend(app, &mut tx, expected.challenge).await?;
    let public = public_of(&factor)?;
    let stored = Passkey {
        id: answer.credential_id().to_vec(),
        key_cose: decode(&public.key).unwrap_or_default(),
        sign_count: u32::try_from(factor.counter).unwrap_or(u32::MAX),
        aaguid: [0; 16],
        backup_eligible: public.backup_eligible,
        backed_up: false,
        user_verified: public.user_verified,
        transports: Vec::new(),
    };
    match answer.verify(expected, &stored, &decode(&public.handle).unwrap_or_default(), is_alone) {
        Ok(used) => {
            let (from, to) = (factor.counter, i64::from(used.sign_count));
            if factors::advance(&mut tx, factor.id, from, to, app.now_us()).await? == 0 {
                return Err(stale());
            }
            Ok(tx.commit().await?)
        }
        Err(error) => {
            tx.commit().await?; // The challenge is spent.
            if let WebauthnError::CounterFell { stored, sent } = &error {
                let detail = serde_json::json!({ "alarm": true, "user": user.id, "stored": stored, "sent": sent });
                let target = factor.id.to_string();
                let alarm = Door::of(app, realm, user.id).record(user.home_org).await?;
                alarm.done(user.home_org, "passkey.counter_fell", &target, detail).await?;
                tracing::warn!(factor = target, %error, "a passkey may have been copied");
            }
            Err(wrong_passkey(error))
        }
    }
}

/// Whose passkey answered, when nobody has said who he is.
pub(crate) async fn owner_of_passkey(
    app: &Arc<App>,
    answer: &PasskeyAnswer<'_>,
    client: &Client,
) -> Result<(RealmId, User), Failure> {
    let unknown = || Failure::new(Kind::Unauthenticated, "this passkey is not known here");
    // Nobody guesses a passkey: it is counted for the work, before any of it is done.
    let pass = app.throttle.admit(Try::Passkey(client.source()), app.now_us())?;
    let challenge = open_challenge(app, PURPOSE_ALONE, answer.state)?;
    let read = AuthenticationAnswer::read(answer.answer).map_err(|error| Failure::unreadable("passkey", error))?;
    let found = across::passkeys(&app.store, &credential_hash(read.credential_id())).await?;
    let (realm, factor) = found.into_iter().next().ok_or_else(unknown)?;
    let mut tx = Door::at(app, realm).read().await?;
    let user = users::get(&mut tx, factor.user).await?;
    drop(tx);
    if user.state != "active" || user.kind != "human" {
        return Err(unknown());
    }
    let party = party(answer.console_url)?;
    let expected = Expected { party: &party, challenge: &challenge, verification_required: true };
    verify(app, realm, &user, &expected, &read, true).await?;
    pass.right();
    Ok((realm, user))
}
