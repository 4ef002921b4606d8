//! Giving and taking rights: nobody gives what they do not hold, nobody takes what they could not give.

use crate::admins;
use crate::authority::lockout::all_held;
use crate::authority::{Change, Cx};
use crate::failure::{Failure, Kind};
use access::action::SENSITIVE;
use access::policy::{Effect, check};
use access::{Action, Actions, Actor, Builtin, Context, Place, Policy, PolicyRef, Propagate, may_give};
use base::{BindingId, OrgId, UserId};
use serde::Serialize;
use store::Tx;
use store::bindings::{self, Held, Holder};
use store::policies;

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
    let (allows, denies) = rights_of(tx, policy, org).await?;
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
    if !(rights & SENSITIVE).is_empty() { cx.check_fresh() } else { Ok(()) }
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
    let custom = policies::usable_at(&mut tx, org).await?.into_iter().map(|policy| Givable {
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

/// Refuses when somebody could not give all that a user has.
pub(crate) async fn check_could_give(tx: &mut Tx, user: UserId, giver: &Actor, now_us: i64) -> Result<(), Failure> {
    for held in all_held(tx, user).await? {
        let (allows, denies) = rights_of(tx, held.policy, held.scope).await?;
        let place = store::orgs::place(tx, held.scope).await?;
        check_reach(giver, allows | denies, held.propagate, &place, &now_of(now_us))?;
    }
    Ok(())
}

/// Whoever shuts or suspends an account takes away all that it was given: he must be able to give it.
pub(crate) async fn check_taking_all(cx: &Cx, tx: &mut Tx, user: UserId) -> Result<(), Failure> {
    for held in all_held(tx, user).await? {
        check_giving(cx, tx, held.policy, held.propagate, held.scope).await?;
    }
    Ok(())
}

/// The circumstances of somebody who acts at this moment in person.
pub(crate) fn now_of(now_us: i64) -> Context {
    Context { now_us, ..Context::default() }
}

/// A policy as it can be used.
pub(crate) async fn load(tx: &mut Tx, policy: PolicyRef) -> Result<Policy, Failure> {
    match policy {
        PolicyRef::Builtin(builtin) => Ok(builtin.policy()),
        PolicyRef::Custom(id) => {
            let stored = policies::get(tx, id).await?;
            let statements = check(&stored.document)?;
            Ok(Policy { reference: policy, name: stored.name, level: stored.level, statements })
        }
    }
}

/// What a policy may allow and deny. One of another part of the tree is unknown.
pub(crate) async fn rights_of(tx: &mut Tx, policy: PolicyRef, org: OrgId) -> Result<(Actions, Actions), Failure> {
    if let PolicyRef::Custom(id) = policy {
        let owner = policies::get(tx, id).await?.org;
        if !store::orgs::path(tx, org).await?.contains(&owner) {
            return Err(Failure::not_found("policy"));
        }
    }
    let policy = load(tx, policy).await?;
    let of = |effect| {
        let statements = policy.statements.iter().filter(|statement| statement.effect == effect);
        statements.fold(Actions::NONE, |set, statement| set | statement.actions)
    };
    Ok((of(Effect::Allow), of(Effect::Deny)))
}

/// A policy's name for people.
pub(crate) async fn name_of(tx: &mut Tx, policy: PolicyRef) -> Result<String, Failure> {
    match policy {
        PolicyRef::Builtin(builtin) => Ok(builtin.words().to_owned()),
        PolicyRef::Custom(id) => Ok(policies::get(tx, id).await?.name),
    }
}
