//! Small maps in CBOR (RFC 8949), from the front of some bytes.

use crate::Rejected;
use ciborium::Value;

const ENTRIES_MAX: usize = 16;
/// Attestation statements lie three deep.
const DEPTH_MAX: usize = 16;

/// Reads the map at the start of `bytes` and leaves what stands behind it.
pub(crate) fn take_map(field: &str, bytes: &mut &[u8]) -> Result<Vec<(Value, Value)>, Rejected> {
    let value: Value = ciborium::de::from_reader_with_recursion_limit(&mut *bytes, DEPTH_MAX)
        .map_err(|error| Rejected::silent(field, format!("is broken CBOR: {error}")))?;
    match value {
        Value::Map(entries) if entries.len() <= ENTRIES_MAX => Ok(entries),
        _ => Err(Rejected::silent(field, "is not a map of a few entries")),
    }
}

/// The value of a key; a key that stands twice is an error (section 6 of CTAP 2: canonical form).
pub(crate) fn get<'a>(field: &str, entries: &'a [(Value, Value)], key: &Value) -> Result<Option<&'a Value>, Rejected> {
    let mut found = entries.iter().filter(|(known, _)| known == key).map(|(_, value)| value);
    match (found.next(), found.next()) {
        (first, None) => Ok(first),
        _ => Err(Rejected::silent(field, "names a label twice")),
    }
}
