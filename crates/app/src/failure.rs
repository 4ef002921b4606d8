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
    /// Identity must be proved once more.
    StepUp,
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
    /// A code for programs, where the kind alone says too little.
    pub code: Option<&'static str>,
    /// For a refused act, the same in the words of a person.
    pub words: Option<Box<str>>,
    /// Seconds after which another try makes sense, where that is known.
    pub wait_s: Option<u32>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure of a kind.
    #[must_use]
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, field: String::new(), text: text.into(), code: None, words: None, wait_s: None, source: None }
    }

    /// A wrong value: `field: "value" reason`.
    #[must_use]
    pub fn invalid(field: &str, value: &str, reason: impl fmt::Display) -> Self {
        let shown: String = value.chars().take(200).collect();
        let text = format!("{field}: {shown:?} {reason}");
        Self { kind: Kind::Invalid, field: field.to_owned(), text, code: None, words: None, wait_s: None, source: None }
    }

    /// A value that could not be read, with the reason in the reader's words.
    #[must_use]
    pub fn unreadable(field: &str, reason: impl fmt::Display) -> Self {
        Self {
            kind: Kind::Invalid,
            field: field.to_owned(),
            text: format!("{field}: {reason}"),
            code: None,
            words: None,
            wait_s: None,
            source: None,
        }
    }

    /// What may not be known.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(Kind::NotFound, format!("{what} not found"))
    }

    /// The same failure, with a code for programs.
    #[must_use]
    pub fn coded(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    /// The same failure, with the field that it is about.
    #[must_use]
    pub fn about(self, field: &str) -> Self {
        Self { field: field.to_owned(), ..self }
    }

    /// The same failure, with the seconds after which another try makes sense.
    #[must_use]
    pub fn waiting(self, wait_s: u32) -> Self {
        Self { wait_s: Some(wait_s), ..self }
    }

    /// A clash.
    #[must_use]
    pub fn conflict(text: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, text)
    }

    fn internal(source: impl Error + Send + Sync + 'static) -> Self {
        let text = "something went wrong on our side; the log has the details".to_owned();
        Self {
            kind: Kind::Internal,
            field: String::new(),
            text,
            code: None,
            words: None,
            wait_s: None,
            source: Some(Box::new(source)),
        }
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
            StoreError::Nul => Self::unreadable("value", "must not contain NUL characters"),
            StoreError::Unavailable(_) => {
                let text = "the database cannot be reached or written to at this moment; try again";
                Self { source: Some(Box::new(error)), ..Self::new(Kind::Busy, text) }
            }
            StoreError::Corrupt { .. } | StoreError::Backend(_) => Self::internal(error),
        }
    }
}

/// What an action does, as part of a sentence: `see price lists`.
fn act(action: access::Action) -> String {
    let mut letters = action.words().trim_end_matches('.').chars();
    letters.next().into_iter().flat_map(char::to_lowercase).chain(letters).collect()
}

impl From<access::Denied> for Failure {
    fn from(denied: access::Denied) -> Self {
        use access::Denied;
        let text = denied.to_string();
        match denied {
            Denied::NotFound => Self::not_found("organisation"),
            Denied::OrgSuspended => Self::new(Kind::Forbidden, text).coded("org_suspended"),
            Denied::ProductNotEnabled(_) => Self::new(Kind::Forbidden, text).coded("product_not_enabled"),
            Denied::StepUp(_) => Self::new(Kind::StepUp, text),
            Denied::TokenScope(_) => Self::new(Kind::Forbidden, text).coded("token_scope"),
            Denied::GuardRail(action, _) => {
                let words = format!("A guard-rail of the organisation forbids this to everybody: {}.", act(action));
                Self { words: Some(words.into()), ..Self::new(Kind::Forbidden, text) }
            }
            Denied::Policy(action, _) | Denied::Forbidden(action) => {
                let words = format!(
                    "Your roles here do not allow this: {}. An admin of the organisation can give you one that does.",
                    act(action)
                );
                Self { words: Some(words.into()), ..Self::new(Kind::Forbidden, text) }
            }
        }
    }
}

impl From<access::policy::PolicyError> for Failure {
    fn from(error: access::policy::PolicyError) -> Self {
        let text = error.to_string();
        Self { kind: Kind::Invalid, field: error.pointer, text, code: None, words: None, wait_s: None, source: None }
    }
}

impl From<access::tree::TreeError> for Failure {
    fn from(error: access::tree::TreeError) -> Self {
        use access::tree::TreeError;
        let code = match error {
            TreeError::Depth { .. } => "depth_limit",
            TreeError::Cycle => "cycle",
            TreeError::Root => "invalid_value",
        };
        let text = format!("parent: {error}");
        Self {
            kind: Kind::Invalid,
            field: "parent".to_owned(),
            text,
            code: Some(code),
            words: None,
            wait_s: None,
            source: None,
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
impl From<lake::LakeError> for Failure {
    fn from(error: lake::LakeError) -> Self {
        if let lake::LakeError::Damaged { .. } = &error {
            let text = "stored usage of this time is damaged: no figure is given until the operator has restored it";
            let damaged = Self::new(Kind::Internal, text).coded("usage_damaged");
            return Self { source: Some(Box::new(error)), ..damaged };
        }
        if error.is_passing() {
            let text = "usage cannot be read or kept at this moment; try again";
            return Self { source: Some(Box::new(error)), ..Self::new(Kind::Busy, text) };
        }
        Self::internal(error)
    }
}

internal!(ledger::LedgerError, base::DecimalError, base::PeriodError, tokio::task::JoinError, serde_json::Error,);

impl From<papers::PaperError> for Failure {
    fn from(error: papers::PaperError) -> Self {
        match error {
            papers::PaperError::PdfNotBuilt => Self::new(Kind::Upstream, error.to_string()),
            _ => Self::internal(error),
        }
    }
}

// Sums that no paper can hold come from prices and quantities: whoever bills can see which, and mend them.
impl From<pricing::RatingError> for Failure {
    fn from(error: pricing::RatingError) -> Self {
        Self::new(Kind::Internal, error.to_string())
    }
}

impl From<billing::BillError> for Failure {
    fn from(error: billing::BillError) -> Self {
        match error {
            billing::BillError::Empty { .. } => Self::conflict(error.to_string()),
            billing::BillError::Decimal(_) => Self::new(Kind::Internal, error.to_string()),
            billing::BillError::Number => Self::internal(error),
        }
    }
}
