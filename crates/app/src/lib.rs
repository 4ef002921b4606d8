//! Use cases and runs: a folder for each area, a file for each thing that a person or a timer can do.
//!
//! The order of steps, the borders of transactions, who may do what: all of it is here; rules are in the
//! pure crates, SQL in the store. Faces (console, API, gateway, CLI) reach state only through [`Cx`] and
//! the functions of these modules.

mod authority;
mod billing;
mod failure;
pub mod idempotency;
mod identity;
mod named;
pub mod outside;
mod runs;
mod s3;
pub mod secrets;
mod tenancy;
pub mod usage;
mod world;

pub use self::billing::{bills, costs, prices, rating, recomputed, trace};
pub use self::identity::{domains, factors, idps, resets, scim, security, sessions, sign_in, sso, tokens};
pub use self::s3::{buckets, keys, s3_session, sources, sweep};
pub use ::identity::proxies::Proxies;
pub use authority::{App, Change, Cx, Operator, Origin, Preview};
pub use failure::{Failure, Kind};
pub use outside::Outside;
pub use runs::{health, timers};
pub use tenancy::{
    audit, bindings, cloud_links, giving, groups, invitations, org_life, orgs, people, policies, preview, realms,
    restore, unattached, who_can,
};
pub use usage::events;
pub use world::MachineWorld;

pub(crate) use self::billing::pdf_turns;
pub(crate) use self::identity::{passwords, provider_cache, provider_rules, throttle};
pub(crate) use self::s3::{s3_cache, sweeps};
pub(crate) use tenancy::admins;

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
    pub use store::orgs::{Child, ChildrenAsked, Org};
    pub use store::policies::StoredPolicy;
    pub use store::sessions::Session;
    pub use store::sign_in_trouble::Trouble;
    pub use store::tokens::Token;
    pub use store::users::{PeopleQuestion, User};
}
