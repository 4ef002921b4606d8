//! SCIM 2.0 (RFC 7643, RFC 7644): the wire forms of users and groups, filters, and changes as directories
//! really send them.
//!
//! Attributes that are not known here are left out, those of extensions too. One rule stands above all
//! tolerance: whatever touches `active` is understood or refused. A leaver whose message was taken as
//! success and not understood would keep his access.

mod discovery;
mod error;
mod filter;
mod group_patch;
mod list;
mod operations;
mod path;
mod resources;
mod user_patch;
mod values;

pub use discovery::{resource_types, schemas, service_provider_config};
pub use error::{ScimError, ScimType};
pub use filter::{Attribute, Filter, Operand, Term, Test};
pub use group_patch::{GroupChange, read_group_patch};
pub use list::{Page, Projection, RESULTS_MAX, list_response};
pub use resources::{Email, Group, Name, NewGroup, NewUser, Reference, User};
pub use user_patch::{EmailPick, UserChange, read_user_patch};

/// Media type of every answer (RFC 7644 section 3.1).
pub const MEDIA_TYPE: &str = "application/scim+json";
/// Bodies above this are refused.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

const USER_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
