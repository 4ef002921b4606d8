//! Public keys in COSE form (RFC 9052 section 7, RFC 9053 section 7, RFC 8230 section 4).

use crate::Rejected;
use crate::signature::Key;
use minicbor::Decoder;
use minicbor::data::Type;

/// A public key of an authenticator.
pub(crate) struct PublicKey(pub(crate) Key);

fn wrong(reason: impl Into<String>) -> Rejected {
    Rejected::silent("public key", reason)
}

/// The labels that matter: kty, alg, crv or n, x or e, y.
#[derive(Default)]
struct Labels<'a> {
    kind: Option<i64>,
    algorithm: Option<i64>,
    curve: Option<i64>,
    minus_one: Option<&'a [u8]>,
    minus_two: Option<&'a [u8]>,
    minus_three: Option<&'a [u8]>,
}

fn set<T>(slot: &mut Option<T>, value: T) -> Result<(), Rejected> {
    if slot.replace(value).is_some() { Err(wrong("names a label twice")) } else { Ok(()) }
}

fn read<'a>(decoder: &mut Decoder<'a>) -> Result<Labels<'a>, Rejected> {
    let broken = |error: minicbor::decode::Error| wrong(format!("is broken CBOR: {error}"));
    let entries = decoder.map().map_err(broken)?.filter(|entries| *entries <= 16);
    let mut labels = Labels::default();
    for _ in 0..entries.ok_or_else(|| wrong("is not a map of a few entries"))? {
        let label = decoder.i64().map_err(broken)?;
        let is_bytes = matches!(decoder.datatype(), Ok(Type::Bytes));
        match label {
            1 => set(&mut labels.kind, decoder.i64().map_err(broken)?)?,
            3 => set(&mut labels.algorithm, decoder.i64().map_err(broken)?)?,
            -1 if is_bytes => set(&mut labels.minus_one, decoder.bytes().map_err(broken)?)?,
            -1 => set(&mut labels.curve, decoder.i64().map_err(broken)?)?,
            -2 if is_bytes => set(&mut labels.minus_two, decoder.bytes().map_err(broken)?)?,
            -3 if is_bytes => set(&mut labels.minus_three, decoder.bytes().map_err(broken)?)?,
            _ => decoder.skip().map_err(broken)?,
        }
    }
    Ok(labels)
}

impl PublicKey {
    /// Reads the key at the start of `bytes` and says how long it is.
    pub(crate) fn parse(bytes: &[u8]) -> Result<(Self, usize), Rejected> {
        let mut decoder = Decoder::new(bytes);
        let labels = read(&mut decoder)?;
        let key = match (labels.kind, labels.algorithm, labels.curve) {
            (Some(2), Some(-7), Some(1)) => Key::es256(labels.minus_two, labels.minus_three),
            (Some(1), Some(-8), Some(6)) => Key::ed25519(labels.minus_two),
            (Some(3), Some(-257), None) => Key::rs256(labels.minus_one, labels.minus_two),
            _ => return Err(wrong("is not one of ES256 on P-256, EdDSA with Ed25519, RS256")),
        };
        Ok((Self(key?), decoder.position()))
    }
}
