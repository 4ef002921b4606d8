//! Foreign forms of identity: one-time codes, recovery codes, passkeys, OpenID Connect, SCIM, and the guard
//! of every address that a customer may name.
//!
//! It parses and verifies. It knows no store and no tenants, reads no clock and draws no chance: the time
//! comes in as `now_us`, random bytes as arguments. What it cannot read is an error with field, value and
//! reason; no secret stands in one. Hashes of passwords and codes are the caller's work.

pub mod dns;
pub mod fetch;
pub mod guard;
pub mod oidc;
pub mod proxies;
pub mod qr;
pub mod recovery;
pub mod scim;
pub mod totp;
pub mod webauthn;

mod query;
mod rejected;
mod signature;

pub use rejected::Rejected;
