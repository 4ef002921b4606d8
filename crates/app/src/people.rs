//! People: invite, join, remove.

use crate::cx::{App, Cx};
use crate::failure::{Failure, Kind};
use crate::{audit, orgs, passwords, secrets};
use access::{Action, Actor, Binding, Role, decide, decide_job};
use base::{BindingId, InvitationId, OrgId, RealmId, UserId};
use std::sync::Arc;
use store::invitations::{self, Invitation};
use store::users::{self, User};
use store::{Tx, bindings, keys, sessions, tokens};

/// An invitation lives for seven days.
const INVITATION_US: i64 = 7 * 86_400_000_000;

pub(crate) fn check_email(email: &str) -> Result<(), Failure> {
    let email = email.trim();
    let good = email.len() <= 254
        && email
            .split_once('@')
            .is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !host.contains('@'))
        && !email.chars().any(|c| c.is_control() || c.is_whitespace());
    if good { Ok(()) } else { Err(Failure::invalid("email", email, "is not an address such as ann@example.com")) }
}

/// Reads a role word.
///
/// # Errors
/// [`Failure`] naming the words there are.
pub fn parse_role(text: &str) -> Result<Role, Failure> {
    let unknown = || Failure::invalid("role", text, "is not one of admin, department_head, member");
    Role::from_code(text).ok_or_else(unknown)
}

/// Nobody gives what he does not hold: the role's own actions must all be allowed to the giver there.
fn check_reach(actor: &Option<Actor>, role: Role, place: &access::Place) -> Result<(), Failure> {
    let Some(actor) = actor else { return Ok(()) };
    let lacks = Action::ALL.into_iter().find(|action| role.allows(*action) && decide(actor, *action, place).is_err());
    match lacks {
        None => Ok(()),
        Some(action) => Err(Failure::new(
            Kind::Forbidden,
            format!("you cannot give a role that contains {action:?}, which you lack"),
        )),
    }
}

/// Invites somebody to `org`. The secret of the link is shown once.
///
/// # Errors
/// [`Failure`] naming the field at fault.
pub async fn invite(cx: &Cx, org: OrgId, email: &str, role: Role) -> Result<(Invitation, String), Failure> {
    check_email(email)?;
    let grant = cx.allow(Action::ManagePeople, org).await?;
    check_reach(&cx.actor, role, &cx.place(org).await?)?;
    let secret = format!("{}.{}", cx.realm, secrets::random_text(cx.app.world.as_ref(), 32));
    let invitation = Invitation {
        id: InvitationId(cx.app.fresh()),
        org,
        email: email.trim().to_owned(),
        role,
        secret_hash: secrets::hash(&secret),
        invited_by: cx.actor.as_ref().map_or(UserId(0), |actor| actor.user),
        state: "pending".to_owned(),
        created_us: cx.now_us(),
        expires_us: cx.now_us() + INVITATION_US,
    };
    let mut tx = cx.app.store.write(&grant).await?;
    invitations::insert(&mut tx, &invitation).await?;
    let detail = serde_json::json!({ "email": invitation.email, "role": role.code() });
    audit::note(cx, &mut tx, org, "user.invite", &invitation.id.to_string(), detail).await?;
    tx.commit().await?;
    Ok((invitation, secret))
}

/// Splits `rlm_….secret`.
pub(crate) fn realm_of(secret: &str) -> Option<RealmId> {
    secret.split_once('.').and_then(|(realm, _)| realm.parse().ok())
}

/// Joins by an invitation. A person who is in the realm already keeps his one account and must give
/// its password; somebody new sets one. What the inviter may no longer give is refused.
///
/// # Errors
/// [`Kind::Gone`] for a used or expired link, else [`Failure`] naming the field at fault.
pub async fn accept(app: &Arc<App>, secret: &str, name: &str, password: &str) -> Result<(RealmId, UserId), Failure> {
    let gone = || Failure::new(Kind::Gone, "this invitation was used, withdrawn or is too old; ask for a new one");
    let realm = realm_of(secret).ok_or_else(gone)?;
    let cx = Cx::system(app.clone(), realm);
    let mut tx = app.store.read(&cx.own()).await?;
    let found = invitations::by_secret(&mut tx, &secrets::hash(secret)).await?.ok_or_else(gone)?;
    if found.state != "pending" || found.expires_us <= app.now_us() {
        return Err(gone());
    }
    let known = users::by_email(&mut tx, &found.email).await?;
    drop(tx);
    let password_hash = match &known {
        Some(user) if app.passwords.verify(password, &user.password_hash).await? => user.password_hash.clone(),
        Some(_) => return Err(Failure::unreadable("password", "is not the one of your account here")),
        None => {
            orgs::check_name("name", name)?;
            passwords::check_new(password)?;
            app.passwords.hash(app.world.as_ref(), password).await?
        }
    };
    let mut tx = app.store.write(&decide_job(realm, found.org)).await?;
    if found.invited_by != UserId(0) {
        let inviter = Some(actor_of(&mut tx, realm, found.invited_by).await?);
        check_reach(&inviter, found.role, &store::orgs::place(&mut tx, found.org).await?).map_err(|_| gone())?;
    }
    if invitations::accept(&mut tx, found.id).await? == 0 {
        return Err(gone());
    }
    let user = match known {
        Some(user) => user.id,
        None => insert_user(&cx, &mut tx, &found.email, name, found.org, password_hash).await?,
    };
    give(&cx, &mut tx, user, found.role, found.org).await?;
    audit::note(
        &cx,
        &mut tx,
        found.org,
        "user.join",
        &user.to_string(),
        serde_json::json!({ "role": found.role.code() }),
    )
    .await?;
    tx.commit().await?;
    Ok((realm, user))
}

async fn insert_user(
    cx: &Cx,
    tx: &mut Tx,
    email: &str,
    name: &str,
    org: OrgId,
    password_hash: String,
) -> Result<UserId, Failure> {
    let user = User {
        id: UserId(cx.app.fresh()),
        home_org: org,
        email: email.trim().to_owned(),
        display_name: name.trim().to_owned(),
        password_hash,
        state: "active".to_owned(),
        created_us: cx.now_us(),
    };
    users::insert(tx, &user).await?;
    Ok(user.id)
}

async fn give(cx: &Cx, tx: &mut Tx, user: UserId, role: Role, scope: OrgId) -> Result<(), Failure> {
    let held = bindings::Held { id: BindingId(cx.app.fresh()), user, binding: Binding { role, scope } };
    Ok(bindings::insert(tx, &held, cx.now_us()).await?)
}

/// Adds a person without invitation: the operator's command and the demo. The password may be left out;
/// then only keys work until one is set by an invitation.
///
/// # Errors
/// [`Failure`] naming the field at fault.
pub async fn add(
    cx: &Cx,
    org: OrgId,
    email: &str,
    name: &str,
    role: Role,
    password: Option<&str>,
) -> Result<UserId, Failure> {
    check_email(email)?;
    orgs::check_name("name", name)?;
    let grant = cx.allow(Action::ManagePeople, org).await?;
    check_reach(&cx.actor, role, &cx.place(org).await?)?;
    let password_hash = match password {
        Some(password) => {
            passwords::check_new(password)?;
            cx.app.passwords.hash(cx.app.world.as_ref(), password).await?
        }
        None => String::new(),
    };
    let mut tx = cx.app.store.write(&grant).await?;
    if users::by_email(&mut tx, email).await?.is_some() {
        return Err(Failure::conflict(format!(
            "email: {email:?} belongs to somebody in this tree; invite him instead"
        )));
    }
    let user = insert_user(cx, &mut tx, email, name, org, password_hash).await?;
    give(cx, &mut tx, user, role, org).await?;
    audit::note(cx, &mut tx, org, "user.add", &user.to_string(), serde_json::json!({ "role": role.code() })).await?;
    tx.commit().await?;
    Ok(user)
}

/// A person with his roles as a list shows them.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Person {
    /// The user.
    #[serde(flatten)]
    pub user: User,
    /// Role and place, as far as the viewer may see the place.
    pub roles: Vec<(Role, OrgId, String)>,
}

/// People at `org` and below.
///
/// # Errors
/// [`Failure`].
pub async fn list(cx: &Cx, org: OrgId) -> Result<Vec<Person>, Failure> {
    let grant = cx.allow(Action::ManagePeople, org).await?;
    let mut tx = cx.app.store.read(&grant).await?;
    let names = store::orgs::subtree(&mut tx, org).await?;
    let mut people = Vec::new();
    for user in users::below(&mut tx, org).await? {
        let held = bindings::of_user(&mut tx, user.id).await?;
        let seen = |held: bindings::Held| {
            let place = names.iter().find(|org| org.id == held.binding.scope)?;
            Some((held.binding.role, place.id, place.name.clone()))
        };
        people.push(Person { user, roles: held.into_iter().filter_map(seen).collect() });
    }
    Ok(people)
}

/// Invitations to `org` that wait.
///
/// # Errors
/// [`Failure`].
pub async fn invitations(cx: &Cx, org: OrgId) -> Result<Vec<Invitation>, Failure> {
    let grant = cx.allow(Action::ManagePeople, org).await?;
    let mut tx = cx.app.store.read(&grant).await?;
    Ok(invitations::pending_at(&mut tx, org).await?)
}

/// Takes a person's roles at `org` away. His sessions end, his tokens and his keys charged to `org` are
/// revoked; the person stays. The last admin of the root cannot be removed.
///
/// # Errors
/// [`Kind::Conflict`] for the last admin.
pub async fn remove(cx: &Cx, org: OrgId, user: UserId) -> Result<(), Failure> {
    let grant = cx.allow(Action::ManagePeople, org).await?;
    let mut tx = cx.app.store.write(&grant).await?;
    let at_org = bindings::at_org(&mut tx, org).await?;
    // Whoever takes a role away must be able to give it: a head cannot remove an admin.
    let place = store::orgs::place(&mut tx, org).await?;
    for held in at_org.iter().filter(|held| held.user == user) {
        check_reach(&cx.actor, held.binding.role, &place)?;
    }
    let is_admin = |held: &&bindings::Held| held.binding.role == Role::Admin;
    if org == cx.realm.root() && !at_org.iter().filter(is_admin).any(|held| held.user != user) {
        return Err(Failure::conflict("last_organization_admin: give somebody else the role first"));
    }
    if bindings::remove(&mut tx, user, org).await? == 0 {
        return Err(Failure::not_found("user"));
    }
    let now_us = cx.now_us();
    sessions::delete_of(&mut tx, user).await?;
    tokens::revoke_of(&mut tx, user, now_us).await?;
    keys::revoke_of(&mut tx, user, org, now_us).await?;
    audit::note(cx, &mut tx, org, "user.remove", &user.to_string(), serde_json::json!({})).await?;
    tx.commit().await?;
    cx.app.caches.clear();
    Ok(())
}

/// The actor that a user is at this moment.
pub(crate) async fn actor_of(tx: &mut Tx, realm: RealmId, user: UserId) -> Result<Actor, Failure> {
    let held = bindings::of_user(tx, user).await?;
    Ok(Actor { realm, user, bindings: held.into_iter().map(|held| held.binding).collect() })
}
