//! Use cases and runs: one file for each thing that a person or a timer can do.
//!
//! The order of steps, the borders of transactions, who may do what: all of it is here; rules are in the
//! pure crates, SQL in the store. Faces (console, API, gateway, CLI) reach state only through [`Cx`] and
//! the functions of these modules.

mod admins;
pub mod audit;
mod authority;
pub mod bills;
pub mod buckets;
pub mod cloud_links;
pub mod costs;
pub mod domains;
pub mod events;
pub mod factors;
mod failure;
pub mod groups;
pub mod health;
pub mod idempotency;
pub mod idps;
pub mod keys;
mod named;
pub mod org_life;
pub mod orgs;
pub mod outside;
mod passwords;
pub mod people;
pub mod policies;
pub mod prices;
mod provider_cache;
pub mod rating;
pub mod realms;
pub mod resets;
pub mod restore;
mod s3_cache;
pub mod s3_session;
pub mod scim;
pub mod secrets;
pub mod security;
pub mod sign_in;
pub mod sources;
pub mod sso;
pub mod sweep;
mod throttle;
pub mod timers;
pub mod tokens;
pub mod usage;
mod world;

pub use authority::{App, Change, Cx, Operator, Origin};
pub use failure::{Failure, Kind};
pub use identity::proxies::Proxies;
pub use outside::Outside;
pub use world::MachineWorld;

/// What faces show of the store's rows, so that they need not know the store.
pub mod rows {
    pub use lake::{Drift, Quarantined, RolledUp, Sealed, StoredRecord};
    pub use store::accounts::{Account, Mapping};
    pub use store::agreements::Agreement;
    pub use store::audit::{AuditEvent, AuditFilter};
    pub use store::bindings::Holder;
    pub use store::charges::RatingRun;
    pub use store::cloud_links::CloudLink;
    pub use store::domains::Claim;
    pub use store::factors::Factor;
    pub use store::former_mappings::Charge;
    pub use store::groups::Group;
    pub use store::idps::{Idp, Settings as IdpSettings};
    pub use store::invitations::Invitation;
    pub use store::invoices::Listed;
    pub use store::keys::AccessKey;
    pub use store::orgs::{Child, Org};
    pub use store::policies::StoredPolicy;
    pub use store::sessions::Session;
    pub use store::sign_in_trouble::Trouble;
    pub use store::tokens::Token;
    pub use store::users::{PeopleQuestion, User};
}
