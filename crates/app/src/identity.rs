//! Who somebody is: passwords, second factors, providers, directories, sessions, tokens.

pub mod domains;
pub mod factors;
pub mod idps;
pub(crate) mod passwords;
pub(crate) mod provider_cache;
pub(crate) mod provider_rules;
pub mod resets;
pub mod scim;
pub mod security;
pub mod sessions;
pub mod sign_in;
pub mod sso;
pub(crate) mod throttle;
pub mod tokens;
