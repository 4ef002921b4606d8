//! Table tests of the foreign forms of identity.

mod guard;
mod keys;
mod oidc;
mod recovery;
mod totp;
mod webauthn;
