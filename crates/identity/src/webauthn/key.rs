//! Public keys in COSE form (RFC 9052 section 7, RFC 9053 section 7, RFC 8230 section 4).

use crate::Rejected;
use crate::signature::Key;
use crate::webauthn::cbor::{get, take_map};
use ciborium::Value;

const FIELD: &str = "public key";

/// A public key of an authenticator.
pub(crate) struct PublicKey(pub(crate) Key);

/// A label's value as a number, and as bytes.
fn label(entries: &[(Value, Value)], label: i64) -> Result<(Option<i64>, Option<&[u8]>), Rejected> {
    Ok(match get(FIELD, entries, &Value::from(label))? {
        Some(Value::Integer(number)) => (i64::try_from(*number).ok(), None),
        Some(Value::Bytes(bytes)) => (None, Some(bytes.as_slice())),
        _ => (None, None),
    })
}

impl PublicKey {
    /// Reads the key at the start of `bytes`, and gives what stands behind it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), Rejected> {
        let mut behind = bytes;
        let entries = take_map(FIELD, &mut behind)?;
        // Labels of COSE: 1 is the kind, 3 the algorithm; -1 the curve or n, -2 x or e, -3 y.
        let ((kind, _), (algorithm, _)) = (label(&entries, 1)?, label(&entries, 3)?);
        let ((curve, n), (_, x_or_e), (_, y)) = (label(&entries, -1)?, label(&entries, -2)?, label(&entries, -3)?);
        let key = match (kind, algorithm, curve) {
            (Some(2), Some(-7), Some(1)) => Key::es256(x_or_e, y),
            (Some(1), Some(-8), Some(6)) => Key::ed25519(x_or_e),
            (Some(3), Some(-257), None) => Key::rs256(n, x_or_e),
            _ => return Err(Rejected::silent(FIELD, "is not one of ES256 on P-256, EdDSA with Ed25519, RS256")),
        };
        Ok((Self(key?), behind))
    }
}
