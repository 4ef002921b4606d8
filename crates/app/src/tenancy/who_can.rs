//! Who can do what, and why: the statements behind each answer, now or as if a draft were given.

use crate::authority::{Cx, actor_of};
use crate::failure::Failure;
use crate::people;
use access::policy::{Document, Effect, check};
use access::{Action, Ask, Binding, Builtin, Judged, Level, Policy, PolicyRef, Propagate, explain};
use base::{OrgId, PolicyId, UserId};
use serde::Serialize;
use std::sync::Arc;

/// The answer to "who can do this?": exact counts, and the people one by one.
#[derive(Debug, Clone, Serialize)]
pub struct WhoCan {
    /// How many people were asked about.
    pub asked: usize,
    /// How many of them can.
    pub can: usize,
    /// Those who can first, at most 500 in all.
    pub people: Vec<Explanation>,
}

/// People that one answer explains at most.
const EXPLAINED_MAX: usize = 500;

/// The answer to "can they do this, and why?".
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// Who.
    pub user: UserId,
    /// His name.
    pub name: String,
    /// Whether he can.
    pub allowed: bool,
    /// Why not, in words; empty when he can.
    pub reason: String,
    /// Every statement that speaks about the act there.
    pub statements: Vec<Reason>,
}

/// One statement that speaks about an act.
#[derive(Debug, Clone, Serialize)]
pub struct Reason {
    /// Which policy it stands in.
    pub policy: String,
    /// That policy's name.
    pub name: String,
    /// Where it was given; empty if the viewer may not know the place.
    pub org: String,
    /// Allow or deny.
    pub effect: Effect,
    /// Whether it holds.
    pub holds: bool,
}

/// Says for each person at `org` and below that the caller may see, or for `person` alone, whether they can do `action`
/// there, and why: with what they have now, or as if `draft` were given to them at `org`. Changes nothing.
///
/// # Errors
/// [`Failure`].
pub async fn who_can(
    cx: &Cx,
    org: OrgId,
    action: Action,
    resource: &str,
    person: Option<UserId>,
    draft: Option<&Document>,
) -> Result<WhoCan, Failure> {
    cx.allow(Action::PolicyRead, org).await?;
    let draft = draft.map(check).transpose()?;
    let (grant, span) = cx.span(Action::UserRead, org).await?;
    let place = cx.place(org).await?;
    let mut tx = cx.read_with(&grant).await?;
    let users = match person {
        None => people::all_seen(&mut tx, org, &span).await?,
        Some(user) if people::is_seen(&mut tx, org, user, &span).await? => {
            vec![store::users::get(&mut tx, user).await?]
        }
        Some(user) => {
            let reason = "does not belong to this organisation or one below it";
            return Err(Failure::invalid("user", &user.to_string(), reason));
        }
    };
    let fresh = access::Context { now_us: cx.now_us(), proved_us: Some(cx.now_us()), ..access::Context::default() };
    let mut found = WhoCan { asked: users.len(), can: 0, people: Vec::new() };
    for user in users {
        let mut actor = actor_of(&cx.app, &mut tx, user.id).await?;
        if let Some(statements) = &draft {
            actor = with_draft(&actor, org, statements.clone());
        }
        let (answer, judged) = explain(&actor, &Ask { action, resource, product: None }, &place, &fresh);
        found.can += usize::from(answer.is_ok());
        found.people.push(Explanation {
            user: user.id,
            name: user.display_name,
            allowed: answer.is_ok(),
            reason: answer.err().map(|denied| denied.to_string()).unwrap_or_default(),
            statements: judged.into_iter().map(|line| reason(&place, org, cx, line)).collect(),
        });
    }
    found.people.sort_by_key(|row| (!row.allowed, row.name.clone(), row.user));
    found.people.truncate(EXPLAINED_MAX);
    Ok(found)
}

/// Somebody as if a draft were given to them at `org`, in place of what a mere member has.
fn with_draft(actor: &access::Actor, org: OrgId, statements: Vec<access::policy::Statement>) -> Arc<access::Actor> {
    let policy = Policy {
        reference: PolicyRef::Custom(PolicyId(0)),
        name: "this draft".to_owned(),
        level: Level::Org,
        statements,
    };
    let is_more = |binding: &&Binding| binding.policy.reference != PolicyRef::Builtin(Builtin::Member);
    let mut bindings: Vec<Binding> = actor.bindings().iter().filter(is_more).cloned().collect();
    bindings.push(Binding { policy: Arc::new(policy), ..Binding::builtin(Builtin::Member, org, Propagate::Subtree) });
    Arc::new(access::Actor::new(actor.identity.clone(), actor.memberships().to_vec(), bindings))
}

/// A place above the viewer's own reach is not named.
fn reason(place: &access::Place, org: OrgId, cx: &Cx, line: Judged) -> Reason {
    let seen = {
        let first = place.path.iter().position(|org| cx.actor.bindings().iter().any(|binding| binding.scope == *org));
        let at = place.path.iter().position(|org| *org == line.scope);
        line.scope == org || at >= first
    };
    Reason {
        policy: line.policy.to_string(),
        name: line.name,
        org: if seen { line.scope.to_string() } else { String::new() },
        effect: line.effect,
        holds: line.holds,
    }
}
