//! Paths of attributes, and the comparisons that paths and filters are made of (RFC 7644 figures 1 and 7).

use crate::Rejected;
use crate::scim::{GROUP_SCHEMA, ScimError, ScimType, USER_SCHEMA};
use serde_json::Value;

/// Longer filters and paths are refused.
const BYTES_MAX: usize = 2_048;
/// Comparisons joined by `and`.
const COMPARISONS_MAX: usize = 10;

/// `emails[type eq "work"].value`, in lower case except for values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Path {
    pub(crate) attribute: String,
    pub(crate) filter: Vec<Comparison>,
    pub(crate) sub: Option<String>,
}

/// `type eq "work"`: path, operator in lower case, operand unless the operator is `pr`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Comparison {
    pub(crate) path: String,
    pub(crate) operator: String,
    pub(crate) operand: Option<Value>,
}

fn invalid_path(text: &str, reason: &str) -> ScimError {
    ScimError::bad(ScimType::InvalidPath, &Rejected::new("path", text, reason))
}

fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'$');
    !text.is_empty() && text.bytes().all(plain)
}

/// Takes the name of a core schema off the front; `None` for attributes of other schemas.
fn without_schema(text: &str) -> Option<&str> {
    for schema in [USER_SCHEMA, GROUP_SCHEMA] {
        if let Some(head) = text.get(..schema.len())
            && head.eq_ignore_ascii_case(schema)
        {
            return Some(text[schema.len()..].strip_prefix(':').unwrap_or_default());
        }
    }
    let is_foreign = text.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("urn:"));
    (!is_foreign).then_some(text)
}

impl Path {
    /// Reads a path; `None` for attributes of extensions, which are left out.
    pub(crate) fn read(text: &str) -> Result<Option<Self>, ScimError> {
        let text = text.trim();
        if text.len() > BYTES_MAX {
            return Err(invalid_path(text, "has more than 2048 bytes"));
        }
        let Some(plain) = without_schema(text) else { return Ok(None) };
        let (attribute, filter, rest) = match plain.split_once('[') {
            None => match plain.split_once('.') {
                Some((attribute, sub)) => (attribute, Vec::new(), Some(sub)),
                None => (plain, Vec::new(), None),
            },
            Some((attribute, rest)) => {
                let (filter, rest) = rest.rsplit_once(']').ok_or_else(|| invalid_path(text, "has an open bracket"))?;
                let sub = match rest {
                    "" => None,
                    rest => Some(rest.strip_prefix('.').ok_or_else(|| invalid_path(text, "goes on behind a bracket"))?),
                };
                (attribute, comparisons(filter)?, sub)
            }
        };
        if !is_name(attribute) || rest.is_some_and(|sub| !is_name(sub)) {
            return Err(invalid_path(text, "is not of the form attribute.part or attribute[filter].part"));
        }
        let sub = rest.map(str::to_ascii_lowercase);
        Ok(Some(Self { attribute: attribute.to_ascii_lowercase(), filter, sub }))
    }
}

fn invalid_filter(text: &str, reason: &str) -> ScimError {
    ScimError::bad(ScimType::InvalidFilter, &Rejected::new("filter", text, reason))
}

/// Reads comparisons joined by `and`.
pub(crate) fn comparisons(text: &str) -> Result<Vec<Comparison>, ScimError> {
    if text.len() > BYTES_MAX {
        return Err(invalid_filter(text, "has more than 2048 bytes"));
    }
    let words = words(text)?;
    let mut found = Vec::new();
    let mut rest = &words[..];
    loop {
        let [path, operator, ..] = rest else { return Err(invalid_filter(text, "ends too early")) };
        let operator = operator.to_ascii_lowercase();
        let (operand, used) = if operator == "pr" {
            (None, 2)
        } else {
            let word = rest.get(2).ok_or_else(|| invalid_filter(text, "ends too early"))?;
            (Some(operand(word).ok_or_else(|| invalid_filter(text, "has a value that is no JSON"))?), 3)
        };
        found.push(Comparison { path: (*path).to_owned(), operator, operand });
        rest = &rest[used..];
        match rest.split_first() {
            None => return Ok(found),
            Some((joint, next)) if joint.eq_ignore_ascii_case("and") && found.len() < COMPARISONS_MAX => rest = next,
            Some(_) => return Err(invalid_filter(text, "may join at most ten comparisons, by and only")),
        }
    }
}

/// A value of a filter is JSON (RFC 7644 section 3.4.2.2); some write true as True.
fn operand(word: &str) -> Option<Value> {
    let value = serde_json::from_str(word).or_else(|_| serde_json::from_str(&word.to_ascii_lowercase())).ok()?;
    matches!(value, Value::String(_) | Value::Bool(_)).then_some(value)
}

/// Splits at spaces outside of quotes and brackets.
fn words(text: &str) -> Result<Vec<&str>, ScimError> {
    let (mut found, mut start) = (Vec::new(), None);
    let (mut is_quoted, mut is_escaped, mut is_bracketed) = (false, false, false);
    for (at, letter) in text.char_indices() {
        if is_quoted {
            is_quoted = is_escaped || letter != '"';
            is_escaped = !is_escaped && letter == '\\';
            continue;
        }
        match letter {
            '"' => is_quoted = true,
            '[' => is_bracketed = true,
            ']' => is_bracketed = false,
            '(' | ')' => return Err(invalid_filter(text, "has parentheses, which are not supported")),
            ' ' if !is_bracketed => {
                found.extend(start.take().map(|from| &text[from..at]));
                continue;
            }
            _ => {}
        }
        start.get_or_insert(at);
    }
    if is_quoted || is_bracketed {
        return Err(invalid_filter(text, "has an open quote or bracket"));
    }
    found.extend(start.map(|from| &text[from..]));
    Ok(found)
}
