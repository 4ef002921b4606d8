//! Lists: pages and parts of resources (RFC 7644 sections 3.4.2 and 3.9).

use crate::Rejected;
use crate::scim::{ScimError, ScimType};
use serde_json::{Map, Value, json};

/// Resources on one page.
pub const RESULTS_MAX: usize = 200;
const NAMES_MAX: usize = 50;

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Resources to leave out before.
    pub skip: usize,
    /// Resources at most.
    pub take: usize,
}

impl Page {
    /// Reads `startIndex` and `count`. As section 3.4.2.4 has it, a start below one is one, a count below
    /// zero is none.
    ///
    /// # Errors
    /// When one is no number.
    pub fn read(start_index: Option<&str>, count: Option<&str>) -> Result<Self, ScimError> {
        let number = |field: &str, text: Option<&str>, otherwise: i64| match text.map(str::trim) {
            None | Some("") => Ok(otherwise),
            Some(text) => text.parse::<i64>().map_err(|_| {
                ScimError::bad(ScimType::InvalidValue, &Rejected::new(field, text, "is not a whole number"))
            }),
        };
        let start = number("startIndex", start_index, 1)?.max(1);
        let count = number("count", count, RESULTS_MAX as i64)?.max(0);
        let fit = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(Self { skip: fit(start - 1), take: fit(count).min(RESULTS_MAX) })
    }
}

/// Writes a page of a list of `total` resources.
#[must_use]
pub fn list_response(total: usize, page: Page, resources: Vec<Value>) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": total,
        "startIndex": page.skip.saturating_add(1),
        "itemsPerPage": resources.len(),
        "Resources": resources,
    })
}

/// Which attributes an answer shall have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Projection {
    only: Option<Vec<String>>,
    without: Vec<String>,
}

impl Projection {
    /// Reads `attributes` and `excludedAttributes`: names with commas between them.
    ///
    /// # Errors
    /// When there are more than 50 names.
    pub fn read(attributes: Option<&str>, excluded: Option<&str>) -> Result<Self, ScimError> {
        let names = |field: &str, text: &str| {
            let names: Vec<String> = text
                .split(',')
                .map(|name| name.trim().rsplit(':').next().unwrap_or_default().to_ascii_lowercase())
                .filter(|name| !name.is_empty())
                .collect();
            let too_many =
                || ScimError::bad(ScimType::InvalidValue, &Rejected::silent(field, "has more than 50 names"));
            if names.len() > NAMES_MAX { Err(too_many()) } else { Ok(names) }
        };
        let only = attributes.map(|text| names("attributes", text)).transpose()?.filter(|names| !names.is_empty());
        let without = excluded.map_or(Ok(Vec::new()), |text| names("excludedAttributes", text))?;
        Ok(Self { only, without })
    }

    /// Whether an answer has this attribute: members of large groups need not be loaded when not.
    #[must_use]
    pub fn wants(&self, attribute: &str) -> bool {
        let name = attribute.to_ascii_lowercase();
        let starts =
            |wanted: &String| *wanted == name || wanted.strip_prefix(&name).is_some_and(|rest| rest.starts_with('.'));
        match &self.only {
            Some(only) => only.iter().any(starts),
            None => !self.without.contains(&name),
        }
    }

    /// Takes out what is not wanted. `schemas`, `id` and `meta` stay (RFC 7643 section 7: always returned).
    pub fn apply(&self, resource: &mut Value) {
        let Value::Object(attributes) = resource else { return };
        attributes.retain(|name, _| matches!(name.as_str(), "schemas" | "id" | "meta") || self.wants(name));
        for (name, value) in attributes.iter_mut() {
            let name = name.to_ascii_lowercase();
            let keep = |part: &str| self.wants_part(&name, &part.to_ascii_lowercase());
            match value {
                Value::Object(parts) if name != "meta" => retain(parts, &keep),
                Value::Array(list) => {
                    list.iter_mut().filter_map(Value::as_object_mut).for_each(|parts| retain(parts, &keep))
                }
                _ => {}
            }
        }
    }

    fn wants_part(&self, attribute: &str, part: &str) -> bool {
        let whole = format!("{attribute}.{part}");
        match &self.only {
            Some(only) => only.iter().any(|name| name == attribute || *name == whole),
            None => !self.without.contains(&whole),
        }
    }
}

fn retain(parts: &mut Map<String, Value>, keep: &dyn Fn(&str) -> bool) {
    parts.retain(|part, _| keep(part));
}
