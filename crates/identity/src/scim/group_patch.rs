//! Changes of a group, as Okta, Entra and others send them.

use crate::Rejected;
use crate::scim::operations::{Step, Verb, steps};
use crate::scim::resources::members;
use crate::scim::values::{needed, text};
use crate::scim::{ScimError, ScimType};
use serde_json::Value;

/// One change. Members are ids of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupChange {
    /// Name.
    DisplayName(String),
    /// The directory's own id.
    ExternalId(Option<String>),
    /// These too.
    AddMembers(Vec<String>),
    /// Without these.
    RemoveMembers(Vec<String>),
    /// These and nobody else.
    ReplaceMembers(Vec<String>),
}

/// Reads the body of PATCH on a group.
///
/// # Errors
/// Naming the attribute at fault; for members whenever it is not plain who is meant.
pub fn read_group_patch(body: &[u8]) -> Result<Vec<GroupChange>, ScimError> {
    let steps = steps(body)?;
    let changes: Result<Vec<Option<GroupChange>>, ScimError> = steps.iter().map(change).collect();
    Ok(changes?.into_iter().flatten().collect())
}

fn change(step: &Step) -> Result<Option<GroupChange>, ScimError> {
    let is_removal = step.verb == Verb::Remove;
    match (step.path.attribute.as_str(), step.path.sub.as_deref()) {
        ("members", sub) => members_change(step, sub).map(Some),
        ("displayname", None) if is_removal => Err(ScimError::value("displayName", &Value::Null, "cannot be removed")),
        ("displayname", None) => Ok(Some(GroupChange::DisplayName(needed("displayName", &step.value)?))),
        ("externalid", None) if is_removal => Ok(Some(GroupChange::ExternalId(None))),
        ("externalid", None) => Ok(Some(GroupChange::ExternalId(text("externalId", &step.value)?))),
        _ => Ok(None),
    }
}

/// `members[value eq "id"]`: the one that is meant.
fn picked(step: &Step) -> Result<Option<String>, ScimError> {
    match &step.path.filter[..] {
        [] => Ok(None),
        [one] if one.operator == "eq" && one.path.eq_ignore_ascii_case("value") => {
            needed("members.value", one.operand.as_ref().unwrap_or(&Value::Null)).map(Some)
        }
        _ => {
            let reason = "are picked by a filter that is not supported; use value eq";
            Err(ScimError::bad(ScimType::InvalidFilter, &Rejected::silent("members", reason)))
        }
    }
}

fn members_change(step: &Step, sub: Option<&str>) -> Result<GroupChange, ScimError> {
    if sub.is_some_and(|sub| sub != "value") {
        return Err(ScimError::value("members", &step.value, "cannot be changed in parts"));
    }
    match (step.verb, picked(step)?) {
        (Verb::Remove, Some(id)) => Ok(GroupChange::RemoveMembers(vec![id])),
        // Entra lists who is to go; without a list it is everybody (RFC 7644 section 3.5.2.2).
        (Verb::Remove, None) if step.has_value => Ok(GroupChange::RemoveMembers(members(&step.value)?)),
        (Verb::Remove, None) => Ok(GroupChange::ReplaceMembers(Vec::new())),
        (_, Some(_)) => Err(ScimError::value("members", &step.value, "are added without a filter")),
        (Verb::Add, None) if step.has_value => Ok(GroupChange::AddMembers(members(&step.value)?)),
        (Verb::Replace, None) if step.has_value => Ok(GroupChange::ReplaceMembers(members(&step.value)?)),
        _ => Err(ScimError::value("members", &step.value, "is missing")),
    }
}
