//! Table tests of the foreign forms of identity.

mod guard;
mod recovery;
mod totp;
