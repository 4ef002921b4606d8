//! Who may do what, where: the organisation tree's roles and the one decision function.
//!
//! [`decide()`] is the only maker of a [`Grant`], and the store opens a transaction for nothing else. Pure:
//! no I/O, no clock, no `HashMap`.

pub mod decide;
pub mod role;

pub use decide::{Actor, Binding, Denied, Grant, Place, decide, decide_job};
pub use role::{Action, Role};
