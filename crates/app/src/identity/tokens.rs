//! API tokens: personal ones with the rights of their owner, programmatic ones of services. Shown once,
//! scoped, ending, revocable.
//!
//! Form: `mh_<kind>_<8 public characters>_<40 characters of secret>_<6 of checksum>`, so that a scanner for
//! leaked secrets knows one when it sees it.

use crate::authority::lockout::all_held;
use crate::authority::{App, Cx, Door, Origin, Preview, actor_of};
use crate::failure::{Failure, Kind};
use crate::sessions::{Client, SignedIn};
use crate::{factors, giving, orgs, people, provider_rules, secrets};
use access::action::SENSITIVE;
use access::policy::{Effect, Policy, Statement};
use access::{Action, Actions, Actor, Binding, Builtin, Context, Identity, PolicyRef, Propagate, TokenScope, UserKind};
use base::{OrgId, TokenId, UserId, World};
use std::sync::Arc;
use store::tokens::{self, Token};
use store::users::{self, User};
use store::{Tx, across, memberships};

const DAY_US: i64 = 86_400_000_000;
/// The time of last use is written at most once a minute.
const TOUCH_US: i64 = 60_000_000;
/// Live tokens of one user at most.
const LIVE_MAX: usize = 50;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What a new token is for.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Its name.
    pub name: String,
    /// Days that it lives.
    pub days: i64,
    /// Only there and below; everywhere its owner may act if left out.
    pub scope_org: Option<OrgId>,
    /// Patterns of actions; `*` for everything that its owner may do.
    pub actions: Vec<String>,
}

impl NewToken {
    /// A token that may do all that its owner may.
    #[must_use]
    pub fn whole(name: &str, days: i64) -> Self {
        Self { name: name.to_owned(), days, scope_org: None, actions: vec!["*".to_owned()] }
    }
}

/// `count` characters of chance, without bias.
fn random_base62(world: &dyn World, count: usize) -> String {
    let mut out = String::new();
    while out.len() < count {
        let mut bytes = [0_u8; 64];
        world.fill_random(&mut bytes);
        // 248 is the largest multiple of 62 below 256: what lies above would favour the first characters.
        let fair = bytes.into_iter().filter(|byte| *byte < 248).map(|byte| ALPHABET[usize::from(byte) % 62]);
        out.extend(fair.map(char::from).take(count - out.len()));
    }
    out
}

fn checksum(text: &str) -> String {
    let mut rest = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, text.as_bytes());
    let mut out = [0_u8; 6];
    for slot in out.iter_mut().rev() {
        *slot = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    out.iter().map(|byte| char::from(*byte)).collect()
}

/// The text of a new token and its public beginning.
fn mint(world: &dyn World, kind: &str) -> (String, String) {
    let prefix = format!("mh_{kind}_{}", random_base62(world, 8));
    let body = format!("{prefix}_{}", random_base62(world, 40));
    let sum = checksum(&body);
    (format!("{body}_{sum}"), prefix)
}

/// Whether a text has the form of a token: a typing error is told apart from a revoked one without asking
/// anybody.
#[must_use]
pub fn is_well_formed(text: &str) -> bool {
    text.rsplit_once('_').is_some_and(|(body, sum)| body.starts_with("mh_") && checksum(body) == sum)
}

async fn check_new(cx: &Cx, tx: &mut Tx, new: &NewToken, home: OrgId) -> Result<(), Failure> {
    orgs::check_name("name", &new.name)?;
    let days_max = store::orgs::get(tx, new.scope_org.unwrap_or(home)).await?.settings.token_days_max;
    if !(1..=days_max).contains(&new.days) {
        return Err(Failure::invalid("days", &new.days.to_string(), format!("must be 1 to {days_max}")));
    }
    if !(1..=100).contains(&new.actions.len()) {
        return Err(Failure::unreadable("actions", "must be 1 to 100 patterns"));
    }
    if let Some(unknown) = new.actions.iter().find(|pattern| Actions::matching(pattern).is_empty()) {
        return Err(Failure::invalid("actions", unknown, "names no action"));
    }
    if let Some(scope) = new.scope_org {
        cx.place(scope).await?;
    }
    Ok(())
}

/// Makes a token of one's own, with one's own rights as they are at each request. Its text is shown once.
///
/// # Errors
/// [`Failure`] naming the field at fault.
pub async fn create(cx: &Cx, new: NewToken) -> Result<(Token, String), Failure> {
    let user = cx.user();
    let mut tx = cx.own(Action::TokenOwn).await?;
    let home = users::get(&mut tx, user).await?.home_org;
    drop(tx);
    if let Some(scope) = new.scope_org {
        cx.allow(Action::TokenOwn, scope).await?;
    }
    if cx.context.token.is_some() {
        return Err(Failure::new(Kind::Forbidden, "a token cannot make tokens; sign in with your password"));
    }
    // What is named in a token needs no further proof: so it needs one now.
    let named = |pattern: &String| Action::from_code(pattern).is_some_and(|action| SENSITIVE.has(action));
    if new.actions.iter().any(named) {
        cx.check_fresh()?;
    }
    if cx.actor.memberships().is_empty() {
        return Err(Failure::new(Kind::Forbidden, "you belong to no organisation; ask an admin to add you"));
    }
    if new.scope_org.is_none() {
        cx.allow(Action::TokenOwn, home).await?;
    }
    let mut tx = cx.change_own(Action::TokenOwn).await?;
    check_new(cx, &mut tx, &new, home).await?;
    let live = tokens::of_user(&mut tx, user).await?;
    if live.iter().filter(|token| token.revoked_us.is_none() && token.expires_us > cx.now_us()).count() >= LIVE_MAX {
        return Err(Failure::conflict("a user can have 50 live tokens; revoke one first"));
    }
    let (token, secret) = token_of(cx, user, "personal", "pat", new);
    tokens::insert(&mut tx, &token).await?;
    let detail = serde_json::json!({ "name": token.name, "actions": token.actions, "scope": token.scope_org });
    tx.done(token.scope_org.unwrap_or(home), "token.create", &token.id.to_string(), detail).await?;
    Ok((token, secret))
}

fn token_of(cx: &Cx, user: UserId, kind: &str, short: &str, new: NewToken) -> (Token, String) {
    let (secret, prefix) = mint(cx.app.world.as_ref(), short);
    let token = Token {
        id: TokenId(cx.app.fresh()),
        user,
        secret_hash: secrets::hash(&secret),
        name: new.name.trim().to_owned(),
        created_us: cx.now_us(),
        expires_us: cx.now_us() + new.days * DAY_US,
        revoked_us: None,
        kind: kind.to_owned(),
        scope_org: new.scope_org,
        actions: new.actions,
        prefix,
        proved_us: cx.context.proved_us,
        last_used_us: None,
        revoke_reason: String::new(),
        created_by: cx.doer(),
    };
    (token, secret)
}

/// Makes a service: a user that is a program, without console and password, at `org`.
///
/// # Errors
/// [`Failure`] naming the field at fault.
pub async fn create_service(cx: &Cx, org: OrgId, name: &str, description: &str) -> Result<User, Failure> {
    orgs::check_name("name", name)?;
    if description.chars().count() > 500 || description.chars().any(char::is_control) {
        return Err(Failure::unreadable("description", "must have at most 500 printable characters"));
    }
    let mut tx = cx.change(Action::TokenCreateProgrammatic, org).await?;
    let user = User::service(UserId(cx.app.fresh()), org, name.trim(), description, cx.now_us());
    users::insert(&mut tx, &user).await?;
    people::join(&mut tx, user.id, org, "local").await?;
    tx.done(org, "service.create", &user.id.to_string(), serde_json::json!({ "name": name })).await?;
    Ok(user)
}

/// Makes a token of a service of `org`. It outlives whoever makes it.
///
/// # Errors
/// [`Failure`] naming the field at fault.
pub async fn create_programmatic(
    cx: &Cx,
    org: OrgId,
    service: UserId,
    new: NewToken,
) -> Result<(Token, String), Failure> {
    let grant = cx.allow(Action::TokenCreateProgrammatic, org).await?;
    let new = NewToken { scope_org: Some(new.scope_org.unwrap_or(org)), ..new };
    let mut tx = cx.change_with(&grant).await?;
    // Whatever is not this organisation's is as unknown as what never was.
    let is_member = memberships::get(&mut tx, service, org).await?.is_some();
    if !is_member || users::get(&mut tx, service).await?.kind != "service" {
        return Err(Failure::not_found("service"));
    }
    let scope = new.scope_org.unwrap_or(org);
    if store::orgs::name_below(&mut tx, org, scope).await?.is_none() {
        return Err(Failure::invalid("scope_org", &scope.to_string(), "is not this organisation or one below it"));
    }
    check_new(cx, &mut tx, &new, org).await?;
    // Whoever makes a token can do all that the service can: they must be able to give it.
    for held in all_held(&mut tx, service).await? {
        giving::check_giving_now(cx, &mut tx, held.policy, held.propagate, held.scope).await?;
    }
    let (token, secret) = token_of(cx, service, "programmatic", "svc", new);
    tokens::insert(&mut tx, &token).await?;
    let detail = serde_json::json!({ "name": token.name, "service": service, "actions": token.actions });
    tx.done(org, "token.create_programmatic", &token.id.to_string(), detail).await?;
    Ok((token, secret))
}

/// The service that all directories of an organisation act as.
const DIRECTORY: (&str, &str) = ("Directory (SCIM)", "provisions users and groups of this organisation");

/// Makes a token of a directory of `org`; [`scim::create_token`] is the way to it.
pub(crate) async fn create_scim(cx: &Cx, org: OrgId, new: NewToken) -> Result<(Token, String), Failure> {
    let mut tx = cx.change(Action::TokenCreateProgrammatic, org).await?;
    check_maker(cx, &mut tx, org).await?;
    check_new(cx, &mut tx, &new, org).await?;
    let mut here = memberships::at_org(&mut tx, org).await?.into_iter().filter(|found| found.source == "directory");
    let owner = match here.next() {
        Some(membership) => membership.user,
        None => {
            let user = User::service(UserId(cx.app.fresh()), org, DIRECTORY.0, DIRECTORY.1, cx.now_us());
            users::insert(&mut tx, &user).await?;
            people::join(&mut tx, user.id, org, "directory").await?;
            user.id
        }
    };
    let (token, secret) = token_of(cx, owner, "scim", "scim", new);
    tokens::insert(&mut tx, &token).await?;
    let detail = serde_json::json!({ "name": token.name });
    tx.done(org, "token.create_scim", &token.id.to_string(), detail).await?;
    Ok((token, secret))
}

/// One's own tokens, the newest first.
///
/// # Errors
/// [`Failure`].
pub async fn mine(cx: &Cx) -> Result<Vec<Token>, Failure> {
    let mut tx = cx.own(Action::SelfRead).await?;
    Ok(tokens::of_user(&mut tx, cx.user()).await?)
}

/// Tokens that are scoped to `org` or below it, of whomever.
///
/// # Errors
/// [`Failure`].
pub async fn list(cx: &Cx, org: OrgId) -> Result<Vec<Token>, Failure> {
    let (grant, span) = cx.span(Action::TokenRead, org).await?;
    let mut tx = cx.read_with(&grant).await?;
    let mut found = tokens::below(&mut tx, org).await?;
    found.retain(|token| token.scope_org.is_some_and(|scope| span.has(scope)));
    Ok(found)
}

/// Revokes one of one's own tokens.
///
/// # Errors
/// [`Kind::NotFound`].
pub async fn revoke_own(cx: &Cx, token: TokenId) -> Result<(), Failure> {
    let user = cx.user();
    let mut tx = cx.change_own(Action::TokenOwn).await?;
    let found = tokens::get(&mut tx, token).await.map_err(|_| Failure::not_found("token"))?;
    if found.user != user || tokens::revoke(&mut tx, token, cx.now_us(), "revoked by its owner").await? == 0 {
        return Err(Failure::not_found("token"));
    }
    let org = match found.scope_org {
        Some(org) => org,
        None => users::get(&mut tx, user).await?.home_org,
    };
    tx.done(org, "token.revoke", &token.to_string(), serde_json::json!({})).await
}

/// Revokes a token that is scoped to `org` or below it.
///
/// # Errors
/// [`Kind::NotFound`].
pub async fn revoke(cx: &Cx, org: OrgId, token: TokenId) -> Result<(), Failure> {
    let (grant, span) = cx.span(Action::TokenRevoke, org).await?;
    let mut tx = cx.change_with(&grant).await?;
    let reached = |found: &Token| found.id == token && found.scope_org.is_some_and(|scope| span.has(scope));
    let known = tokens::below(&mut tx, org).await?.iter().any(reached);
    if !known || tokens::revoke(&mut tx, token, cx.now_us(), "revoked by an admin").await? == 0 {
        return Err(Failure::not_found("token"));
    }
    tx.done(org, "token.revoke", &token.to_string(), serde_json::json!({})).await
}

/// What a token may be used for.
fn scope_of(token: &Token, realm: base::RealmId) -> TokenScope {
    let all = token.actions.iter().fold(Actions::NONE, |set, pattern| set | Actions::matching(pattern));
    let named: Vec<Action> = token.actions.iter().filter_map(|pattern| Action::from_code(pattern)).collect();
    TokenScope {
        org: token.scope_org.unwrap_or_else(|| realm.root()),
        actions: all,
        named: Actions::of(&named),
        kind: match token.kind.as_str() {
            "programmatic" => "programmatic",
            "scim" => "scim",
            _ => "personal",
        },
    }
}

/// Who holds this token.
///
/// # Errors
/// [`Kind::Unauthenticated`].
pub async fn by_token(app: &Arc<App>, text: &str, client: &Client) -> Result<SignedIn, Failure> {
    let bad = || Failure::new(Kind::Unauthenticated, "the token is unknown, revoked or expired");
    let (realm, token) = across::token(&app.store, &secrets::hash(text)).await?.ok_or_else(bad)?;
    let now_us = app.now_us();
    if token.revoked_us.is_some() || token.expires_us <= now_us {
        return Err(bad());
    }
    let mut tx = Door::at(app, realm).read().await?;
    let user = users::get(&mut tx, token.user).await?;
    if user.state != "active" {
        return Err(bad());
    }
    let actor = match (&*token.kind, token.scope_org) {
        ("scim", Some(org)) => Arc::new(directory_actor(&mut tx, &user, org).await?.ok_or_else(bad)?),
        ("scim", None) => return Err(bad()),
        _ => actor_of(app, &mut tx, user.id).await?,
    };
    if token.kind == "personal" {
        provider_rules::check_works(&mut tx, &user).await?;
        factors::check_token(&mut tx, &user).await?;
    }
    drop(tx);
    if token.last_used_us.is_none_or(|at_us| now_us - at_us >= TOUCH_US) {
        let mut tx = Door::at(app, realm).keep(user.home_org).await?;
        tokens::touch(&mut tx, token.id, now_us).await?;
        tx.commit().await?;
    }
    let context = Context { now_us, ip: client.ip, proved_us: token.proved_us, token: Some(scope_of(&token, realm)) };
    let origin = Origin { agent: client.agent.clone(), session: None, token: Some(token.id) };
    let cx = Cx { app: app.clone(), actor, realm, context, origin, preview: Preview::default() };
    Ok(SignedIn { cx, user, csrf: String::new(), limited_to: String::new() })
}

/// Who makes a directory's token must be able to give all that its groups can give.
async fn check_maker(cx: &Cx, tx: &mut Tx, org: OrgId) -> Result<(), Failure> {
    giving::check_giving(cx, tx, PolicyRef::ADMIN, Propagate::Subtree, org).await.map(drop)
}

/// The actor behind a directory's token: it may provision its organisation, and nothing else. `None` when it
/// was taken out of the organisation.
async fn directory_actor(tx: &mut Tx, user: &User, org: OrgId) -> Result<Option<Actor>, Failure> {
    let membership = memberships::get(tx, user.id, org).await?;
    if membership.is_none_or(|found| found.state != "active") {
        return Ok(None);
    }
    let identity = Identity {
        realm: tx.realm(),
        user: user.id,
        kind: UserKind::Service,
        email: String::new(),
        name: user.display_name.clone(),
    };
    let policy = Policy {
        reference: PolicyRef::Builtin(Builtin::Member),
        name: "Directory".to_owned(),
        level: Builtin::Member.level(),
        statements: vec![Statement {
            effect: Effect::Allow,
            actions: Actions::of(&[Action::ScimProvision]),
            resources: Vec::new(),
            conditions: Vec::new(),
        }],
    };
    let binding = Binding { policy: Arc::new(policy), ..Binding::builtin(Builtin::Member, org, Propagate::Here) };
    Ok(Some(Actor::new(identity, vec![org], vec![binding])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::TestWorld;

    #[test]
    fn a_token_has_a_form_that_scanners_know() {
        let world = TestWorld::at("2026-11-01T00:00:00Z", 3);
        let (text, prefix) = mint(&world, "pat");
        assert!(text.starts_with(&prefix) && prefix.len() == "mh_pat_".len() + 8);
        assert_eq!(text.len(), prefix.len() + 1 + 40 + 1 + 6);
        assert!(is_well_formed(&text));
        assert!(!is_well_formed(&text.replace(&text[20..21], "~")));
        assert_ne!(mint(&world, "pat").0, text);
    }
}
