//! Where: an organisation with what the way down to it says about it.

use crate::action::{Actions, Products};
use crate::cost::Costs;
use crate::policy::{Effect, Policy};
use base::{GuardRailId, OrgId, RealmId};
use std::sync::Arc;

/// A policy laid on an organisation and everything below it. What it denies is denied to everybody who has the right
/// from its author's organisation or below; if it allows anything, what it does not allow is denied too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardRail {
    /// Which.
    pub id: GuardRailId,
    /// What it says.
    pub policy: Arc<Policy>,
    /// The organisation whose authority it was laid with: what was given above it is not bound.
    pub author: OrgId,
}

impl GuardRail {
    /// Whether it binds a right that was given at `depth` of a path (0 is the root). What its author could not deny,
    /// it does not bind: the rights of the organisations above the author.
    #[must_use]
    pub fn binds(&self, path: &[OrgId], depth: usize) -> bool {
        path.iter().position(|org| *org == self.author).is_none_or(|author| depth >= author)
    }

    /// Everything that it may refuse to somebody under some condition.
    #[must_use]
    pub fn refuses_at_most(&self) -> Actions {
        let denies = self.policy.statements.iter().filter(|statement| statement.effect == Effect::Deny);
        let denies = denies.fold(Actions::NONE, |set, statement| set | statement.actions);
        let bounds = self.policy.statements.iter().any(|statement| statement.effect == Effect::Allow);
        if bounds { denies | !self.policy.plain().0 } else { denies }
    }

    /// What it refuses to everybody, whatever the facts.
    #[must_use]
    pub fn refuses(&self) -> Actions {
        let (allow, deny) = self.policy.plain();
        let bounds = self.policy.statements.iter().any(|statement| statement.effect == Effect::Allow);
        if bounds { deny | !(allow | self.policy.allows_at_most()) } else { deny }
    }
}

/// Where: the way from the root down to an organisation, itself included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The realm.
    pub realm: RealmId,
    /// Root first, the organisation last. Never empty.
    pub path: Vec<OrgId>,
    /// How many organisations of the path stand above the first suspended one; `None` if none is.
    pub suspended_from: Option<usize>,
    /// The products that it and every organisation above it has.
    pub products: Products,
    /// The costs that its people may be shown.
    pub costs: Costs,
    /// Guard-rails of the path.
    pub guards: Vec<GuardRail>,
}

impl Place {
    /// A place where nothing is switched off, hidden or guarded.
    #[must_use]
    pub fn open(realm: RealmId, path: Vec<OrgId>) -> Self {
        Self { realm, path, suspended_from: None, products: Products::ALL, costs: Costs::ALL, guards: Vec::new() }
    }

    /// The organisation itself.
    ///
    /// # Panics
    /// When the path is empty, which only a bug can make.
    #[must_use]
    pub fn org(&self) -> OrgId {
        *self.path.last().expect("a place has a path")
    }

    /// The organisation right above it; none above the root.
    #[must_use]
    pub fn parent(&self) -> Option<OrgId> {
        self.path.iter().rev().nth(1).copied()
    }

    /// Some organisation below it of which nothing else is known: only what reaches below holds there.
    #[must_use]
    pub fn somewhere_below(&self) -> Self {
        let mut below = self.clone();
        below.path.push(OrgId(u128::MAX));
        below
    }

    /// Whether `org` is the place or above it.
    #[must_use]
    pub fn is_at_or_below(&self, org: OrgId) -> bool {
        self.path.contains(&org)
    }
}
