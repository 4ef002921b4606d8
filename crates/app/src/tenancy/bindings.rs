//! Policies as they are given at an organisation to its people and groups.

use crate::authority::Cx;
use crate::failure::{Failure, Kind};
use crate::giving::{check_giving, rights_of};
use crate::people::check_not_shut;
use crate::{admins, policies};
use access::{Action, Context, PolicyRef, Propagate, may_give};
use base::{BindingId, OrgId};
use store::bindings::{self, Held, Holder};
use store::{Tx, groups, memberships};

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
    if let Holder::User(user) = new.holder {
        check_not_shut(&mut tx, user).await?;
    }
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
    let (allows, denies) = rights_of(tx, new.policy, org).await?;
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

async fn take(cx: &Cx, org: OrgId, binding: BindingId, is_meant: impl Fn(&Held) -> bool) -> Result<(), Failure> {
    let mut tx = cx.change(Action::PolicyBind, org).await?;
    let held = bindings::at_org(&mut tx, org).await?.into_iter().find(|held| held.id == binding && is_meant(held));
    let held = held.ok_or_else(|| Failure::not_found("binding"))?;
    check_giving(cx, &mut tx, held.policy, held.propagate, org).await?;
    bindings::delete(&mut tx, &held).await?;
    let detail = serde_json::json!({ "policy": held.policy, "holder": held.holder });
    tx.done(org, "policy.unbind", &binding.to_string(), detail).await?;
    Ok(())
}
