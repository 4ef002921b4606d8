//! The relational store: plain SQL on SQLite and PostgreSQL, reached only with a [`access::Grant`].
//!
//! The pool is private; [`Store::read`] and [`Store::write`] hand out a [`Tx`] that binds the grant's realm
//! as `$1` of every statement, and `scoped!` refuses at compile time a statement without it. What
//! crosses realms stands in [`across`], each statement with its reason.

mod sql;

pub mod accounts;
pub mod across;
pub mod actors;
pub mod agreements;
pub mod attempts;
pub mod audit;
pub mod bindings;
pub mod charges;
pub mod cloud_links;
pub mod domains;
pub mod entries;
pub mod epoch;
pub mod factors;
pub mod favourites;
pub mod former_mappings;
pub mod groups;
pub mod holdings;
pub mod idempotency;
pub mod idps;
pub mod invitations;
pub mod invoices;
pub mod jobs;
pub mod keys;
pub mod known_addresses;
pub mod memberships;
pub mod meters;
pub mod open;
pub mod orgs;
pub mod policies;
pub mod products;
pub mod recovery;
mod rekey;
pub mod scim;
pub mod sessions;
pub mod sign_in_trouble;
pub mod tokens;
pub mod users;
mod watch;

pub use open::{Engine, Store};
pub use sql::{StoreError, Tx};
