//! Who may do what, where: actions, policies, the organisation tree's rules and the one decision function.
//!
//! [`decide()`] is the only maker of a [`Grant`], and the store opens a transaction for nothing else. Pure:
//! no I/O, no clock, no `HashMap`.

/// Writes a word's code where a type is serialised.
macro_rules! serialize_as {
    ($($name:ty: $method:ident),* $(,)?) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.$method())
            }
        }
    )*};
}

pub mod action;
pub mod actor;
pub mod admins;
pub mod condition;
pub mod cost;
pub mod decide;
pub mod place;
pub mod policy;
pub mod tree;

pub use action::{Action, Actions, Product, Products};
pub use actor::{Actor, Binding, Identity, UserKind};
pub use cost::{Cost, Costs};
pub use decide::{
    Ask, Context, Denied, Grant, Judged, Reach, TokenScope, decide, decide_job, decide_own, explain, may_give, reach,
    standing, visible_costs,
};
pub use place::{GuardRail, Place};
pub use policy::{Builtin, Level, Policy, PolicyRef, Propagate};

serialize_as!(
    Action: code,
    Product: code,
    Cost: code,
    Costs: codes,
    tree::OrgState: code,
    tree::AdminMode: code,
    tree::MfaPolicy: code,
    tree::GatewayRule: code,
    UserKind: code,
);
