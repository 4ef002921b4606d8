//! Conditions of policy statements: operators over facts of the request.

use crate::action::matches;
use crate::decide::Facts;
use crate::policy::PolicyError;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Values of one key at most.
const VALUES_MAX: usize = 50;
/// Bytes of one value at most.
const VALUE_BYTES_MAX: usize = 256;

/// The keys that a condition may ask, and whether a value may hold them as `${key}`.
const KEYS: [&str; 9] = [
    "user:id",
    "user:email",
    "user:name",
    "org:id",
    "resource:id",
    "request:ip",
    "token:kind",
    "mfa:fresh",
    "resource:type",
];

type Values = BTreeMap<String, Vec<String>>;

/// Conditions as they are written: operator, key, values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(non_snake_case, reason = "the operators are written so")]
pub struct RawCondition {
    /// The fact equals one of the values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub StringEquals: Values,
    /// The fact equals none of the values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub StringNotEquals: Values,
    /// The fact contains one of the values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub StringContains: Values,
    /// As `StringEquals`, upper and lower case alike.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub StringEqualsIgnoreCase: Values,
    /// The fact fits one of the patterns with `*`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub StringPatternMatch: Values,
}

/// An operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// Equals one of the values.
    Equals,
    /// Equals none of the values.
    NotEquals,
    /// Contains one of the values.
    Contains,
    /// Equals one of the values, upper and lower case alike.
    EqualsIgnoreCase,
    /// Fits one of the patterns.
    PatternMatch,
}

/// A checked condition: operator, key, values. Several values are alternatives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// How to compare.
    pub operator: Operator,
    /// Which fact.
    pub key: String,
    /// With what; may hold `${key}`.
    pub values: Vec<String>,
}

impl RawCondition {
    /// Whether there is no condition.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups().iter().all(|(_, _, values)| values.is_empty())
    }

    fn groups(&self) -> [(Operator, &'static str, &Values); 5] {
        [
            (Operator::Equals, "StringEquals", &self.StringEquals),
            (Operator::NotEquals, "StringNotEquals", &self.StringNotEquals),
            (Operator::Contains, "StringContains", &self.StringContains),
            (Operator::EqualsIgnoreCase, "StringEqualsIgnoreCase", &self.StringEqualsIgnoreCase),
            (Operator::PatternMatch, "StringPatternMatch", &self.StringPatternMatch),
        ]
    }

    pub(crate) fn check(&self, at: &str) -> Result<Vec<Condition>, PolicyError> {
        let mut found = Vec::new();
        for (operator, name, values) in self.groups() {
            for (key, values) in values {
                let at = format!("{at}/{name}/{key}");
                if !KEYS.contains(&key.as_str()) {
                    return Err(PolicyError::new(at, key, format!("is not one of {}", KEYS.join(", "))));
                }
                if !(1..=VALUES_MAX).contains(&values.len()) {
                    return Err(PolicyError::new(at, &values.len().to_string(), "must be 1 to 50 values"));
                }
                for value in values {
                    check_value(&at, value)?;
                }
                found.push(Condition { operator, key: key.clone(), values: values.clone() });
            }
        }
        Ok(found)
    }
}

fn check_value(at: &str, value: &str) -> Result<(), PolicyError> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(PolicyError::new(at, value, "must have at most 256 bytes"));
    }
    for part in value.split("${").skip(1) {
        let Some((key, _)) = part.split_once('}') else {
            return Err(PolicyError::new(at, value, "has a variable without its closing brace"));
        };
        if !KEYS.contains(&key) {
            return Err(PolicyError::new(at, key, format!("is not one of {}", KEYS.join(", "))));
        }
    }
    Ok(())
}

impl Condition {
    /// Whether it holds; `None` when a fact that it asks is not there.
    #[must_use]
    pub fn holds(&self, facts: &Facts<'_>) -> Option<bool> {
        let fact = facts.get(&self.key)?;
        let mut any = false;
        for value in &self.values {
            let value = filled(value, facts)?;
            any |= match self.operator {
                Operator::Equals | Operator::NotEquals => *fact == *value,
                Operator::Contains => fact.contains(&*value),
                Operator::EqualsIgnoreCase => fact.to_lowercase() == value.to_lowercase(),
                Operator::PatternMatch => matches(&value, &fact),
            };
        }
        Some(any != (self.operator == Operator::NotEquals))
    }
}

/// The value with its variables replaced; `None` when one has no fact, or one with a `*`, which would be
/// a pattern that somebody gave himself by his name.
fn filled<'a>(value: &'a str, facts: &Facts<'_>) -> Option<Cow<'a, str>> {
    if !value.contains("${") {
        return Some(Cow::Borrowed(value));
    }
    let mut out = String::new();
    let mut parts = value.split("${");
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (key, rest) = part.split_once('}')?;
        let fact = facts.get(key)?;
        if fact.contains('*') {
            return None;
        }
        out.push_str(&fact);
        out.push_str(rest);
    }
    Some(Cow::Owned(out))
}
