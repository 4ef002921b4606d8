//! The decision, and the proof of it.

use crate::role::{Action, Role};
use base::{OrgId, RealmId, UserId};

/// A role given to a user at an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// What is given.
    pub role: Role,
    /// Where.
    pub scope: OrgId,
}

/// Who asks: an active user with everything he was given in his realm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The realm he lives in.
    pub realm: RealmId,
    /// The user.
    pub user: UserId,
    /// His roles.
    pub bindings: Vec<Binding>,
}

/// Where: an organisation with the way from the root down to it, itself included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The realm.
    pub realm: RealmId,
    /// Root first, the organisation last. Never empty.
    pub path: Vec<OrgId>,
}

impl Place {
    /// The organisation itself.
    ///
    /// # Panics
    /// When the path is empty, which only a bug can make.
    #[must_use]
    pub fn org(&self) -> OrgId {
        *self.path.last().expect("a place has a path")
    }
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The actor may not know that the thing exists: answered like an unknown id.
    #[error("not found")]
    NotFound,
    /// The actor knows the organisation but lacks the right.
    #[error("you may see this organisation, but not {0:?} there")]
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

/// May `actor` do `action` at `place`? A role counts where it was given and, if it reaches below, at
/// every organisation under it. Default deny.
///
/// # Errors
/// [`Denied::NotFound`] when the actor has nothing on the way to the place, [`Denied::Forbidden`] when he
/// may read the place but not do this.
pub fn decide(actor: &Actor, action: Action, place: &Place) -> Result<Grant, Denied> {
    if actor.realm != place.realm {
        return Err(Denied::NotFound);
    }
    let org = place.org();
    let covering = |binding: &&Binding| {
        binding.scope == org || (binding.role.reaches_below() && place.path.contains(&binding.scope))
    };
    let mut known = false;
    for binding in actor.bindings.iter().filter(covering) {
        known = true;
        if binding.role.allows(action) {
            return Ok(Grant { realm: actor.realm, org, user: Some(actor.user), action });
        }
    }
    Err(if known { Denied::Forbidden(action) } else { Denied::NotFound })
}

/// The grant of a background run, made from the job row that was claimed (or from the access key that
/// was verified): realm and organisation come from that row, never from a request.
#[must_use]
pub fn decide_job(realm: RealmId, org: OrgId) -> Grant {
    Grant { realm, org, user: None, action: Action::RunJob }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actor(role: Role, scope: u128) -> Actor {
        Actor { realm: RealmId(1), user: UserId(9), bindings: vec![Binding { role, scope: OrgId(scope) }] }
    }

    fn place(path: &[u128]) -> Place {
        Place { realm: RealmId(1), path: path.iter().map(|id| OrgId(*id)).collect() }
    }

    /// One case a line: role at scope, action, path of the target, outcome.
    #[test]
    fn decisions() {
        type Case<'a> = (Role, u128, Action, &'a [u128], Result<(), Denied>);
        let table: &[Case<'_>] = &[
            (Role::Admin, 1, Action::ManagePrices, &[1], Ok(())),
            (Role::Admin, 1, Action::ManagePrices, &[1, 2, 3], Ok(())),
            (Role::Admin, 2, Action::ManagePrices, &[1, 2, 3], Ok(())),
            (Role::Admin, 2, Action::ReadOrg, &[1], Err(Denied::NotFound)),
            (Role::Admin, 2, Action::ReadOrg, &[1, 4], Err(Denied::NotFound)),
            (Role::DepartmentHead, 3, Action::ReadCharges, &[1, 2, 3], Ok(())),
            (Role::DepartmentHead, 3, Action::ManagePrices, &[1, 2, 3], Err(Denied::Forbidden(Action::ManagePrices))),
            (Role::DepartmentHead, 3, Action::ReadCharges, &[1, 2, 4], Err(Denied::NotFound)),
            (Role::Member, 3, Action::ManageOwnKeys, &[1, 2, 3], Ok(())),
            (Role::Member, 3, Action::ReadUsage, &[1, 2, 3], Err(Denied::Forbidden(Action::ReadUsage))),
            (Role::Member, 2, Action::ManageOwnKeys, &[1, 2, 3], Err(Denied::NotFound)),
        ];
        for (role, scope, action, path, want) in table {
            let got = decide(&actor(*role, *scope), *action, &place(path)).map(|_| ());
            assert_eq!(got, *want, "{role:?}@{scope} {action:?} {path:?}");
        }
    }

    #[test]
    fn another_realm_does_not_exist() {
        let mut foreign = place(&[1]);
        foreign.realm = RealmId(2);
        assert_eq!(decide(&actor(Role::Admin, 1), Action::ReadOrg, &foreign), Err(Denied::NotFound));
    }

    #[test]
    fn nobody_holds_the_right_of_a_run() {
        assert!(Role::ALL.into_iter().all(|role| !role.allows(Action::RunJob)));
    }
}
