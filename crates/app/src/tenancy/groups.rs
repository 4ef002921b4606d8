//! Groups: many people, many policies.

use crate::authority::Cx;
use crate::failure::Failure;
use crate::people::{Given, NamesBelow, given_to};
use crate::{admins, giving, orgs};
use access::Action;
use base::{GroupId, OrgId, UserId};
use serde::Serialize;
use store::groups::{self, Group};
use store::{Tx, bindings, memberships, users};

/// Members of one group at most.
pub(crate) const MEMBERS_MAX: usize = 10_000;

/// A group with its people and what they get by it.
#[derive(Debug, Clone, Serialize)]
pub struct GroupDetail {
    /// The group.
    #[serde(flatten)]
    pub group: Group,
    /// Its members: id, name, who keeps the membership.
    pub members: Vec<(UserId, String, String)>,
    /// What it was given.
    pub given: Vec<Given>,
}

/// Groups of `org`.
///
/// # Errors
/// [`Failure`].
pub async fn list(cx: &Cx, org: OrgId) -> Result<Vec<GroupDetail>, Failure> {
    let (grant, span) = cx.span(Action::GroupRead, org).await?;
    let mut tx = cx.read_with(&grant).await?;
    let mut names = NamesBelow::new(org, span);
    let mut found = Vec::new();
    for group in groups::at_org(&mut tx, org).await? {
        let mut members = Vec::new();
        for (user, source) in groups::members(&mut tx, group.id).await? {
            members.push((user, users::get(&mut tx, user).await?.display_name, source));
        }
        let held = bindings::of_group(&mut tx, group.id).await?;
        let given = given_to(&mut tx, held, &mut names, None).await?;
        found.push(GroupDetail { group, members, given });
    }
    Ok(found)
}

/// Makes a group.
///
/// # Errors
/// [`Failure`] naming the field at fault.
pub async fn create(cx: &Cx, org: OrgId, name: &str) -> Result<Group, Failure> {
    orgs::check_name("name", name)?;
    let mut tx = cx.change(Action::GroupWrite, org).await?;
    let group = Group {
        id: GroupId(cx.app.fresh()),
        org,
        name: name.trim().to_owned(),
        source: "local".to_owned(),
        created_us: cx.now_us(),
    };
    insert(&mut tx, &group).await?;
    tx.done(org, "group.create", &group.id.to_string(), serde_json::json!({ "name": group.name })).await?;
    Ok(group)
}

/// Adds a group; a name that is taken is a clash.
pub(crate) async fn insert(tx: &mut Tx, group: &Group) -> Result<(), Failure> {
    match groups::insert(tx, group).await {
        Err(store::StoreError::Conflict(_)) => {
            Err(Failure::conflict(format!("name: {:?} is taken by a group here", group.name)).coded("name_taken"))
        }
        other => Ok(other?),
    }
}

async fn at(tx: &mut Tx, org: OrgId, group: GroupId) -> Result<Group, Failure> {
    let found = groups::get(tx, group).await?;
    if found.org == org { Ok(found) } else { Err(Failure::not_found("group")) }
}

/// What belongs to a group can be given and taken only by who could give it himself.
async fn check_given(cx: &Cx, tx: &mut Tx, group: GroupId) -> Result<(), Failure> {
    for held in bindings::of_group(tx, group).await? {
        giving::check_giving_now(cx, tx, held.policy, held.propagate, held.scope).await?;
    }
    Ok(())
}

/// Deletes a group: its members lose what they had through it.
///
/// # Errors
/// [`crate::Kind::Conflict`] when an organisation would lose its last admin.
pub async fn delete(cx: &Cx, org: OrgId, group: GroupId) -> Result<(), Failure> {
    let mut tx = cx.change(Action::GroupWrite, org).await?;
    let found = at(&mut tx, org, group).await?;
    check_given(cx, &mut tx, group).await?;
    groups::delete(&mut tx, group).await?;
    store::scim::delete_group(&mut tx, org, group).await?;
    tx.done(org, "group.delete", &group.to_string(), serde_json::json!({ "name": found.name })).await?;
    Ok(())
}

/// Puts a member of the organisation into one of its groups.
///
/// # Errors
/// [`Failure`].
pub async fn add_member(cx: &Cx, org: OrgId, group: GroupId, user: UserId) -> Result<(), Failure> {
    let mut tx = cx.change(Action::GroupWrite, org).await?;
    at(&mut tx, org, group).await?;
    check_given(cx, &mut tx, group).await?;
    if memberships::get(&mut tx, user, org).await?.is_none() {
        return Err(Failure::not_found("user"));
    }
    if groups::members(&mut tx, group).await?.len() >= MEMBERS_MAX {
        return Err(Failure::conflict("a group can have 10,000 members"));
    }
    groups::add_member(&mut tx, group, user, "local").await?;
    for held in bindings::of_group(&mut tx, group).await? {
        admins::note_first(&mut tx, held.scope).await?;
    }
    tx.done(org, "group.add_member", &group.to_string(), serde_json::json!({ "user": user })).await?;
    Ok(())
}

/// Takes a user out of a group.
///
/// # Errors
/// [`crate::Kind::Conflict`] when an organisation would lose its last admin.
pub async fn remove_member(cx: &Cx, org: OrgId, group: GroupId, user: UserId) -> Result<(), Failure> {
    let mut tx = cx.change(Action::GroupWrite, org).await?;
    at(&mut tx, org, group).await?;
    check_given(cx, &mut tx, group).await?;
    if groups::remove_member(&mut tx, group, user).await? == 0 {
        return Err(Failure::not_found("user"));
    }
    tx.done(org, "group.remove_member", &group.to_string(), serde_json::json!({ "user": user })).await?;
    Ok(())
}
