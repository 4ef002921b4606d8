//! Values out of JSON: names of attributes in any case (RFC 7643 section 2.1), texts of bounded size, truth
//! as a text.

use crate::Rejected;
use crate::scim::{BODY_BYTES_MAX, ScimError, ScimType};
use serde_json::{Map, Value};

pub(crate) const TEXT_BYTES_MAX: usize = 1_024;

/// Reads a body that must be an object.
pub(crate) fn object(body: &[u8]) -> Result<Map<String, Value>, ScimError> {
    let wrong = |reason: String| ScimError::bad(ScimType::InvalidSyntax, &Rejected::silent("body", reason));
    if body.len() > BODY_BYTES_MAX {
        return Err(wrong("has more than 1 MiB".to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| wrong(format!("is not a JSON object: {error}")))
}

/// The attribute of this name in any case; null is no value. Twice is an error.
pub(crate) fn get<'a>(object: &'a Map<String, Value>, name: &str) -> Result<Option<&'a Value>, ScimError> {
    let mut found = object.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    let (first, second) = (found.next(), found.next());
    if second.is_some() {
        return Err(ScimError::bad(ScimType::InvalidSyntax, &Rejected::silent(name, "stands twice")));
    }
    Ok(first)
}

/// A text, or nothing for null and the empty text.
pub(crate) fn text(field: &str, value: &Value) -> Result<Option<String>, ScimError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control) => {
            Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
        }
        _ => Err(ScimError::value(field, value, "is not a text of at most 1024 bytes without control characters")),
    }
}

pub(crate) fn text_of(object: &Map<String, Value>, name: &str) -> Result<Option<String>, ScimError> {
    get(object, name)?.map_or(Ok(None), |value| text(name, value))
}

/// A text that must be there.
pub(crate) fn needed(field: &str, value: &Value) -> Result<String, ScimError> {
    text(field, value)?.ok_or_else(|| ScimError::value(field, value, "must not be empty"))
}

/// True or false; Entra sends them as the texts "True" and "False".
pub(crate) fn truth(field: &str, value: &Value) -> Result<bool, ScimError> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(ScimError::value(field, value, "is neither true nor false")),
    }
}
