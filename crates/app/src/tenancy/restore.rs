//! The operator brings an organisation back that nobody can run any more, at the machine itself.

use crate::authority::Operator;
use crate::authority::lockout::{RUN, can_be_run_by, has_nothing_else, trial};
use crate::failure::{Failure, Kind};
use crate::giving;
use access::{Action, Actions, PolicyRef, Propagate};
use base::{OrgId, UserId};
use serde::Serialize;
use store::bindings::{self, Held, Holder};
use store::memberships::{self, Membership};
use store::users::{self, User};
use store::{Tx, across, groups};

/// What was done to make somebody an admin again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// Who runs it now.
    pub user: UserId,
    /// Which organisation.
    pub org: OrgId,
    /// What stood in the way and is gone, in words.
    pub removed: Vec<String>,
    /// Whether they need a link to set a password: they have no other way in.
    pub needs_link: bool,
}

/// Makes the person with an address an admin of `org` (the highest organisation of their tree if left out) who can run it:
/// their account works, they belong there, Organization Admin is given to them without an end, and what takes its rights
/// from them is removed: policies that they hold, groups, guard-rails of that organisation. Each of it is in the audit
/// log. Runs beside a server on the same store.
///
/// # Errors
/// [`Kind::NotFound`] when nobody has the address, or not in a tree with `org`; [`Kind::Conflict`] when several have, and
/// when a guard-rail that was laid above stands in the way.
pub async fn admin_by_operator(operator: &Operator, email: &str, org: Option<OrgId>) -> Result<Restored, Failure> {
    let mut found = Vec::new();
    for (realm, account) in across::users_by_email(operator.store(), email).await? {
        let org = org.unwrap_or(realm.root());
        let mut tx = operator.read(realm).await?;
        if account.kind == "human" && store::orgs::get(&mut tx, org).await.is_ok() {
            found.push((realm, org, account));
        }
    }
    let (realm, org, account) = match found.as_slice() {
        [] => return Err(Failure::new(Kind::NotFound, format!("address: nobody there has {email:?}"))),
        [one] => one.clone(),
        several => {
            let roots: Vec<String> = several.iter().map(|(_, org, _)| org.to_string()).collect();
            let text = format!("address: {email:?} is known below {}; say which with --org", roots.join(" and "));
            return Err(Failure::conflict(text));
        }
    };
    let mut tx = operator.restore(realm, org).await?;
    let mut removed = Vec::new();
    open_account(&mut tx, &account, org).await?;
    let held =
        Held::new(base::BindingId(tx.fresh()), Holder::User(account.id), PolicyRef::ADMIN, org, Propagate::Subtree);
    let now_us = tx.now_us();
    bindings::insert(&mut tx, &held, now_us).await?;
    clear_the_way(&mut tx, &account, org, &mut removed).await?;
    if !can_be_run_by(&mut tx, org, account.id, &trial(now_us, None)).await? {
        let text =
            "org: a guard-rail that was laid above keeps everybody there from running it; restore an admin above it";
        return Err(Failure::conflict(text));
    }
    let needs_link = has_nothing_else(&mut tx, &account).await?;
    let detail = serde_json::json!({ "removed": removed });
    tx.done(org, "admin.restore", &account.id.to_string(), detail).await?;
    Ok(Restored { user: account.id, org, removed, needs_link })
}

/// Writes into the log of every tree that the operator went on with an inbox that was cut.
///
/// # Errors
/// [`Failure`].
pub async fn note_cut_inbox(operator: &Operator) -> Result<(), Failure> {
    for (realm, _) in across::realms(operator.store()).await? {
        let detail = serde_json::json!({ "warning": true });
        operator.change(realm, realm.root()).await?.done(realm.root(), "usage.accept_inbox", "", detail).await?;
    }
    Ok(())
}

/// The account is open and belongs to the organisation.
async fn open_account(tx: &mut Tx, account: &User, org: OrgId) -> Result<(), Failure> {
    match account.state.as_str() {
        "active" => {}
        "suspended" => drop(users::set_state(tx, account.id, "active").await?),
        _ => return Err(Failure::conflict("address: this account was shut for good; add the person anew")),
    }
    match memberships::get(tx, account.id, org).await? {
        Some(found) if found.state == "active" => {}
        Some(_) => drop(memberships::set_state(tx, account.id, org, "active").await?),
        None => {
            let (state, source) = ("active".to_owned(), "local".to_owned());
            let row =
                Membership { user: account.id, org, state, source, created_us: 0, created_by: "operator".to_owned() };
            memberships::insert(tx, &row).await?;
        }
    }
    Ok(())
}

/// Removes what takes rights of an admin away from somebody at an organisation: every denial that they hold, and its own
/// guard-rails over what running it needs.
async fn clear_the_way(tx: &mut Tx, account: &User, org: OrgId, removed: &mut Vec<String>) -> Result<(), Failure> {
    let needed = Actions::of(&RUN) | Actions::of(&[Action::PolicyGuard]);
    let path = store::orgs::path(tx, org).await?;
    for held in bindings::of_user(tx, account.id).await? {
        if path.contains(&held.scope) && denies_something(tx, &held).await? {
            removed.push(format!("{} of {}", giving::name_of(tx, held.policy).await?, held.scope));
            bindings::delete(tx, &held).await?;
        }
    }
    for (group, _) in groups::of_user(tx, account.id).await? {
        let mut denies = false;
        for held in bindings::of_group(tx, group.id).await? {
            denies |= path.contains(&held.scope) && denies_something(tx, &held).await?;
        }
        if denies {
            removed.push(format!("membership in group {:?}", group.name));
            groups::remove_member(tx, group.id, account.id).await?;
        }
    }
    for (at, guard) in store::policies::guards_on(tx, org).await? {
        let denies = guard.policy.statements.iter().any(|statement| {
            statement.effect == access::policy::Effect::Deny && !(statement.actions & needed).is_empty()
        });
        if at == org && denies {
            removed.push(format!("guard-rail {:?}", guard.policy.name));
            store::policies::unguard(tx, org, guard.id).await?;
        }
    }
    Ok(())
}

async fn denies_something(tx: &mut Tx, held: &Held) -> Result<bool, Failure> {
    let (_, denies) = giving::rights_of(tx, held.policy, held.scope).await?;
    Ok(!denies.is_empty())
}
