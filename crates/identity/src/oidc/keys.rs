//! A provider's key set (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).

use crate::Rejected;
use crate::oidc::OidcError;
use crate::signature::Key;
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use serde_json::Value;

const KEYS_MAX: usize = 100;

/// The public keys that a provider signs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<Held>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    id: Option<String>,
    key: Key,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl KeySet {
    /// Reads a key set. Keys of other kinds and uses are left out (RFC 7517 section 5); a set without any
    /// usable key is an error.
    ///
    /// # Errors
    /// When it is no key set, has no usable key, or more than 100.
    pub fn read(body: &[u8]) -> Result<Self, Rejected> {
        let wrong = |reason: String| Rejected::silent("key set", reason);
        let document: Document =
            serde_json::from_slice(body).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        if document.keys.len() > KEYS_MAX {
            return Err(wrong(format!("has more than {KEYS_MAX} keys")));
        }
        let keys: Vec<Held> = document.keys.into_iter().filter_map(usable).collect();
        if keys.is_empty() { Err(wrong("has no key for RS256, ES256 or EdDSA".to_owned())) } else { Ok(Self { keys }) }
    }

    /// The one key that may have signed a token. The algorithm is the key's own, so that a token cannot
    /// choose another way to read it. Without an id there must be exactly one (OpenID Connect Core section
    /// 10.1).
    pub(crate) fn find(&self, key_id: Option<&str>, algorithm: &'static str) -> Result<&Key, OidcError> {
        let fits = |held: &&Held| {
            name(&held.key) == algorithm && key_id.is_none_or(|wanted| held.id.as_deref() == Some(wanted))
        };
        let mut fitting = self.keys.iter().filter(fits);
        match (fitting.next(), fitting.next()) {
            (Some(held), None) => Ok(&held.key),
            _ => Err(OidcError::UnknownKey { key_id: key_id.unwrap_or_default().to_owned(), algorithm }),
        }
    }
}

fn name(key: &Key) -> &'static str {
    match key {
        Key::Es256(_) => "ES256",
        Key::Ed25519(_) => "EdDSA",
        Key::Rs256 { .. } => "RS256",
    }
}

fn usable(value: Value) -> Option<Held> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let is_for_signatures = jwk.usage.as_deref().is_none_or(|usage| usage == "sig")
        && jwk.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|name| name == "verify"));
    let decode = |text: &Option<String>| text.as_ref().and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok());
    let (x, y, n, e) = (decode(&jwk.x), decode(&jwk.y), decode(&jwk.n), decode(&jwk.e));
    let key = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("EC", Some("P-256")) => Key::es256(x.as_deref(), y.as_deref()),
        ("OKP", Some("Ed25519")) => Key::ed25519(x.as_deref()),
        ("RSA", _) => Key::rs256(n.as_deref(), e.as_deref()),
        _ => return None,
    };
    let held = Held { id: jwk.kid, key: key.ok()? };
    let names_fit = match jwk.alg.as_deref() {
        None => true,
        Some("Ed25519") => name(&held.key) == "EdDSA", // RFC 9864's name
        Some(algorithm) => algorithm == name(&held.key),
    };
    (is_for_signatures && names_fit).then_some(held)
}
