//! Who asks: a user with everything that he was given, compiled for decisions.

use crate::action::Actions;
use crate::policy::{Builtin, Policy, PolicyRef, Propagate, Statement};
use base::{GroupId, OrgId, RealmId, UserId};
use std::sync::Arc;

/// A person or a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserKind {
    /// Signs in, may also use the API.
    Human,
    /// A program: API only.
    Service,
}

impl UserKind {
    /// The word stored and sent.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Service => "service",
        }
    }
}

/// Facts about the user himself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The realm he lives in.
    pub realm: RealmId,
    /// The user.
    pub user: UserId,
    /// Person or service.
    pub kind: UserKind,
    /// His address.
    pub email: String,
    /// His name.
    pub name: String,
}

/// A policy given to a user, by himself or through a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// What is given.
    pub policy: Arc<Policy>,
    /// Where.
    pub scope: OrgId,
    /// How far.
    pub propagate: Propagate,
    /// Only on these resources; empty for all.
    pub resources: Vec<String>,
    /// From when on.
    pub not_before_us: Option<i64>,
    /// Until when.
    pub not_after_us: Option<i64>,
    /// The group it came through.
    pub via: Option<GroupId>,
}

impl Binding {
    /// A built-in policy, without limits.
    #[must_use]
    pub fn builtin(builtin: Builtin, scope: OrgId, propagate: Propagate) -> Self {
        Self {
            policy: Arc::new(builtin.policy()),
            scope,
            propagate,
            resources: Vec::new(),
            not_before_us: None,
            not_after_us: None,
            via: None,
        }
    }

    fn is_plain(&self) -> bool {
        self.resources.is_empty() && self.not_before_us.is_none() && self.not_after_us.is_none()
    }

    /// Whether it counts at this moment.
    #[must_use]
    pub fn is_current(&self, now_us: i64) -> bool {
        self.not_before_us.is_none_or(|from| from <= now_us) && self.not_after_us.is_none_or(|until| now_us < until)
    }
}

/// The rights that all bindings at one organisation give, as bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rights {
    /// At the organisation itself.
    pub(crate) here: Sides,
    /// At everything below it.
    pub(crate) below: Sides,
    /// Whether anything reaches below, conditional statements included.
    pub(crate) reaches_below: bool,
    /// First and last of the conditional statements.
    pub(crate) conditional: (u32, u32),
}

/// What is allowed and what is denied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sides {
    pub(crate) allow: Actions,
    pub(crate) deny: Actions,
}

/// A statement that needs the request to be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conditional {
    pub(crate) binding: u32,
    pub(crate) statement: Statement,
}

/// Who asks. Made once, and good as long as nothing in his realm changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Facts about him.
    pub identity: Identity,
    memberships: Vec<OrgId>,
    bindings: Vec<Binding>,
    /// Organisations where something was given, in order; `rights` stands beside it.
    scopes: Vec<OrgId>,
    rights: Vec<Rights>,
    conditional: Vec<Conditional>,
}

impl Actor {
    /// Compiles what a user has. Every active membership brings [`Builtin::Member`] at its organisation.
    #[must_use]
    pub fn new(identity: Identity, mut memberships: Vec<OrgId>, mut bindings: Vec<Binding>) -> Self {
        memberships.sort_unstable();
        memberships.dedup();
        if !memberships.is_empty() {
            let member = Arc::new(Builtin::Member.policy());
            bindings.extend(memberships.iter().map(|org| Binding {
                policy: member.clone(),
                ..Binding::builtin(Builtin::Member, *org, Propagate::Here)
            }));
        }
        bindings.sort_by_key(|binding| binding.scope); // Stable: the order of giving stays within a scope.
        let mut actor = Self {
            identity,
            memberships,
            bindings: Vec::new(),
            scopes: Vec::new(),
            rights: Vec::new(),
            conditional: Vec::new(),
        };
        for (index, binding) in bindings.iter().enumerate() {
            actor.add(index as u32, binding);
        }
        actor.bindings = bindings;
        actor
    }

    fn add(&mut self, index: u32, binding: &Binding) {
        let end = self.conditional.len() as u32;
        if self.scopes.last() != Some(&binding.scope) {
            self.scopes.push(binding.scope);
            self.rights.push(Rights { conditional: (end, end), ..Rights::default() });
        }
        let rights = self.rights.last_mut().expect("one was pushed");
        let reaches_below = binding.propagate == Propagate::Subtree;
        rights.reaches_below |= reaches_below;
        if binding.is_plain() {
            let (allow, deny) = binding.policy.plain();
            add_to(&mut rights.here, allow, deny);
            if reaches_below {
                add_to(&mut rights.below, allow, deny);
            }
        }
        for statement in &binding.policy.statements {
            if !binding.is_plain() || !statement.is_plain() {
                self.conditional.push(Conditional { binding: index, statement: statement.clone() });
            }
        }
        rights.conditional.1 = self.conditional.len() as u32;
    }

    /// The user.
    #[must_use]
    pub fn user(&self) -> UserId {
        self.identity.user
    }

    /// The realm.
    #[must_use]
    pub fn realm(&self) -> RealmId {
        self.identity.realm
    }

    /// Where he is a member, in order of id.
    #[must_use]
    pub fn memberships(&self) -> &[OrgId] {
        &self.memberships
    }

    /// Everything that he was given, [`Builtin::Member`] included.
    #[must_use]
    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// Whether he holds a policy somewhere, by himself or through a group.
    #[must_use]
    pub fn holds(&self, policy: PolicyRef) -> bool {
        self.bindings.iter().any(|binding| binding.policy.reference == policy)
    }

    pub(crate) fn is_member(&self, org: OrgId) -> bool {
        self.memberships.binary_search(&org).is_ok()
    }

    pub(crate) fn rights_at(&self, org: OrgId) -> Option<&Rights> {
        self.scopes.binary_search(&org).ok().map(|index| &self.rights[index])
    }

    pub(crate) fn conditional_of(&self, rights: &Rights) -> &[Conditional] {
        &self.conditional[rights.conditional.0 as usize..rights.conditional.1 as usize]
    }

    pub(crate) fn scopes(&self) -> impl Iterator<Item = (OrgId, &Rights)> {
        self.scopes.iter().copied().zip(&self.rights)
    }
}

fn add_to(sides: &mut Sides, allow: Actions, deny: Actions) {
    sides.allow = sides.allow | allow;
    sides.deny = sides.deny | deny;
}
