//! Errors on the wire (RFC 7644 section 3.12).

use crate::Rejected;
use serde_json::{Value, json};

/// The kinds of section 3.12 table 9 that are used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScimType {
    /// The filter is malformed or asks for what is not supported.
    InvalidFilter,
    /// Too many results or operations.
    TooMany,
    /// A value is taken.
    Uniqueness,
    /// The change is not possible in this state.
    Mutability,
    /// The body is malformed.
    InvalidSyntax,
    /// The path of a change is malformed.
    InvalidPath,
    /// A path finds nothing to change.
    NoTarget,
    /// A value is missing or unfit.
    InvalidValue,
}

impl ScimType {
    fn code(self) -> &'static str {
        match self {
            Self::InvalidFilter => "invalidFilter",
            Self::TooMany => "tooMany",
            Self::Uniqueness => "uniqueness",
            Self::Mutability => "mutability",
            Self::InvalidSyntax => "invalidSyntax",
            Self::InvalidPath => "invalidPath",
            Self::NoTarget => "noTarget",
            Self::InvalidValue => "invalidValue",
        }
    }
}

/// An error as it goes out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ScimError {
    /// HTTP status.
    pub status: u16,
    /// Kind, for those that have one.
    pub kind: Option<ScimType>,
    /// Field, value and reason.
    pub detail: String,
}

impl ScimError {
    /// An error of any status: 404 without kind, 409 with `Uniqueness` or `Mutability`.
    #[must_use]
    pub fn new(status: u16, kind: Option<ScimType>, detail: impl Into<String>) -> Self {
        Self { status, kind, detail: detail.into() }
    }

    pub(crate) fn bad(kind: ScimType, error: &Rejected) -> Self {
        Self::new(400, Some(kind), error.to_string())
    }

    pub(crate) fn value(field: &str, value: &Value, reason: &str) -> Self {
        Self::bad(ScimType::InvalidValue, &Rejected::new(field, &value.to_string(), reason))
    }

    /// The body.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": self.status.to_string(),
            "detail": self.detail,
        });
        if let Some(kind) = self.kind {
            body["scimType"] = json!(kind.code());
        }
        body
    }
}
