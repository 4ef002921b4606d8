//! Passkeys: what the server checks of a WebAuthn ceremony (W3C Web Authentication Level 3, sections 7.1 and
//! 7.2), with ES256, EdDSA and RS256.
//!
//! Attestation is not looked at: passkeys of today send `none`, and a statement proves a maker, not a person
//! (section 6.5: a relying party may treat it as self-asserted). The caller keeps the challenge for one use
//! and a few minutes, and looks the credential up among those of one person or, for a sign-in without a
//! name, by the user handle.

mod answer;
mod authenticator;
mod cbor;
mod key;
mod options;
mod verify;

pub use authenticator::CREDENTIAL_ID_BYTES_MAX;
pub use options::{Account, RelyingParty, creation_options, request_options};
pub use verify::{AuthenticationAnswer, Expected, Passkey, SignedIn, WebauthnError, verify_registration};
