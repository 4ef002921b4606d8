//! Custom policies, guard-rails, and the answer to "who can do what, and why".

use crate::authority::Cx;
use crate::authority::lockout::{RUN, all_held};
use crate::failure::Failure;
use crate::giving::{self, load, rights_of};
use crate::orgs;
use access::policy::{Document, check};
use access::{Action, Builtin, GuardRail, Level, PolicyRef, Propagate, standing};
use base::{GuardRailId, OrgId, PolicyId};
use std::sync::Arc;
use store::Tx;
use store::bindings::Holder;
use store::policies::{self, StoredPolicy};

/// Custom policies of one organisation at most.
const POLICIES_MAX: usize = 1_000;

/// Custom policies that can be given at `org`: its own and those from above.
///
/// # Errors
/// [`Failure`].
pub async fn list(cx: &Cx, org: OrgId) -> Result<Vec<StoredPolicy>, Failure> {
    let mut tx = cx.read(Action::PolicyRead, org).await?;
    Ok(policies::usable_at(&mut tx, org).await?)
}

/// One custom policy that can be given at `org`.
///
/// # Errors
/// [`crate::Kind::NotFound`].
pub async fn get(cx: &Cx, org: OrgId, policy: PolicyId) -> Result<StoredPolicy, Failure> {
    let found = list(cx, org).await?.into_iter().find(|found| found.id == policy);
    found.ok_or_else(|| Failure::not_found("policy"))
}

/// Refuses a condition on a name: people choose their own, and with it they would choose their rights. Documents of before
/// that have one go on as they are.
fn check_facts(document: &Document) -> Result<(), Failure> {
    if serde_json::to_string(document)?.contains("user:name") {
        let reason = "asks for user:name, which everybody chooses for themselves; ask for user:id or user:email";
        return Err(Failure::unreadable("document", reason));
    }
    Ok(())
}

/// Makes a policy. It gives nobody anything until it is given.
///
/// # Errors
/// [`Failure`] naming the field at fault.
pub async fn create(
    cx: &Cx,
    org: OrgId,
    name: &str,
    level: Level,
    document: Document,
) -> Result<StoredPolicy, Failure> {
    orgs::check_name("name", name)?;
    check(&document)?;
    check_facts(&document)?;
    let mut tx = cx.change(Action::PolicyWrite, org).await?;
    let own = policies::usable_at(&mut tx, org).await?.iter().filter(|policy| policy.org == org).count();
    if own >= POLICIES_MAX {
        return Err(Failure::conflict("an organisation can have 1,000 policies"));
    }
    let policy = StoredPolicy {
        id: PolicyId(cx.app.fresh()),
        org,
        name: name.trim().to_owned(),
        level,
        version: 1,
        document,
        created_us: cx.now_us(),
    };
    policies::insert(&mut tx, &policy).await.map_err(|error| taken(error, name))?;
    tx.done(org, "policy.create", &policy.id.to_string(), serde_json::to_value(&policy)?).await?;
    Ok(policy)
}

fn taken(error: store::StoreError, name: &str) -> Failure {
    match error {
        store::StoreError::Conflict(_) => {
            Failure::conflict(format!("name: {:?} is taken by a policy here", name.trim())).coded("name_taken")
        }
        other => other.into(),
    }
}

/// A change of a policy. What is left out stays.
#[derive(Debug, Clone, Default)]
pub struct PolicyChange {
    /// The version that was read: another one means that somebody was faster.
    pub version: i64,
    /// Its name.
    pub name: Option<String>,
    /// Its level, which cannot change.
    pub level: Option<Level>,
    /// What it says.
    pub document: Option<Document>,
}

/// Changes a policy of `org`; everybody who holds it has what it says now. Who changes it must hold what it
/// gives, before and after.
///
/// # Errors
/// [`Failure`] naming the field at fault.
pub async fn update(cx: &Cx, org: OrgId, policy: PolicyId, change: PolicyChange) -> Result<StoredPolicy, Failure> {
    let mut tx = cx.change(Action::PolicyWrite, org).await?;
    let before = own(&mut tx, org, policy).await?;
    if change.level.is_some_and(|level| level != before.level) {
        let level = change.level.unwrap_or(before.level);
        return Err(Failure::invalid("level", level.code(), "cannot change: make another policy").coded("immutable"));
    }
    if change.version != before.version {
        return Err(Failure::conflict(format!("version: {} is not the newest, {}", change.version, before.version)));
    }
    let mut after = StoredPolicy { version: before.version + 1, ..before.clone() };
    if let Some(name) = change.name {
        orgs::check_name("name", &name)?;
        after.name = name.trim().to_owned();
    }
    if let Some(document) = change.document {
        check(&document)?;
        check_facts(&document)?;
        after.document = document;
    }
    check_holding(cx, &mut tx, &before).await?;
    policies::update(&mut tx, &after, before.version).await.map_err(|error| taken(error, &after.name))?;
    check_holding(cx, &mut tx, &after).await?;
    check_guards(cx, &mut tx, &after).await?;
    let detail = serde_json::json!({ "before": before, "after": after });
    tx.done(org, "policy.update", &policy.to_string(), detail).await?;
    Ok(after)
}

async fn own(tx: &mut Tx, org: OrgId, policy: PolicyId) -> Result<StoredPolicy, Failure> {
    let found = policies::get(tx, policy).await?;
    if found.org == org { Ok(found) } else { Err(Failure::not_found("policy")) }
}

/// Whoever changes what others hold must hold it themselves, where it is theirs to give; what it denies must be theirs
/// to take from each who holds it.
async fn check_holding(cx: &Cx, tx: &mut Tx, policy: &StoredPolicy) -> Result<(), Failure> {
    if policies::uses(tx, policy.id).await? == 0 {
        return Ok(());
    }
    let reference = PolicyRef::Custom(policy.id);
    giving::check_giving(cx, tx, reference, Propagate::Subtree, policy.org).await?;
    for held in store::bindings::of_policy(tx, policy.id).await? {
        check_denying(cx, tx, reference, held.holder, held.scope).await?;
    }
    Ok(())
}

/// Nobody denies what they may not take away: where a policy denies something, whoever gives it must be able to give
/// all that its holders have on the way to that place and below it.
pub(crate) async fn check_denying(
    cx: &Cx,
    tx: &mut Tx,
    policy: PolicyRef,
    holder: Holder,
    org: OrgId,
) -> Result<(), Failure> {
    let (_, denies) = rights_of(tx, policy, org).await?;
    if denies.is_empty() {
        return Ok(());
    }
    let users = match holder {
        Holder::User(user) => vec![user],
        Holder::Group(group) => store::groups::members(tx, group).await?.into_iter().map(|(user, _)| user).collect(),
    };
    let path = store::orgs::path(tx, org).await?;
    for user in users {
        for held in all_held(tx, user).await? {
            let way = store::orgs::path(tx, held.scope).await?;
            if path.contains(&held.scope) || way.contains(&org) {
                giving::check_giving(cx, tx, held.policy, held.propagate, held.scope).await?;
            }
        }
    }
    Ok(())
}

/// Deletes a policy. One that somebody holds is refused unless it is to be taken from everybody.
///
/// # Errors
/// [`crate::Kind::Conflict`] when it is in use.
pub async fn delete(cx: &Cx, org: OrgId, policy: PolicyId, detach: bool) -> Result<(), Failure> {
    let mut tx = cx.change(Action::PolicyWrite, org).await?;
    let found = own(&mut tx, org, policy).await?;
    let uses = policies::uses(&mut tx, policy).await?;
    if uses > 0 && !detach {
        let text = format!("policy_in_use: {uses} people, groups or guard-rails have it; detach it first");
        return Err(Failure::conflict(text).coded("policy_in_use"));
    }
    check_holding(cx, &mut tx, &found).await?;
    policies::detach(&mut tx, policy).await?;
    policies::delete(&mut tx, policy).await?;
    tx.done(org, "policy.delete", &policy.to_string(), serde_json::json!({ "name": found.name })).await?;
    Ok(())
}

/// Guard-rails on the way to `org`: who laid it, which, the policy's name.
///
/// # Errors
/// [`Failure`].
pub async fn guards(cx: &Cx, org: OrgId) -> Result<Vec<(OrgId, GuardRailId, String)>, Failure> {
    let mut tx = cx.read(Action::PolicyRead, org).await?;
    let found = policies::guards_on(&mut tx, org).await?;
    Ok(found.into_iter().map(|(laid_by, guard)| (laid_by, guard.id, guard.policy.name.clone())).collect())
}

/// Lays a policy on `org` and everything below it: what it denies is denied there to everybody who has the right from
/// the organisation whose authority it is laid with, or from below. The rights of those above stay. Its author must
/// hold, there and below, all that it takes away.
///
/// # Errors
/// [`Failure`]; a guard-rail that could never be lifted again is refused.
pub async fn lay_guard(cx: &Cx, org: OrgId, policy: PolicyId) -> Result<GuardRailId, Failure> {
    let mut tx = cx.change(Action::PolicyGuard, org).await?;
    let id = GuardRailId(cx.app.fresh());
    rights_of(&mut tx, PolicyRef::Custom(policy), org).await?;
    let place = cx.place(org).await?;
    let author = standing(&cx.actor, Action::PolicyGuard, &place, &cx.now()).unwrap_or(org);
    policies::guard(&mut tx, id, org, (policy, author), cx.now_us()).await?;
    let stored = policies::get(&mut tx, policy).await?;
    check_guards(cx, &mut tx, &stored).await?;
    tx.done(org, "policy.guard", &policy.to_string(), serde_json::json!({ "guard_rail": id, "author": author }))
        .await?;
    Ok(id)
}

/// A guard-rail takes away only what its author holds, and leaves the way to lift it and to run the organisation open.
async fn check_guards(cx: &Cx, tx: &mut Tx, policy: &StoredPolicy) -> Result<(), Failure> {
    let places = policies::guarded_by(tx, policy.id).await?;
    if places.is_empty() {
        return Ok(());
    }
    let loaded = load(tx, PolicyRef::Custom(policy.id)).await?;
    let guard = GuardRail { id: GuardRailId(0), policy: Arc::new(loaded), author: policy.org };
    // To lift it must be open whatever the circumstances; that somebody can run each organisation is tried with the
    // commit.
    let lifting = guard.refuses_at_most().has(Action::PolicyGuard).then_some(&Action::PolicyGuard);
    if let Some(action) = lifting.or_else(|| RUN.iter().find(|action| guard.refuses().has(**action))) {
        let reason = format!("denies {}, so nobody could run the organisation or lift it again", action.code());
        return Err(Failure::invalid("policy", &policy.name, reason));
    }
    let takes = guard.refuses_at_most() & Builtin::OrganizationAdmin.actions();
    for org in places {
        let place = store::orgs::place(tx, org).await?;
        giving::check_reach(&cx.actor, takes, Propagate::Subtree, &place, &cx.now())?;
    }
    Ok(())
}

/// Lifts a guard-rail that `org` laid.
///
/// # Errors
/// [`Failure`].
pub async fn lift_guard(cx: &Cx, org: OrgId, guard: GuardRailId) -> Result<(), Failure> {
    let mut tx = cx.change(Action::PolicyGuard, org).await?;
    let laid = policies::guards_on(&mut tx, org).await?;
    let found = laid.into_iter().find(|(place, found)| *place == org && found.id == guard);
    let (_, found) = found.ok_or_else(|| Failure::not_found("guard-rail"))?;
    // It gives back, there and below, what it took away: whoever lifts it must hold that.
    let gives = found.refuses_at_most() & Builtin::OrganizationAdmin.actions();
    let place = store::orgs::place(&mut tx, org).await?;
    let without = access::Place { guards: Vec::new(), ..place };
    giving::check_reach(&cx.actor, gives, Propagate::Subtree, &without, &cx.now())?;
    if policies::unguard(&mut tx, org, guard).await? == 0 {
        return Err(Failure::not_found("guard-rail"));
    }
    tx.done(org, "policy.unguard", &guard.to_string(), serde_json::json!({})).await
}
