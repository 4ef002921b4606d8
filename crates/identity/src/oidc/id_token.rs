//! The check of an ID token (OpenID Connect Core section 3.1.3.7; RFC 7515, RFC 7519, RFC 8725).

use crate::Rejected;
use crate::oidc::claims::{Claims, time_us};
use crate::oidc::{KeySet, OidcError, same};
use crate::signature::EcdsaForm;
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use serde_json::{Map, Value};

const TOKEN_BYTES_MAX: usize = 64 * 1024;
/// How far clocks may differ.
const SKEW_US: i64 = 60_000_000;
/// A token of the code flow is made when the code is exchanged: older ones are replays.
const AGE_US_MAX: i64 = 600_000_000;
const AUDIENCES_MAX: usize = 100;

/// What the token must fit.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The provider's issuer.
    pub issuer: &'a str,
    /// Our name there.
    pub client_id: &'a str,
    /// The nonce of this sign-in.
    pub nonce: &'a str,
    /// Now.
    pub now_us: i64,
    /// The `max_age` that was asked for, if one was.
    pub max_age_s: Option<u32>,
    /// Name of the claim with groups, if groups are wanted.
    pub groups_claim: Option<&'a str>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
    b64: Option<Value>,
}

/// Checks the signature first, then every claim that binds the token to this sign-in.
///
/// # Errors
/// [`OidcError::UnknownKey`] when the key set may be old, else the part at fault.
pub fn verify_id_token(token: &str, keys: &KeySet, expected: &Expected<'_>) -> Result<Claims, OidcError> {
    let claims = signed_claims(token, keys)?;
    check_parties(&claims, expected)?;
    check_times(&claims, expected)?;
    match claims.get("nonce") {
        Some(Value::String(nonce)) if !nonce.is_empty() && same(nonce, expected.nonce) => {}
        _ => return Err(Rejected::silent("nonce", "is not that of this sign-in").into()),
    }
    Ok(Claims::read(&claims, expected.groups_claim)?)
}

fn wrong(reason: impl Into<String>) -> Rejected {
    Rejected::silent("id_token", reason)
}

/// RFC 7515 section 5.2, for the compact form.
fn signed_claims(token: &str, keys: &KeySet) -> Result<Map<String, Value>, OidcError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(wrong("has more than 64 KiB").into());
    }
    let parts: Vec<&str> = token.split('.').collect();
    let [head, body, signature] = parts[..] else {
        return Err(wrong("is not of three parts; encrypted tokens are not supported").into());
    };
    let decode = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| wrong("is not base64url"));
    let header: Header = serde_json::from_slice(&decode(head)?).map_err(|_| wrong("has an unreadable header"))?;
    // RFC 7515 section 4.1.11: extensions that are not understood must be refused.
    if header.crit.is_some() || header.b64.is_some() {
        return Err(wrong("has a critical extension in its header").into());
    }
    let algorithm = algorithm(&header.alg)?;
    let key = keys.find(header.kid.as_deref(), algorithm)?;
    let signed = &token[..head.len() + 1 + body.len()];
    if !key.verifies(EcdsaForm::Fixed, signed.as_bytes(), &decode(signature)?) {
        return Err(wrong("has a signature that is not of the provider's key").into());
    }
    Ok(serde_json::from_slice(&decode(body)?).map_err(|_| wrong("has unreadable claims"))?)
}

/// RFC 8725 section 3.1: only what was decided on. `none` and shared secrets are no proof of the provider.
fn algorithm(name: &str) -> Result<&'static str, Rejected> {
    match name {
        "RS256" => Ok("RS256"),
        "ES256" => Ok("ES256"),
        "EdDSA" | "Ed25519" => Ok("EdDSA"),
        _ => Err(Rejected::new("alg", name, "is not one of RS256, ES256, EdDSA")),
    }
}

/// Steps 2 to 5: issuer, audience, authorised party.
fn check_parties(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), Rejected> {
    let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
    if issuer != expected.issuer {
        return Err(Rejected::new("iss", issuer, format!("is not {:?}", expected.issuer)));
    }
    let audiences: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(list)) if list.len() <= AUDIENCES_MAX => list.iter().filter_map(Value::as_str).collect(),
        _ => return Err(Rejected::silent("aud", "is not a text or a short list")),
    };
    if !audiences.contains(&expected.client_id) {
        return Err(Rejected::new("aud", &audiences.join(" "), format!("lacks {:?}", expected.client_id)));
    }
    match claims.get("azp") {
        None if audiences.len() == 1 => Ok(()),
        Some(Value::String(party)) if party == expected.client_id => Ok(()),
        _ => Err(Rejected::silent("azp", format!("is not {:?}", expected.client_id))),
    }
}

/// Steps 9 to 13: not over, not of the future, not old.
fn check_times(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), Rejected> {
    let now_us = expected.now_us;
    let needed = |name: &str| time_us(claims, name)?.ok_or_else(|| Rejected::silent(name, "is missing"));
    if needed("exp")?.saturating_add(SKEW_US) <= now_us {
        return Err(Rejected::silent("exp", "is over"));
    }
    let issued_us = needed("iat")?;
    if issued_us > now_us.saturating_add(SKEW_US) {
        return Err(Rejected::silent("iat", "is in the future; the clocks of provider and server differ"));
    }
    if issued_us.saturating_add(AGE_US_MAX) < now_us {
        return Err(Rejected::silent("iat", "is more than ten minutes ago"));
    }
    if time_us(claims, "nbf")?.is_some_and(|not_before_us| not_before_us > now_us.saturating_add(SKEW_US)) {
        return Err(Rejected::silent("nbf", "is in the future"));
    }
    if let Some(seconds) = expected.max_age_s {
        let since_us = needed("auth_time")?;
        let age_us_max = i64::from(seconds) * 1_000_000 + SKEW_US;
        if since_us.saturating_add(age_us_max) < now_us || since_us > now_us.saturating_add(SKEW_US) {
            return Err(Rejected::silent("auth_time", "is too long ago; sign in there again"));
        }
    }
    Ok(())
}
