//! Identity providers of organisations: set, tried, switched off, deleted; what hangs on one.

use crate::authority::Cx;
use crate::authority::lockout::{all_held, check_emergency, has_nothing_else, lacks};
use crate::failure::{Failure, Kind};
use crate::{giving, orgs, people, scim};
use access::admins::keeps_admin;
use access::tree::AdminMode;
use access::{Action, PolicyRef, Propagate};
use base::{GroupId, IdpId, OrgId, UserId};
use identity::oidc::{calls, discovery_url};
use std::collections::BTreeSet;
use store::idps::{self, Idp, Settings};
use store::users::{self, User};
use store::{Tx, bindings, groups, memberships, sessions, tokens};

/// Entries of a group mapping at most.
const MAPPED_MAX: usize = 1_000;
/// A sign-in shows for so long that a provider works.
const TRIED_US: i64 = 86_400_000_000;
/// Accounts for emergencies at most.
const BREAK_GLASS_MAX: usize = 3;

/// What is set for a provider. The secret goes in and never comes out.
#[derive(Clone)]
pub struct NewIdp {
    /// Name as shown on the sign-in page.
    pub name: String,
    /// Its issuer, exactly as its discovery document says it.
    pub issuer: String,
    /// Our name there.
    pub client_id: String,
    /// Our secret there; `None` keeps the one that is known.
    pub client_secret: Option<String>,
    /// The rest.
    pub settings: Settings,
    /// Whether it may be used.
    pub active: bool,
}

/// The provider of an organisation.
///
/// # Errors
/// [`Failure`].
pub async fn get(cx: &Cx, org: OrgId) -> Result<Option<Idp>, Failure> {
    let mut tx = cx.read(Action::IdpRead, org).await?;
    Ok(idps::at_org(&mut tx, org).await?)
}

/// Name of the provider that serves an organisation from above, if there is one.
///
/// # Errors
/// [`Failure`].
pub async fn inherited(cx: &Cx, org: OrgId) -> Result<Option<String>, Failure> {
    let mut tx = cx.read(Action::IdpRead, org).await?;
    Ok(idps::serving(&mut tx, org).await?.filter(|idp| idp.org != org).map(|idp| idp.name))
}

/// Issuers that serve everybody: there anybody may carry an address of a domain that is not theirs.
const FOR_EVERYBODY: [&str; 4] = ["/common/", "/organizations/", "/consumers/", "accounts.google.com"];

fn check_new(cx: &Cx, new: &NewIdp) -> Result<(), Failure> {
    if new.settings.vouches_for_domains && FOR_EVERYBODY.iter().any(|part| new.issuer.contains(part)) {
        let reason = "cannot be set for an issuer that serves everybody: name that of your own directory";
        return Err(Failure::unreadable("vouches_for_domains", reason));
    }
    orgs::check_name("name", &new.name)?;
    discovery_url(&new.issuer, &cx.app.outside.allowed).map_err(|error| Failure::unreadable("issuer", error))?;
    let plain = |text: &str, max: usize| text.len() <= max && !text.chars().any(char::is_control);
    if new.client_id.is_empty() || !plain(&new.client_id, 256) {
        return Err(Failure::unreadable("client_id", "must have 1 to 256 printable characters"));
    }
    if !plain(new.client_secret.as_deref().unwrap_or_default(), 1_024) {
        return Err(Failure::unreadable("client_secret", "must have at most 1024 printable characters"));
    }
    let settings = &new.settings;
    if !plain(&settings.groups_claim, 256) {
        return Err(Failure::unreadable("groups_claim", "must have at most 256 printable characters"));
    }
    if settings.group_map.len() > MAPPED_MAX || settings.default_groups.len() > MAPPED_MAX {
        return Err(Failure::unreadable("group_map", format!("must have at most {MAPPED_MAX} entries")));
    }
    if settings.group_map.keys().chain(&settings.mfa_contexts).any(|text| text.is_empty() || !plain(text, 1_024)) {
        return Err(Failure::unreadable("group_map", "has a value that is empty, too long or not printable"));
    }
    Ok(())
}

/// All groups that the settings can bring somebody into.
fn groups_of(settings: &Settings) -> BTreeSet<GroupId> {
    settings.group_map.values().flatten().chain(&settings.default_groups).copied().collect()
}

/// Whether a provider of `org` may bring people into a group: the group, and everything it was given, lies at
/// the organisation or below it.
pub(crate) async fn is_within(tx: &mut Tx, org: OrgId, group: GroupId) -> Result<bool, Failure> {
    let found = match groups::get(tx, group).await {
        Ok(found) => found,
        Err(store::StoreError::NotFound(_)) => return Ok(false),
        Err(other) => return Err(other.into()),
    };
    let scopes = bindings::of_group(tx, group).await?.into_iter().map(|held| held.scope);
    for place in std::iter::once(found.org).chain(scopes) {
        if !store::orgs::path(tx, place).await?.contains(&org) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Who maps a group gives what it has to whoever the provider names: he must be able to give it himself.
async fn check_groups(cx: &Cx, tx: &mut Tx, org: OrgId, settings: &Settings) -> Result<(), Failure> {
    for group in groups_of(settings) {
        if !is_within(tx, org, group).await? {
            let reason = "is not a group of this organisation or one below it";
            return Err(Failure::invalid("group_map", &group.to_string(), reason));
        }
        for held in bindings::of_group(tx, group).await? {
            giving::check_giving(cx, tx, held.policy, held.propagate, held.scope).await?;
        }
    }
    Ok(())
}

/// Sets the provider of an organisation, or changes it. Switched off, it lets nobody in, and whoever can sign
/// in with nothing else is shut out at once.
///
/// # Errors
/// [`Failure`] naming the field at fault; [`Kind::Conflict`] for the last admin.
pub async fn put(cx: &Cx, org: OrgId, new: NewIdp) -> Result<Idp, Failure> {
    check_new(cx, &new)?;
    let mut tx = cx.change(Action::IdpWrite, org).await?;
    // Whose provider it is decides who comes in as whom, as an admin too.
    giving::check_giving(cx, &mut tx, PolicyRef::ADMIN, Propagate::Subtree, org).await?;
    check_groups(cx, &mut tx, org, &new.settings).await?;
    let known = idps::at_org(&mut tx, org).await?;
    let id = known.as_ref().map_or_else(|| IdpId(cx.app.fresh()), |idp| idp.id);
    if let Some(known) = known.as_ref().filter(|known| known.issuer != new.issuer)
        && !idps::users(&mut tx, known.id).await?.is_empty()
    {
        let text = format!("issuer: people are known by {:?}; delete this provider first", known.issuer);
        return Err(Failure::conflict(text));
    }
    let secret_sealed = match (&new.client_secret, &known) {
        (Some(secret), _) => cx.app.vault.seal(cx.app.world.as_ref(), &id.to_string(), secret),
        (None, Some(known)) => known.secret_sealed.clone(),
        (None, None) => cx.app.vault.seal(cx.app.world.as_ref(), &id.to_string(), ""),
    };
    let is_same = known.as_ref().is_some_and(|known| {
        known.issuer == new.issuer && known.client_id == new.client_id && new.client_secret.is_none()
    });
    let set_us = known.as_ref().filter(|_| is_same).map_or_else(|| cx.now_us(), |known| known.set_us);
    let was_required = known.as_ref().is_some_and(is_required);
    let idp = Idp {
        id,
        org,
        name: new.name.trim().to_owned(),
        issuer: new.issuer,
        client_id: new.client_id,
        secret_sealed,
        settings: new.settings,
        state: if new.active { "active" } else { "disabled" }.to_owned(),
        created_us: known.map_or_else(|| cx.now_us(), |idp| idp.created_us),
        set_us,
    };
    if is_required(&idp) && !(was_required && is_same) {
        check_tried(&mut tx, &idp, cx.now_us()).await?;
    }
    idps::put(&mut tx, &idp).await?;
    if org == cx.realm.root() {
        check_emergency(&mut tx, org, cx.now_us()).await?;
    }
    let detail = serde_json::json!({
        "issuer": idp.issuer,
        "client_id": idp.client_id,
        "secret_changed": new.client_secret.is_some(),
        "settings": idp.settings,
        "state": idp.state,
    });
    tx.done(org, "idp.set", &id.to_string(), detail).await?;
    Ok(idp)
}

fn is_required(idp: &Idp) -> bool {
    idp.settings.enforced && idp.state == "active"
}

/// Refuses to require a provider that has let in nobody yet who could repair it: a wrong client secret would shut
/// everybody out.
async fn check_tried(tx: &mut Tx, idp: &Idp, now_us: i64) -> Result<(), Failure> {
    let mut let_in = idps::let_in_since(tx, idp.id, idp.set_us.max(now_us - TRIED_US)).await?;
    let org = store::orgs::get(tx, idp.org).await?;
    let runs_itself = org.settings.admin_mode == AdminMode::Own;
    if runs_itself {
        let admins = bindings::admins(tx, idp.org).await?;
        let_in.retain(|user| admins.iter().any(|admin| admin.user == *user && admin.counts_at(now_us)));
    }
    if !let_in.is_empty() {
        return Ok(());
    }
    let who = if runs_itself { "an admin of" } else { "somebody of" };
    let text = format!(
        "enforced: first set the provider without it, and let {who} {:?} sign in by {:?}; nobody has within the last 24 \
         hours since it was set like this",
        org.name, idp.name
    );
    Err(Failure::conflict(text).coded("sign_in_first").about("enforced"))
}

/// Deletes the provider of an organisation. Tokens and sessions of those who have no other way to sign in end
/// for good.
///
/// # Errors
/// [`Kind::Conflict`] for the last admin.
pub async fn delete(cx: &Cx, org: OrgId) -> Result<(), Failure> {
    let mut tx = cx.change(Action::IdpWrite, org).await?;
    let idp = idps::at_org(&mut tx, org).await?.ok_or_else(|| Failure::not_found("identity provider"))?;
    let known = idps::users(&mut tx, idp.id).await?;
    idps::delete(&mut tx, idp.id).await?;
    let mut stranded = 0;
    for user in known {
        let account = users::get(&mut tx, user).await?;
        if idps::of_user(&mut tx, user).await?.is_empty() && has_nothing_else(&mut tx, &account).await? {
            tokens::revoke_of(&mut tx, user, cx.now_us(), "the identity provider was deleted").await?;
            sessions::delete_of(&mut tx, user).await?;
            stranded += 1;
        }
    }
    let detail = serde_json::json!({ "issuer": idp.issuer, "people_shut_out": stranded });
    tx.done(org, "idp.delete", &idp.id.to_string(), detail).await?;
    Ok(())
}

/// What a provider answered to a test.
#[derive(Debug, Clone)]
pub struct Tested {
    /// Where browsers go.
    pub authorization_endpoint: String,
    /// Where codes become tokens.
    pub token_endpoint: String,
    /// Scopes it names.
    pub scopes: Vec<String>,
}

/// Asks a provider for its discovery document and its keys.
///
/// # Errors
/// [`Kind::Upstream`] with exactly what went wrong.
pub async fn test(cx: &Cx, org: OrgId, issuer: &str) -> Result<Tested, Failure> {
    cx.allow(Action::IdpWrite, org).await?;
    let fetcher = &cx.app.fetcher;
    let wrong = |error: calls::CallError| Failure::new(Kind::Upstream, error.to_string());
    let provider = calls::discover(fetcher, issuer).await.map_err(wrong)?;
    calls::keys(fetcher, &provider).await.map_err(wrong)?;
    Ok(Tested {
        authorization_endpoint: provider.authorization_endpoint,
        token_endpoint: provider.token_endpoint,
        scopes: provider.scopes,
    })
}

/// An admin of the highest organisation, and how he stands to emergencies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emergency {
    /// Who.
    pub user: UserId,
    /// His name.
    pub name: String,
    /// His address.
    pub email: String,
    /// Whether his password works where a provider is enforced.
    pub is_marked: bool,
    /// What he lacks to be marked: a password, a second factor, or nothing.
    pub lacks: &'static str,
}

/// Only the highest organisation has accounts for emergencies.
fn check_root(cx: &Cx, org: OrgId) -> Result<(), Failure> {
    if org == cx.realm.root() {
        return Ok(());
    }
    let reason = "is not the highest organisation; only that one has accounts for emergencies";
    Err(Failure::invalid("org", &org.to_string(), reason))
}

/// The admins of the highest organisation, who can be marked for emergencies.
///
/// # Errors
/// [`Failure`].
pub async fn emergencies(cx: &Cx, org: OrgId) -> Result<Vec<Emergency>, Failure> {
    let grant = cx.allow(Action::IdpRead, org).await?;
    check_root(cx, org)?;
    let mut tx = cx.read_with(&grant).await?;
    let marked: BTreeSet<UserId> = users::break_glass(&mut tx).await?.into_iter().collect();
    let running = bindings::admins(&mut tx, org).await?.into_iter().filter(|admin| admin.counts_at(cx.now_us()));
    let running: BTreeSet<UserId> = running.map(|admin| admin.user).chain(marked.iter().copied()).collect();
    let mut found = Vec::new();
    for user in running {
        let account = users::get(&mut tx, user).await?;
        let lacks = lacks(&mut tx, &account).await?;
        let is_marked = marked.contains(&user);
        found.push(Emergency { user, name: account.display_name, email: account.email, is_marked, lacks });
    }
    Ok(found)
}

/// Marks an admin of the highest organisation for emergencies, or takes the mark away: his password works where a
/// provider is enforced. Three at most; each use is an alarm in the audit log. Only who holds all that an
/// Organization Admin does can do so.
///
/// # Errors
/// [`Failure`] naming what is missing.
pub async fn set_emergency(cx: &Cx, org: OrgId, user: UserId, on: bool) -> Result<(), Failure> {
    let grant = cx.allow(Action::IdpWrite, org).await?;
    check_root(cx, org)?;
    let mut tx = cx.change_with(&grant).await?;
    giving::check_giving(cx, &mut tx, PolicyRef::ADMIN, Propagate::Subtree, org).await?;
    let account = users::get(&mut tx, user).await?;
    if on {
        check_markable(cx, &mut tx, org, &account).await?;
    }
    users::set_break_glass(&mut tx, user, on).await?;
    check_emergency(&mut tx, org, cx.now_us()).await?;
    let detail = serde_json::json!({ "on": on });
    tx.done(org, "break_glass.set", &user.to_string(), detail).await
}

async fn check_markable(cx: &Cx, tx: &mut Tx, root: OrgId, account: &User) -> Result<(), Failure> {
    let marked = users::break_glass(tx).await?;
    if marked.len() >= BREAK_GLASS_MAX && !marked.contains(&account.id) {
        return Err(Failure::conflict(format!(
            "{BREAK_GLASS_MAX} accounts are marked already; take a mark away first"
        )));
    }
    let mut admins = bindings::admins(tx, root).await?;
    admins.retain(|admin| admin.user == account.id);
    if !keeps_admin(&admins, cx.now_us()) {
        let name = &account.display_name;
        return Err(Failure::conflict(format!("{name:?} is not an admin of the highest organisation")));
    }
    match lacks(tx, account).await? {
        "" => Ok(()),
        lacks => Err(Failure::conflict(format!("{:?} has to set up {lacks} first", account.display_name))),
    }
}

/// People who signed in with a provider and wait for an admin of `org` to let them in.
///
/// # Errors
/// [`Failure`].
pub async fn pending(cx: &Cx, org: OrgId) -> Result<Vec<User>, Failure> {
    let mut tx = cx.read(Action::UserRead, org).await?;
    let mut found = Vec::new();
    for membership in memberships::at_org(&mut tx, org).await? {
        let user = users::get(&mut tx, membership.user).await?;
        if user.state == "pending" {
            found.push(user);
        }
    }
    Ok(found)
}

/// Lets somebody in who waits. If a directory made an account for the address that his provider says, he is let
/// into that one, and who lets him in must be able to give what it has. Says which account it is.
///
/// # Errors
/// [`Kind::NotFound`] when nobody of this id waits there.
pub async fn let_in(cx: &Cx, org: OrgId, user: UserId) -> Result<UserId, Failure> {
    let mut tx = cx.change(Action::UserInvite, org).await?;
    let account = pending_at(&mut tx, org, user).await?;
    let is_known = idps::of_user(&mut tx, user).await?.into_iter().next();
    let waiting = match &is_known {
        Some(idp) if !account.description.is_empty() => scim::waiting_for(&mut tx, idp, &account.description).await?,
        _ => Vec::new(),
    };
    let mut becomes = user;
    for (directory, row) in waiting.into_iter().filter(|(_, row)| row.suspended.is_empty()) {
        for held in all_held(&mut tx, row.account).await? {
            giving::check_giving_now(cx, &mut tx, held.policy, held.propagate, held.scope).await?;
        }
        if becomes == user {
            becomes = row.account;
            idps::move_identities(&mut tx, user, becomes).await?;
        } else {
            scim::put_in_place(&mut tx, directory, row, becomes).await?;
        }
    }
    if becomes == user {
        users::set_state(&mut tx, user, "active").await?;
        memberships::set_state(&mut tx, user, org, "active").await?;
    } else {
        memberships::delete(&mut tx, user, org).await?;
        people::shut(&mut tx, user).await?;
    }
    let detail = serde_json::json!({ "said": account.description, "account": becomes });
    tx.done(org, "idp.let_in", &user.to_string(), detail).await?;
    Ok(becomes)
}

/// Turns somebody away who waits. Nothing is kept of him, so that he may ask again.
///
/// # Errors
/// [`Kind::NotFound`] when nobody of this id waits there.
pub async fn turn_away(cx: &Cx, org: OrgId, user: UserId) -> Result<(), Failure> {
    let mut tx = cx.change(Action::UserInvite, org).await?;
    let account = pending_at(&mut tx, org, user).await?;
    idps::forget_identities(&mut tx, user).await?;
    memberships::delete(&mut tx, user, org).await?;
    people::shut(&mut tx, user).await?;
    let detail = serde_json::json!({ "said": account.description });
    tx.done(org, "idp.turn_away", &user.to_string(), detail).await
}

async fn pending_at(tx: &mut Tx, org: OrgId, user: UserId) -> Result<User, Failure> {
    if memberships::get(tx, user, org).await?.is_none() {
        return Err(Failure::not_found("user"));
    }
    let account = users::get(tx, user).await?;
    if account.state == "pending" { Ok(account) } else { Err(Failure::not_found("user")) }
}
