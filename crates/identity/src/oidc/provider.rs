//! A provider's discovery document (OpenID Connect Discovery 1.0 sections 3 and 4).

use crate::Rejected;
use crate::guard::{Allowed, check_url};
use serde::Deserialize;

const SCOPES_MAX: usize = 1_000;

/// How the client proves itself at the token endpoint (OpenID Connect Core section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenAuthentication {
    /// In the header.
    Basic,
    /// In the form.
    Post,
}

/// What a provider says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Its name, exactly as configured.
    pub issuer: String,
    /// Where the browser goes.
    pub authorization_endpoint: String,
    /// Where codes become tokens.
    pub token_endpoint: String,
    /// Where its keys are.
    pub jwks_uri: String,
    /// Where claims are that the ID token left out.
    pub userinfo_endpoint: Option<String>,
    /// Where the browser goes to sign out there too.
    pub end_session_endpoint: Option<String>,
    /// How to prove ourselves.
    pub token_authentication: TokenAuthentication,
    /// Scopes it names; empty when it names none.
    pub scopes: Vec<String>,
    /// Whether the callback must carry `iss` (RFC 9207 section 3).
    pub sends_issuer: bool,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    code_challenge_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    scopes_supported: Vec<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// Where the discovery document of `issuer` is (section 4.1).
///
/// # Errors
/// When the issuer may not be spoken to, or has a query (section 3: it has none).
pub fn discovery_url(issuer: &str, allowed: &Allowed) -> Result<String, Rejected> {
    check_url(issuer, allowed)?;
    if issuer.contains('?') {
        return Err(Rejected::new("issuer", issuer, "must not have a query"));
    }
    Ok(format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer)))
}

impl Provider {
    /// Reads the document that was fetched for `issuer`.
    ///
    /// # Errors
    /// When it names another issuer (section 4.3: exactly the same), lacks an endpoint, names one that may
    /// not be spoken to, or says that it cannot do PKCE with S256.
    pub fn read(issuer: &str, body: &[u8], allowed: &Allowed) -> Result<Self, Rejected> {
        let document: Document = serde_json::from_slice(body)
            .map_err(|error| Rejected::silent("discovery document", format!("cannot be read: {error}")))?;
        if document.issuer != issuer {
            return Err(Rejected::new("issuer", &document.issuer, format!("is not {issuer:?} as configured")));
        }
        check_endpoints(&document, allowed)?;
        // Silence is no refusal: several providers do PKCE and do not say so.
        if document.code_challenge_methods_supported.as_ref().is_some_and(|known| !known.iter().any(|m| m == "S256")) {
            return Err(Rejected::silent("code_challenge_methods_supported", "does not have S256"));
        }
        let token_authentication = token_authentication(document.token_endpoint_auth_methods_supported.as_deref())?;
        let mut scopes = document.scopes_supported;
        scopes.truncate(SCOPES_MAX);
        Ok(Self {
            issuer: document.issuer,
            authorization_endpoint: document.authorization_endpoint,
            token_endpoint: document.token_endpoint,
            jwks_uri: document.jwks_uri,
            userinfo_endpoint: document.userinfo_endpoint,
            end_session_endpoint: document.end_session_endpoint,
            token_authentication,
            scopes,
            sends_issuer: document.authorization_response_iss_parameter_supported,
        })
    }
}

fn check_endpoints(document: &Document, allowed: &Allowed) -> Result<(), Rejected> {
    let all = [
        ("authorization_endpoint", Some(&document.authorization_endpoint)),
        ("token_endpoint", Some(&document.token_endpoint)),
        ("jwks_uri", Some(&document.jwks_uri)),
        ("userinfo_endpoint", document.userinfo_endpoint.as_ref()),
        ("end_session_endpoint", document.end_session_endpoint.as_ref()),
    ];
    for (name, url) in all {
        let Some(url) = url else { continue };
        check_url(url, allowed)
            .map_err(|error| Rejected::new(name, url, format!("may not be used: {} {}", error.field, error.reason)))?;
    }
    Ok(())
}

/// Section 3: without the member it is `client_secret_basic`.
fn token_authentication(methods: Option<&[String]>) -> Result<TokenAuthentication, Rejected> {
    let Some(methods) = methods else { return Ok(TokenAuthentication::Basic) };
    let has = |name: &str| methods.iter().any(|method| method == name);
    match (has("client_secret_basic"), has("client_secret_post")) {
        (true, _) => Ok(TokenAuthentication::Basic),
        (_, true) => Ok(TokenAuthentication::Post),
        _ => Err(Rejected::new(
            "token_endpoint_auth_methods_supported",
            &methods.join(" "),
            "has neither client_secret_basic nor client_secret_post",
        )),
    }
}
