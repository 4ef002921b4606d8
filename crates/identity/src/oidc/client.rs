//! The exchange of a code for tokens (RFC 6749 section 4.1.3, OpenID Connect Core section 3.1.3).

use crate::Rejected;
use crate::oidc::{OidcError, Provider, TokenAuthentication};
use crate::query;
use serde::Deserialize;
use std::fmt;

/// Longer tokens are refused.
const TOKEN_BYTES_MAX: usize = 64 * 1024;

/// We, as the provider knows us.
#[derive(Clone, Copy)]
pub struct Client<'a> {
    /// Name.
    pub id: &'a str,
    /// Secret; empty for a public client.
    pub secret: &'a str,
    /// Where the browser came back.
    pub redirect_uri: &'a str,
}

impl fmt::Debug for Client<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The request to the token endpoint.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// The form, in order.
    pub fields: Vec<(&'static str, String)>,
    /// Name and secret for HTTP Basic, escaped as RFC 6749 section 2.3.1 wants it.
    pub basic: Option<(String, String)>,
}

impl TokenRequest {
    /// Writes the request for a code.
    #[must_use]
    pub fn new(provider: &Provider, client: &Client<'_>, code: &str, verifier: &str) -> Self {
        let mut fields = vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code.to_owned()),
            ("redirect_uri", client.redirect_uri.to_owned()),
            ("code_verifier", verifier.to_owned()),
        ];
        let is_public = client.secret.is_empty();
        if !is_public && provider.token_authentication == TokenAuthentication::Basic {
            return Self { fields, basic: Some((query::escape(client.id), query::escape(client.secret))) };
        }
        fields.push(("client_id", client.id.to_owned()));
        if !is_public {
            fields.push(("client_secret", client.secret.to_owned()));
        }
        Self { fields, basic: None }
    }
}

/// What the token endpoint gave. Neither token is ever printed.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenAnswer {
    /// The ID token, not verified yet.
    pub id_token: String,
    /// For the userinfo endpoint.
    pub access_token: Option<String>,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: Option<String>,
    access_token: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl TokenAnswer {
    /// Reads the answer.
    ///
    /// # Errors
    /// The provider's refusal, or an answer without an ID token.
    pub fn read(status: u16, body: &[u8]) -> Result<Self, OidcError> {
        if status != 200 {
            return Err(match serde_json::from_slice::<Refusal>(body) {
                Ok(refusal) => OidcError::denied(&refusal.error, &refusal.error_description),
                Err(_) => Rejected::new("token answer", &status.to_string(), "is a status without a reason").into(),
            });
        }
        let wrong = |reason: &str| Rejected::silent("token answer", reason);
        // The parser's text is left out: it may repeat a token.
        let tokens: Tokens = serde_json::from_slice(body).map_err(|_| wrong("cannot be read"))?;
        let id_token = tokens.id_token.ok_or_else(|| wrong("has no id_token; is the scope openid allowed?"))?;
        if id_token.len() > TOKEN_BYTES_MAX {
            return Err(wrong("has an id_token of more than 64 KiB").into());
        }
        Ok(Self { id_token, access_token: tokens.access_token })
    }
}
