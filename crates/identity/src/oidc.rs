//! Sign-in by an identity provider: OpenID Connect Core 1.0 with the authorisation code flow and PKCE
//! (RFC 7636), as RFC 9700 (security best practice) wants it.
//!
//! The parts are pure: they write requests and read answers. [`calls`] joins them with
//! [`crate::fetch::Fetcher`]. Who a token speaks of is issuer plus subject, never the e-mail alone; what the
//! claims mean for rights is the caller's decision.

mod claims;
mod client;
mod id_token;
mod keys;
mod login;
mod provider;

pub mod calls;

pub use claims::{Claims, Groups};
pub use client::{Client, TokenAnswer, TokenRequest};
pub use id_token::{Expected, verify_id_token};
pub use keys::KeySet;
pub use login::{Login, Pkce, authorisation_url, read_callback};
pub use provider::{Provider, TokenAuthentication, discovery_url};

use crate::Rejected;

/// Why a sign-in by a provider failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// A value is unreadable or not what was expected.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The token names a key that the key set lacks: fetch the set again, once.
    #[error("the provider's key set has no key {key_id:?} for {algorithm}")]
    UnknownKey {
        /// The `kid` of the token, empty when it has none.
        key_id: String,
        /// Its `alg`.
        algorithm: &'static str,
    },
    /// The provider or the person said no (RFC 6749 sections 4.1.2.1 and 5.2).
    #[error("the provider refused: {code} {description}")]
    Denied {
        /// `access_denied`, `invalid_grant` and so on.
        code: String,
        /// The provider's text, cut.
        description: String,
    },
}

impl OidcError {
    fn denied(code: &str, description: &str) -> Self {
        let cut = |text: &str, characters: usize| text.chars().filter(|c| !c.is_control()).take(characters).collect();
        Self::Denied { code: cut(code, 64), description: cut(description, 200) }
    }
}

/// Compares secrets in constant time.
fn same(one: &str, other: &str) -> bool {
    use subtle::ConstantTimeEq;
    bool::from(one.as_bytes().ct_eq(other.as_bytes()))
}
