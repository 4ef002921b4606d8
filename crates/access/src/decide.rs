//! The decision, and the proof of it.
//!
//! One function for all: pages, API, gateway, runs. Deny by default; a denial beats every permission at any
//! depth; what one may not know of does not exist.

use crate::action::{Action, Actions, Product, SENSITIVE, SUSPEND_ALLOWED};
use crate::actor::{Actor, Conditional};
use crate::cost::{Cost, Costs};
use crate::place::Place;
use crate::policy::{Effect, PolicyRef, Propagate, covers};
use base::{GuardRailId, OrgId, RealmId, UserId};
use std::borrow::Cow;
use std::net::IpAddr;

/// A proof of identity older than this does not open sensitive acts.
pub const FRESH_US: i64 = 15 * 60_000_000;

/// What a token may be used for, beside the rights of its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenScope {
    /// Only there and below.
    pub org: OrgId,
    /// Only these.
    pub actions: Actions,
    /// Those that were named one by one when it was made: they need no further proof.
    pub named: Actions,
    /// `personal`, `programmatic`, `scim`.
    pub kind: &'static str,
}

/// Under which circumstances it is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// The time of the request.
    pub now_us: i64,
    /// Address of the client.
    pub ip: Option<IpAddr>,
    /// When identity was last proved, by password or second factor.
    pub proved_us: Option<i64>,
    /// The token that was used.
    pub token: Option<TokenScope>,
}

impl Context {
    /// Whether identity was proved a short time ago.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.proved_us.is_some_and(|at_us| self.now_us - at_us <= FRESH_US)
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask<'a> {
    /// The act.
    pub action: Action,
    /// The single thing, as `service:id`; empty when it is the organisation itself.
    pub resource: &'a str,
    /// The product it belongs to, where the action does not say.
    pub product: Option<Product>,
}

impl<'a> Ask<'a> {
    /// An act on the organisation itself.
    #[must_use]
    pub fn of(action: Action) -> Self {
        Self { action, resource: "", product: None }
    }

    /// The same, on a single thing.
    #[must_use]
    pub fn on(self, resource: &'a str) -> Self {
        Self { resource, ..self }
    }

    /// The same, as part of a product.
    #[must_use]
    pub fn within(self, product: Product) -> Self {
        Self { product: Some(product), ..self }
    }
}

/// What conditions may ask.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Who.
    pub actor: &'a Actor,
    /// Where.
    pub org: OrgId,
    /// On what, as `service:id`.
    pub resource: &'a str,
    /// Circumstances.
    pub context: &'a Context,
}

impl Facts<'_> {
    /// The fact behind a key, if there is one.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        let identity = &self.actor.identity;
        let resource = || self.resource.split_once(':').filter(|(service, id)| !service.is_empty() && !id.is_empty());
        match key {
            "user:id" => Some(Cow::Owned(identity.user.to_string())),
            "user:email" => Some(Cow::Borrowed(identity.email.as_str())).filter(|email| !email.is_empty()),
            "user:name" => Some(Cow::Borrowed(&*identity.name)),
            "org:id" => Some(Cow::Owned(self.org.to_string())),
            "resource:id" => resource().map(|(_, id)| Cow::Borrowed(id)),
            "resource:type" => resource().map(|(service, _)| Cow::Borrowed(service)),
            "request:ip" => self.context.ip.map(|ip| Cow::Owned(ip.to_string())),
            "token:kind" => Some(Cow::Borrowed(self.context.token.as_ref().map_or("none", |token| token.kind))),
            "mfa:fresh" => Some(Cow::Borrowed(if self.context.is_fresh() { "true" } else { "false" })),
            _ => None,
        }
    }
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The actor may not know that the thing exists: answered like an unknown id.
    #[error("not found")]
    NotFound,
    /// The organisation, or one above it, is suspended.
    #[error("the organisation is suspended: only costs, invoices, payments and the audit log can be reached")]
    OrgSuspended,
    /// The product is not switched on here.
    #[error("the product {} is not enabled for this organisation", .0.words())]
    ProductNotEnabled(Product),
    /// A guard-rail on the way refuses it to everybody.
    #[error("the guard-rail {} does not let anybody do {}", .1, .0.code())]
    GuardRail(Action, GuardRailId),
    /// A policy of the actor denies it.
    #[error("the policy {} denies {}", .1, .0.code())]
    Policy(Action, PolicyRef),
    /// The token was made for other things.
    #[error("this token was not made for {}", .0.code())]
    TokenScope(Action),
    /// Identity must be proved once more.
    #[error("prove once more who you are to do {}", .0.code())]
    StepUp(Action),
    /// Nothing allows it.
    #[error("you may see this organisation, but not do {} there", .0.code())]
    Forbidden(Action),
}

/// Proof that an action was allowed at a place. The store binds its realm to every statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    realm: RealmId,
    org: OrgId,
    user: Option<UserId>,
    action: Action,
}

impl Grant {
    /// The realm that every statement is bound to.
    #[must_use]
    pub fn realm(&self) -> RealmId {
        self.realm
    }

    /// The organisation that was decided on.
    #[must_use]
    pub fn org(&self) -> OrgId {
        self.org
    }

    /// The user who asked; `None` for background work.
    #[must_use]
    pub fn user(&self) -> Option<UserId> {
        self.user
    }

    /// What was allowed.
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }
}

/// May `actor` do this at `place`? Makes the proof, or says why not. Allocates nothing unless a condition
/// must be judged or the answer is no.
///
/// # Errors
/// [`Denied`], in the order of the checks: realm, knowledge, guard-rails, denials, token, permissions,
/// suspension, product, fresh proof.
pub fn decide(actor: &Actor, ask: &Ask<'_>, place: &Place, context: &Context) -> Result<Grant, Denied> {
    if actor.realm() != place.realm || !knows(actor, place) {
        return Err(Denied::NotFound);
    }
    let (action, org) = (ask.action, place.org());
    let facts = Facts { actor, org, resource: ask.resource, context };
    if place.suspended_from.is_some() && !SUSPEND_ALLOWED.has(action) && !stands_above(actor, place) {
        return Err(Denied::OrgSuspended);
    }
    if let Some(product) = missing_product(ask, place) {
        return Err(Denied::ProductNotEnabled(product));
    }
    let Weighed { allowed_at, denied } = weigh(actor, action, place, &facts);
    let allowed = allowed_at.is_some();
    // Of several permissions the highest counts: fewer guard-rails bind it.
    if let Some(id) = guard_against(action, place, &facts, allowed_at.unwrap_or(place.path.len())) {
        return Err(Denied::GuardRail(action, id));
    }
    if denied {
        return Err(Denied::Policy(action, denying_policy(actor, action, place, &facts)));
    }
    if let Some(token) = &context.token
        && !(token.actions.has(action) && place.is_at_or_below(token.org))
    {
        return Err(Denied::TokenScope(action));
    }
    if !allowed {
        return Err(Denied::Forbidden(action));
    }
    let consented = context.token.as_ref().is_some_and(|token| token.named.has(action));
    if SENSITIVE.has(action) && !context.is_fresh() && !consented {
        return Err(Denied::StepUp(action));
    }
    Ok(Grant { realm: place.realm, org, user: Some(actor.user()), action })
}

/// Whether he may know of the place: a member of it, or something given to him above reaches it.
fn knows(actor: &Actor, place: &Place) -> bool {
    let (org, above) = place.path.split_last().expect("a place has a path");
    if actor.is_member(*org) {
        return true;
    }
    let on_path = || place.path.iter().any(|org| actor.is_member(*org));
    let reached = above.iter().any(|org| actor.rights_at(*org).is_some_and(|rights| rights.reaches_below))
        || actor.rights_at(*org).is_some();
    reached && on_path()
}

/// Whether something that reaches the place was given to him above the first suspended organisation:
/// those who suspended it keep their full access.
fn stands_above(actor: &Actor, place: &Place) -> bool {
    let above = &place.path[..place.suspended_from.unwrap_or(0)];
    above.iter().any(|org| actor.rights_at(*org).is_some_and(|rights| rights.reaches_below))
}

fn missing_product(ask: &Ask<'_>, place: &Place) -> Option<Product> {
    [ask.product, ask.action.product()].into_iter().flatten().find(|product| !place.products.has(*product))
}

fn guard_against(action: Action, place: &Place, facts: &Facts<'_>, depth: usize) -> Option<GuardRailId> {
    let refused = |guard: &&crate::place::GuardRail| {
        if !guard.binds(&place.path, depth) {
            return false;
        }
        if guard.refuses().has(action) {
            return true;
        }
        let judged = |effect| {
            let mut of = guard.policy.statements.iter().filter(|statement| statement.effect == effect);
            of.any(|statement| statement.holds(action, facts))
        };
        let bounds = guard.policy.statements.iter().any(|statement| statement.effect == Effect::Allow);
        judged(Effect::Deny) || (bounds && !judged(Effect::Allow))
    };
    place.guards.iter().find(refused).map(|guard| guard.id)
}

/// What speaks for an act and against it.
struct Weighed {
    /// Depth of the highest organisation at which something that allows it was given.
    allowed_at: Option<usize>,
    denied: bool,
}

/// Whether anything allows it, and whether anything denies it. Of those inside a suspended subtree, only
/// what is allowed there counts; that was checked before.
fn weigh(actor: &Actor, action: Action, place: &Place, facts: &Facts<'_>) -> Weighed {
    let last = place.path.len() - 1;
    let barrier = if SUSPEND_ALLOWED.has(action) { None } else { place.suspended_from };
    let (mut allowed_at, mut denied) = (None, false);
    for (depth, org) in place.path.iter().enumerate() {
        let Some(rights) = actor.rights_at(*org) else { continue };
        let counts = barrier.is_none_or(|first| depth < first);
        let sides = if depth == last { rights.here } else { rights.below };
        let mut allowed = counts && sides.allow.has(action);
        denied |= sides.deny.has(action);
        for conditional in actor.conditional_of(rights) {
            if holds(actor, conditional, depth == last, action, facts) {
                match conditional.statement.effect {
                    Effect::Allow => allowed |= counts,
                    Effect::Deny => denied = true,
                }
            }
        }
        if allowed && allowed_at.is_none() {
            allowed_at = Some(depth);
        }
    }
    Weighed { allowed_at, denied }
}

fn holds(actor: &Actor, conditional: &Conditional, here: bool, action: Action, facts: &Facts<'_>) -> bool {
    let binding = &actor.bindings()[conditional.binding as usize];
    (here || binding.propagate == Propagate::Subtree)
        && binding.is_current(facts.context.now_us)
        && covers(&binding.resources, facts.resource)
        && conditional.statement.holds(action, facts)
}

fn denying_policy(actor: &Actor, action: Action, place: &Place, facts: &Facts<'_>) -> PolicyRef {
    let judged = explain_bindings(actor, action, place, facts);
    let denying = judged.into_iter().find(|line| line.effect == Effect::Deny && line.holds);
    denying.expect("something denied it").policy
}

/// One statement that speaks about an act at a place, and whether it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The policy it stands in.
    pub policy: PolicyRef,
    /// Name of the policy.
    pub name: String,
    /// Where it was given.
    pub scope: OrgId,
    /// Through which group.
    pub via: Option<base::GroupId>,
    /// Allow or deny.
    pub effect: Effect,
    /// Whether it holds for this request.
    pub holds: bool,
}

/// Who can do what, and why: the decision with every statement that speaks about the act.
pub fn explain(actor: &Actor, ask: &Ask<'_>, place: &Place, context: &Context) -> (Result<Grant, Denied>, Vec<Judged>) {
    let facts = Facts { actor, org: place.org(), resource: ask.resource, context };
    let known = actor.realm() == place.realm && knows(actor, place);
    let judged = if known { explain_bindings(actor, ask.action, place, &facts) } else { Vec::new() };
    (decide(actor, ask, place, context), judged)
}

fn explain_bindings(actor: &Actor, action: Action, place: &Place, facts: &Facts<'_>) -> Vec<Judged> {
    let mut found = Vec::new();
    for (depth, org) in place.path.iter().enumerate() {
        let here = depth + 1 == place.path.len();
        for binding in actor.bindings().iter().filter(|binding| binding.scope == *org) {
            if !here && binding.propagate == Propagate::Here {
                continue;
            }
            for statement in binding.policy.statements.iter().filter(|statement| statement.actions.has(action)) {
                found.push(Judged {
                    policy: binding.policy.reference,
                    name: binding.policy.name.clone(),
                    scope: binding.scope,
                    via: binding.via,
                    effect: statement.effect,
                    holds: binding.is_current(facts.context.now_us)
                        && covers(&binding.resources, facts.resource)
                        && statement.holds(action, facts),
                });
            }
        }
    }
    found
}

/// The costs that the actor is shown at a place.
#[must_use]
pub fn visible_costs(actor: &Actor, place: &Place, context: &Context) -> Costs {
    place.costs.iter().filter(|cost: &Cost| decide(actor, &Ask::of(cost.action()), place, context).is_ok()).collect()
}

/// Where an act is allowed, as sets of organisations that a query can join: the same compiled form as
/// [`decide`], without suspension, products and guard-rails, which the query reads from its own rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Allowed at these organisations themselves.
    pub here: Vec<OrgId>,
    /// Allowed at everything below these.
    pub below: Vec<OrgId>,
    /// Denied at these themselves.
    pub not_here: Vec<OrgId>,
    /// Denied at everything below these.
    pub not_below: Vec<OrgId>,
    /// Where he is a member: what he must be on the way to a place to know of it.
    pub member: Vec<OrgId>,
    /// Where the token ends, if there is one.
    pub within: Option<OrgId>,
}

/// Where `actor` may do `action`, on no single resource.
#[must_use]
pub fn reach(actor: &Actor, action: Action, context: &Context) -> Reach {
    let mut found = Reach { member: actor.memberships().to_vec(), ..Reach::default() };
    if let Some(token) = &context.token {
        if !token.actions.has(action) {
            return found;
        }
        found.within = Some(token.org);
    }
    for (org, rights) in actor.scopes() {
        let facts = Facts { actor, org, resource: "", context };
        let mut sides = [(rights.here, true), (rights.below, false)];
        for (sides, here) in &mut sides {
            for conditional in actor.conditional_of(rights) {
                if holds(actor, conditional, *here, action, &facts) {
                    let one = Actions::of(&[action]);
                    match conditional.statement.effect {
                        Effect::Allow => sides.allow = sides.allow | one,
                        Effect::Deny => sides.deny = sides.deny | one,
                    }
                }
            }
        }
        let [(here, _), (below, _)] = sides;
        for (list, is_in) in [
            (&mut found.here, here.allow.has(action)),
            (&mut found.below, below.allow.has(action)),
            (&mut found.not_here, here.deny.has(action)),
            (&mut found.not_below, below.deny.has(action)),
        ] {
            if is_in {
                list.push(org);
            }
        }
    }
    found
}

/// From how high up `actor` may do this at `place`: the highest organisation on the way to it at which something that
/// allows it was given. `None` when nothing does.
#[must_use]
pub fn standing(actor: &Actor, action: Action, place: &Place, context: &Context) -> Option<OrgId> {
    let facts = Facts { actor, org: place.org(), resource: "", context };
    weigh(actor, action, place, &facts).allowed_at.map(|depth| place.path[depth])
}

/// Whether `actor` may give (or take) these rights at `place`, reaching as far as `propagate` says: nobody
/// gives what he does not hold. What is switched off or guarded there is off for the receiver too.
///
/// # Errors
/// The first action that would be given and the actor lacks.
pub fn may_give(
    actor: &Actor,
    gives: Actions,
    propagate: Propagate,
    place: &Place,
    context: &Context,
) -> Result<(), Action> {
    let fresh = Context { proved_us: Some(context.now_us), ..context.clone() };
    let mut places = vec![place.clone()];
    if propagate == Propagate::Subtree {
        places.push(place.somewhere_below());
    }
    let lacks = |action: &Action| {
        let answers = places.iter().map(|place| decide(actor, &Ask::of(*action), place, &fresh));
        answers.into_iter().any(|answer| match answer {
            Ok(_) | Err(Denied::ProductNotEnabled(_) | Denied::GuardRail(..)) => false,
            Err(_) => true,
        })
    };
    gives.iter().find(lacks).map_or(Ok(()), Err)
}

/// May `actor` do this with what is their own: account, sessions, factors, keys, tokens? Policies say nothing about
/// it, so that nobody can be shut out of their own account by one; a token must have been made for it.
///
/// # Errors
/// [`Denied::TokenScope`].
pub fn decide_own(actor: &Actor, action: Action, context: &Context) -> Result<Grant, Denied> {
    let realm = actor.realm();
    if context.token.as_ref().is_some_and(|token| !token.actions.has(action)) {
        return Err(Denied::TokenScope(action));
    }
    Ok(Grant { realm, org: realm.root(), user: Some(actor.user()), action })
}

/// The grant of what nobody who is signed in stands for: a background run, whose realm and organisation come from the
/// job row that was claimed, and a request whose secret is itself the right. Never from a request's own words; `app`
/// names it in one module only (tidy).
#[must_use]
pub fn decide_job(realm: RealmId, org: OrgId) -> Grant {
    Grant { realm, org, user: None, action: Action::RunJob }
}
