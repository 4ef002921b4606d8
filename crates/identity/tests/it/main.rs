//! Table tests of the foreign forms of identity.

mod guard;
mod keys;
mod oidc;
mod recovery;
mod scim;
mod totp;
mod webauthn;
