//! The JSON that the browser's script sends: the two `ResponseJSON` forms of sections 5.1.2 and 5.1.3.

use crate::Rejected;
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;

/// An answer has a few hundred bytes, with a chain of certificates some thousand.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Bytes that stand as base64url without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let text = text.trim_end_matches('=');
        BASE64URL_NOPAD.decode(text.as_bytes()).map(Self).map_err(|_| serde::de::Error::custom("not base64url"))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer<Response> {
    pub(crate) raw_id: Bytes,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) response: Response,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Created {
    #[serde(rename = "clientDataJSON")]
    pub(crate) client_data: Bytes,
    pub(crate) attestation_object: Bytes,
    #[serde(default)]
    pub(crate) transports: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Asserted {
    #[serde(rename = "clientDataJSON")]
    pub(crate) client_data: Bytes,
    pub(crate) authenticator_data: Bytes,
    pub(crate) signature: Bytes,
    #[serde(default)]
    pub(crate) user_handle: Option<Bytes>,
}

/// What the browser signed besides the authenticator's data (section 5.8.1). Unknown members are ignored, as
/// the specification demands.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClientData {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) challenge: String,
    pub(crate) origin: String,
    #[serde(default)]
    pub(crate) cross_origin: bool,
}

/// Reads an answer: JSON, or JSON in base64url as the hidden input of a form carries it.
pub(crate) fn read<Response: for<'de> Deserialize<'de>>(text: &str) -> Result<Answer<Response>, Rejected> {
    let text = text.trim();
    if text.len() > ANSWER_BYTES_MAX {
        return Err(Rejected::silent("passkey answer", "has more than 64 KiB"));
    }
    let unreadable = |error: String| Rejected::silent("passkey answer", format!("cannot be read: {error}"));
    let json = if text.starts_with('{') {
        text.as_bytes().to_vec()
    } else {
        BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|error| unreadable(error.to_string()))?
    };
    let answer: Answer<Response> = serde_json::from_slice(&json).map_err(|error| unreadable(error.to_string()))?;
    if answer.kind != "public-key" {
        return Err(Rejected::new("passkey answer's type", &answer.kind, "is not public-key"));
    }
    Ok(answer)
}
