//! Who we are to a browser, and the options that its two calls take.

use crate::Rejected;
use crate::guard::{Host, Target};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use std::fmt;

/// How long the browser waits for the person: five minutes, the middle of what section 15.1 recommends.
const TIMEOUT_MS: u32 = 300_000;
/// COSE numbers of the algorithms, best first: EdDSA, ES256, RS256 (RFC 9053, RFC 8812).
const ALGORITHMS: [i64; 3] = [-8, -7, -257];
/// Section 5.4.3: a user handle has 1 to 64 bytes.
const USER_HANDLE_BYTES_MAX: usize = 64;

/// The console as browsers know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelyingParty {
    /// Its host name: passkeys are bound to it for ever.
    pub id: String,
    /// Scheme, host and port, as browsers write origins (RFC 6454 section 6.2).
    pub origin: String,
    /// What the browser's dialogue says.
    pub name: String,
}

impl RelyingParty {
    /// Reads the console's address. Browsers offer passkeys on https, and on `http://localhost`.
    ///
    /// # Errors
    /// When the address has no host name, or plain http elsewhere.
    pub fn new(console_url: &str, name: &str) -> Result<Self, Rejected> {
        let wrong = |reason: &str| Rejected::new("console address", console_url, reason);
        let target: Target = console_url.parse()?;
        let Host::Name(id) = &target.host else {
            return Err(wrong("must have a host name: passkeys are not bound to bare addresses"));
        };
        if !target.https && id != "localhost" && !id.ends_with(".localhost") {
            return Err(wrong("must begin with https:// for passkeys"));
        }
        let scheme = if target.https { "https" } else { "http" };
        Ok(Self { id: id.clone(), origin: format!("{scheme}://{}", target.authority()), name: name.to_owned() })
    }
}

/// The person a new passkey is for.
#[derive(Clone, Copy)]
pub struct Account<'a> {
    /// 1 to 64 random bytes that say nothing about the person (section 14.6.1).
    pub handle: &'a [u8],
    /// What the person signs in with.
    pub name: &'a str,
    /// What people call him.
    pub display_name: &'a str,
}

impl fmt::Debug for Account<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("name", &self.name).finish_non_exhaustive()
    }
}

fn verification(required: bool) -> &'static str {
    if required { "required" } else { "preferred" }
}

fn descriptors<'a>(ids: impl Iterator<Item = &'a [u8]>) -> Vec<Value> {
    ids.map(|id| json!({ "type": "public-key", "id": BASE64URL_NOPAD.encode(id) })).collect()
}

/// Options for `navigator.credentials.create` in the JSON form of section 5.1.8. `known` are the credential
/// ids the person has already, so that no device is registered twice.
///
/// # Errors
/// When the handle is empty or too long.
pub fn creation_options<'a>(
    party: &RelyingParty,
    challenge: &[u8; 32],
    account: Account<'_>,
    known: impl Iterator<Item = &'a [u8]>,
    verification_required: bool,
) -> Result<Value, Rejected> {
    if !(1..=USER_HANDLE_BYTES_MAX).contains(&account.handle.len()) {
        return Err(Rejected::silent("user handle", "must have 1 to 64 bytes"));
    }
    let algorithms: Vec<Value> =
        ALGORITHMS.iter().map(|number| json!({ "type": "public-key", "alg": number })).collect();
    Ok(json!({
        "rp": { "id": party.id, "name": party.name },
        "user": {
            "id": BASE64URL_NOPAD.encode(account.handle),
            "name": account.name,
            "displayName": account.display_name,
        },
        "challenge": BASE64URL_NOPAD.encode(challenge),
        "pubKeyCredParams": algorithms,
        "timeout": TIMEOUT_MS,
        "excludeCredentials": descriptors(known),
        "authenticatorSelection": {
            "residentKey": "preferred",
            "requireResidentKey": false,
            "userVerification": verification(verification_required),
        },
        "attestation": "none",
    }))
}

/// Options for `navigator.credentials.get` in the JSON form of section 5.1.9. Without `known` the browser
/// offers the passkeys it has for this site.
#[must_use]
pub fn request_options<'a>(
    party: &RelyingParty,
    challenge: &[u8; 32],
    known: impl Iterator<Item = &'a [u8]>,
    verification_required: bool,
) -> Value {
    json!({
        "rpId": party.id,
        "challenge": BASE64URL_NOPAD.encode(challenge),
        "timeout": TIMEOUT_MS,
        "allowCredentials": descriptors(known),
        "userVerification": verification(verification_required),
    })
}
