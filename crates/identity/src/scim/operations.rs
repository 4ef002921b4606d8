//! The frame of PATCH (RFC 7644 section 3.5.2): operations, taken apart to one attribute each.

use crate::Rejected;
use crate::scim::path::Path;
use crate::scim::values::{get, object};
use crate::scim::{GROUP_SCHEMA, ScimError, ScimType, USER_SCHEMA};
use serde_json::{Map, Value};

const OPERATIONS_MAX: usize = 1_000;
/// Attributes of a value without a path.
const ATTRIBUTES_MAX: usize = 200;

/// What is done. Directories write it in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Add,
    Replace,
    Remove,
}

/// One attribute and what is done to it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub(crate) verb: Verb,
    pub(crate) path: Path,
    /// Null for a removal without one.
    pub(crate) value: Value,
    /// Whether the message brought a value.
    pub(crate) has_value: bool,
}

fn syntax(field: &str, value: &str, reason: &str) -> ScimError {
    ScimError::bad(ScimType::InvalidSyntax, &Rejected::new(field, value, reason))
}

/// Reads a body and takes its operations apart: a value without a path becomes one step for each of its
/// attributes, as do the parts of `name`. Attributes of extensions are left out.
pub(crate) fn steps(body: &[u8]) -> Result<Vec<Step>, ScimError> {
    let body = object(body)?;
    let Some(Value::Array(operations)) = get(&body, "Operations")? else {
        return Err(syntax("Operations", "", "is missing or is not a list"));
    };
    if operations.is_empty() || operations.len() > OPERATIONS_MAX {
        return Err(syntax("Operations", &operations.len().to_string(), "is outside 1 to 1000 entries"));
    }
    let mut found = Vec::new();
    for operation in operations {
        let operation =
            operation.as_object().ok_or_else(|| syntax("Operations", "", "has an entry that is no object"))?;
        take_apart(operation, &mut found)?;
    }
    Ok(found)
}

fn verb(operation: &Map<String, Value>) -> Result<Verb, ScimError> {
    let text = get(operation, "op")?.and_then(Value::as_str).unwrap_or_default();
    match text.to_ascii_lowercase().as_str() {
        "add" => Ok(Verb::Add),
        "replace" => Ok(Verb::Replace),
        "remove" => Ok(Verb::Remove),
        _ => Err(syntax("op", text, "is not one of add, replace, remove")),
    }
}

fn take_apart(operation: &Map<String, Value>, found: &mut Vec<Step>) -> Result<(), ScimError> {
    let verb = verb(operation)?;
    let value = get(operation, "value")?;
    match get(operation, "path")? {
        Some(Value::String(path)) if !path.trim().is_empty() => step(verb, path, value, found),
        None | Some(Value::Null | Value::String(_)) if verb == Verb::Remove => {
            Err(ScimError::bad(ScimType::NoTarget, &Rejected::silent("path", "is missing in a removal")))
        }
        None | Some(Value::Null | Value::String(_)) => match value {
            Some(Value::Object(attributes)) => each(verb, attributes, found),
            other => Err(ScimError::value("value", other.unwrap_or(&Value::Null), "must be an object without a path")),
        },
        Some(path) => Err(syntax("path", &path.to_string(), "is not a text")),
    }
}

fn each(verb: Verb, attributes: &Map<String, Value>, found: &mut Vec<Step>) -> Result<(), ScimError> {
    if attributes.len() > ATTRIBUTES_MAX {
        return Err(syntax("value", "", "has more than 200 attributes"));
    }
    let before = found.len();
    for (name, value) in attributes {
        let is_core = [USER_SCHEMA, GROUP_SCHEMA].iter().any(|schema| name.eq_ignore_ascii_case(schema));
        match value {
            Value::Object(inner) if is_core => each(verb, inner, found)?,
            _ => step(verb, name, Some(value), found)?,
        }
    }
    // Two spellings in one value would leave it to chance which one counts.
    if found[before..].iter().filter(|step| step.path.attribute == "active").count() > 1 {
        return Err(ScimError::value("active", &Value::Null, "stands twice in one value"));
    }
    Ok(())
}

fn step(verb: Verb, path: &str, value: Option<&Value>, found: &mut Vec<Step>) -> Result<(), ScimError> {
    let read = Path::read(path)?;
    if read.as_ref().is_none_or(|read| read.attribute != "active") {
        refuse_hidden(path, value)?;
    }
    let Some(path) = read else { return Ok(()) };
    let has_value = value.is_some_and(|value| !value.is_null());
    let value = value.cloned().unwrap_or(Value::Null);
    if path.attribute == "name" && path.sub.is_none() {
        return name_in_parts(verb, &value, has_value, found);
    }
    found.push(Step { verb, path, value, has_value });
    Ok(())
}

fn name_in_parts(verb: Verb, value: &Value, has_value: bool, found: &mut Vec<Step>) -> Result<(), ScimError> {
    if verb == Verb::Remove || !has_value {
        let parts = ["name.formatted", "name.givenName", "name.familyName"];
        return parts.iter().try_for_each(|part| step(Verb::Remove, part, None, found));
    }
    let Value::Object(parts) = value else { return Err(ScimError::value("name", value, "is not an object")) };
    parts.iter().try_for_each(|(part, value)| step(verb, &format!("name.{part}"), Some(value), found))
}

/// What is not known is left out, but not what might be meant to deactivate somebody: `$.active`, or
/// `{"user": {"active": false}}`.
fn refuse_hidden(path: &str, value: Option<&Value>) -> Result<(), ScimError> {
    let is_part = path.trim().rsplit(['.', ':']).next().is_some_and(|part| part.eq_ignore_ascii_case("active"));
    let inner = value.and_then(Value::as_object);
    if is_part || inner.is_some_and(|inner| inner.keys().any(|key| key.eq_ignore_ascii_case("active"))) {
        return Err(ScimError::value(
            path,
            value.unwrap_or(&Value::Null),
            "is no place for active; its path is active",
        ));
    }
    Ok(())
}
