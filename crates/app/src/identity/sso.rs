//! Signing in with an identity provider: there, back, and what its word makes of a person here.
//!
//! Who somebody is, is the pair of provider and subject. An address links to a person that is here already only
//! if the provider has checked it, if its domain was shown to belong to an organisation that the provider serves,
//! and if that person has nothing outside of this provider's organisation. Everybody else begins as a new person
//! without rights who waits for an admin.

use crate::authority::lockout::covers;
use crate::authority::{App, Change, Door};
use crate::domains::{domain_of, speaks_for};
use crate::failure::{Failure, Kind};
use crate::secrets::realm_of;
use crate::sessions::{Client, SignedIn, renew};
use crate::sign_in::{Begun, first_proof};
use crate::{admins, idps, people, scim, secrets};
use access::Action;
use access::tree::OrgState;
use base::{GroupId, IdpId, OrgId, RealmId, SessionId, UserId};
use identity::oidc::{self, Claims, Expected, Groups, KeySet, Login, OidcError, Pkce, Provider, calls};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::attempts::{self, Attempt};
use store::idps::Idp;
use store::users::{self, User};
use store::{Tx, across, bindings, factors, groups, idps as stored, memberships};

/// A sign-in at a provider must come back within ten minutes.
const ATTEMPT_US: i64 = 10 * 60_000_000;
/// What `amr` says of a second factor (RFC 8176). A text message is none.
const SECOND: [&str; 6] = ["mfa", "otp", "hwk", "swk", "pop", "sc"];
const SCOPES: [&str; 2] = ["email", "profile"];

/// What waits for the provider's answer.
#[derive(Serialize, Deserialize)]
struct Payload {
    idp: IdpId,
    state: String,
    nonce: String,
    verifier: String,
    redirect_uri: String,
    /// The session that is to be proved once more, if it is not a sign-in.
    session: Option<SessionId>,
    next: String,
}

/// Where an address is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// In which tree.
    pub realm: RealmId,
    /// By which provider.
    pub idp: IdpId,
    /// Its name.
    pub name: String,
}

/// The provider that an address is signed in with: the one that serves whoever has shown that the domain is
/// theirs. Only the domain is looked at, so that nobody learns who is here.
///
/// # Errors
/// [`Failure`].
pub async fn route(app: &Arc<App>, email: &str) -> Result<Option<Route>, Failure> {
    let Some(domain) = domain_of(email) else { return Ok(None) };
    for (realm, claim) in across::domain_claims(&app.store, &domain).await? {
        let mut tx = Door::at(app, realm).read().await?;
        let serving = stored::serving(&mut tx, claim.org).await?;
        if let Some(idp) = serving.filter(|idp| idp.state == "active") {
            return Ok(Some(Route { realm, idp: idp.id, name: idp.name }));
        }
    }
    Ok(None)
}

/// A way to a provider.
pub struct Started {
    /// Where the browser goes.
    pub url: String,
    /// What the browser keeps until it comes back.
    pub secret: String,
}

/// Begins to sign in with a provider.
///
/// # Errors
/// [`Kind::Upstream`] with what went wrong.
pub async fn begin(app: &Arc<App>, route: &Route, email: &str, redirect_uri: &str) -> Result<Started, Failure> {
    let mut tx = Door::at(app, route.realm).read().await?;
    let idp = stored::get(&mut tx, route.idp).await?;
    drop(tx);
    start(app, route.realm, &idp, (redirect_uri, Some(email)), (None, "/")).await
}

/// Begins to prove once more who one is, at a provider that knows one. It must ask afresh.
///
/// # Errors
/// [`Kind::NotFound`] when no provider knows one; [`Kind::Upstream`].
pub async fn begin_proof(signed_in: &SignedIn, redirect_uri: &str, next: &str) -> Result<Started, Failure> {
    let cx = &signed_in.cx;
    let mut tx = cx.own(Action::SelfRead).await?;
    let known = stored::of_user(&mut tx, signed_in.user.id).await?;
    let mut found = None;
    for idp in known.into_iter().filter(|idp| idp.state == "active") {
        // Better one that may speak for all that he has.
        if covers(&mut tx, &idp, signed_in.user.id).await? {
            found = Some(idp);
            break;
        }
        found.get_or_insert(idp);
    }
    drop(tx);
    let idp = found.ok_or_else(|| Failure::not_found("identity provider"))?;
    start(&cx.app, cx.realm, &idp, (redirect_uri, None), (cx.origin.session, next)).await
}

async fn start(
    app: &Arc<App>,
    realm: RealmId,
    idp: &Idp,
    (redirect_uri, hint): (&str, Option<&str>),
    (session, next): (Option<SessionId>, &str),
) -> Result<Started, Failure> {
    let (provider, _) = known_provider(app, idp).await?;
    let world = app.world.as_ref();
    let mut random = [0_u8; 32];
    world.fill_random(&mut random);
    let pkce = Pkce::new(&random);
    let payload = Payload {
        idp: idp.id,
        state: secrets::random_text(world, 24),
        nonce: secrets::random_text(world, 24),
        verifier: pkce.verifier,
        redirect_uri: redirect_uri.to_owned(),
        session,
        next: next.to_owned(),
    };
    let scopes = scopes(idp, &provider);
    let login = Login {
        client_id: &idp.client_id,
        redirect_uri,
        scopes: &scopes,
        state: &payload.state,
        nonce: &payload.nonce,
        challenge: &pkce.challenge,
        login_hint: hint.filter(|hint| hint.len() <= 254),
        max_age_s: session.map(|_| 0),
    };
    let url = oidc::authorisation_url(&provider, &login);
    let secret = format!("{realm}.{}", secrets::random_text(world, 32));
    let attempt = Attempt {
        secret_hash: secrets::hash(&secret),
        kind: "oidc".to_owned(),
        payload_json: serde_json::to_string(&payload)?,
        expires_us: app.now_us() + ATTEMPT_US,
    };
    let mut tx = Door::at(app, realm).keep(idp.org).await?;
    attempts::insert(&mut tx, &attempt).await?;
    tx.commit().await?;
    Ok(Started { url, secret })
}

/// The usual scopes, and `groups` where the provider names it and groups are wanted.
fn scopes(idp: &Idp, provider: &Provider) -> Vec<&'static str> {
    let groups = !idp.settings.groups_claim.is_empty() && provider.scopes.iter().any(|scope| scope == "groups");
    SCOPES.into_iter().chain(groups.then_some("groups")).collect()
}

fn failed(idp: &Idp, error: impl std::fmt::Display) -> Failure {
    Failure::new(Kind::Upstream, format!("{}: {error}", idp.name))
}

async fn known_provider(app: &Arc<App>, idp: &Idp) -> Result<(Provider, KeySet), Failure> {
    match app.providers.get(&idp.issuer, app.now_us()) {
        Some(known) => Ok(known),
        None => fetch_provider(app, idp).await,
    }
}

async fn fetch_provider(app: &Arc<App>, idp: &Idp) -> Result<(Provider, KeySet), Failure> {
    let provider = calls::discover(&app.fetcher, &idp.issuer).await.map_err(|error| failed(idp, error))?;
    let (keys, _) = calls::keys(&app.fetcher, &provider).await.map_err(|error| failed(idp, error))?;
    app.providers.put(&idp.issuer, &provider, &keys, app.now_us());
    Ok((provider, keys))
}

/// What came of a sign-in at a provider.
pub enum Finished {
    /// The sign-in goes on.
    SignIn(Begun),
    /// The session was proved once more: its new secret, and the page to go to.
    Proved(String, String),
}

/// Reads the provider's answer and goes on with what was begun. `secret` is what the browser kept, `session` the
/// one it has, with its secret.
///
/// # Errors
/// [`Kind::Unauthenticated`] when nothing was begun in this browser; [`Kind::Upstream`] with what is wrong with the
/// answer; [`Kind::Forbidden`] for somebody who waits to be let in.
pub async fn finish(
    app: &Arc<App>,
    secret: &str,
    query: &str,
    client: &Client,
    session: Option<(&SignedIn, &str)>,
) -> Result<Finished, Failure> {
    let (realm, idp, payload) = take(app, secret).await?;
    let claims = claims(app, &idp, &payload, query).await?;
    let is_two = idp.settings.trusted_for_mfa && is_two_factors(&idp, &claims);
    let proof = if is_two { "sso_mfa" } else { "sso" };
    if payload.session.is_none() {
        let user = admit(app, realm, &idp, &claims).await?;
        note_let_in(app, realm, &idp, &claims.subject).await?;
        return Ok(Finished::SignIn(first_proof(app, realm, user, (proof, is_two), client).await?));
    }
    let mine = session.filter(|(signed_in, _)| signed_in.cx.origin.session == payload.session);
    let (signed_in, session_secret) = mine.ok_or_else(over)?;
    let mut tx = Door::at(app, realm).read().await?;
    let known = stored::user_of(&mut tx, idp.id, &claims.subject).await?;
    let has_factor = factors::standing(&mut tx, signed_in.user.id).await?.has_factor;
    check_covers(&idp, covers(&mut tx, &idp, signed_in.user.id).await?)?;
    drop(tx);
    if known != Some(signed_in.user.id) || (has_factor && !is_two) {
        return Err(Failure::new(Kind::Forbidden, "this proof is not yours, or counts less than your second factor"));
    }
    note_let_in(app, realm, &idp, &claims.subject).await?;
    let fresh = renew(signed_in, session_secret, proof).await?;
    Ok(Finished::Proved(fresh, payload.next))
}

/// Notes that the provider works: only one that let an admin in can be required.
async fn note_let_in(app: &Arc<App>, realm: RealmId, idp: &Idp, subject: &str) -> Result<(), Failure> {
    let mut tx = Door::at(app, realm).keep(idp.org).await?;
    stored::touch_identity(&mut tx, idp.id, subject, app.now_us()).await?;
    Ok(tx.commit().await?)
}

fn over() -> Failure {
    Failure::new(Kind::Unauthenticated, "this sign-in was not begun in this browser, or took too long; begin again")
}

/// Ends the attempt: it is good once, whatever comes of it.
async fn take(app: &Arc<App>, secret: &str) -> Result<(RealmId, Idp, Payload), Failure> {
    let realm = realm_of(secret).ok_or_else(over)?;
    let mut tx = Door::at(app, realm).keep(realm.root()).await?;
    let hash = secrets::hash(secret);
    let found = attempts::get(&mut tx, "oidc", &hash, app.now_us()).await?.ok_or_else(over)?;
    if attempts::delete(&mut tx, &hash).await? == 0 {
        return Err(over());
    }
    let payload: Payload = serde_json::from_str(&found.payload_json)?;
    let idp = stored::get(&mut tx, payload.idp).await.map_err(|_| over())?;
    tx.commit().await?;
    if idp.state != "active" {
        return Err(Failure::new(Kind::Forbidden, format!("{} is switched off", idp.name)));
    }
    Ok((realm, idp, payload))
}

/// What the provider says of the person, verified.
async fn claims(app: &Arc<App>, idp: &Idp, payload: &Payload, query: &str) -> Result<Claims, Failure> {
    let (provider, mut keys) = known_provider(app, idp).await?;
    let code = oidc::read_callback(&provider, &payload.state, query).map_err(|error| failed(idp, error))?;
    let client_secret = app.vault.open(&idp.id.to_string(), &idp.secret_sealed)?;
    let client = oidc::Client { id: &idp.client_id, secret: &client_secret, redirect_uri: &payload.redirect_uri };
    let tokens = calls::exchange(&app.fetcher, &provider, &client, &code, &payload.verifier).await;
    let tokens = tokens.map_err(|error| failed(idp, error))?;
    let groups_claim = Some(idp.settings.groups_claim.as_str()).filter(|name| !name.is_empty());
    let expected = Expected {
        issuer: &idp.issuer,
        client_id: &idp.client_id,
        nonce: &payload.nonce,
        now_us: app.now_us(),
        max_age_s: payload.session.map(|_| 0),
        groups_claim,
    };
    let mut verified = oidc::verify_id_token(&tokens.id_token, &keys, &expected);
    if matches!(verified, Err(OidcError::UnknownKey { .. })) {
        keys = fetch_provider(app, idp).await?.1; // It may have changed its keys: once more.
        verified = oidc::verify_id_token(&tokens.id_token, &keys, &expected);
    }
    let claims = verified.map_err(|error| failed(idp, error))?;
    let is_silent = claims.email.is_none() || (groups_claim.is_some() && claims.groups == Groups::Absent);
    match tokens.access_token.filter(|_| is_silent) {
        Some(token) => calls::complete(&app.fetcher, &provider, claims, &token, groups_claim)
            .await
            .map_err(|error| failed(idp, error)),
        None => Ok(claims),
    }
}

fn is_two_factors(idp: &Idp, claims: &Claims) -> bool {
    claims.methods.iter().any(|method| SECOND.contains(&method.as_str()))
        || claims.context.as_ref().is_some_and(|context| idp.settings.mfa_contexts.contains(context))
}

fn waits(idp: &Idp) -> Failure {
    let text =
        format!("{} knows you, but nobody here does yet: an admin of your organisation must let you in", idp.name);
    Failure::new(Kind::Forbidden, text).coded("pending")
}

/// The person here whom the provider means. New ones are made; memberships and groups follow the provider.
async fn admit(app: &Arc<App>, realm: RealmId, idp: &Idp, claims: &Claims) -> Result<User, Failure> {
    let mut tx = Door::at(app, realm).change(idp.org).await?;
    let user = match stored::user_of(&mut tx, idp.id, &claims.subject).await? {
        Some(user) => users::get(&mut tx, user).await?,
        None => {
            check_open(&mut tx, idp).await?;
            let user = recognise(&mut tx, idp, claims).await?;
            let now_us = tx.now_us();
            stored::add_identity(&mut tx, idp.id, &claims.subject, user.id, now_us).await?;
            user
        }
    };
    if user.state == "pending" {
        if tx.is_noted() {
            tx.commit().await?;
        }
        return Err(waits(idp));
    }
    if user.state != "active" || user.kind != "human" {
        return Err(Failure::new(Kind::Unauthenticated, "this account is suspended"));
    }
    check_covers(idp, covers(&mut tx, idp, user.id).await?)?;
    sync(&mut tx, idp, &user, claims).await?;
    if tx.is_noted() {
        tx.commit().await?; // Else the provider said nothing new.
    }
    Ok(user)
}

/// Nobody new comes into an organisation that is suspended or to be deleted.
async fn check_open(tx: &mut Tx, idp: &Idp) -> Result<(), Failure> {
    let place = store::orgs::place(tx, idp.org).await?;
    if place.suspended_from.is_none() && store::orgs::get(tx, idp.org).await?.state == OrgState::Active {
        return Ok(());
    }
    Err(Failure::new(Kind::Forbidden, "the organisation is suspended; nobody can join it now"))
}

/// Somebody whom the provider names for the first time.
async fn recognise(tx: &mut Change, idp: &Idp, claims: &Claims) -> Result<User, Failure> {
    let email = claims.email.as_deref().filter(|email| people::check_email(email).is_ok());
    let is_checked = claims.email_verified.unwrap_or(idp.settings.vouches_for_domains);
    let spoken_for = match email.filter(|_| is_checked) {
        Some(email) if speaks_for(tx, idp, email).await? => Some(email),
        _ => None,
    };
    let name = shown_name(claims);
    if let Some(email) = spoken_for
        && let Some(user) = with_address(tx, idp, claims, (email, &name)).await?
    {
        return Ok(user);
    }
    make_pending(tx, idp, claims, &name).await
}

/// Somebody with an address that the provider speaks for: who has it here, or whom a directory made for it, or
/// somebody new. `None` when it may not take over who has it.
async fn with_address(
    tx: &mut Change,
    idp: &Idp,
    claims: &Claims,
    (email, name): (&str, &str),
) -> Result<Option<User>, Failure> {
    let mut waiting = Vec::new();
    for (org, row) in scim::waiting_for(tx, idp, email).await? {
        let account = users::get(tx, row.account).await?;
        if may_link(tx, idp, &account).await? {
            waiting.push((org, row));
        }
    }
    let detail = serde_json::json!({ "idp": idp.id, "subject": claims.subject });
    let user = match (users::by_email(tx, email).await?, waiting.first()) {
        (Some(user), _) if may_link(tx, idp, &user).await? => user.id,
        (Some(_), _) => return Ok(None),
        (None, Some((_, row))) => {
            users::set_email(tx, row.account, email).await?;
            row.account
        }
        (None, None) => {
            let user = User::person(UserId(tx.fresh()), idp.org, email, name, String::new(), tx.now_us());
            people::insert(tx, &user).await?;
            tx.note(idp.org, "idp.new_user", &user.id.to_string(), detail).await?;
            return Ok(Some(user));
        }
    };
    // Whom directories made for the same person becomes one with him, unless they have switched him off.
    for (org, row) in waiting.into_iter().filter(|(_, row)| row.account != user && row.suspended.is_empty()) {
        scim::put_in_place(tx, org, row, user).await?;
    }
    tx.note(idp.org, "idp.link", &user.to_string(), detail).await?;
    Ok(Some(users::get(tx, user).await?))
}

fn shown_name(claims: &Claims) -> String {
    let said = claims.name.as_deref().or(claims.email.as_deref()).unwrap_or("unnamed");
    said.chars().filter(|c| !c.is_control() && !base::text::is_hidden(*c)).take(100).collect()
}

/// A provider takes over nobody who has something outside of its organisation, no account for emergencies, and
/// nobody whom it knows by another subject: addresses are given to new people, subjects are not.
async fn may_link(tx: &mut Tx, idp: &Idp, user: &User) -> Result<bool, Failure> {
    // Who is suspended is recognised, so that he is refused and does not wait as somebody new.
    let is_here = ["active", "suspended"].contains(&user.state.as_str());
    if !is_here || user.kind != "human" || users::is_break_glass(tx, user.id).await? {
        return Ok(false);
    }
    if stored::of_user(tx, user.id).await?.iter().any(|known| known.id == idp.id) {
        return Ok(false);
    }
    covers(tx, idp, user.id).await
}

fn check_covers(idp: &Idp, covers: bool) -> Result<(), Failure> {
    if covers {
        return Ok(());
    }
    let text = format!(
        "you have something outside of what {} serves: sign in with your password; an admin can send you a link that \
         sets one",
        idp.name
    );
    Err(Failure::new(Kind::Forbidden, text).coded("outside_provider"))
}

/// Somebody without rights and without an address, who waits for an admin. His description is the address that
/// the provider says, for the admin to read.
async fn make_pending(tx: &mut Change, idp: &Idp, claims: &Claims, name: &str) -> Result<User, Failure> {
    let said: String = claims.email.as_deref().unwrap_or_default().chars().take(254).collect();
    let user = User {
        state: "pending".to_owned(),
        description: said.clone(),
        ..User::person(UserId(tx.fresh()), idp.org, "", name, String::new(), tx.now_us())
    };
    people::insert(tx, &user).await?;
    people::join(tx, user.id, idp.org, "sso").await?;
    memberships::set_state(tx, user.id, idp.org, "suspended").await?;
    let detail = serde_json::json!({
        "idp": idp.id,
        "subject": claims.subject,
        "email": said,
        "email_verified": claims.email_verified,
        "warning": true,
    });
    tx.note(idp.org, "idp.pending_user", &user.id.to_string(), detail).await?;
    Ok(user)
}

/// Brings memberships and groups to what the provider says. Only what came by sign-in is ever taken away.
async fn sync(tx: &mut Change, idp: &Idp, user: &User, claims: &Claims) -> Result<(), Failure> {
    if memberships::get(tx, user.id, idp.org).await?.is_none() {
        people::join(tx, user.id, idp.org, "sso").await?;
        tx.note(idp.org, "idp.join", &user.id.to_string(), serde_json::json!({ "idp": idp.id })).await?;
    }
    let wanted = wanted_groups(tx, idp, user, claims).await?;
    let has: BTreeMap<GroupId, String> =
        groups::of_user(tx, user.id).await?.into_iter().map(|(group, source)| (group.id, source)).collect();
    for group in wanted.iter().filter(|group| !has.contains_key(group)) {
        enter(tx, idp, user, *group).await?;
    }
    if idp.settings.authoritative && matches!(claims.groups, Groups::Named(_)) {
        for (group, _) in has.iter().filter(|(group, source)| *source == "sso" && !wanted.contains(group)) {
            leave(tx, idp, user, *group).await?;
        }
    }
    Ok(())
}

/// The groups that the provider's word leads to. What it may not give is left out, with a warning in the log.
async fn wanted_groups(tx: &mut Change, idp: &Idp, user: &User, claims: &Claims) -> Result<BTreeSet<GroupId>, Failure> {
    let mut asked: BTreeSet<GroupId> = idp.settings.default_groups.iter().copied().collect();
    if let Groups::Named(named) = &claims.groups {
        asked.extend(named.iter().filter_map(|name| idp.settings.group_map.get(name)).flatten());
    }
    let mut wanted = BTreeSet::new();
    for group in asked {
        if idps::is_within(tx, idp.org, group).await? {
            wanted.insert(group);
            continue;
        }
        let detail = serde_json::json!({ "warning": true, "idp": idp.id, "user": user.id });
        tx.note(idp.org, "idp.group_ignored", &group.to_string(), detail).await?;
    }
    Ok(wanted)
}

async fn enter(tx: &mut Change, idp: &Idp, user: &User, group: GroupId) -> Result<(), Failure> {
    let org = groups::get(tx, group).await?.org;
    if memberships::get(tx, user.id, org).await?.is_none() {
        people::join(tx, user.id, org, "sso").await?;
    }
    if groups::members(tx, group).await?.len() >= crate::groups::MEMBERS_MAX {
        let detail =
            serde_json::json!({ "warning": true, "idp": idp.id, "user": user.id, "reason": "the group is full" });
        return tx.note(org, "idp.group_ignored", &group.to_string(), detail).await;
    }
    groups::add_member(tx, group, user.id, "sso").await?;
    for held in bindings::of_group(tx, group).await? {
        admins::note_first(tx, held.scope).await?;
    }
    let detail = serde_json::json!({ "user": user.id, "idp": idp.id });
    tx.note(org, "group.add_member", &group.to_string(), detail).await
}

/// Out of a group at or below the provider's organisation. The last admin stays in it, with a warning: they could
/// not sign in to repair it otherwise.
async fn leave(tx: &mut Change, idp: &Idp, user: &User, group: GroupId) -> Result<(), Failure> {
    let org = groups::get(tx, group).await?.org;
    if !store::orgs::path(tx, org).await?.contains(&idp.org) {
        return Ok(());
    }
    let detail = serde_json::json!({ "user": user.id, "idp": idp.id });
    groups::remove_member(tx, group, user.id).await?;
    if tx.check_lockout().await.is_err() {
        groups::add_member(tx, group, user.id, "sso").await?;
        return tx.note(org, "idp.last_admin_held", &group.to_string(), detail).await;
    }
    tx.note(org, "group.remove_member", &group.to_string(), detail).await?;
    leave_org(tx, idp, user, org).await
}

/// A membership that came with a group goes with the last one, if nothing else was given there.
async fn leave_org(tx: &mut Change, idp: &Idp, user: &User, org: OrgId) -> Result<(), Failure> {
    let came_by_sign_in = memberships::get(tx, user.id, org).await?.is_some_and(|found| found.source == "sso");
    let in_groups = groups::of_user(tx, user.id).await?.iter().any(|(group, _)| group.org == org);
    let has_own = bindings::of_user(tx, user.id).await?.iter().any(|held| held.scope == org);
    if org == idp.org || !came_by_sign_in || in_groups || has_own {
        return Ok(());
    }
    memberships::delete(tx, user.id, org).await?;
    tx.note(org, "user.remove", &user.id.to_string(), serde_json::json!({ "idp": idp.id })).await
}
