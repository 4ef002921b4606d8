//! People: who belongs where; adding, suspending, removing, shutting.

use crate::authority::{Change, Cx, Span, SystemCx};
use crate::failure::{Failure, Kind};
use crate::giving::{check_giving, check_giving_now, check_taking_all, give, name_of, now_of, usual_reach};
use crate::{orgs, passwords};
use access::{Action, Grant, PolicyRef, Propagate};
use base::{BindingId, OrgId, UserId};
use serde::Serialize;
use std::collections::BTreeMap;
use store::bindings::{self, Held, Holder};
use store::memberships::{self, Membership};
use store::users::{self, PeopleQuestion, User};
use store::{Tx, groups, keys, sessions, tokens};

/// What names a shut account is replaced after thirty days.
const PSEUDONYMISE_US: i64 = 30 * 86_400_000_000;

pub(crate) fn check_email(email: &str) -> Result<(), Failure> {
    let email = email.trim();
    let good = email.len() <= 254
        && email
            .split_once('@')
            .is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !host.contains('@'))
        && !email.chars().any(|c| c.is_control() || c.is_whitespace())
        && base::text::deceiver(email).is_none()
        && email.rsplit_once('@').is_some_and(|(_, host)| base::text::is_domain(host));
    if good { Ok(()) } else { Err(Failure::invalid("email", email, "is not an address such as ann@example.com")) }
}

/// Adds an account; an address that somebody took in the same moment is a clash.
pub(crate) async fn insert(tx: &mut Tx, user: &User) -> Result<(), Failure> {
    match users::insert(tx, user).await {
        Err(store::StoreError::Conflict(_)) => Err(exists(&user.email)),
        other => Ok(other?),
    }
}

fn exists(email: &str) -> Failure {
    let text = format!("email: {email:?} belongs to somebody in this tree; invite them instead");
    Failure::conflict(text).coded("user_exists_in_tree")
}

/// Nothing opens an account again that was shut, and nothing is given to it.
pub(crate) async fn check_not_shut(tx: &mut Tx, user: UserId) -> Result<(), Failure> {
    match users::get(tx, user).await?.state.as_str() {
        "deprovisioned" => Err(Failure::conflict("this account was shut for good; invite the person anew")),
        _ => Ok(()),
    }
}

/// Makes a user a member of `org`.
pub(crate) async fn join(tx: &mut Change, user: UserId, org: OrgId, source: &str) -> Result<(), Failure> {
    check_not_shut(tx, user).await?;
    let membership = Membership {
        user,
        org,
        state: "active".to_owned(),
        source: source.to_owned(),
        created_us: tx.now_us(),
        created_by: tx.doer().to_owned(),
    };
    if memberships::insert(tx, &membership).await? > 0 {
        return Ok(());
    }
    // They are a member already. Whoever suspended them there did not mean an invitation to end it.
    match memberships::get(tx, user, org).await? {
        Some(found) if found.state == "active" => Ok(()),
        _ => {
            let text = "this person's membership is suspended; resume it instead";
            Err(Failure::conflict(text).coded("membership_suspended"))
        }
    }
}

/// Adds a person without invitation, for the operator and for those who see the whole tree. The password may
/// be left out; then only keys work until one is set by an invitation.
///
/// # Errors
/// [`Failure`] naming the field at fault.
pub async fn add(
    cx: &Cx,
    org: OrgId,
    email: &str,
    name: &str,
    policy: PolicyRef,
    password: Option<&str>,
) -> Result<UserId, Failure> {
    check_email(email)?;
    orgs::check_name("name", name)?;
    let grant = cx.allow(Action::UserInvite, org).await?;
    if !cx.may(Action::UserRead, cx.realm.root()).await {
        // Whether an address is taken in another part of the tree is not his business.
        return Err(Failure::new(Kind::Forbidden, "people are added by invitation"));
    }
    let propagate = usual_reach(policy);
    let password_hash = match password {
        Some(password) => {
            passwords::check_new(password, &[name, email])?;
            cx.app.passwords.hash(cx.app.world.as_ref(), password).await?
        }
        None => String::new(),
    };
    let mut tx = cx.change_with(&grant).await?;
    check_giving_now(cx, &mut tx, policy, propagate, org).await?;
    if users::by_email(&mut tx, email).await?.is_some() {
        return Err(exists(email));
    }
    let user = User::person(UserId(cx.app.fresh()), org, email, name, password_hash, cx.now_us());
    insert(&mut tx, &user).await?;
    join(&mut tx, user.id, org, "local").await?;
    give(&mut tx, Holder::User(user.id), policy, org, propagate).await?;
    tx.done(org, "user.add", &user.id.to_string(), serde_json::json!({ "policy": policy })).await?;
    Ok(user.id)
}

/// Makes somebody who is in the tree already a member of one more organisation.
///
/// # Errors
/// [`Kind::NotFound`] for a person whom the caller cannot see.
pub async fn add_member(cx: &Cx, org: OrgId, user: UserId, policy: PolicyRef) -> Result<(), Failure> {
    let grant = cx.allow(Action::UserInvite, org).await?;
    sees(cx, user).await?;
    let propagate = usual_reach(policy);
    let mut tx = cx.change_with(&grant).await?;
    check_giving_now(cx, &mut tx, policy, propagate, org).await?;
    join(&mut tx, user, org, "local").await?;
    give(&mut tx, Holder::User(user), policy, org, propagate).await?;
    tx.done(org, "user.join", &user.to_string(), serde_json::json!({ "policy": policy })).await?;
    Ok(())
}

/// Whether the caller may see a user somewhere.
async fn sees(cx: &Cx, user: UserId) -> Result<(), Failure> {
    let mut tx = cx.look_around().await?;
    let places = memberships::of_user(&mut tx, user).await?;
    let account = users::get(&mut tx, user).await;
    drop(tx);
    if matches!(account, Err(store::StoreError::NotFound(_))) {
        return Err(Failure::not_found("user"));
    }
    account?;
    // Who belongs nowhere any more is known to those who see the whole tree.
    let root = cx.realm.root();
    if places.is_empty() && cx.may(Action::UserRead, root).await && cx.may_below(Action::UserRead, root).await {
        return Ok(());
    }
    for membership in places {
        if cx.may(Action::UserRead, membership.org).await {
            return Ok(());
        }
    }
    Err(Failure::not_found("user"))
}

/// A policy that a person or a group was given, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Given {
    /// The binding.
    pub id: BindingId,
    /// Which policy.
    pub policy: PolicyRef,
    /// Its name.
    pub name: String,
    /// Where.
    pub org: OrgId,
    /// Name of that organisation.
    pub org_name: String,
    /// How far.
    pub propagate: Propagate,
    /// Until when.
    pub not_after_us: Option<i64>,
    /// Name of the group it came through, if it did.
    pub via: Option<String>,
}

/// A person with what he was given, as far as the viewer may see the places.
#[derive(Debug, Clone, Serialize)]
pub struct Person {
    /// The user.
    #[serde(flatten)]
    pub user: User,
    /// Where he is a member: organisation, its name, state.
    pub memberships: Vec<(OrgId, String, String)>,
    /// What he was given.
    pub given: Vec<Given>,
}

/// People and services at `org` and below that a question asks for, by address.
///
/// # Errors
/// [`Failure`]; [`Kind::Invalid`] when the last one of the page before is no longer there.
pub async fn list(cx: &Cx, org: OrgId, question: &PeopleQuestion) -> Result<Vec<Person>, Failure> {
    let (grant, span) = cx.span(Action::UserRead, org).await?;
    let mut tx = cx.read_with(&grant).await?;
    if let Some(after) = question.after
        && !is_seen(&mut tx, org, after, &span).await?
    {
        return Err(Failure::invalid("cursor", &after.to_string(), "is not of this list; begin again without it"));
    }
    let users = page_of(&mut tx, org, &span, question).await?;
    let mut names = NamesBelow::new(org, span);
    let mut people = Vec::new();
    for user in users {
        people.push(person(&mut tx, user, &mut names).await?);
    }
    Ok(people)
}

/// Those of a page who belong to an organisation that the caller sees, by address.
async fn page_of(tx: &mut Tx, org: OrgId, span: &Span, question: &PeopleQuestion) -> Result<Vec<User>, Failure> {
    Ok(match span {
        Span::Below => users::below(tx, org, question).await?,
        Span::Only(orgs) => users::at(tx, orgs, question).await?,
    })
}

/// Everybody who belongs to an organisation that the caller sees, by address.
pub(crate) async fn all_seen(tx: &mut Tx, org: OrgId, span: &Span) -> Result<Vec<User>, Failure> {
    let mut found: Vec<User> = Vec::new();
    loop {
        let question = PeopleQuestion { after: found.last().map(|user| user.id), ..PeopleQuestion::default() };
        let page = page_of(tx, org, span, &question).await?;
        let is_last = page.len() < users::PEOPLE_MAX;
        found.extend(page);
        if is_last {
            return Ok(found);
        }
    }
}

/// Whether somebody belongs to an organisation that the caller sees.
pub(crate) async fn is_seen(tx: &mut Tx, org: OrgId, user: UserId, span: &Span) -> Result<bool, Failure> {
    match span {
        Span::Below => Ok(users::is_below(tx, user, org).await?),
        Span::Only(orgs) => {
            Ok(memberships::of_user(tx, user).await?.iter().any(|membership| orgs.contains(&membership.org)))
        }
    }
}

/// How many people and services there are at `org` and below that fit a search.
///
/// # Errors
/// [`Failure`].
pub async fn count(cx: &Cx, org: OrgId, question: &PeopleQuestion) -> Result<i64, Failure> {
    let (grant, span) = cx.span(Action::UserRead, org).await?;
    let mut tx = cx.read_with(&grant).await?;
    match span {
        Span::Below => Ok(users::count_below(&mut tx, org, question).await?),
        Span::Only(orgs) => Ok(users::count_at(&mut tx, &orgs, question).await?),
    }
}

/// One of the people at `org` and below.
///
/// # Errors
/// [`Kind::NotFound`].
pub async fn one(cx: &Cx, org: OrgId, user: UserId) -> Result<Person, Failure> {
    let (grant, span) = cx.span(Action::UserRead, org).await?;
    let mut tx = cx.read_with(&grant).await?;
    if !is_seen(&mut tx, org, user, &span).await? {
        return Err(Failure::not_found("user"));
    }
    let found = users::get(&mut tx, user).await?;
    person(&mut tx, found, &mut NamesBelow::new(org, span)).await
}

/// Ids and names of the people and services at `org` and below, by address.
///
/// # Errors
/// [`Failure`].
pub async fn names(cx: &Cx, org: OrgId) -> Result<Vec<(UserId, String)>, Failure> {
    let (grant, span) = cx.span(Action::UserRead, org).await?;
    let mut tx = cx.read_with(&grant).await?;
    match span {
        Span::Below => Ok(users::names_below(&mut tx, org).await?),
        Span::Only(orgs) => Ok(users::names_at(&mut tx, &orgs).await?),
    }
}

/// The first people and services at `org` and below, by address.
///
/// # Errors
/// [`Failure`].
pub async fn first(cx: &Cx, org: OrgId, limit: usize) -> Result<Vec<User>, Failure> {
    seen(cx, org, &PeopleQuestion { limit, ..PeopleQuestion::default() }).await
}

/// The first people and services of `org` itself, by address.
///
/// # Errors
/// [`Failure`].
pub async fn first_here(cx: &Cx, org: OrgId, limit: usize) -> Result<Vec<User>, Failure> {
    let mut tx = cx.read(Action::UserRead, org).await?;
    Ok(users::at(&mut tx, &[org].into(), &PeopleQuestion { limit, ..PeopleQuestion::default() }).await?)
}

async fn seen(cx: &Cx, org: OrgId, question: &PeopleQuestion) -> Result<Vec<User>, Failure> {
    let (grant, span) = cx.span(Action::UserRead, org).await?;
    page_of(&mut cx.read_with(&grant).await?, org, &span, question).await
}

/// Whom a whole address or a whole name means among the people at `org` and below. A part of one means nobody: rights would
/// go to whoever has the longer one.
///
/// # Errors
/// [`Kind::Invalid`] naming `field` when it fits nobody, or several.
pub async fn named(cx: &Cx, org: OrgId, field: &str, text: &str) -> Result<UserId, Failure> {
    let search = text.trim();
    if search.is_empty() {
        return Err(Failure::unreadable(field, "is empty; give an address"));
    }
    let question = PeopleQuestion { search: search.to_owned(), ..PeopleQuestion::default() };
    let found = seen(cx, org, &question).await?;
    let is_meant = |user: &&User| {
        users::email_key(&user.email) == users::email_key(search)
            || user.display_name.to_lowercase() == search.to_lowercase()
    };
    match found.iter().filter(is_meant).collect::<Vec<_>>().as_slice() {
        [user] => Ok(user.id),
        [] => Err(Failure::invalid(field, search, "is neither the address nor the name of anybody here")),
        _ => Err(Failure::invalid(field, search, "is the name of several people; give the address")),
    }
}

/// Services at `org` and below, by name.
///
/// # Errors
/// [`Failure`].
pub async fn services(cx: &Cx, org: OrgId) -> Result<Vec<User>, Failure> {
    let (grant, span) = cx.span(Action::UserRead, org).await?;
    let mut tx = cx.read_with(&grant).await?;
    let mut found = users::services_below(&mut tx, org).await?;
    found.retain(|service| span.has(service.home_org));
    Ok(found)
}

/// Names of the organisations at and below one, each read once; those elsewhere have none.
pub(crate) struct NamesBelow {
    top: OrgId,
    span: Span,
    found: BTreeMap<OrgId, Option<String>>,
}

impl NamesBelow {
    pub(crate) fn new(top: OrgId, span: Span) -> Self {
        Self { top, span, found: BTreeMap::new() }
    }

    async fn get(&mut self, tx: &mut Tx, org: OrgId) -> Result<Option<String>, Failure> {
        if let Some(name) = self.found.get(&org) {
            return Ok(name.clone());
        }
        let name = store::orgs::name_below(tx, self.top, org).await?.filter(|_| self.span.has(org));
        self.found.insert(org, name.clone());
        Ok(name)
    }
}

async fn person(tx: &mut Tx, user: User, names: &mut NamesBelow) -> Result<Person, Failure> {
    let mut places = Vec::new();
    for found in memberships::of_user(tx, user.id).await? {
        if let Some(name) = names.get(tx, found.org).await? {
            places.push((found.org, name, found.state));
        }
    }
    let held = bindings::of_user(tx, user.id).await?;
    let mut given = given_to(tx, held, names, None).await?;
    for (group, _) in groups::of_user(tx, user.id).await? {
        let held = bindings::of_group(tx, group.id).await?;
        given.extend(given_to(tx, held, names, Some(&group.name)).await?);
    }
    Ok(Person { user, memberships: places, given })
}

pub(crate) async fn given_to(
    tx: &mut Tx,
    held: Vec<Held>,
    names: &mut NamesBelow,
    via: Option<&str>,
) -> Result<Vec<Given>, Failure> {
    let mut found = Vec::new();
    for held in held {
        let Some(org_name) = names.get(tx, held.scope).await? else { continue };
        found.push(Given {
            id: held.id,
            policy: held.policy,
            name: name_of(tx, held.policy).await?,
            org: held.scope,
            org_name,
            propagate: held.propagate,
            not_after_us: held.not_after_us,
            via: via.map(str::to_owned),
        });
    }
    Ok(found)
}

/// Takes a person out of `org`: membership, policies, groups. His tokens and S3 keys that hang on it are
/// revoked for good and his sessions end; the person stays, and what he has elsewhere lives on.
///
/// # Errors
/// [`Kind::Conflict`] for the last admin.
pub async fn remove(cx: &Cx, org: OrgId, user: UserId) -> Result<(), Failure> {
    let mut tx = cx.change(Action::UserRemove, org).await?;
    remove_in(cx, &mut tx, org, user).await?;
    tx.commit().await?;
    Ok(())
}

/// The work of [`remove`] in a transaction that holds the realm's epoch.
async fn remove_in(cx: &Cx, tx: &mut Change, org: OrgId, user: UserId) -> Result<(), Failure> {
    // Whoever takes something away must be able to give it: a head cannot remove an admin.
    for held in bindings::at_org(tx, org).await?.into_iter().filter(|held| held.holder == Holder::User(user)) {
        check_giving(cx, tx, held.policy, held.propagate, org).await?;
    }
    for (group, _) in groups::of_user(tx, user).await?.into_iter().filter(|(group, _)| group.org == org) {
        for held in bindings::of_group(tx, group.id).await? {
            check_giving(cx, tx, held.policy, held.propagate, held.scope).await?;
        }
    }
    take_out(tx, org, user).await
}

/// Takes a person out of `org`, whatever he was given there: for [`remove`] and for the organisation's directory.
pub(crate) async fn take_out(tx: &mut Change, org: OrgId, user: UserId) -> Result<(), Failure> {
    let was = memberships::delete(tx, user, org).await?
        + bindings::remove(tx, user, org).await?
        + groups::remove_member_at(tx, org, user).await?;
    if was == 0 {
        return Err(Failure::not_found("user"));
    }
    store::scim::delete_user(tx, org, user).await?;
    let killed = kill_access(tx, user, org, "removed from the organisation").await?;
    rehome(tx, user, org).await?;
    tx.note(org, "user.remove", &user.to_string(), killed).await
}

/// Revokes the tokens and keys of a user at `org` and below that nothing he still has keeps alive, and ends
/// his sessions. Says how many there were.
async fn kill_access(tx: &mut Change, user: UserId, org: OrgId, reason: &str) -> Result<serde_json::Value, Failure> {
    let now_us = tx.now_us();
    let left = store::actors::load_held(tx, user).await?;
    let below: std::collections::BTreeSet<OrgId> =
        store::orgs::subtree(tx, org).await?.into_iter().map(|org| org.id).collect();
    let (mut tokens_revoked, mut keys_revoked) = (0, 0);
    for token in tokens::of_user(tx, user).await?.into_iter().filter(|token| token.revoked_us.is_none()) {
        let dies = match token.scope_org {
            Some(scope) if below.contains(&scope) => {
                let place = store::orgs::place(tx, scope).await?;
                access::decide(&left, &access::Ask::of(Action::TokenOwn), &place, &now_of(now_us)).is_err()
                    && !place.path.iter().any(|org| left.memberships().contains(org))
            }
            Some(_) => false,
            None => left.memberships().is_empty(),
        };
        if dies && token.kind == "personal" {
            tokens_revoked += tokens::revoke(tx, token.id, now_us, reason).await?;
        }
    }
    for key in keys::of_user(tx, user).await?.into_iter().filter(|key| key.revoked_us.is_none()) {
        if below.contains(&key.org) {
            let place = store::orgs::place(tx, key.org).await?;
            if !crate::s3_session::may_use_keys(&left, &place, now_us) {
                keys_revoked += keys::revoke(tx, &key.key_id, now_us).await?;
                tx.forget_key(&key.key_id);
            }
        }
    }
    sessions::delete_of(tx, user).await?;
    Ok(serde_json::json!({ "tokens_revoked": tokens_revoked, "keys_revoked": keys_revoked }))
}

/// A user whose home he left is at home where he still belongs.
async fn rehome(tx: &mut Tx, user: UserId, left: OrgId) -> Result<(), Failure> {
    if users::get(tx, user).await?.home_org == left
        && let Some(next) = memberships::of_user(tx, user).await?.first()
    {
        users::set_home(tx, user, next.org).await?;
    }
    Ok(())
}

/// Takes everybody out of an organisation that is buried. Who belongs nowhere else is shut out for good. Its
/// provider and its domains go as well: they may belong to another organisation next.
pub(crate) async fn clear_org(tx: &mut Change, org: OrgId) -> Result<(), Failure> {
    if let Some(idp) = store::idps::at_org(tx, org).await? {
        store::idps::delete(tx, idp.id).await?;
    }
    store::domains::delete_at(tx, org).await?;
    for membership in memberships::at_org(tx, org).await? {
        let user = membership.user;
        memberships::delete(tx, user, org).await?;
        bindings::remove(tx, user, org).await?;
        groups::remove_member_at(tx, org, user).await?;
        store::scim::delete_user(tx, org, user).await?;
        kill_access(tx, user, org, "the organisation was deleted").await?;
        rehome(tx, user, org).await?;
        if memberships::of_user(tx, user).await?.is_empty() {
            shut(tx, user).await?;
        }
    }
    for group in groups::at_org(tx, org).await? {
        store::scim::delete_group(tx, org, group.id).await?;
        groups::delete(tx, group.id).await?;
    }
    Ok(())
}

/// The right to something at every organisation where a person belongs: whoever changes the account itself needs it
/// at all of them.
pub(crate) async fn allow_everywhere(cx: &Cx, action: Action, user: UserId) -> Result<Grant, Failure> {
    sees(cx, user).await?;
    let mut tx = cx.look_around().await?;
    let places = memberships::of_user(&mut tx, user).await?;
    drop(tx);
    if places.is_empty() {
        return cx.allow(action, cx.realm.root()).await;
    }
    let mut grant = None;
    for membership in &places {
        let allowed = cx.allow(action, membership.org).await.map_err(|failure| match failure.kind {
            Kind::StepUp => failure,
            _ => Failure::new(
                Kind::Forbidden,
                "this person belongs to organisations that you do not run; remove them from yours instead",
            ),
        })?;
        grant = Some(allowed);
    }
    grant.ok_or_else(|| Failure::not_found("user"))
}

/// Who waits is let in or turned away, and nothing else.
fn check_not_waiting(account: &User) -> Result<(), Failure> {
    if account.state == "pending" {
        return Err(Failure::conflict("this person waits: let them in or turn them away on the page Sign-in"));
    }
    Ok(())
}

/// Suspends an account, or opens it again. Memberships and groups stay; tokens and keys rest.
///
/// # Errors
/// [`Kind::Conflict`] for the last admin of an organisation.
pub async fn set_suspended(cx: &Cx, user: UserId, suspended: bool) -> Result<(), Failure> {
    let mut tx = cx.change_with(&allow_everywhere(cx, Action::UserSuspend, user).await?).await?;
    check_taking_all(cx, &mut tx, user).await?;
    set_suspended_in(&mut tx, user, suspended).await?;
    tx.commit().await?;
    Ok(())
}

/// The work of [`set_suspended`] in a transaction that holds the realm's epoch; SCIM does it too.
pub(crate) async fn set_suspended_in(tx: &mut Change, user: UserId, suspended: bool) -> Result<(), Failure> {
    let found = users::get(tx, user).await?;
    if found.state == "deprovisioned" {
        return Err(Failure::conflict("this account was shut for good"));
    }
    check_not_waiting(&found)?;
    users::set_state(tx, user, if suspended { "suspended" } else { "active" }).await?;
    if suspended {
        sessions::delete_of(tx, user).await?;
    }
    let act = if suspended { "user.suspend" } else { "user.resume" };
    tx.note(found.home_org, act, &user.to_string(), serde_json::json!({})).await
}

/// Suspends or opens a membership at one organisation only.
///
/// # Errors
/// [`Kind::Conflict`] for the last admin.
pub async fn set_membership_suspended(cx: &Cx, org: OrgId, user: UserId, suspended: bool) -> Result<(), Failure> {
    let mut tx = cx.change(Action::UserSuspend, org).await?;
    for held in bindings::at_org(&mut tx, org).await?.into_iter().filter(|held| held.holder == Holder::User(user)) {
        check_giving(cx, &mut tx, held.policy, held.propagate, org).await?;
    }
    if memberships::get(&mut tx, user, org).await?.is_some() {
        check_not_waiting(&users::get(&mut tx, user).await?)?;
    }
    let state = if suspended { "suspended" } else { "active" };
    if memberships::set_state(&mut tx, user, org, state).await? == 0 {
        return Err(Failure::not_found("user"));
    }
    let act = if suspended { "membership.suspend" } else { "membership.resume" };
    tx.done(org, act, &user.to_string(), serde_json::json!({})).await?;
    Ok(())
}

/// Shuts an account for good: tokens, keys, sessions, memberships go; what he did stays in the log.
///
/// # Errors
/// [`Kind::Conflict`] for the last admin of an organisation.
pub async fn deprovision(cx: &Cx, user: UserId) -> Result<(), Failure> {
    let mut tx = cx.change_with(&allow_everywhere(cx, Action::UserRemove, user).await?).await?;
    deprovision_in(cx, &mut tx, user).await?;
    tx.commit().await?;
    Ok(())
}

/// The work of [`deprovision`] in a transaction that does more.
pub(crate) async fn deprovision_in(cx: &Cx, tx: &mut Change, user: UserId) -> Result<(), Failure> {
    check_taking_all(cx, tx, user).await?;
    let home = users::get(tx, user).await?.home_org;
    for membership in memberships::of_user(tx, user).await? {
        memberships::delete(tx, user, membership.org).await?;
        groups::remove_member_at(tx, membership.org, user).await?;
        store::scim::delete_user(tx, membership.org, user).await?;
    }
    for held in bindings::of_user(tx, user).await? {
        bindings::delete(tx, &held).await?;
    }
    shut(tx, user).await?;
    tx.note(home, "user.deprovision", &user.to_string(), serde_json::json!({})).await?;
    alert_services(tx, user).await
}

/// Shuts an account for good.
pub(crate) async fn shut(tx: &mut Change, user: UserId) -> Result<(), Failure> {
    let now_us = tx.now_us();
    users::deprovision(tx, user, now_us).await?;
    tokens::revoke_of(tx, user, now_us, "the account was shut").await?;
    for key in keys::of_user(tx, user).await? {
        keys::revoke(tx, &key.key_id, now_us).await?;
        tx.forget_key(&key.key_id);
    }
    Ok(sessions::delete_of(tx, user).await?)
}

/// Tokens of services live on when the person who made them goes; their organisation is told.
async fn alert_services(tx: &mut Change, user: UserId) -> Result<(), Failure> {
    let root = tx.realm().root();
    for token in tokens::below(tx, root).await? {
        let lives = token.kind != "personal" && token.revoked_us.is_none();
        if let (true, Some(org)) = (lives && token.created_by == user.to_string(), token.scope_org) {
            let detail = serde_json::json!({ "creator": user, "name": token.name });
            tx.note(org, "token.creator_gone", &token.id.to_string(), detail).await?;
        }
    }
    Ok(())
}

/// Changes a person's name as shown.
///
/// # Errors
/// [`Failure`] naming the field at fault.
pub async fn rename(cx: &Cx, user: UserId, name: &str) -> Result<(), Failure> {
    orgs::check_name("name", name)?;
    let mut tx = if cx.user() == user {
        cx.change_own(Action::SelfUpdate).await?
    } else {
        cx.change_with(&allow_everywhere(cx, Action::UserUpdate, user).await?).await?
    };
    check_not_shut(&mut tx, user).await?;
    let found = users::get(&mut tx, user).await?;
    users::rename(&mut tx, user, name.trim()).await?;
    let detail = serde_json::json!({ "before": found.display_name, "after": name.trim() });
    tx.done(found.home_org, "user.update", &user.to_string(), detail).await
}

/// Replaces names of accounts that were shut thirty days ago.
pub(crate) async fn forget_names(cx: &SystemCx) -> Result<(), Failure> {
    let mut tx = cx.keep(cx.realm().root()).await?;
    users::pseudonymise_before(&mut tx, cx.now_us() - PSEUDONYMISE_US).await?;
    Ok(tx.commit().await?)
}
