//! The way to the provider and back: the authorisation request and its callback.

use crate::Rejected;
use crate::oidc::{OidcError, Provider, same};
use crate::query;
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

/// A proof that whoever brings the code began the sign-in (RFC 7636), with S256.
#[derive(Clone, PartialEq, Eq)]
pub struct Pkce {
    /// Kept by us, sent with the code.
    pub verifier: String,
    /// Sent ahead.
    pub challenge: String,
}

impl Pkce {
    /// Makes one of 256 random bits (section 4.1 recommends as many).
    #[must_use]
    pub fn new(random: &[u8; 32]) -> Self {
        let verifier = BASE64URL_NOPAD.encode(random);
        let challenge = BASE64URL_NOPAD.encode(&Sha256::digest(verifier.as_bytes()));
        Self { verifier, challenge }
    }
}

/// What one sign-in asks for. State and nonce are random, good once, and bound to the browser by the caller.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// Our name at the provider.
    pub client_id: &'a str,
    /// Where the browser comes back: exactly as registered.
    pub redirect_uri: &'a str,
    /// Scopes besides `openid`.
    pub scopes: &'a [&'a str],
    /// Comes back with the code.
    pub state: &'a str,
    /// Comes back inside the ID token.
    pub nonce: &'a str,
    /// Challenge of [`Pkce`].
    pub challenge: &'a str,
    /// Address that the provider may fill in.
    pub login_hint: Option<&'a str>,
    /// The person must have proved himself within so many seconds: for a fresh check before a delicate act.
    pub max_age_s: Option<u32>,
}

/// The address to send the browser to (OpenID Connect Core section 3.1.2.1).
#[must_use]
pub fn authorisation_url(provider: &Provider, login: &Login<'_>) -> String {
    let scopes: Vec<&str> =
        std::iter::once("openid").chain(login.scopes.iter().copied().filter(|scope| *scope != "openid")).collect();
    let (scope, max_age) = (scopes.join(" "), login.max_age_s.map(|seconds| seconds.to_string()));
    let mut fields = vec![
        ("response_type", "code"),
        ("client_id", login.client_id),
        ("redirect_uri", login.redirect_uri),
        ("scope", &scope),
        ("state", login.state),
        ("nonce", login.nonce),
        ("code_challenge", login.challenge),
        ("code_challenge_method", "S256"),
    ];
    fields.extend(login.login_hint.map(|hint| ("login_hint", hint)));
    fields.extend(max_age.as_deref().map(|seconds| ("max_age", seconds)));
    let endpoint = &provider.authorization_endpoint;
    let joint = if endpoint.contains('?') { '&' } else { '?' };
    format!("{endpoint}{joint}{}", query::write(&fields))
}

/// Reads the query of the callback and gives the code.
///
/// # Errors
/// When the state is not the one of this browser, the issuer another (RFC 9207: mix-up), or the provider
/// refused.
pub fn read_callback(provider: &Provider, state: &str, query: &str) -> Result<String, OidcError> {
    let pairs = query::read(query)?;
    let get = |name: &str| pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    if state.is_empty() || !get("state").is_some_and(|sent| same(sent, state)) {
        return Err(Rejected::silent("state", "is not that of this browser; begin to sign in again").into());
    }
    match get("iss") {
        Some(issuer) if issuer != provider.issuer => {
            return Err(Rejected::new("iss", issuer, "is not the provider that was asked").into());
        }
        None if provider.sends_issuer => return Err(Rejected::silent("iss", "is missing").into()),
        _ => {}
    }
    if let Some(code) = get("error") {
        return Err(OidcError::denied(code, get("error_description").unwrap_or_default()));
    }
    match get("code") {
        Some(code) if !code.is_empty() => Ok(code.to_owned()),
        _ => Err(Rejected::silent("code", "is missing").into()),
    }
}
