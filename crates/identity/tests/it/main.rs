//! Table tests of the foreign forms of identity.

mod recovery;
mod totp;
