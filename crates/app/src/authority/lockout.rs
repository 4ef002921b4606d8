//! Nobody is locked out: before a change is committed, each organisation that runs itself and that it may have touched
//! is asked who could still run it, and sign in to do so.

use crate::failure::{Failure, Kind};
use access::admins::Candidate;
use access::tree::{AdminMode, OrgState};
use access::{Action, Actor, Ask, Builtin, Context, Denied, Place, Propagate, decide, decide_job, may_give};
use base::{OrgId, UserId};
use std::net::IpAddr;
use store::bindings::{self, Held};
use store::idps::Idp;
use store::users::{self, User};
use store::{Store, Tx, actors, factors, groups, idps, memberships, orgs};

/// What somebody must be able to do to run an organisation: with these rights everything else can be given back.
pub(crate) const RUN: [Action; 6] =
    [Action::OrgRead, Action::OrgUpdate, Action::UserRead, Action::UserInvite, Action::PolicyRead, Action::PolicyBind];

/// An admin for less than an hour is none to rely on.
const LASTING_US: i64 = 3_600_000_000;

/// Whether somebody has all of that at a place, and may lift guard-rails, unless one laid above keeps everybody from it.
/// A denial of guard-rails by a policy would stay for good: only who may lay them may take it away.
fn runs(actor: &Actor, place: &Place, trial: &Context) -> bool {
    let guard = decide(actor, &Ask::of(Action::PolicyGuard), place, trial);
    RUN.iter().all(|action| decide(actor, &Ask::of(*action), place, trial).is_ok())
        && matches!(guard, Ok(_) | Err(Denied::GuardRail(..)))
        // Who lacks one right of an admin could never appoint another one, nor take back what denies it.
        && may_give(actor, Builtin::OrganizationAdmin.actions(), Propagate::Here, place, trial).is_ok()
}

/// Looks at every organisation whose admins the transaction touched.
///
/// # Errors
/// [`crate::Kind::Conflict`] with `last_organization_admin` when nobody is left who can run one of them, and with
/// `break_glass_required` when nobody could get in without the highest organisation's provider.
pub(crate) async fn check_watched(tx: &mut Tx, store: Option<&Store>, trial: &Context) -> Result<(), Failure> {
    for org in tx.take_watched() {
        let Err(refused) = check(tx, org, trial).await else { continue };
        // What was so before is not made worse by this: it must not keep those above from their own acts.
        if let Some(store) = store.filter(|_| refused.kind == Kind::Conflict) {
            let mut before = store.read(&decide_job(tx.realm(), org)).await?;
            if check(&mut before, org, trial).await.is_err_and(|known| known.code == refused.code) {
                continue;
            }
        }
        return Err(refused);
    }
    Ok(())
}

/// Refuses when `org` runs itself and nobody is left who can.
async fn check(tx: &mut Tx, org: OrgId, trial: &Context) -> Result<(), Failure> {
    let found = orgs::get(tx, org).await?;
    let in_use = matches!(found.state, OrgState::Active | OrgState::Suspended);
    if found.settings.admin_mode == AdminMode::Inherited || !in_use {
        return Ok(());
    }
    if keeps(tx, org, trial).await? && keeps_later(tx, org, trial).await? {
        keeps_below(tx, &found, trial).await?;
        return if found.parent.is_none() { check_emergency(tx, org, trial.now_us).await } else { Ok(()) };
    }
    let text = format!(
        "last_organization_admin: after this, nobody could sign in and administer {:?}; give somebody else Organization \
         Admin there first",
        found.name
    );
    Err(Failure::conflict(text).coded("last_organization_admin"))
}

/// Refuses when children of `org` that it runs itself would have nobody: somebody's right must reach below it, from
/// there or from higher up.
async fn keeps_below(tx: &mut Tx, org: &orgs::Org, trial: &Context) -> Result<(), Failure> {
    let inherits = |child: &orgs::Org| {
        child.settings.admin_mode == AdminMode::Inherited
            && matches!(child.state, OrgState::Active | OrgState::Suspended)
    };
    if !orgs::children(tx, org.id).await?.iter().any(inherits) {
        return Ok(());
    }
    let mut below = orgs::place(tx, org.id).await?.somewhere_below();
    below.suspended_from = None;
    for place in orgs::path(tx, org.id).await?.into_iter().rev() {
        for candidate in bindings::admins(tx, place).await? {
            if !candidate.counts_at(trial.now_us) {
                continue;
            }
            let actor = actors::load(tx, candidate.user).await?;
            if runs(&actor, &below, trial) {
                return Ok(());
            }
        }
    }
    let text = format!(
        "last_organization_admin: after this, nobody could administer what lies below {:?}; leave somebody with \
         Organization Admin there whose right reaches below",
        org.name
    );
    Err(Failure::conflict(text).coded("last_organization_admin"))
}

/// Whether somebody can run `org` at an instant: an active person with Organization Admin given there, who can sign
/// in, and from whom nothing takes the rights away that running it needs.
pub(crate) async fn keeps_admin(tx: &mut Tx, org: OrgId, at_us: i64) -> Result<bool, Failure> {
    keeps(tx, org, &trial(at_us, None)).await
}

/// The circumstances under which it is tried: a person who has just proved who they are, at the address of whoever
/// makes the change.
pub(crate) fn trial(at_us: i64, ip: Option<IpAddr>) -> Context {
    Context { now_us: at_us, ip, proved_us: Some(at_us), token: None }
}

/// Whether somebody counts, and not for a moment only: what ends soon is nobody to rely on. Rights that end later are held
/// when their time comes.
fn lasts(candidate: &Candidate, at_us: i64) -> bool {
    candidate.counts_at(at_us) && candidate.not_after_us.is_none_or(|until_us| until_us > at_us + LASTING_US)
}

async fn keeps(tx: &mut Tx, org: OrgId, trial: &Context) -> Result<bool, Failure> {
    for candidate in bindings::admins(tx, org).await? {
        if lasts(&candidate, trial.now_us) && can_run(tx, org, &candidate, trial).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether somebody can still run `org` when what was given with a later beginning begins, among them denials. Rights
/// that end are another matter: the last admin's are held when their time comes.
async fn keeps_later(tx: &mut Tx, org: OrgId, trial: &Context) -> Result<bool, Failure> {
    let now_us = trial.now_us;
    let mut candidates = bindings::admins(tx, org).await?;
    candidates.retain(|candidate| candidate.counts_at(now_us));
    let mut begins = std::collections::BTreeSet::new();
    for candidate in &candidates {
        let actor = actors::load(tx, candidate.user).await?;
        begins.extend(actor.bindings().iter().filter_map(|binding| binding.not_before_us).filter(|at| *at > now_us));
    }
    for at_us in begins {
        let mut lasting = candidates.clone();
        lasting.retain(|candidate| candidate.counts_at(at_us));
        let mut kept = lasting.is_empty();
        for candidate in lasting {
            kept = kept || can_run(tx, org, &candidate, &self::trial(at_us, trial.ip)).await?;
        }
        if !kept {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether somebody could run an organisation, once they can sign in.
pub(crate) async fn can_be_run_by(tx: &mut Tx, org: OrgId, user: UserId, trial: &Context) -> Result<bool, Failure> {
    let mut place = orgs::place(tx, org).await?;
    place.suspended_from = None; // Suspended, it is in the hands of those above; it must work when that ends.
    Ok(runs(&actors::load(tx, user).await?, &place, trial))
}

async fn can_run(tx: &mut Tx, org: OrgId, candidate: &Candidate, trial: &Context) -> Result<bool, Failure> {
    if !can_be_run_by(tx, org, candidate.user, trial).await? {
        return Ok(false);
    }
    let account = users::get(tx, candidate.user).await?;
    if !has_nothing_else(tx, &account).await? {
        return Ok(true);
    }
    // Only a provider lets them in: one that works, and that may speak for all that they have.
    for idp in idps::of_user(tx, account.id).await? {
        if idp.state == "active" && covers(tx, &idp, account.id).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether somebody has neither password nor passkey.
pub(crate) async fn has_nothing_else(tx: &mut Tx, user: &User) -> Result<bool, Failure> {
    if !user.password_hash.is_empty() || user.kind != "human" {
        return Ok(false);
    }
    let known = factors::of_user(tx, user.id).await?;
    Ok(!known.iter().any(|factor| factor.kind == "passkey" && factor.confirmed))
}

/// All that a user was given, directly and through groups.
pub(crate) async fn all_held(tx: &mut Tx, user: UserId) -> Result<Vec<Held>, Failure> {
    let mut all = bindings::of_user(tx, user).await?;
    for (group, _) in groups::of_user(tx, user).await? {
        all.extend(bindings::of_group(tx, group.id).await?);
    }
    Ok(all)
}

/// Whether all that somebody has lies at the organisation of a provider or below it. Whose provider it is can say
/// anything: it must never open what is not its organisation's, also not what was given after the first sign-in.
pub(crate) async fn covers(tx: &mut Tx, idp: &Idp, user: UserId) -> Result<bool, Failure> {
    let mut places: std::collections::BTreeSet<OrgId> =
        memberships::of_user(tx, user).await?.iter().map(|found| found.org).collect();
    places.extend(all_held(tx, user).await?.iter().map(|held| held.scope));
    for place in places {
        if !orgs::path(tx, place).await?.contains(&idp.org) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What somebody lacks to get in without a provider, and safely.
pub(crate) async fn lacks(tx: &mut Tx, account: &User) -> Result<&'static str, Failure> {
    if account.password_hash.is_empty() {
        return Ok("a password");
    }
    Ok(if factors::standing(tx, account.id).await?.has_factor { "" } else { "a second factor" })
}

/// Refuses when the highest organisation lets people in by its provider only, and nobody could get in without it.
pub(crate) async fn check_emergency(tx: &mut Tx, root: OrgId, now_us: i64) -> Result<(), Failure> {
    let idp = idps::at_org(tx, root).await?;
    if !idp.is_some_and(|idp| idp.settings.enforced && idp.state == "active") {
        return Ok(());
    }
    let marked = users::break_glass(tx).await?;
    let admins = bindings::admins(tx, root).await?;
    for admin in admins.iter().filter(|admin| admin.counts_at(now_us) && marked.contains(&admin.user)) {
        let account = users::get(tx, admin.user).await?;
        if lacks(tx, &account).await?.is_empty() {
            return Ok(());
        }
    }
    let text = "first mark an admin of the highest organisation who has a password and a second factor as an account \
                for emergencies: while people sign in by the provider only, nobody else could repair it";
    Err(Failure::conflict(text).coded("break_glass_required"))
}
