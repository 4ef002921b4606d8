//! What can go wrong in a use case, in words for the person who asked.

use std::error::Error;
use std::fmt;

/// The closed set of kinds; faces map them once to statuses, pages and exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value is wrong: field and value are named.
    Invalid,
    /// Nobody is signed in, or no longer.
    Unauthenticated,
    /// Known, but not allowed.
    Forbidden,
    /// Does not exist, or may not be known.
    NotFound,
    /// Clashes with what is there.
    Conflict,
    /// Was there once and is over: an expired invitation.
    Gone,
    /// Too many tries.
    TooMany,
    /// Something outside does not work: an S3 account.
    Upstream,
    /// Try again soon.
    Busy,
    /// Our fault.
    Internal,
}

/// A failed use case. `text` is for the person, `source` for the log.
#[derive(Debug)]
pub struct Failure {
    /// Which kind.
    pub kind: Kind,
    /// JSON pointer or name of the field at fault; empty when it is no field's fault.
    pub field: String,
    /// What the person reads.
    pub text: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure of a kind.
    #[must_use]
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, field: String::new(), text: text.into(), source: None }
    }

    /// A wrong value: `field: "value" reason`.
    #[must_use]
    pub fn invalid(field: &str, value: &str, reason: impl fmt::Display) -> Self {
        let shown: String = value.chars().take(200).collect();
        let text = format!("{field}: {shown:?} {reason}");
        Self { kind: Kind::Invalid, field: field.to_owned(), text, source: None }
    }

    /// A value that could not be read, with the reason in the reader's words.
    #[must_use]
    pub fn unreadable(field: &str, reason: impl fmt::Display) -> Self {
        Self { kind: Kind::Invalid, field: field.to_owned(), text: format!("{field}: {reason}"), source: None }
    }

    /// What may not be known.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(Kind::NotFound, format!("{what} not found"))
    }

    /// A clash.
    #[must_use]
    pub fn conflict(text: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, text)
    }

    fn internal(source: impl Error + Send + Sync + 'static) -> Self {
        let text = "something went wrong on our side; the log has the details".to_owned();
        Self { kind: Kind::Internal, field: String::new(), text, source: Some(Box::new(source)) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn Error + 'static))
    }
}

impl From<store::StoreError> for Failure {
    fn from(error: store::StoreError) -> Self {
        use store::StoreError;
        match error {
            StoreError::NotFound(what) => Self::not_found(what),
            StoreError::Conflict(_) => Self::conflict("this exists already, or something that it needs does not"),
            StoreError::Busy => Self::new(Kind::Busy, "the database is busy; try again"),
            StoreError::Corrupt { .. } | StoreError::Backend(_) => Self::internal(error),
        }
    }
}

impl From<access::Denied> for Failure {
    fn from(denied: access::Denied) -> Self {
        match denied {
            access::Denied::NotFound => Self::not_found("organisation"),
            access::Denied::Forbidden(_) => Self::new(Kind::Forbidden, denied.to_string()),
        }
    }
}

macro_rules! internal {
    ($($error:ty),* $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::internal(error)
            }
        }
    )*};
}
internal!(
    lake::LakeError,
    pricing::RatingError,
    ledger::LedgerError,
    base::DecimalError,
    base::PeriodError,
    tokio::task::JoinError,
    serde_json::Error,
);

impl From<papers::PaperError> for Failure {
    fn from(error: papers::PaperError) -> Self {
        match error {
            papers::PaperError::PdfNotBuilt => Self::new(Kind::Upstream, error.to_string()),
            _ => Self::internal(error),
        }
    }
}

impl From<billing::BillError> for Failure {
    fn from(error: billing::BillError) -> Self {
        match error {
            billing::BillError::Empty { .. } => Self::conflict(error.to_string()),
            _ => Self::internal(error),
        }
    }
}
