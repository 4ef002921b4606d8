//! People: invite, join, give and take policies, suspend, remove.

use crate::authority::lockout::all_held;
use crate::authority::{App, Change, Cx, Door, Span, SystemCx, actor_of};
use crate::failure::{Failure, Kind};
use crate::sign_in::{self, Client, check_fresh};
use crate::{admins, orgs, passwords, policies, scim, secrets};
use access::action::SENSITIVE;
use access::{Action, Actions, Actor, Builtin, Context, Grant, Place, PolicyRef, Propagate, may_give};
use base::{BindingId, InvitationId, OrgId, RealmId, UserId};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::bindings::{self, Held, Holder};
use store::invitations::{self, Invitation};
use store::memberships::{self, Membership};
use store::users::{self, PeopleQuestion, User};
use store::{Tx, groups, keys, sessions, tokens};

const DAY_US: i64 = 86_400_000_000;
/// An invitation lives for seven days.
const INVITATION_US: i64 = 7 * DAY_US;
/// What names a shut account is replaced after thirty days.
const PSEUDONYMISE_US: i64 = 30 * DAY_US;

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

/// Reads the word of a built-in policy or the id of a custom one.
///
/// # Errors
/// [`Failure`] naming the words there are.
pub fn parse_policy(text: &str) -> Result<PolicyRef, Failure> {
    Ok(text.parse()?)
}

/// How far a policy reaches if nobody says: as far as it may.
#[must_use]
pub fn usual_reach(policy: PolicyRef) -> Propagate {
    match policy {
        PolicyRef::Builtin(builtin) => builtin.reaches()[0],
        PolicyRef::Custom(_) => Propagate::Subtree,
    }
}

/// Nobody gives what he does not hold, and nobody takes what he could not give.
pub(crate) fn check_reach(
    actor: &Actor,
    rights: Actions,
    propagate: Propagate,
    place: &Place,
    context: &Context,
) -> Result<(), Failure> {
    may_give(actor, rights, propagate, place, context).map_err(|action| {
        Failure::new(Kind::Forbidden, format!("you cannot give or take {}, which you do not hold there", action.code()))
    })
}

/// Checks that a policy can be given at a place by the caller; says which rights it gives or denies.
pub(crate) async fn check_giving(
    cx: &Cx,
    tx: &mut Tx,
    policy: PolicyRef,
    propagate: Propagate,
    org: OrgId,
) -> Result<Actions, Failure> {
    if let PolicyRef::Builtin(builtin) = policy
        && !builtin.reaches().contains(&propagate)
    {
        let reason = format!("is not how far {} reaches", builtin.code());
        return Err(Failure::invalid("propagate", propagate.code(), reason));
    }
    let (allows, denies) = policies::rights_of(tx, policy, org).await?;
    // Who gives a denial takes rights away from others: he must hold them as well.
    check_reach(&cx.actor, allows | denies, propagate, &*cx.place(org).await?, &cx.now())?;
    Ok(allows | denies)
}

/// As [`check_giving`], when it is done now: rights that want a fresh proof of identity want one to be given as
/// well, by whichever way they come to somebody.
pub(crate) async fn check_giving_now(
    cx: &Cx,
    tx: &mut Tx,
    policy: PolicyRef,
    propagate: Propagate,
    org: OrgId,
) -> Result<(), Failure> {
    let rights = check_giving(cx, tx, policy, propagate, org).await?;
    if !(rights & SENSITIVE).is_empty() { check_fresh(cx) } else { Ok(()) }
}

/// Invites somebody to `org`. The secret of the link is shown once. Whether the address belongs to somebody
/// already is not told.
///
/// # Errors
/// [`Failure`] naming the field at fault.
pub async fn invite(
    cx: &Cx,
    org: OrgId,
    email: &str,
    policy: PolicyRef,
    propagate: Propagate,
) -> Result<(Invitation, String), Failure> {
    check_email(email)?;
    let grant = cx.allow(Action::UserInvite, org).await?;
    let secret = format!("{}.{}", cx.realm, secrets::random_text(cx.app.world.as_ref(), 32));
    let invitation = Invitation {
        id: InvitationId(cx.app.fresh()),
        org,
        email: email.trim().to_owned(),
        policy,
        propagate,
        secret_hash: secrets::hash(&secret),
        invited_by: cx.user(),
        state: "pending".to_owned(),
        created_us: cx.now_us(),
        expires_us: cx.now_us() + INVITATION_US,
    };
    let mut tx = cx.change_with(&grant).await?;
    check_giving_now(cx, &mut tx, policy, propagate, org).await?;
    invitations::insert(&mut tx, &invitation).await?;
    let detail = serde_json::json!({ "email": invitation.email, "policy": policy, "propagate": propagate });
    tx.done(org, "user.invite", &invitation.id.to_string(), detail).await?;
    Ok((invitation, secret))
}

/// Withdraws an invitation.
///
/// # Errors
/// [`Kind::Gone`] when it was used or withdrawn before.
pub async fn cancel_invitation(cx: &Cx, org: OrgId, invitation: InvitationId) -> Result<(), Failure> {
    let mut tx = cx.change(Action::UserInvite, org).await?;
    let waiting = invitations::pending_at(&mut tx, org).await?;
    if !waiting.iter().any(|found| found.id == invitation) {
        return Err(Failure::not_found("invitation"));
    }
    invitations::settle(&mut tx, invitation, "cancelled").await?;
    tx.done(org, "user.uninvite", &invitation.to_string(), serde_json::json!({})).await
}

/// Splits `rlm_….secret`.
pub(crate) fn realm_of(secret: &str) -> Option<RealmId> {
    secret.split_once('.').and_then(|(realm, _)| realm.parse().ok())
}

fn gone() -> Failure {
    Failure::new(Kind::Gone, "this invitation was used, withdrawn or is too old; ask for a new one")
}

async fn pending(app: &Arc<App>, secret: &str) -> Result<(Door, Invitation), Failure> {
    let realm = realm_of(secret).ok_or_else(gone)?;
    let door = Door::at(app, realm);
    let mut tx = door.read().await?;
    let found = invitations::by_secret(&mut tx, &secrets::hash(secret)).await?.ok_or_else(gone)?;
    if found.state != "pending" || found.expires_us <= app.now_us() {
        return Err(gone());
    }
    Ok((door, found))
}

/// Declines an invitation.
///
/// # Errors
/// [`Kind::Gone`].
pub async fn decline(app: &Arc<App>, secret: &str) -> Result<(), Failure> {
    let (door, found) = pending(app, secret).await?;
    let mut tx = door.record(found.org).await?;
    if invitations::settle(&mut tx, found.id, "declined").await? == 0 {
        return Err(gone());
    }
    tx.done(found.org, "user.decline", &found.id.to_string(), serde_json::json!({})).await
}

/// Who accepts an invitation.
#[derive(Debug, Clone)]
pub struct Joiner<'a> {
    /// His address, if he says one: another one than the invited is refused.
    pub email: Option<&'a str>,
    /// His name, if he is new.
    pub name: &'a str,
    /// His password: the one he has, or a new one.
    pub password: &'a str,
    /// From where: a password that an account has already is not tried without limit.
    pub client: Client,
}

/// Joins by an invitation. A person who is in the realm already keeps his one account and must give
/// its password; somebody new sets one. What the inviter may no longer give is refused.
///
/// # Errors
/// [`Kind::Gone`] for a used or expired link, else [`Failure`] naming the field at fault.
pub async fn accept(app: &Arc<App>, secret: &str, joiner: Joiner<'_>) -> Result<(RealmId, UserId), Failure> {
    let (door, found) = pending(app, secret).await?;
    let realm = door.realm();
    if joiner.email.is_some_and(|email| users::email_key(email) != users::email_key(&found.email)) {
        return Err(Failure::new(Kind::Forbidden, "this invitation was sent to another address"));
    }
    let mut tx = door.read().await?;
    let known = users::by_email(&mut tx, &found.email).await?;
    let waiting = scim::waiting(&mut tx, found.org, &found.email).await?;
    drop(tx);
    // An account that a directory made is taken over by who sets its first password.
    let takes_over = waiting.as_ref().is_some_and(|row| known.as_ref().is_none_or(|user| user.id == row.account));
    let password_hash = match known.as_ref().filter(|_| !takes_over) {
        Some(user) => {
            let meant = [(realm, user.clone())];
            let typed = (found.email.as_str(), joiner.password);
            if sign_in::compare(app, &meant, typed, &joiner.client).await?.is_none() {
                return Err(Failure::unreadable("password", "is not the one of your account here"));
            }
            user.password_hash.clone()
        }
        None => {
            orgs::check_name("name", joiner.name)?;
            passwords::check_new(joiner.password, &[joiner.name, &found.email])?;
            app.passwords.hash(app.world.as_ref(), joiner.password).await?
        }
    };
    let mut tx = door.change(found.org).await?;
    let place = store::orgs::place(&mut tx, found.org).await?;
    if place.suspended_from.is_some() {
        return Err(Failure::conflict("the organisation is suspended; nobody can join it now"));
    }
    if found.invited_by != UserId(0) {
        let inviter = actor_of(app, &mut tx, found.invited_by).await?;
        let (allows, denies) = policies::rights_of(&mut tx, found.policy, found.org).await?;
        let rights = allows | denies | Actions::of(&[Action::UserInvite]);
        check_reach(&inviter, rights, found.propagate, &place, &now_of(door.now_us())).map_err(|_| gone())?;
    }
    if invitations::settle(&mut tx, found.id, "accepted").await? == 0 {
        return Err(gone());
    }
    if scim::waiting(&mut tx, found.org, &found.email).await? != waiting {
        return Err(Failure::new(Kind::Busy, "the directory has just changed this person; try again"));
    }
    let user = match (known, waiting) {
        (_, Some(row)) if takes_over => scim::take_over(&mut tx, &row, &found, &password_hash).await?,
        (Some(user), waiting) => {
            if let Some(row) = waiting {
                scim::merge(&mut tx, row, user.id, &found).await?;
            }
            user.id
        }
        (None, _) => {
            let id = UserId(app.fresh());
            let user = User::person(id, found.org, &found.email, joiner.name, password_hash, door.now_us());
            insert(&mut tx, &user).await?;
            id
        }
    };
    join(&mut tx, user, found.org, "invite").await?;
    give(&mut tx, Holder::User(user), found.policy, found.org, found.propagate).await?;
    let detail = serde_json::json!({ "policy": found.policy });
    tx.done(found.org, "user.join", &user.to_string(), detail).await?;
    Ok((realm, user))
}

/// Adds an account; an address that somebody took in the same moment is a clash.
pub(crate) async fn insert(tx: &mut Tx, user: &User) -> Result<(), Failure> {
    match users::insert(tx, user).await {
        Err(store::StoreError::Conflict(_)) => Err(exists(&user.email)),
        other => Ok(other?),
    }
}

fn exists(email: &str) -> Failure {
    let text = format!("email: {email:?} belongs to somebody in this tree; invite him instead");
    Failure::conflict(text).coded("user_exists_in_tree")
}

/// Makes a user a member of `org`.
pub(crate) async fn join(tx: &mut Change, user: UserId, org: OrgId, source: &str) -> Result<(), Failure> {
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

/// Gives a policy. Being a member needs none.
pub(crate) async fn give(
    tx: &mut Change,
    holder: Holder,
    policy: PolicyRef,
    scope: OrgId,
    propagate: Propagate,
) -> Result<(), Failure> {
    if policy == PolicyRef::Builtin(Builtin::Member) {
        return Ok(());
    }
    let (id, now_us) = (BindingId(tx.fresh()), tx.now_us());
    bindings::insert(tx, &Held::new(id, holder, policy, scope, propagate), now_us).await?;
    if policy == PolicyRef::ADMIN {
        admins::note_first(tx, scope).await?;
    }
    Ok(())
}

/// A policy that the caller can give somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Givable {
    /// Which.
    pub policy: PolicyRef,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub sentence: String,
    /// How far it can reach; the first one is the usual.
    pub reaches: Vec<Propagate>,
}

/// The policies that the caller can give at `org`: built-in ones, then custom ones.
///
/// # Errors
/// [`Failure`].
pub async fn givable(cx: &Cx, org: OrgId) -> Result<Vec<Givable>, Failure> {
    let mut tx = cx.read(Action::UserInvite, org).await?;
    let builtin = Builtin::ALL.iter().map(|builtin| Givable {
        policy: PolicyRef::Builtin(*builtin),
        name: builtin.words().to_owned(),
        sentence: builtin.sentence().to_owned(),
        reaches: builtin.reaches().to_vec(),
    });
    let custom = store::policies::usable_at(&mut tx, org).await?.into_iter().map(|policy| Givable {
        policy: PolicyRef::Custom(policy.id),
        name: policy.name,
        sentence: String::new(),
        reaches: vec![Propagate::Subtree, Propagate::Here],
    });
    let mut found = Vec::new();
    for mut givable in builtin.chain(custom).collect::<Vec<_>>() {
        let mut reaches = Vec::new();
        for reach in givable.reaches {
            if check_giving(cx, &mut tx, givable.policy, reach, org).await.is_ok() {
                reaches.push(reach);
            }
        }
        if !reaches.is_empty() {
            givable.reaches = reaches;
            found.push(givable);
        }
    }
    Ok(found)
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
    drop(tx);
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
    let users = match &span {
        Span::Below => users::below(&mut tx, org, question).await?,
        Span::Only(orgs) => users::at(&mut tx, orgs, question).await?,
    };
    let mut names = NamesBelow::new(org, span);
    let mut people = Vec::new();
    for user in users {
        people.push(person(&mut tx, user, &mut names).await?);
    }
    Ok(people)
}

/// Everybody who belongs to an organisation that the caller sees, by address.
pub(crate) async fn all_seen(tx: &mut Tx, org: OrgId, span: &Span) -> Result<Vec<User>, Failure> {
    let mut found: Vec<User> = Vec::new();
    loop {
        let question = PeopleQuestion { after: found.last().map(|user| user.id), ..PeopleQuestion::default() };
        let page = match span {
            Span::Below => users::below(tx, org, &question).await?,
            Span::Only(orgs) => users::at(tx, orgs, &question).await?,
        };
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

/// Ids and names of the members of `org` itself, by address.
///
/// # Errors
/// [`Failure`].
pub async fn members(cx: &Cx, org: OrgId) -> Result<Vec<(UserId, String)>, Failure> {
    let mut tx = cx.read(Action::UserRead, org).await?;
    Ok(memberships::names_at(&mut tx, org).await?)
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
            name: policies::name_of(tx, held.policy).await?,
            org: held.scope,
            org_name,
            propagate: held.propagate,
            not_after_us: held.not_after_us,
            via: via.map(str::to_owned),
        });
    }
    Ok(found)
}

/// Invitations to `org` that wait.
///
/// # Errors
/// [`Failure`].
pub async fn invitations(cx: &Cx, org: OrgId) -> Result<Vec<Invitation>, Failure> {
    let mut tx = cx.read(Action::UserRead, org).await?;
    Ok(invitations::pending_at(&mut tx, org).await?)
}

/// How a policy is given.
#[derive(Debug, Clone)]
pub struct NewBinding {
    /// To whom.
    pub holder: Holder,
    /// Which policy.
    pub policy: PolicyRef,
    /// How far.
    pub propagate: Propagate,
    /// On which resources; empty for all.
    pub resources: Vec<String>,
    /// From when on.
    pub not_before_us: Option<i64>,
    /// Until when.
    pub not_after_us: Option<i64>,
}

/// Gives a policy at `org` to one of its members or groups.
///
/// # Errors
/// [`Failure`] naming the field at fault.
pub async fn bind(cx: &Cx, org: OrgId, new: NewBinding) -> Result<BindingId, Failure> {
    let mut tx = cx.change(Action::PolicyBind, org).await?;
    check_giving(cx, &mut tx, new.policy, new.propagate, org).await?;
    if new.not_after_us.is_some_and(|until| until <= cx.now_us()) {
        return Err(Failure::unreadable("not_after", "lies in the past"));
    }
    if new.resources.len() > 100 || new.resources.iter().any(|text| !text.contains(':') || text.len() > 200) {
        return Err(Failure::unreadable("resources", "must be at most 100 of the form service:id"));
    }
    check_holder(cx, &mut tx, new.holder, org).await?;
    check_own_time(cx, &mut tx, &new, org).await?;
    policies::check_denying(cx, &mut tx, new.policy, new.holder, org).await?;
    let id = BindingId(cx.app.fresh());
    let held = Held {
        resources: new.resources,
        not_before_us: new.not_before_us,
        not_after_us: new.not_after_us,
        ..Held::new(id, new.holder, new.policy, org, new.propagate)
    };
    let id = bindings::insert(&mut tx, &held, cx.now_us()).await?;
    if new.policy == PolicyRef::ADMIN {
        admins::note_first(&mut tx, org).await?;
    }
    let target = match new.holder {
        Holder::User(user) => user.to_string(),
        Holder::Group(group) => group.to_string(),
    };
    let detail = serde_json::json!({ "policy": new.policy, "propagate": new.propagate });
    tx.done(org, "policy.bind", &target, detail).await?;
    Ok(id)
}

/// Nobody prolongs what they have themselves: what one gives oneself ends when the right to give it does.
async fn check_own_time(cx: &Cx, tx: &mut Tx, new: &NewBinding, org: OrgId) -> Result<(), Failure> {
    let is_own = match new.holder {
        Holder::User(user) => user == cx.user(),
        Holder::Group(group) => groups::members(tx, group).await?.iter().any(|(user, _)| *user == cx.user()),
    };
    if !is_own {
        return Ok(());
    }
    let (allows, denies) = policies::rights_of(tx, new.policy, org).await?;
    let last_us = new.not_after_us.unwrap_or(i64::MAX) - 1;
    let then = Context { now_us: last_us, proved_us: Some(last_us), ..cx.now() };
    let place = cx.place(org).await?;
    may_give(&cx.actor, allows | denies, new.propagate, &place, &then).map_err(|action| {
        let text = format!(
            "not_after: your own right to {} there ends before; you cannot give it to yourself for longer",
            action.code()
        );
        Failure::new(Kind::Forbidden, text)
    })
}

/// Only those who belong at a place can be given something there, and those who belong above it by somebody who may
/// see them there: to everybody else they are strangers.
async fn check_holder(cx: &Cx, tx: &mut Tx, holder: Holder, org: OrgId) -> Result<(), Failure> {
    let (homes, action) = match holder {
        Holder::User(user) => {
            let found = memberships::of_user(tx, user).await?;
            (found.into_iter().map(|found| found.org).collect(), Action::UserRead)
        }
        Holder::Group(group) => {
            let found = groups::find(tx, group).await?;
            (found.into_iter().map(|found| found.org).collect::<Vec<_>>(), Action::GroupRead)
        }
    };
    let above = store::orgs::path(tx, org).await?;
    for home in homes.into_iter().filter(|home| above.contains(home)) {
        if home == org || cx.may(action, home).await {
            return Ok(());
        }
    }
    Err(Failure::not_found("user or group"))
}

/// Takes a policy at `org` away.
///
/// # Errors
/// [`Kind::Conflict`] for the last admin.
pub async fn unbind(cx: &Cx, org: OrgId, binding: BindingId) -> Result<(), Failure> {
    take(cx, org, binding, |_| true).await
}

/// Takes a policy at `org` away from one holder.
///
/// # Errors
/// As [`unbind`], and [`Kind::NotFound`] when the binding is somebody else's.
pub async fn unbind_of(cx: &Cx, org: OrgId, holder: Holder, binding: BindingId) -> Result<(), Failure> {
    take(cx, org, binding, |held| held.holder == holder).await
}

async fn take(
    cx: &Cx,
    org: OrgId,
    binding: BindingId,
    is_meant: impl Fn(&bindings::Held) -> bool,
) -> Result<(), Failure> {
    let mut tx = cx.change(Action::PolicyBind, org).await?;
    let held = bindings::at_org(&mut tx, org).await?.into_iter().find(|held| held.id == binding && is_meant(held));
    let held = held.ok_or_else(|| Failure::not_found("binding"))?;
    check_giving(cx, &mut tx, held.policy, held.propagate, org).await?;
    bindings::delete(&mut tx, &held).await?;
    let detail = serde_json::json!({ "policy": held.policy, "holder": held.holder });
    tx.done(org, "policy.unbind", &binding.to_string(), detail).await?;
    Ok(())
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

/// Refuses when somebody could not give all that a user has.
pub(crate) async fn check_could_give(tx: &mut Tx, user: UserId, giver: &Actor, now_us: i64) -> Result<(), Failure> {
    for held in all_held(tx, user).await? {
        let (allows, denies) = policies::rights_of(tx, held.policy, held.scope).await?;
        let place = store::orgs::place(tx, held.scope).await?;
        check_reach(giver, allows | denies, held.propagate, &place, &now_of(now_us))?;
    }
    Ok(())
}

/// Whoever shuts or suspends an account takes away all that it was given: he must be able to give it.
async fn check_taking_all(cx: &Cx, tx: &mut Tx, user: UserId) -> Result<(), Failure> {
    for held in all_held(tx, user).await? {
        check_giving(cx, tx, held.policy, held.propagate, held.scope).await?;
    }
    Ok(())
}

/// Who waits is let in or turned away, and nothing else.
fn check_not_waiting(account: &User) -> Result<(), Failure> {
    if account.state == "pending" {
        return Err(Failure::conflict("this person waits: let him in or turn him away on the page Sign-in"));
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
    check_taking_all(cx, &mut tx, user).await?;
    let home = users::get(&mut tx, user).await?.home_org;
    for membership in memberships::of_user(&mut tx, user).await? {
        memberships::delete(&mut tx, user, membership.org).await?;
        groups::remove_member_at(&mut tx, membership.org, user).await?;
        store::scim::delete_user(&mut tx, membership.org, user).await?;
    }
    for held in bindings::of_user(&mut tx, user).await? {
        bindings::delete(&mut tx, &held).await?;
    }
    shut(&mut tx, user).await?;
    tx.note(home, "user.deprovision", &user.to_string(), serde_json::json!({})).await?;
    alert_services(&mut tx, user).await?;
    tx.commit().await?;
    Ok(())
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

/// The circumstances of somebody who acts at this moment in person.
pub(crate) fn now_of(now_us: i64) -> Context {
    Context { now_us, ..Context::default() }
}
