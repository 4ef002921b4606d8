//! The tree of organisations, who belongs where, and what they may do there.

pub(crate) mod admins;
pub mod audit;
pub mod bindings;
pub mod cloud_links;
pub mod giving;
pub mod groups;
pub mod invitations;
pub mod org_life;
pub mod orgs;
pub mod people;
pub mod policies;
pub mod preview;
pub mod realms;
pub mod restore;
pub mod unattached;
pub mod who_can;
